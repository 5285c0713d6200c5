"""Reading YAML that people write: a fault is one sentence with file, line and column, and no key may be there twice."""

import codecs
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from emopipe.core.errors import ConfigError

MERGE = "tag:yaml.org,2002:merge"
"""The tag of `<<`, which may be there several times."""
_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
"""How a file begins -> its encoding. That of UTF-32 begins like that of UTF-16, so it comes first."""


def read(path: Path) -> Any:
    """Return what a YAML file holds, as plain data; JSON with tabs is read, too.

    Raises:
        ConfigError: The file cannot be read, is not UTF-8 or not YAML, or a block has a key twice.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"The config {path} cannot be read ({error.strerror}). Correct its path, or make the file readable."
        ) from error
    text = _decoded(path, content)
    # In YAML, a tab may not stand where JSON has it; within its texts, JSON writes a tab as \t.
    text = text.replace("\t", " ") if path.suffix.lower() == ".json" else text
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _fault(path, mark.line + 1, mark.column + 1, str(error.problem or error.context)) from error
    except yaml.reader.ReaderError as error:
        place = _place(text[: error.position])
        raise _fault(path, *place, f"the character {chr(error.character)!r} is not allowed") from error
    except ValueError as error:  # such as a date in a thirteenth month
        raise ConfigError(f"In the config {path}, a value is not valid: {error}. Correct it.") from error
    except RecursionError as error:
        raise ConfigError(f"The config {path} has too many blocks within each other. Remove some.") from error


class _Loader(yaml.SafeLoader):
    """Plain data alone. PyYAML itself would silently keep the last of several equal keys."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        first: dict[Hashable, yaml.Mark] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == MERGE:
                continue
            # By its value, as Python does: 1 and 0x1 are one key, but 1 and "1" are two. No key is a date or the like.
            value = self.construct_object(key)
            name = value if isinstance(value, Hashable) else key.value
            if name in first:
                problem = f"the key {key.value!r} is there twice, first in line {first[name].line + 1}"
                raise yaml.composer.ComposerError(None, None, problem, key.start_mark)
            first[name] = key.start_mark
        return node


def _decoded(path: Path, content: bytes) -> str:
    """Return the text of a file in UTF-8, with or without a byte order mark; other encodings are refused by name."""
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "")
    if not encoding and b"\0" in content[:4]:  # text that begins with letters, without a mark
        encoding = "UTF-32" if b"\0\0" in content[:4] else "UTF-16"
    try:
        if not encoding:
            return content.decode("utf-8-sig")
        place = ""
    except UnicodeDecodeError as error:
        line, column = _place(content[: error.start].decode("utf-8", "replace"))
        encoding = "not UTF-8"
        place = (
            f", perhaps Latin-1 or Windows-1252: in line {line}, column {column} is the byte {content[error.start]:#x}"
        )
    raise ConfigError(
        f"The config {path} is {encoding}{place}. Expected UTF-8. Save it as UTF-8 in your editor, or convert it: "
        f"iconv -f {'ISO-8859-1' if place else encoding} -t UTF-8 {path.name} > new.yaml"
    )


def _place(before: str) -> tuple[int, int]:
    """Return the line and the column, counted from 1, of what follows a text."""
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _fault(path: Path, line: int, column: int, problem: str) -> ConfigError:
    return ConfigError(
        f"The config {path} is not valid YAML in line {line}, column {column}: {problem}. Correct it there."
    )
