"""FER2013 (Goodfellow et al., arXiv 1307.0414): its CSV of pixels, or a folder or zip file of <split>/<class>/."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.stills import folder, lists
from emopipe.stills.archive import Archive, empty_image
from emopipe.stills.base import BaseOptions, ImageReader, Stills, stills_from_rows

NAMES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""The classes in the order of their numbers."""
SPLITS = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}
LISTS = ("fer2013.csv", "icml_face_data.csv")
"""Names of the CSV in Kaggle's two distributions."""
SIDE = 48


class StillsOptions(BaseOptions):
    """FER2013 has no other options."""


def read(path: Path, options: StillsOptions) -> Stills:
    """Return the stills.

    The splits of a CSV are train, val (PublicTest) and test (PrivateTest); those of a folder are its own.

    Args:
        path: The CSV, or a folder or zip file with the CSV or with images in class folders.
        options: The options of this kind.

    Raises:
        CorpusError: The CSV is not FER2013's, or the folders are not as `emopipe.stills.folder` expects.
    """
    is_list = path.suffix.lower() == ".csv"
    archive = Archive(path.parent if is_list else path)
    key = path.name if is_list else next(filter(None, map(archive.find, LISTS)), None)
    if key is None:
        return stills_from_rows(
            folder.rows_of(archive), archive.read_image, options.labels, str(path), classes=options.classes
        )
    rows = read_rows(archive, key)
    where, own = f"{key} in {archive.path}", {"names": NAMES, "classes": options.classes}
    return stills_from_rows(rows, image_reader(rows), options.labels, where, **own)


def read_rows(archive: Archive, key: str) -> pd.DataFrame:
    """Return the columns key (number of the row from 0, as text), label (of `NAMES`), split and pixels.

    Pixels are 2,304 bytes, or none if they are ill-formed.

    Raises:
        CorpusError: The file is not FER2013's CSV.
    """
    where = f"{key} in {archive.path}"
    table = lists.read_csv(archive, key, ("emotion", "pixels", "Usage"))
    numbers = lists.integers(table, "emotion", where, 0, len(NAMES) - 1)
    return pd.DataFrame(
        {
            "key": [f"{number:05d}" for number in range(len(table))],
            "label": [NAMES[number] for number in numbers],
            "split": lists.choices(table, "Usage", where, SPLITS).map(SPLITS).to_list(),
            "pixels": [_pixels(text) for text in table["pixels"]],
        }
    )


def _pixels(text: str) -> bytes:
    """Return 2,304 numbers from 0 to 255 as bytes; none if the text is anything else."""
    try:
        values = bytes(map(int, text.split()))
    except ValueError:
        return b""
    return values if len(values) == SIDE * SIDE else b""


def image_reader(rows: pd.DataFrame) -> ImageReader:
    """Return a reader of the columns key and pixels: (48, 48, 3) uint8 BGR, or empty if there are no pixels."""
    pixels: dict[str, bytes] = dict(zip(rows["key"], rows["pixels"], strict=True))

    def read_image(key: str) -> np.ndarray:
        if key not in pixels:
            raise CorpusError(f"There is no still {key!r} in the list. Use a key of the stills' table.")
        if not pixels[key]:
            return empty_image()
        return cv2.cvtColor(np.frombuffer(pixels[key], np.uint8).reshape(SIDE, SIDE), cv2.COLOR_GRAY2BGR)

    return read_image
