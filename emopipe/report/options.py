"""What a config asks of the report."""

from pydantic import Field

from emopipe.core.options import Number, Options

BEST_MODALITY, BEST_SINGLE = "best_modality", "best_single"
"""Stand for the model of one modality, and for the model of any, that is best on the reported split."""


class Comparison(Options):
    """A model to compare with another."""

    model: str
    """The model or ensemble."""
    against: str
    """The model or ensemble that it is held against; best_modality and best_single are those on the reported split."""
    aim: Number | None = Field(default=None, gt=0)
    """Points of accuracy by which it should be better; the table says whether it is."""
