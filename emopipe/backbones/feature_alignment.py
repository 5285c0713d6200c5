"""One set of axes for the networks of several folds.

Networks that are trained apart name the same things along different axes, so a model that learns from vectors of the
folds' networks could not read those of the network that saw all training clips, which extracts the other splits. An
affine map from each fold's vectors to that network's is therefore fitted by ridge regression, over clips that both
have seen: the clips that the map is later used for take no part in it.
"""

import numpy as np

RIDGE = 1e-2
"""Weight of the penalty, relative to the mean variance of the vectors."""


def fit_map(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Ridge regression of target (n, D) on source (n, D): an affine map (D + 1, D), its last row the offset."""
    mean_source, mean_target = source.mean(0), target.mean(0)
    x = (source - mean_source).astype(np.float64)  # (n, D)
    covariance = x.T @ x / len(x)  # (D, D)
    penalty = RIDGE * np.trace(covariance) / len(covariance) + 1e-12
    slope = np.linalg.solve(covariance + penalty * np.eye(len(covariance)), x.T @ (target - mean_target) / len(x))
    return np.vstack([slope, mean_target - mean_source @ slope]).astype(np.float32)


def apply_map(vectors: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Vectors (n, D) on the common axes."""
    return vectors @ axes[:-1] + axes[-1]
