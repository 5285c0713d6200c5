"""Clips that are folders of frames: their columns in a clip table, and what of them has changed."""

import hashlib
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
from pydantic import Field

from emopipe.core.options import Number, Options
from emopipe.corpora.files import KINDS, frames_in
from emopipe.media.frame_folders import RATE, sound_of
from emopipe.media.pairs import SOUND_FILE


class FrameOptions(Options):
    """How folders of frames are played."""

    frame_rate: Number | None = Field(default=None, gt=0)
    """Frames a second of clips that are folders of frames. Default: as many as make the frames as long as the clip's
    sound file; 25 for a clip without one."""


def with_frames(
    table: pd.DataFrame, root: Path, rate: float | None, sounds: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Return a clip table with the rate and the sound file of each folder of frames; unchanged if it has none.

    Args:
        table: The clip table.
        root: The corpus folder.
        rate: Frames a second; None: by the sound.
        sounds: Path of each folder of frames -> path of its sound, or "". None: the folders are looked at.
    """
    found = {path: _sound(root, path) for path in table["path"] if is_folder(root, path)} if sounds is None else sounds
    if not any(path in found for path in table["path"]):
        return table
    text = "auto" if rate is None else f"{rate:g}"
    given = table[SOUND_FILE] if SOUND_FILE in table else pd.Series("", index=table.index, dtype=str)
    files = [sound or found.get(path, "") for path, sound in zip(table["path"], given, strict=True)]
    table = table.assign(**{RATE: [text if path in found else "" for path in table["path"]]})
    return table.assign(**{SOUND_FILE: pd.Series(files, index=table.index, dtype=str)}) if any(files) else table


def is_folder(root: Path, path: str) -> bool:
    """Return whether a path of a clip is a folder of frames below the corpus folder."""
    if path in ("", ".") or os.path.splitext(path)[1].lower() in KINDS:
        return False
    folder = root / path
    try:
        return folder.is_dir() and frames_in(os.listdir(folder)) is not None
    except (OSError, ValueError):
        return False


def stamp(folder: str) -> tuple[int, int, int] | None:
    """Return three numbers that change with the files of a folder of frames; None if it is not one.

    The first is the size of all frames in bytes.
    """
    size, times, changes = 0, hashlib.sha256(), hashlib.sha256()
    try:
        frames = frames_in(os.listdir(folder))
        for name in frames.names if frames else ():
            status = os.stat(os.path.join(folder, name))
            if not stat.S_ISREG(status.st_mode):
                return None
            size += status.st_size
            times.update(f"{name} {status.st_size} {status.st_mtime_ns}\n".encode(errors="surrogateescape"))
            changes.update(f"{status.st_ctime_ns}\n".encode())
    except OSError:
        return None
    if frames is None:
        return None
    return size, _number(times.digest()), _number(changes.digest())


def content(folder: Path, digest_of: Callable[[Path], str], bad: str) -> str:
    """Return the SHA-256 of the frames of a folder, in their order, with their places in time; `bad` if one is bad.

    Args:
        folder: The folder.
        digest_of: Returns the digest of a file, or `bad`.
        bad: The digest of what cannot be read.
    """
    try:
        frames = frames_in(os.listdir(folder))
    except OSError:
        frames = None
    if frames is None:
        return bad
    total = hashlib.sha256()
    for name, number in zip(frames.names, frames.numbers, strict=True):
        if (digest := digest_of(folder / name)) == bad:
            return bad
        total.update(f"{number - frames.numbers[0]} {digest}\n".encode())
    return total.hexdigest()


def with_rates(table: pd.DataFrame, bad: str) -> pd.DataFrame:
    """Return the table with other digests for folders of frames with a given rate: of the content and the rate."""
    if RATE not in table:
        return table
    given = table.index[~table[RATE].isin(["", "auto"]) & (table["digest"] != bad)]
    names = [
        f"{digest} at {rate}" for digest, rate in zip(table.loc[given, "digest"], table.loc[given, RATE], strict=True)
    ]
    digests = table["digest"].copy()
    digests[given] = [hashlib.sha256(name.encode()).hexdigest() for name in names]
    return table.assign(digest=digests)


def _number(digest: bytes) -> int:
    return int.from_bytes(digest[:8], "big") >> 1  # 63 bits, as an int64 holds


def _sound(root: Path, path: str) -> str:
    sound = sound_of(root / path)
    return Path(sound).relative_to(root).as_posix() if sound else ""
