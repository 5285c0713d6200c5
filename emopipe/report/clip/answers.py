"""Labels and answers of every label space as texts that a person reads."""

from collections.abc import Sequence

import numpy as np

from emopipe.core.labels import NOTHING, SEPARATOR, LabelSpace
from emopipe.report.clip.story import Vote


def said(label: str, space: LabelSpace) -> str:
    """Return a label as a text: `Happy`, `Happy and Sad`, `none of the classes`, or `valence 0.50, arousal -0.25`.

    >>> said("0.5;-0.25", LabelSpace(("valence", "arousal"), "dimensions"))
    'valence 0.50, arousal -0.25'
    """
    if space.kind == "dimensions":
        return numbers(space.vector(label), space)
    return "none of the classes" if label == NOTHING else listed(label.split(SEPARATOR))


def numbers(values: np.ndarray, space: LabelSpace) -> str:
    """Return values (K,) of dimensions, each with its name."""
    return ", ".join(f"{name} {value:.2f}" for name, value in zip(space.names, values, strict=True))


def answer(vote: Vote) -> str:
    """Return what a model answers, with its probabilities: `Happy (40%)`, or the values of dimensions."""
    if vote.space.has_one_class:
        return f"{vote.pred} ({vote.p(''):.0%})"
    if vote.space.kind == "dimensions" or vote.pred == NOTHING:
        return said(vote.pred, vote.space)
    return listed([f"{name} ({vote.p(name):.0%})" for name in vote.pred.split(SEPARATOR)])


def judged(vote: Vote, label: str) -> str:
    """Return what a sentence says of an answer after a comma, such as `which is correct`; "" without a label."""
    is_correct = vote.is_correct(label)
    if is_correct is not None:
        wrong = "which is not exactly the label" if vote.space.kind == "multi" else "which is wrong"
        return "which is correct" if is_correct else wrong
    if not label:
        return ""
    if vote.space.kind == "dimensions":
        errors = np.abs(vote.values - vote.space.vector(label))
        return f"which differs by {listed([f'{error:.2f}' for error in errors])}"
    return "which is neither correct nor wrong, because several classes have the most votes"


def listed(names: Sequence[str]) -> str:
    """Return names with commas, and `and` before the last one."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
