"""Which scores a run has: they depend on the kind of its label space. The first one is the score that models are
compared by."""

from dataclasses import dataclass

from emopipe.core.labels import LabelSpace


@dataclass(frozen=True)
class Measure:
    """A score of a table of predictions."""

    key: str
    """Its column in tables."""
    name: str
    """Its heading in texts."""
    is_share: bool = True
    """Whether it is a fraction that is shown as a percentage; else a number between -1 and 1, or an error."""

    @property
    def points(self) -> float:
        """By what a difference is multiplied for tables: 100 for points of a share, else 1."""
        return 100.0 if self.is_share else 1.0


ACCURACY = Measure("accuracy", "accuracy")
UAR = Measure("uar", "UAR")
MACRO_F1 = Measure("macro_f1", "macro F1")
MACRO_AP = Measure("macro_ap", "macro AP")
EXACT = Measure("exact", "exact match")
CCC = Measure("ccc", "CCC", is_share=False)
RMSE = Measure("rmse", "RMSE", is_share=False)
VOTE_LOSS = Measure("vote_loss", "loss on votes", is_share=False)


def measures(space: LabelSpace) -> list[Measure]:
    """Return the scores of a label space; models are compared by the first.

    Of votes, accuracy, UAR and macro F1 are those on clips whose most votes are for one class. CCC is the mean of the
    concordance correlation coefficients of all dimensions; each has its own, in the column `ccc_<name>`, too.
    """
    if space.kind == "multi":
        return [MACRO_AP, MACRO_F1, EXACT]
    if space.kind == "dimensions":
        return [CCC, *(Measure(f"ccc_{name}", f"CCC {name}", is_share=False) for name in space.names), RMSE]
    return [ACCURACY, UAR, MACRO_F1, *([VOTE_LOSS] if space.kind == "votes" else [])]


def primary(space: LabelSpace) -> Measure:
    """Return the score that models are compared by: accuracy, macro average precision, or CCC."""
    return measures(space)[0]
