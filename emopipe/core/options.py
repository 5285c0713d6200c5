"""The base class of every block of the config: unknown keys and wrong types are errors."""

import ast
import inspect
import textwrap
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


class Options(BaseModel):
    """A block of the config: strict types, no unknown keys, immutable."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    renamed: ClassVar[Mapping[str, str]] = {}
    """Old name of a key -> its new name. `core.validation.checked` reads old names for one release and reports them."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Add the docstrings of the keys as their descriptions.

        Pydantic can do so too (`use_attribute_docstrings`), but would read the source of every block at its import.
        """
        found = handler(schema)
        properties = handler.resolve_ref_schema(found).get("properties", {})
        for base in cls.__mro__[: cls.__mro__.index(Options)]:
            for key, text in _docstrings(base).items():
                properties.get(key, {}).setdefault("description", text)
        return found


def _docstrings(block: type) -> dict[str, str]:
    """Return key -> the docstring below it in the class' own source; none if there is no source."""
    try:
        (written,) = ast.parse(textwrap.dedent(inspect.getsource(block))).body
    except (OSError, TypeError, SyntaxError):
        return {}
    return {
        key.target.id: inspect.cleandoc(below.value.value)
        for key, below in pairwise(written.body)
        if isinstance(key, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
    }


def _number(value: Any) -> Any:
    """Convert what YAML reads as a string (`1e-3`) or as an integer (`1`) into a float."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


Number = Annotated[float, BeforeValidator(_number)]
