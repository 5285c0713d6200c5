"""What a config says about the report."""

from collections.abc import Collection, Sequence

from pydantic import Field

from emopipe.core.options import Number, Options
from emopipe.core.validation import Faults, known

BEST_MODALITY, BEST_SINGLE = "best_modality", "best_single"
"""Names for the best model on the reported split: of the models of one modality, or of all single models."""


class Comparison(Options):
    """Two models to compare on the same clips."""

    model: str
    """The model or ensemble."""
    against: str
    """The model or ensemble to compare it with; best_modality or best_single: the best one on the reported split."""
    aim: Number | None = Field(default=None, gt=0)
    """Points of accuracy by which `model` should be better; the table says whether it is. Default: no aim."""


def check_comparisons(comparisons: Sequence[Comparison], names: Collection[str]) -> None:
    """Raise a ConfigError if comparisons name something that is not one of the run's models and ensembles."""
    faults = Faults()
    for number, comparison in enumerate(comparisons):
        with faults.collected():
            known(f"comparisons.{number}.model", comparison.model, names)
        with faults.collected():
            known(f"comparisons.{number}.against", comparison.against, [*names, BEST_MODALITY, BEST_SINGLE])
    faults.raise_all()
