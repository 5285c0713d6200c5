"""Stills cropped to the input of a face network: decoded once, and kept in a file while training runs."""

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

DETECTION_SIDE = 192
"""Stills with a shorter side are enlarged to this side in pixels before faces are detected."""


class ShardedImages:
    """The images of several files as one array. Images are read from disk when they are indexed."""

    def __init__(self, parts: Sequence[np.ndarray]) -> None:
        """Take parts of shape (n, side, side) or (n, side, side, 3), uint8, which differ in n only."""
        self._parts = parts
        self._starts = np.cumsum([0, *map(len, parts)])

    def __len__(self) -> int:
        """Return the number of images in all parts."""
        return int(self._starts[-1])

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Return the images at rows (n,), which are numbered through all parts."""
        found = np.empty((len(rows), *self._parts[0].shape[1:]), np.uint8)
        part_of = np.searchsorted(self._starts, rows, side="right") - 1
        for number in np.unique(part_of):
            found[part_of == number] = self._parts[number][rows[part_of == number] - self._starts[number]]
        return found


def prepare(stills: Stills, geometry: FaceInput, detect: Detector | None, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Crop all stills and write them to one file, or use the complete file of an earlier run.

    Args:
        stills: The stills of one or several corpora.
        geometry: The input of the network.
        detect: The face detector, or None to use the stills as they are.
        path: The .npy file to write. Beside it, a file .readable holds one byte per still.

    Returns:
        Images (n, side, side) for grey or (n, side, side, 3), uint8, in the colours of the network, mapped into memory;
        and (n,) bool, whether each still is a readable image. A warning reports the others, which training omits.

    Raises:
        DamagedCacheError: A file of an earlier run is damaged.
    """
    # 1. Write both files; the second one is written last, so that it marks the first one as complete.
    flags = path.with_suffix(".readable")
    if not (flags.is_file() and path.is_file()):
        is_readable = _write(stills, geometry, detect, path)
        with replacing(flags) as unfinished:
            unfinished.write_bytes(is_readable.tobytes())

    # 2. Read them.
    content = flags.read_bytes()
    if len(content) != len(stills) or content.translate(None, b"\0\1"):
        raise DamagedCacheError(flags, f"it does not say which of {len(stills)} stills are readable images")
    is_readable = np.frombuffer(content, bool)
    if not is_readable.all():
        first = stills.table["key"][~is_readable].iloc[0]
        LOGGER.warning(
            f"{(~is_readable).sum()} of {len(stills)} stills are omitted because they cannot be read as images, for "
            f"example {first}"
        )
    return _map_images(path, _shape(len(stills), geometry)), is_readable


def _write(stills: Stills, geometry: FaceInput, detect: Detector | None, path: Path) -> np.ndarray:
    """Write the cropped stills; return (n,) bool, whether each still is a readable image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    images = _allocate(path, _shape(len(stills), geometry))
    is_readable = np.zeros(len(stills), bool)
    finder = FaceFinder(detect) if detect else None
    progress = Progress("reading stills", len(stills), unit="stills")
    for number, key in enumerate(stills.table["key"]):
        picture = stills.read_image(key)
        if picture.size:
            images[number] = geometry.convert_channels(cut(picture, geometry, finder)[None])[0]
            is_readable[number] = True
        progress.advance()
    images.flush()
    if finder:
        finder.log_misses()
    return is_readable


def _shape(count: int, geometry: FaceInput) -> tuple[int, ...]:
    side = held_side(geometry.size)
    return (count, side, side) if geometry.channels == 1 else (count, side, side, 3)


def _allocate(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Map a new file whose disk space is reserved: on a full disk, writing to a mapped file would kill the process."""
    images = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    try:
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError:
        path.unlink()
        raise
    return images


def _map_images(path: Path, expected: tuple[int, ...]) -> np.ndarray:
    try:
        images = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # NumPy evaluates the header, so a flipped bit may raise anything
        raise DamagedCacheError(path, f"it does not hold an array of images: {error}") from error
    if (images.shape, images.dtype, images.flags.c_contiguous) != (expected, np.uint8, True):
        raise DamagedCacheError(path, f"it holds {images.dtype} {images.shape}, but uint8 {expected} was expected")
    if path.stat().st_size != images.offset + images.nbytes:
        raise DamagedCacheError(path, "its size does not match its header")
    return images


def cut(picture: np.ndarray, geometry: FaceInput, detect: Detector | None = None) -> np.ndarray:
    """Crop one still to the input of a network, with a margin around it.

    With a detector, the largest face is aligned like the faces of clips. Without a detector, or if no face is found,
    the still itself fills the network's square: the middle of a longer still is taken, and the margin repeats its edge.

    Args:
        picture: (H, W, 3) uint8 BGR.
        geometry: The input of the network.
        detect: The face detector, or None.

    Returns:
        (side, side, 3) uint8 BGR with side `held_side(size)`.
    """
    side = held_side(geometry.size)
    if detect is not None and (crop := _largest_face(picture, detect)) is not None:
        return derive(crop, geometry.crop_units * side / geometry.size, side, geometry.center_offset_y)
    height, width = picture.shape[:2]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    square = picture[top : top + short, left : left + short]
    method = cv2.INTER_AREA if short > geometry.size else cv2.INTER_CUBIC
    square = cv2.resize(square, (geometry.size, geometry.size), interpolation=method)
    margin = (side - geometry.size) // 2
    return cv2.copyMakeBorder(square, margin, margin, margin, margin, cv2.BORDER_REPLICATE)


def _largest_face(picture: np.ndarray, detect: Detector) -> np.ndarray | None:
    """Return the canonical crop of the largest face, or None if no face is found."""
    scale = max(1.0, DETECTION_SIDE / min(picture.shape[:2]))
    if scale > 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    found = detect(picture)
    if not len(found):
        return None
    sides = found.box[:, 2:] - found.box[:, :2]
    return canonical_crop(picture, found.landmarks[int(np.argmax(sides.prod(1)))])


class FaceFinder:
    """A detector that counts the stills in which it finds no face."""

    def __init__(self, detect: Detector) -> None:
        """Wrap the detector `detect`."""
        self._detect, self._stills, self._missed = detect, 0, 0

    def __call__(self, picture: np.ndarray) -> Detections:
        """Return the faces in a picture (H, W, 3)."""
        found = self._detect(picture)
        self._stills, self._missed = self._stills + 1, self._missed + (not len(found))
        return found

    def log_misses(self) -> None:
        """Log a warning with the number of stills without a face, if there are any."""
        if self._missed:
            LOGGER.warning(
                f"no face was found in {self._missed} of {self._stills} stills, which are used without alignment"
            )
