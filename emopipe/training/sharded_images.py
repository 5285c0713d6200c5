"""Stills cut to what a face network takes in: decoded once, kept in a file while training runs."""

import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from emopipe.backbones.base import FaceInput
from emopipe.core.atomic import replacing
from emopipe.core.errors import DamagedCacheError
from emopipe.core.log import LOGGER, Progress
from emopipe.faces.alignment import canonical_crop, derive
from emopipe.faces.detection import Detections, Detector
from emopipe.stills.base import Stills
from emopipe.training.augment_image import held_side

SEARCHED_SIDE = 192
"""Stills with a shorter side are enlarged to this many pixels before faces are searched."""


def cut(picture: np.ndarray, geometry: FaceInput, detect: Detector | None = None) -> np.ndarray:
    """One still as a network takes it in, with a margin around it.

    A still that is used as it is fills the network's square: a longer picture's middle is taken, and the margin repeats
    its edge. With a detector, its largest face is aligned as clips' faces are; where none is found, the still is used
    as it is.

    Args:
        picture: (H, W, 3) uint8 BGR.
        geometry: What the network takes in.
        detect: Finds faces, or None.

    Returns:
        (side, side, 3) uint8 BGR with side `held_side(size)`.
    """
    side = held_side(geometry.size)
    if detect is not None and (crop := _aligned(picture, detect)) is not None:
        return derive(crop, geometry.crop_units * side / geometry.size, side, geometry.center_offset_y)
    height, width = picture.shape[:2]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    square = picture[top : top + short, left : left + short]
    method = cv2.INTER_AREA if short > geometry.size else cv2.INTER_CUBIC
    square = cv2.resize(square, (geometry.size, geometry.size), interpolation=method)
    margin = (side - geometry.size) // 2
    return cv2.copyMakeBorder(square, margin, margin, margin, margin, cv2.BORDER_REPLICATE)


class Search:
    """A detector that counts the stills in which it finds no face: those are used as they are."""

    def __init__(self, detect: Detector) -> None:
        """`detect` finds faces."""
        self._detect, self._stills, self._missed = detect, 0, 0

    def __call__(self, picture: np.ndarray) -> Detections:
        """Faces in a picture (H, W, 3)."""
        found = self._detect(picture)
        self._stills, self._missed = self._stills + 1, self._missed + (not len(found))
        return found

    def tell(self) -> None:
        """Say how many there were."""
        if self._missed:
            LOGGER.warning(f"in {self._missed} of {self._stills} stills no face was found; they are used as they are")


class Held:
    """Several files of pixels as one, read as they are asked for."""

    def __init__(self, parts: Sequence[np.ndarray]) -> None:
        """Each part (n, side, side) or (n, side, side, 3) uint8, all of one shape but for n."""
        self._parts = parts
        self._starts = np.cumsum([0, *map(len, parts)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """The pixels at some rows (n,), numbered through all parts."""
        found = np.empty((len(rows), *self._parts[0].shape[1:]), np.uint8)
        of = np.searchsorted(self._starts, rows, side="right") - 1
        for number in np.unique(of):
            found[of == number] = self._parts[number][rows[of == number] - self._starts[number]]
        return found


def prepare(stills: Stills, geometry: FaceInput, detect: Detector | None, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """All stills, cut, in one file that is mapped into memory.

    Args:
        stills: Of one or several corpora.
        geometry: What the network takes in.
        detect: Finds faces, or None to use stills as they are.
        path: The .npy file to write; one that was written whole is used as it is.

    Returns:
        Pixels (n, side, side) for grey or (n, side, side, 3), uint8, in the network's colours, and (n,) bool: which of
        them are pictures; those that are none are left out of training, and said.

    Raises:
        DamagedCacheError: A file, written by an earlier run, does not hold them.
    """
    whole = path.with_suffix(".readable")  # written last, so that where it is, the pixels are whole
    if not (whole.is_file() and path.is_file()):
        found = _write(stills, geometry, detect, path)
        with replacing(whole) as unfinished:
            unfinished.write_bytes(found.tobytes())
    readable = _flags(whole, len(stills))
    if not readable.all():
        first = stills.table["key"][~readable].iloc[0]
        LOGGER.warning(f"{(~readable).sum()} of {len(readable)} stills are no pictures and left out, such as {first}")
    return _mapped(path, _shape(len(stills), geometry)), readable


def _shape(count: int, geometry: FaceInput) -> tuple[int, ...]:
    side = held_side(geometry.size)
    return (count, side, side) if geometry.channels == 1 else (count, side, side, 3)


def _flags(path: Path, expected: int) -> np.ndarray:
    """(n,) bool: what `prepare` wrote of the stills, a byte each."""
    content = path.read_bytes()
    if len(content) != expected or content.translate(None, b"\0\1"):
        raise DamagedCacheError(path, f"it does not tell which of {expected} stills are pictures")
    return np.frombuffer(content, bool)


def _mapped(path: Path, expected: tuple[int, ...]) -> np.ndarray:
    try:
        pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError:
        raise
    except Exception as error:  # NumPy evaluates the header, where a flipped bit may mean anything
        raise DamagedCacheError(path, f"it holds no pixels: {error}") from error
    if (pixels.shape, pixels.dtype, pixels.flags.c_contiguous) != (expected, np.uint8, True):
        raise DamagedCacheError(path, f"it holds {pixels.dtype} {pixels.shape}, not uint8 {expected}")
    if path.stat().st_size != pixels.offset + pixels.nbytes:
        raise DamagedCacheError(path, "its header and its pixels are of other lengths")
    return pixels


def _write(stills: Stills, geometry: FaceInput, detect: Detector | None, path: Path) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = _claimed(path, _shape(len(stills), geometry))
    readable = np.zeros(len(stills), bool)
    search = Search(detect) if detect else None
    progress = Progress("reading stills", len(stills), unit="stills")
    for number, key in enumerate(stills.table["key"]):
        picture = stills.picture(key)
        if picture.size:
            pixels[number] = geometry.colours(cut(picture, geometry, search)[None])[0]
            readable[number] = True
        progress.advance()
    pixels.flush()
    if search:
        search.tell()
    return readable


def _claimed(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """A file for pixels that has its place on the disk: writing to a mapped one without kills the process."""
    pixels = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    try:
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError:
        path.unlink()
        raise
    return pixels


def _aligned(picture: np.ndarray, detect: Detector) -> np.ndarray | None:
    """The canonical crop of the largest face; None where there is none."""
    scale = max(1.0, SEARCHED_SIDE / min(picture.shape[:2]))
    if scale > 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    found = detect(picture)
    if not len(found):
        return None
    sides = found.box[:, 2:] - found.box[:, :2]
    return canonical_crop(picture, found.landmarks[int(np.argmax(sides.prod(1)))])
