"""Check the blocks of a config. Each fault is one line: the key, what was found, what was expected, what to do."""

import contextlib
import difflib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from emopipe.core.errors import ConfigError, EmopipeError
from emopipe.core.log import LOGGER

Block = TypeVar("Block", bound=BaseModel)


def known(where: str, value: str, names: Iterable[str]) -> None:
    """Raise a ConfigError if `value` is not one of `names`; `where` is the key, for the message."""
    names = list(names)
    if value not in names:
        listed = ", ".join(names) or "none"
        raise ConfigError(
            f"{where} is {value!r}, which does not exist. Known names: {listed}.{_suggestion(value, names)}"
        )


def all_known(where: str, values: Iterable[str], names: Iterable[str]) -> None:
    """Raise a ConfigError with one line for each of `values` that is not one of `names`; `where` is their key."""
    faults, names = Faults(), list(names)
    for value in values:
        with faults.collected():
            known(where, value, names)
    faults.raise_all()


class Faults:
    """Collects the faults that several checks find, so that one message reports all of them."""

    def __init__(self) -> None:
        self._found: list[EmopipeError] = []

    @contextlib.contextmanager
    def collected(self) -> Iterator[None]:
        """Keep an error that the block raises, and go on after the block."""
        try:
            yield
        except EmopipeError as error:
            self._found.append(error)

    def raise_all(self) -> None:
        """Raise what was collected, if anything: one error as it is, several as one with a line for each.

        Raises:
            EmopipeError: There are faults. Equal ones are reported once.
        """
        lines = list(dict.fromkeys(map(str, self._found)))
        if len(lines) == 1:
            raise self._found[0]
        if lines:
            raise type(self._found[0])("\n".join(lines))


def checked(
    model: type[Block],
    values: Mapping[str, Any],
    where: str = "",
    *,
    warn: bool = True,
    context: Mapping[str, Any] | None = None,
) -> Block:
    """Return a block of options from keys and values.

    Args:
        model: The class of the block.
        values: The keys and values that were read.
        where: The block's own key, which leads its keys in messages.
        warn: Whether to log the old names of keys; not for blocks in files that no user edits.
        context: What the block's checks may look at, such as `emopipe.corpora.labelling.in_classes`.

    Raises:
        ConfigError: A key is unknown or missing, or a value is wrong. The message has one line for each fault.
    """
    try:
        return model.model_validate(with_new_names(model, values, where, warn=warn), context=context)
    except ValidationError as error:
        raise ConfigError("\n".join(_sentence(fault, model, where) for fault in error.errors())) from None


def with_new_names(
    model: type[BaseModel], values: Mapping[str, Any], where: str, *, warn: bool = True
) -> dict[str, Any]:
    """Return the block with the old names of its keys replaced, also in nested blocks; a warning gives each new name.

    Raises:
        ConfigError: A key is set under its old name and under its new name.
    """
    renamed: Mapping[str, str] = getattr(model, "renamed", {})
    block: dict[str, Any] = {}
    for name, value in values.items():
        key, new = ".".join(filter(None, (where, str(name)))), renamed.get(name, name)
        if new != name:
            if new in values:
                raise ConfigError(f"{key} is the old name of {new}, and both are set. Remove {key}.")
            if warn:
                LOGGER.warning(f"{key} is now called {new}. The old name works in this release only. Rename the key.")
        field = model.model_fields.get(new)
        block[new] = _inside(field.annotation, value, key, warn) if field else value
    return block


def _inside(annotation: Any, value: Any, key: str, warn: bool) -> Any:
    """Return a value with the old names replaced. It is a block, a list of blocks, or blocks by name."""
    models = _models_in(annotation)
    if len(models) != 1:
        return value
    if isinstance(value, list):
        return [_inside(annotation, item, f"{key}.{number}", warn) for number, item in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    if isinstance(annotation, types.GenericAlias) and typing.get_origin(annotation) is dict:
        return {name: _inside(models[0], block, f"{key}.{name}", warn) for name, block in value.items()}
    return with_new_names(models[0], value, key, warn=warn)


def _suggestion(word: str, names: Iterable[str]) -> str:
    """Return " Did you mean ...?" with the most similar name; "" if no name is similar."""
    match = difflib.get_close_matches(str(word), list(names), n=1)
    return f" Did you mean {match[0]!r}?" if match else ""


def _sentence(fault: Mapping[str, Any], model: type[BaseModel], prefix: str) -> str:
    """Return one of pydantic's faults as a sentence that names the key."""
    path = [str(part) for part in fault["loc"] if part != "[key]"]  # pydantic's mark of a fault in a name itself
    key = ".".join(filter(None, (prefix, *path)))
    if fault["type"] == "extra_forbidden":
        names = list(_block(model, path[:-1]).model_fields)
        found = f"Unknown key {key} (value {fault['input']!r})"
        return f"{found}. Known keys here: {', '.join(names)}.{_suggestion(path[-1], names)}"
    if fault["type"] == "missing":
        return f"The key {key} is missing. Set it."
    if fault["type"] == "value_error":
        return f"{key or 'config'}: {str(fault['ctx']['error']).rstrip('.')}."
    value = fault["input"]
    hint = f' (to write it as text, put it in quotes: "{value}")' if fault["type"] == "string_type" else ""
    expected = fault["msg"].replace("Input", "the value", 1)  # pydantic: "Input should be a valid integer"
    return f"{key} is {value!r} ({type(value).__name__}): {expected[0].lower()}{expected[1:]}{hint}."


def _block(model: type[BaseModel], path: list[str]) -> type[BaseModel]:
    """Return the class of the block at `path`; names of presets in the path are skipped."""
    for part in path:
        field = model.model_fields.get(part)
        inner = _models_in(field.annotation) if field else []
        model = inner[0] if inner else model
    return model


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the classes of blocks in a type annotation, such as `Inner` in `list[Inner] | None`."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [model for argument in typing.get_args(annotation) for model in _models_in(argument)]
