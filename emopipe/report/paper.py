"""The accuracies that Zhou et al. (arXiv 2012.13912) report for the val split of AFEW 7.0, to compare with ours."""

from typing import Literal

Row = Literal["one_model", "one_model_augmented", "five_models_augmented"]
"""A setting that the paper reports."""

CORRECT = {"one_model": 234, "one_model_augmented": 244, "five_models_augmented": 251}
"""Setting -> clips that the paper's model predicts correctly."""
CLIPS = 383
"""Clips of the val split."""


def figure(row: str | None) -> str:
    """Return the paper's accuracy for a setting, such as `251/383 (65.5%)`; "" for no setting."""
    return f"{CORRECT[row]}/{CLIPS} ({CORRECT[row] / CLIPS:.1%})" if row else ""
