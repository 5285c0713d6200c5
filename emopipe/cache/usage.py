"""How much space a corpus' cache takes, by stage and preset."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from emopipe.cache.h5reading import named_errors, open_file
from emopipe.core.errors import CacheError

PRESET_STAGES = ("media", "faces", "features")
"""Stages with a folder for each preset."""
WEIGHTS = "weights"
_OF_WEIGHTS = re.compile(
    r"\.?(?P<name>.+?)(?:\.step\d+)?"
    r"(?:\.(?:safetensors|csv|png)(?:\.damaged)?|\.safetensors\.work|\.parts|\.made|\.\d+\.tmp(?:\.\w+)?)"
)
"""Names of files and folders of weights -> the name of their backbone; see docs/files.md."""
_MERGED = re.compile(r"\.?(?P<name>.+?)(?:\.h5(?:\.damaged)?|\.parts|\.\d+\.tmp\.h5)")


@dataclass(frozen=True)
class Usage:
    """What one preset of a stage takes."""

    stage: str
    preset: str
    shards: int
    """Files of shards that are whole."""
    files: int
    clips: int | None
    """Clips of all shards; None for a stage whose files do not list clips."""
    bytes: int


def usages(cache: Path) -> list[Usage]:
    """Return the use of each preset, in the order of the stages, and of everything else in the cache (no preset)."""
    found = [
        _usage(stage, preset, paths)
        for stage in (*PRESET_STAGES, WEIGHTS)
        for preset, paths in sorted(presets(cache / stage).items())
    ]
    stages = {*PRESET_STAGES, WEIGHTS}
    rest = sorted({path.name for path in cache.iterdir()} - stages) if cache.is_dir() else []
    return found + [_usage(name, "", [cache / name]) for name in rest]


def presets(folder: Path) -> dict[str, list[Path]]:
    """Return preset -> its files and folders directly in a stage's folder. Links and unknown names are omitted."""
    found: dict[str, list[Path]] = {}
    if folder.is_symlink() or not folder.is_dir():
        return found
    for path in sorted(folder.iterdir()):
        if not path.is_symlink() and (name := _preset_of(path)):
            found.setdefault(name, []).append(path)
    return found


def _preset_of(path: Path) -> str:
    """Return the preset that a file or folder of a stage belongs to; "" if its name is not one that emopipe gives."""
    pattern = _OF_WEIGHTS if path.parent.name == WEIGHTS else _MERGED
    if path.is_dir() and path.parent.name != WEIGHTS and not path.name.startswith("."):
        return path.name
    return match["name"] if (match := pattern.fullmatch(path.name)) else ""


def files_in(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield these files and all files in these folders. Links are neither followed nor yielded."""
    for path in paths:
        if path.is_symlink():
            continue
        if path.is_dir():
            for folder, _, names in os.walk(path, followlinks=False):
                yield from (each for name in names if not (each := Path(folder, name)).is_symlink())
        else:
            yield path


def size(files: Iterable[Path]) -> int:
    """Return the bytes of files; a file with several names (hard links) counts once, one that is gone not at all."""
    sizes = {}
    for path in files:
        try:
            found = path.lstat()
        except FileNotFoundError:
            continue
        sizes[found.st_dev, found.st_ino] = found.st_size
    return sum(sizes.values())


def _usage(stage: str, preset: str, paths: list[Path]) -> Usage:
    files = list(files_in(paths))
    shards = [
        path for path in files if preset and path.suffix == ".h5" and path.stem.isdigit() and path.parent in paths
    ]
    # The media files may be temporary, or dropped; the files of their statuses list the same clips.
    statuses = [path for path in files if path.name.endswith(".status.h5")]
    clips = sum(map(_clips, statuses or shards)) if stage in PRESET_STAGES else None
    return Usage(stage, preset, len(shards), len(files), clips, size(files))


def _clips(path: Path) -> int:
    try:
        with named_errors(path), open_file(path) as file:
            return len(file["clips/id"])
    except (CacheError, OSError):  # it is only counted
        return 0
