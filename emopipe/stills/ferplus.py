"""FER+ (Barsoum et al., arXiv 1608.01041): ten raters' votes for FER2013's pictures, out of fer2013new.csv."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.core.labels import CLASSES
from emopipe.stills import fer2013, lists
from emopipe.stills.archive import Archive
from emopipe.stills.base import BaseOptions, Picture, Stills, counts_as, none_left, table
from emopipe.stills.listed import Listed, once, placed

LIST = "fer2013new.csv"
EMOTIONS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
NO_EMOTION = ("unknown", "NF")
"""Votes for no emotion: the rater could not tell, or it is not a face."""
FOLDERS = {"Training": "FER2013Train", "PublicTest": "FER2013Valid", "PrivateTest": "FER2013Test"}
"""Where the authors' script writes the pictures of each Usage."""


class StillsOptions(BaseOptions):
    """FER+ has nothing of its own to set."""


def read(path: Path, options: StillsOptions) -> Stills:
    """The stills of a folder or zip that holds fer2013new.csv and FER2013's pictures, with the votes as soft targets.

    The pictures are those of FER2013's CSV, whose rows are in the same order, or the files that the authors' script
    writes (`FER2013Train/fer0000000.png`, ...), after which the stills are called in either case. See `shares` for
    which are left out.

    Raises:
        CorpusError: A list is missing or not as the corpus has it, the two lists' rows are not the same pictures, or
            pictures are missing.
    """
    archive = Archive(path)
    key = archive.find(LIST)
    if key is None:
        raise CorpusError(f"{path} holds no {LIST}, which has the votes of FER+: put it there.")
    where = f"{key} in {path}"
    votes = lists.by_commas(archive, key, ("Usage", "Image name", *EMOTIONS, *NO_EMOTION))
    usage = lists.one_of(votes, "Usage", where, FOLDERS)
    counts = np.stack([lists.whole(votes, name, where, 0, 100) for name in (*EMOTIONS, *NO_EMOTION)], axis=1)
    targets = shares(counts, counts_as((*EMOTIONS, *NO_EMOTION), options.labels, where, beside=NO_EMOTION))
    # Rows of no face have no file; the script passes over them.
    kept = (targets.sum(1) > 0) & (votes["Image name"] != "").to_numpy()
    keys, splits = usage.map(FOLDERS) + "/" + votes["Image name"], usage.map(fer2013.SPLITS).to_list()
    every = pd.DataFrame({"row": range(len(votes)), "key": keys.to_numpy(), "split": splits})
    rows = once(every[kept], where)
    if rows.empty:
        raise none_left(EMOTIONS, where)
    return Stills(table(rows), targets[rows["row"]], _pictures(archive, rows, splits, where))


def shares(counts: np.ndarray, classes: Mapping[str, str]) -> np.ndarray:
    """Votes as shares of the seven classes; nothing but zeros for a picture that is to be left out.

    Outliers and pictures that are mostly unknown or no face are left out as the paper has it. The authors' script
    also cuts the shares at the classes that hold three quarters of the votes; here all are kept.

    Args:
        counts: (n, 10) votes for `EMOTIONS` and `NO_EMOTION`.
        classes: What each of those ten counts as; "" for what is left out.

    Returns:
        (n, 7) float32; rows sum to 1 or are 0.
    """
    # 1. A single vote is an outlier.
    counts = np.where(counts > 1, counts, 0)
    # 2. Votes of each class, and of what is none.
    columns = np.array([classes[name] for name in (*EMOTIONS, *NO_EMOTION)])
    of_class = np.stack([counts[:, columns == label].sum(1) for label in CLASSES], axis=1)  # (n, 7)
    of_none = counts[:, columns == ""].max(1, initial=0)  # (n,)
    # 3. A picture counts where no class that is left out has more votes than the first of the seven.
    top = of_class.max(1)
    kept = (top > 0) & (top >= of_none)
    total = np.where(kept, of_class.sum(1), 1)
    return np.where(kept[:, None], of_class / total[:, None], 0).astype(np.float32)


def _pictures(archive: Archive, rows: pd.DataFrame, splits: list[str], where: str) -> Picture:
    """Reads the pictures of rows out of FER2013's CSV where it is there, else out of files.

    Args:
        archive: Where they are.
        rows: Columns row (its number in the list of votes, from 0) and key.
        splits: Of every row in the list of votes.
        where: What to call that list in messages.
    """
    key = next(filter(None, map(archive.find, fer2013.LISTS)), None)
    if key is None:
        folder = placed(archive, rows["key"].iloc[0], where)
        picture = Listed(archive, {key: folder + key for key in rows["key"]})
        picture.refuse_missing()
        return picture
    pixels = fer2013.read_csv(archive, key)
    if pixels["split"].tolist() != splits:
        raise CorpusError(
            f"{where} ({len(splits)} rows) and {key} beside it ({len(pixels)} rows) do not have the same Usage row by "
            "row, but expected were the same pictures in the same order: take both as they were published."
        )
    return fer2013.reader(pixels.iloc[rows["row"]].assign(key=rows["key"].to_numpy()))
