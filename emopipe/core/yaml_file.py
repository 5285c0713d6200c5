"""Reading YAML that people write: a fault is one sentence with file, line and column, and no key may be there twice."""

from pathlib import Path
from typing import Any

import yaml

from emopipe.core.errors import ConfigError

MERGE = "tag:yaml.org,2002:merge"
"""The tag of `<<`, which may be there several times."""


def read(path: Path) -> Any:
    """Return what a YAML file holds, as plain data.

    Raises:
        ConfigError: The file cannot be read, is not UTF-8 or not YAML, or a block has a key twice.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"The config {path} cannot be read ({error.strerror}). Correct its path, or make the file readable."
        ) from error
    try:
        return yaml.load(content.decode("utf-8-sig"), _Loader)
    except UnicodeDecodeError as error:
        place = _place(content[: error.start].decode("utf-8", "replace"))
        raise _fault(path, *place, "the text is not UTF-8; save it as UTF-8") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _fault(path, mark.line + 1, mark.column + 1, str(error.problem or error.context)) from error
    except yaml.reader.ReaderError as error:
        place = _place(content.decode("utf-8-sig")[: error.position])
        raise _fault(path, *place, f"the character {chr(error.character)!r} is not allowed") from error
    except RecursionError as error:
        raise ConfigError(f"The config {path} has too many blocks within each other. Remove some.") from error


class _Loader(yaml.SafeLoader):
    """Plain data alone. PyYAML itself would silently keep the last of several equal keys."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        first: dict[tuple[str, str], yaml.Mark] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == MERGE:
                continue
            name = key.tag, key.value
            if name in first:
                problem = f"the key {key.value!r} is there twice, first in line {first[name].line + 1}"
                raise yaml.composer.ComposerError(None, None, problem, key.start_mark)
            first[name] = key.start_mark
        return node


def _place(before: str) -> tuple[int, int]:
    """Return the line and the column, counted from 1, of what follows a text."""
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _fault(path: Path, line: int, column: int, problem: str) -> ConfigError:
    return ConfigError(
        f"The config {path} is not valid YAML in line {line}, column {column}: {problem}. Correct it there."
    )
