"""The base class of every block of the config: unknown keys and wrong types are errors."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict


class Options(BaseModel):
    """A block of the config: strict types, no unknown keys, immutable."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)

    renamed: ClassVar[Mapping[str, str]] = {}
    """Old name of a key -> its new name. `core.validation.checked` reads old names for one release and reports them."""


def _number(value: Any) -> Any:
    """Convert what YAML reads as a string (`1e-3`) or as an integer (`1`) into a float."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


Number = Annotated[float, BeforeValidator(_number)]
