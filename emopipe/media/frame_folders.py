"""Folders of frames: which folders are clips, what their frames are, and which sound belongs to them.

A folder of frames is a clip whose video was written as numbered images, such as `00001.jpg`, `00002.jpg`. Nothing is
decoded here, so that readers of corpora can use this module.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median_low

IMAGES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""Suffixes of images that may be frames."""
SOUNDS = frozenset({".aac", ".aif", ".aiff", ".flac", ".m4a", ".mp3", ".oga", ".ogg", ".opus", ".wav", ".wma"})
"""Suffixes of files that may be the sound of frames."""
RATE = "folder_rate"
"""The column of a clip table with the frames a second of folders of frames: a number, or `auto`; "" for files."""
FRAMES = "frames"
"""A folder of this name holds the frames of the clip that the folder above it is named after."""
FEWEST = 2
"""A folder with fewer images is not a clip."""
DEFAULT_RATE = 25.0
"""Frames a second where nothing is known."""
HIGHEST_RATE = 240.0
"""The sound is not believed if more frames than this would be in a second of it: it was most probably cut."""

_NUMBERED = re.compile(r"(.*?)(\d+)(\D*)", re.DOTALL)


@dataclass(frozen=True)
class FrameFolder:
    """How the frames of a folder are played, for the process that decodes."""

    rate: float = 0.0
    """Frames a second; 0: the frames are as long as the sound, or DEFAULT_RATE without sound."""
    sound: str = ""
    """The path of the file with the sound; "": there is none."""


def played(root: Path, rate: str, sound: str) -> FrameFolder | None:
    """Return how the folder of frames of a clip is played, by its cells in a clip table; None for a file.

    Args:
        root: The corpus folder.
        rate: The cell of the column RATE.
        sound: The clip's sound file, relative to the corpus folder, or "".
    """
    if not rate:
        return None
    return FrameFolder(0.0 if rate == "auto" else float(rate), str(root / sound) if sound else "")


@dataclass(frozen=True)
class Frames:
    """The frames of a folder in their order."""

    names: tuple[str, ...]
    numbers: tuple[int, ...]
    """The number in each name, increasing."""

    @cached_property
    def step(self) -> int:
        """The usual distance from one number to the next one: folders may hold every fifth frame."""
        return median_low([b - a for a, b in zip(self.numbers, self.numbers[1:], strict=False)] or [1])

    @property
    def places(self) -> list[float]:
        """The place of each frame, in frames since the first one. A number that is missing leaves a gap."""
        return [(number - self.numbers[0]) / self.step for number in self.numbers]

    @property
    def has_all(self) -> bool:
        """Whether the numbers begin with 0 or 1, and none is missing."""
        return self.numbers[0] in (0, 1) and self.numbers[-1] - self.numbers[0] + 1 == len(self.numbers)


def frames_among(names: Iterable[str]) -> Frames | None:
    """Return the frames among the names of a folder's files; None if the images are not frames.

    At least two images, with names that differ in their last number alone, are frames.

    >>> frames_among(["f10.jpg", "f9.jpg", "notes.txt"]).names, frames_among(["ann.jpg", "bob.jpg"])
    (('f9.jpg', 'f10.jpg'), None)
    """
    found: dict[int, str] = {}
    shapes, count = set(), 0
    for name in names:
        stem, suffix = os.path.splitext(name)
        if suffix.lower() not in IMAGES or name.startswith("."):
            continue
        match = _NUMBERED.fullmatch(stem)
        if match is None or len(match[2]) > 18:
            return None
        found[int(match[2])] = name
        shapes.add((match[1], match[3], suffix.lower()))
        count += 1
        if len(shapes) > 1:
            return None
    if count < FEWEST or len(found) < count:
        return None
    numbers = tuple(sorted(found))
    return Frames(tuple(found[number] for number in numbers), numbers)


def frames_of(folder: str | Path) -> Frames | None:
    """Return the frames of a folder; None if it is not a folder of frames.

    Raises:
        OSError: The folder cannot be read.
    """
    return frames_among(os.listdir(folder))


def sound_in(names: Iterable[str]) -> list[str]:
    """Return the names that may be the sound of frames, sorted."""
    return sorted(name for name in names if _suffix(name) in SOUNDS and not name.startswith("."))


def sound_of(folder: str | Path) -> str:
    """Return the path of the sound of a folder of frames; "" if there is none.

    It is the only sound file in the folder; else the only one beside the folder that has its name; else, for a folder
    with the name `frames`, the only one beside it.
    """
    inside = sound_in(_listed(folder))
    if inside:
        return os.path.join(folder, inside[0]) if len(inside) == 1 else ""
    above, name = os.path.split(os.path.abspath(folder))
    beside = sound_beside(name, sound_in(_listed(above)))
    return os.path.join(os.path.dirname(folder) or ".", beside) if beside else ""


def sound_beside(name: str, sounds: list[str]) -> str:
    """Return which of the sound files beside a folder is the sound of its frames; "" if none is, or if several may be.

    >>> sound_beside("clip_1", ["clip_1.wav", "clip_2.wav"]), sound_beside("frames", ["audio.wav"])
    ('clip_1.wav', 'audio.wav')
    """
    same = [sound for sound in sounds if os.path.splitext(sound)[0] == name]
    chosen = same or (sounds if name.lower() == FRAMES else [])
    return chosen[0] if len(chosen) == 1 else ""


def clip_name(path: Path) -> Path:
    """Return the path that names the clip in a folder: the folder above, if the folder has the name `frames`."""
    return path.parent if path.name.lower() == FRAMES and len(path.parts) > 1 else path


def _listed(folder: str | Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()
