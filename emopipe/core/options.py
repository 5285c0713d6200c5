"""The base of every block of options: unknown keys and wrong types are refused, never guessed at."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict


class Options(BaseModel):
    """A block of the config: strict types, no unknown keys, immutable once read."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)

    renamed: ClassVar[Mapping[str, str]] = {}
    """Old name of a key -> its new name. `core.validation.checked` reads old names for one release and reports them."""


def _number(value: Any) -> Any:
    """YAML reads `1e-3` as a string and `1` as an integer; both are meant as numbers."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


Number = Annotated[float, BeforeValidator(_number)]
