"""Figures of the paper on AFEW 7.0's val split (Zhou et al., arXiv 2012.13912), to stand beside ours."""

from typing import Literal

Row = Literal["one_model", "one_model_augmented", "five_models_augmented"]
"""A setting that the paper reports."""

RIGHT = {"one_model": 234, "one_model_augmented": 244, "five_models_augmented": 251}
CLIPS = 383


def figure(row: str | None) -> str:
    """What the paper reports for a setting, such as `251/383 (65.5 %)`; nothing for none."""
    return f"{RIGHT[row]}/{CLIPS} ({RIGHT[row] / CLIPS:.1%})" if row else ""
