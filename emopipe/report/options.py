"""What a config says about the report."""

from collections.abc import Collection, Sequence

from pydantic import Field

from emopipe.core.errors import ConfigError
from emopipe.core.options import Number, Options
from emopipe.core.validation import Faults, known

BEST_MODALITY, BEST_SINGLE, BEST_IN_HINDSIGHT = "best_modality", "best_single", "best_in_hindsight"
"""Names for models to compare with: the best one out of fold of the models of one modality, or of all single models;
and the single model that is best on the reported split itself."""


class Comparison(Options):
    """Two models to compare on the same clips."""

    model: str
    """The model or ensemble."""
    against: str
    """The model or ensemble to compare it with. best_single: the single model with the best out-of-fold accuracy.
    best_modality: the same of the models of one modality. best_in_hindsight: the single model that is best on the
    reported split itself, which is the hardest one to beat, and is selected by what is reported."""
    aim: Number | None = Field(default=None, gt=0)
    """Points of accuracy, or of macro AP, by which `model` should be better; of dimensions, the difference in CCC. The
    table says whether it is. Default: no aim."""
    primary: bool = False
    """Whether this is the one comparison that the run is made for. Its p needs no correction for the other tests."""


class ReportOptions(Options):
    """What the page of a run shows."""

    faces: bool = True
    """Whether the page shows faces. false: no picture of a person is in it."""


def check_comparisons(comparisons: Sequence[Comparison], names: Collection[str]) -> None:
    """Raise a ConfigError if comparisons name what is not a model or ensemble of the run, or if several are primary."""
    faults = Faults()
    primary = [number for number, comparison in enumerate(comparisons) if comparison.primary]
    with faults.collected():
        if len(primary) > 1:
            raise ConfigError(
                f"comparisons.{primary[1]}.primary is true, but comparisons.{primary[0]} is the primary comparison "
                "already. Only one may be. Remove the key from the others."
            )
    for number, comparison in enumerate(comparisons):
        with faults.collected():
            known(f"comparisons.{number}.model", comparison.model, names)
        with faults.collected():
            known(
                f"comparisons.{number}.against",
                comparison.against,
                [*names, BEST_MODALITY, BEST_SINGLE, BEST_IN_HINDSIGHT],
            )
    faults.raise_all()
