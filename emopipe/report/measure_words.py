"""What texts and tables say of the scores of each kind of label space."""

import pandas as pd

from emopipe.core.labels import PRESENT, LabelSpace
from emopipe.scoring.measures import Measure, primary

EXPLAINED = {
    "single": "Accuracy, UAR (unweighted average recall), macro F1 and WAF (F1 weighted by the classes' clips) include "
    "all clips of the split, even those without any features.",
    "votes": "Accuracy, UAR (unweighted average recall), macro F1 and WAF (F1 weighted by the classes' clips) include "
    "all clips of the split whose label is one class, even those without any features: where several classes have most "
    "votes, no class is correct. The loss on votes is the mean cross-entropy, in nats, of the shares of votes and the "
    "predictions; it includes the clips with such ties, and smaller is better.",
    "multi": "Macro AP is the mean, over the classes that occur, of the average precision: clips are sorted by the "
    "probability of the class, and the precision is averaged over the clips that show it. Macro F1 is the mean F1 of "
    f"these classes, and exact match is the share of clips with exactly the correct classes; both take a class as "
    f"named from a probability of {PRESENT} on. All include all labelled clips of the split, even those without any "
    "features.",
    "dimensions": "CCC is the concordance correlation coefficient (Lin, 1989): 1 if all answers are equal to what is "
    "given, and 0 if they do not vary with it. The first CCC is the mean over the dimensions. RMSE is the root mean "
    "square error over all dimensions; smaller is better. All include all labelled clips of the split, even those "
    "without any features.",
}
"""Kind of label space -> what its scores are."""

SMALLEST_P = 1e-6
"""The smallest p that is written; smaller ones are said to be below it."""


def shape(measure: Measure, sign: str = "") -> str:
    """Return the format of a score, which is a percentage if it is a share; with a sign `+`, that of a difference."""
    return f"{{:{sign}.{1 if measure.is_share else 3}f}}"


def shown(measure: Measure, value: float) -> str:
    """Return a score as a text, such as `54.3%` or `0.412`; "-" if it is not known."""
    if pd.isna(value):
        return "-"
    return f"{value:.1%}" if measure.is_share else f"{value:.3f}"


def of_p(value: float) -> str:
    """Return a p as a text; those too small to be known so exactly, and which files of tables round to 0, as a bound.

    >>> of_p(0.01234), of_p(3e-9)
    ('0.0123', '<0.000001')
    """
    return "<0.000001" if value < SMALLEST_P else f"{value:.3g}"


def difference(measure: Measure) -> str:
    """Return the heading of a difference: points of a share, or the score itself."""
    return f"points of {measure.name}" if measure.is_share else f"difference in {measure.name}"


def amount(measure: Measure, value: float, sign: str = "+") -> str:
    """Return a difference, as tables hold it, as a text: `+3.1 points` or `+0.043`."""
    return f"{value:{sign}.1f} points" if measure.is_share else f"{value:{sign}.3f} in {measure.name}"


def by_chance(labels: pd.Series, space: LabelSpace) -> float:
    """Return the macro AP, or the CCC, of answers that do not depend on the clip, for labels of some clips.

    The average precision of a guess is the share of clips that show the class. The CCC of a constant is 0.
    """
    if space.kind == "dimensions":
        return 0.0
    present = space.targets(labels.to_frame("label"))
    shares = present.mean(0)
    return float(shares[shares > 0].mean()) if (shares > 0).any() else float("nan")


def chance_sentence(labels: pd.Series, space: LabelSpace, split: str) -> str:
    """Return what `by_chance` is on a split, and why, to stand after `By chance,`."""
    measure = primary(space)
    value = shown(measure, by_chance(labels, space))
    if space.kind == "dimensions":
        return f"an answer that is the same for all clips has a {measure.name} of {value} on {split}."
    return f"a guess has a {measure.name} of {value} on {split}: the mean share of the clips that show a class."
