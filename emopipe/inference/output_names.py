"""The names of files that are written for inputs, by a name or a pattern that the user gives."""

import re
from collections.abc import Sequence
from pathlib import Path

from emopipe.core.errors import ConfigError
from emopipe.inference.inputs import part_of

PLACE = "{}"
"""Stands in a pattern for the name of an input without its suffix."""


def output_names(option: str, given: str, inputs: Sequence[str], suffixes: Sequence[str]) -> dict[str, Path]:
    """Return input -> the file to write for it.

    Args:
        option: The name of the option, for messages.
        given: A file name; for several inputs, a pattern with `PLACE`.
        inputs: The inputs, see `inputs.expand`.
        suffixes: The suffixes that the name may have.

    Raises:
        ConfigError: The suffix is another one, the name is a folder, there are several inputs and no `PLACE`, or an
            input would be overwritten.
    """
    if Path(given).suffix.lower() not in suffixes:
        raise ConfigError(f"{option} is {given}. Expected a name that ends in {' or '.join(suffixes)}.")
    if len(inputs) > 1 and PLACE not in given:
        pattern = Path(given).with_stem(f"{Path(given).stem}-{PLACE}")
        raise ConfigError(
            f"{option} is {given}, which is one file, but there are {len(inputs)} inputs. Write {PLACE} where the name "
            f"of an input is to stand, such as {option} '{pattern}', or give one input."
        )
    taken: set[Path] = set()
    named = {}
    for name in inputs:
        stem, number = _stem(name), 1
        path = Path(given.replace(PLACE, stem))
        while path in taken:
            number += 1
            path = Path(given.replace(PLACE, f"{stem} {number}"))
        taken.add(path)
        named[name] = path
    _refuse_inputs(option, named)
    return named


def _stem(name: str) -> str:
    """Return the name of an input without folder and suffix; of a part of a file, with its times.

    >>> _stem("a/talk.mp4"), _stem("a/talk.mp4#t=12.5,20")
    ('talk', 'talk 12.5-20')
    """
    path, span = part_of(name)
    times = re.sub("inf$", "", f" {span.start:g}-{span.end:g}") if span else ""
    return f"{path.stem}{times}"


def _refuse_inputs(option: str, named: dict[str, Path]) -> None:
    """Refuse to write over a folder, or over an input."""
    sources = {part_of(name)[0].resolve() for name in named}
    for path in named.values():
        if path.is_dir():
            raise ConfigError(f"{option} would write {path}, which is a folder. Give the name of a file.")
        if path.resolve() in sources or any(path.exists() and s.exists() and s.samefile(path) for s in sources):
            raise ConfigError(f"{option} would overwrite the input {path}. Give another name.")
