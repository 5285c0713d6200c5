"""Alignment of the feature vectors of the networks of several folds.

Networks that are trained separately represent the same content along different axes. A fusion model that is trained on
vectors of the folds' networks could not read vectors of the network that was trained on all training clips, which
extracts the other splits. So an affine map from each fold's vectors to that network's vectors is fitted by ridge
regression. It is fitted on clips that both networks were trained on, and used for the other clips only.
"""

import numpy as np

RIDGE = 1e-2
"""Weight of the penalty, relative to the mean variance of the vectors."""


def fit_map(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Fit an affine map by ridge regression.

    Args:
        source: Vectors (n, D) of one network.
        target: Vectors (n, D) of the other network for the same samples.

    Returns:
        (D + 1, D) float32: the linear map, and the offset as the last row.
    """
    mean_source, mean_target = source.mean(0), target.mean(0)
    x = (source - mean_source).astype(np.float64)  # (n, D)
    covariance = x.T @ x / len(x)  # (D, D)
    penalty = RIDGE * np.trace(covariance) / len(covariance) + 1e-12
    slope = np.linalg.solve(covariance + penalty * np.eye(len(covariance)), x.T @ (target - mean_target) / len(x))
    return np.vstack([slope, mean_target - mean_source @ slope]).astype(np.float32)


def apply_map(vectors: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Return the vectors (n, D) mapped by an affine map (D + 1, D) of `fit_map`."""
    return vectors @ affine[:-1] + affine[-1]
