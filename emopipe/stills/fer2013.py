"""FER2013 (Goodfellow et al., arXiv 1307.0414): its CSV of pixels, or a folder or zip of <split>/<class>/."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.stills import folder, lists
from emopipe.stills.archive import Archive, no_picture
from emopipe.stills.base import BaseOptions, Picture, Stills, labelled

NAMES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""Its classes, in the order of its numbers."""
SPLITS = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}
LISTS = ("fer2013.csv", "icml_face_data.csv")
"""What Kaggle calls the CSV, in its two distributions."""
SIDE = 48


class StillsOptions(BaseOptions):
    """FER2013 has nothing of its own to set."""


def read(path: Path, options: StillsOptions) -> Stills:
    """The stills; a CSV's splits are train, val (PublicTest) and test (PrivateTest), a folder's as it calls them.

    The path is the CSV, or a folder or zip that holds it or pictures in class folders.

    Raises:
        CorpusError: The CSV is not FER2013's, or the folders are not as `emopipe.stills.folder` expects.
    """
    is_list = path.suffix.lower() == ".csv"
    archive = Archive(path.parent if is_list else path)
    key = path.name if is_list else next(filter(None, map(archive.find, LISTS)), None)
    if key is None:
        return folder.read(path, folder.StillsOptions(labels=options.labels))
    rows = read_csv(archive, key)
    return labelled(rows, reader(rows), options.labels, f"{key} in {archive.path}", names=NAMES)


def read_csv(archive: Archive, key: str) -> pd.DataFrame:
    """Columns key (the row's number from 0, as text), label (of `NAMES`), split and pixels (bytes; none if ill-formed).

    Raises:
        CorpusError: The file is not FER2013's CSV.
    """
    where = f"{key} in {archive.path}"
    table = lists.by_commas(archive, key, ("emotion", "pixels", "Usage"))
    numbers = lists.whole(table, "emotion", where, 0, len(NAMES) - 1)
    return pd.DataFrame(
        {
            "key": [f"{number:05d}" for number in range(len(table))],
            "label": [NAMES[number] for number in numbers],
            "split": lists.one_of(table, "Usage", where, SPLITS).map(SPLITS).to_list(),
            "pixels": [_pixels(text) for text in table["pixels"]],
        }
    )


def reader(rows: pd.DataFrame) -> Picture:
    """Reads stills out of the columns key and pixels: (48, 48, 3) uint8 BGR, or empty where there are no pixels."""
    pixels: dict[str, bytes] = dict(zip(rows["key"], rows["pixels"], strict=True))

    def picture(key: str) -> np.ndarray:
        if key not in pixels:
            raise CorpusError(f"There is no still {key!r} in the list: take a key of the stills' table.")
        if not pixels[key]:
            return no_picture()
        return cv2.cvtColor(np.frombuffer(pixels[key], np.uint8).reshape(SIDE, SIDE), cv2.COLOR_GRAY2BGR)

    return picture


def _pixels(text: str) -> bytes:
    """2,304 numbers from 0 to 255 as bytes; none where the text is anything else."""
    try:
        values = bytes(map(int, text.split()))
    except ValueError:
        return b""
    return values if len(values) == SIDE * SIDE else b""
