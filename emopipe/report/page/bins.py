"""Clips by confidence, for curves of reliability."""

import numpy as np
import pandas as pd

BINS = 10
"""How many equally wide bins of confidence a reliability curve has."""


def bins_of_confidence(confidence: np.ndarray, correct: np.ndarray) -> pd.DataFrame:
    """Return mean confidence, accuracy and number of clips of each bin of confidence that has clips.

    Args:
        confidence: (N,) highest probability of each clip.
        correct: (N,) bool: whether the prediction is correct.
    """
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    made = pd.DataFrame({"bin": place, "confidence": confidence, "accuracy": correct.astype(float), "clips": 1})
    found = made.groupby("bin").agg({"confidence": "mean", "accuracy": "mean", "clips": "sum"})
    return found.round(4).reset_index(drop=True)
