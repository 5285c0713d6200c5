"""The out-of-fold loss and score of a candidate, as its file of candidates has them."""

import numpy as np

from emopipe.core.labels import LabelSpace
from emopipe.scoring.average_precision import macro_average_precision
from emopipe.scoring.concordance import concordances, moments
from emopipe.scoring.losses import losses
from emopipe.scoring.measures import primary


def candidate_scores(values: np.ndarray, targets: np.ndarray, space: LabelSpace) -> dict[str, float]:
    """Return `oof_loss` (`scoring.losses`), and the score that runs are compared by (`scoring.measures.primary`).

    The score is `oof_accuracy` of one class, over the clips with most votes for one class; `oof_macro_ap` of several
    classes; `oof_ccc` of dimensions.

    Args:
        values: (N, K) answers, each out of fold.
        targets: (N, K) `LabelSpace.targets`, without NaN.
        space: The label space.
    """
    return {
        "oof_loss": losses(values, targets, space).mean(),
        f"oof_{primary(space).key}": _primary(values, targets, space),
    }


def _primary(values: np.ndarray, targets: np.ndarray, space: LabelSpace) -> float:
    """Return the score; NaN if there is nothing to score."""
    if space.kind == "multi":
        return float(macro_average_precision(values, targets)(np.ones((1, len(values))))[0])
    if space.kind == "dimensions":
        return float(concordances(moments(values, targets).sum(0)).mean())
    has_one = (targets == targets.max(1, keepdims=True)).sum(1) == 1  # a tie of votes is not a class
    right = (values.argmax(1) == targets.argmax(1))[has_one]
    return float(right.mean()) if len(right) else np.nan
