"""A run's config as others may read it: without the paths of the user's machine, and without what names people."""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

import yaml

HEADER = (
    "# The config of the run, for reading; predictions from this bundle do not use it. The folder of the corpus, and\n"
    "# the options of the corpus and of sources, are omitted, because they may name people. Of absolute paths, the\n"
    "# last part alone is there.\n"
)
_HOME = re.compile(r"~[\w.-]*[/\\]|file://", re.IGNORECASE)


def to_yaml(config: Mapping[str, Any]) -> str:
    """Return the YAML of a config as it was read, without private parts."""
    return HEADER + yaml.safe_dump(public(config), sort_keys=False, allow_unicode=True)


def public(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config without the corpus' folder, and the options of it and of sources; of absolute paths, the end."""
    kept = {key: value for key, value in config.items() if key != "corpus_root"}
    if isinstance(corpus := kept.get("corpus"), Mapping):
        kept["corpus"] = _without_options(corpus)
    if isinstance(sources := kept.get("sources"), Mapping):
        kept["sources"] = {name: _without_options(block) for name, block in sources.items()}
    return without_paths(kept)


def _without_options(block: Any) -> Any:
    return {key: value for key, value in block.items() if key != "options"} if isinstance(block, Mapping) else block


def without_paths(value: Any) -> Any:
    """Return plain data in which each text that is an absolute path, or a kind and a path, has its last part alone."""
    if isinstance(value, Mapping):
        return {key: without_paths(inside) for key, inside in value.items()}
    if isinstance(value, list | tuple):
        return [without_paths(inside) for inside in value]
    if not isinstance(value, str):
        return value
    kind, colon, path = value.partition(":")  # as in hf:/nets/wav2vec2
    if colon and len(kind) > 1 and _is_absolute(path) and not _is_absolute(value):
        return f"{kind}:{without_paths(path)}"
    return re.split(r"[/\\]", value.rstrip("/\\"))[-1] if _is_absolute(value) else value


def _is_absolute(text: str) -> bool:
    windows = PureWindowsPath(text)
    return bool(PurePosixPath(text).is_absolute() or windows.drive or windows.root or _HOME.match(text))
