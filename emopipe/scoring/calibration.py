"""The expected calibration error: whether probabilities are as high as predictions are often correct."""

import numpy as np

BINS = 15
"""Number of equally wide bins of confidence for the expected calibration error."""


def calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Return the expected calibration error: the mean of |accuracy - mean confidence| over bins of confidence.

    Args:
        confidence: (N,) highest probability of each clip.
        correct: (N,) bool: whether the prediction is correct.

    Returns:
        The mean over the bins, each weighted by its number of clips.
    """
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    size = np.bincount(bins, minlength=BINS)
    gap = np.bincount(bins, weights=correct - confidence, minlength=BINS)
    return float(np.abs(gap).sum() / max(1, size.sum()))
