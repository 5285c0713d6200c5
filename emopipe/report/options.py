"""What a config asks of the report."""

from pydantic import Field

from emopipe.options import Number, Options


class Comparison(Options):
    """A model to compare with another."""

    model: str
    """The model or ensemble."""
    against: str
    """The model or ensemble that it is held against."""
    aim: Number | None = Field(default=None, gt=0)
    """Points of accuracy by which it should be better; the table says whether it is."""
