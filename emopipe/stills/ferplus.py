"""FER+ (Barsoum et al., arXiv 1608.01041): votes of ten raters for FER2013's images, from fer2013new.csv."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.stills import fer2013, lists
from emopipe.stills.archive import Archive
from emopipe.stills.base import BaseOptions, ImageReader, Stills, class_map, no_stills_error, stills_table
from emopipe.stills.listed import ListedImages, drop_contradictions, find_folder

LIST = "fer2013new.csv"
EMOTIONS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
NO_EMOTION = ("unknown", "NF")
"""Votes for no emotion: the rater was not sure, or the image is not a face."""
FOLDERS = {"Training": "FER2013Train", "PublicTest": "FER2013Valid", "PrivateTest": "FER2013Test"}
"""Usage -> the folder into which the authors' script writes its images."""


class StillsOptions(BaseOptions):
    """FER+ has no other options."""


def read(path: Path, options: StillsOptions) -> Stills:
    """Return the stills of a folder or zip file with fer2013new.csv and FER2013's images; votes are soft targets.

    The images are those of FER2013's CSV, whose rows are in the same order, or the files that the authors' script
    writes (`FER2013Train/fer0000000.png`, ...). These file names are the keys in both cases. `vote_shares` says which
    images are omitted.

    Raises:
        CorpusError: A list is missing or not as the corpus has it, the rows of the two lists are not the same images,
            or images are missing.
    """
    # 1. The votes.
    archive = Archive(path)
    key = archive.find(LIST)
    if key is None:
        raise CorpusError(f"{path} has no {LIST}, FER+'s list of votes. Put it there.")
    where = f"{key} in {path}"
    votes = lists.read_csv(archive, key, ("Usage", "Image name", *EMOTIONS, *NO_EMOTION))
    usage = lists.choices(votes, "Usage", where, FOLDERS)
    counts = np.stack([lists.integers(votes, name, where, 0, 100) for name in (*EMOTIONS, *NO_EMOTION)], axis=1)
    names = (*EMOTIONS, *NO_EMOTION)
    counts_as = class_map(names, options.labels, where, no_class=NO_EMOTION, classes=options.classes)
    targets = vote_shares(counts, [counts_as[name] for name in names], options.classes)
    # 2. The rows that are used. Rows of no face have no file; the authors' script ignores them.
    kept = (targets.sum(1) > 0) & (votes["Image name"] != "").to_numpy()
    keys, splits = usage.map(FOLDERS) + "/" + votes["Image name"], usage.map(fer2013.SPLITS).to_list()
    every = pd.DataFrame({"row": range(len(votes)), "key": keys.to_numpy(), "split": splits})
    rows = drop_contradictions(every[kept], where)
    if rows.empty:
        raise no_stills_error(EMOTIONS, where, options.classes)
    # 3. Their images.
    images = _image_reader(archive, rows, splits, where)
    return Stills(stills_table(rows), targets[rows["row"]], images, options.classes)


def vote_shares(
    counts: np.ndarray, counts_as: Sequence[str], classes: Sequence[str], *, outliers: float = 1.0
) -> np.ndarray:
    """Return votes as shares of the classes; zeros for an image that is to be omitted.

    As in the paper, outliers are ignored, and images that are mostly unknown or no face are omitted. The authors'
    script also drops classes beyond three quarters of the votes; here all are kept.

    Args:
        counts: (n, names) votes, such as those for `EMOTIONS` and `NO_EMOTION`.
        counts_as: What each of those names counts as: one of `classes`, or "" if it is omitted.
        classes: The K classes.
        outliers: A name with so many votes, or fewer, is an outlier.

    Returns:
        (n, K) float32; each row sums to 1 or is 0.
    """
    # 1. A single vote is an outlier.
    counts = np.where(counts > outliers, counts, 0)
    # 2. Votes for each class, and for what is omitted.
    of_class = _by_class(counts, counts_as, classes)  # (n, K)
    of_none = counts[:, np.array(counts_as) == ""].max(1, initial=0)  # (n,)
    # 3. An image is kept if no omitted name has more votes than the first of the classes.
    top = of_class.max(1)
    kept = (top > 0) & (top >= of_none)
    total = np.where(kept, of_class.sum(1), 1)
    return np.where(kept[:, None], of_class / total[:, None], 0).astype(np.float32)


def vote_majority(
    counts: np.ndarray, counts_as: Sequence[str], classes: Sequence[str], *, outliers: float = 1.0
) -> np.ndarray:
    """Return the class with more than half of the votes, one-hot; zeros for an image that has none.

    As the authors' script does in its mode `majority`: outliers are ignored, and votes for what is omitted (unknown, no
    face) count among all votes.

    Args:
        counts: See `vote_shares`, also for the others.
        counts_as: What each name counts as.
        classes: The K classes.
        outliers: A name with so many votes, or fewer, is an outlier.

    Returns:
        (n, K) float32; each row has a single 1 or none.
    """
    counts = np.where(counts > outliers, counts, 0)
    of_class = _by_class(counts, counts_as, classes)  # (n, K)
    return (of_class > counts.sum(1, keepdims=True) / 2).astype(np.float32)


def _by_class(counts: np.ndarray, counts_as: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """Return the votes (n, K) for each class, of votes (n, names)."""
    columns = np.array(counts_as)
    return np.stack([counts[:, columns == label].sum(1) for label in classes], axis=1)


def _image_reader(archive: Archive, rows: pd.DataFrame, splits: list[str], where: str) -> ImageReader:
    """Return a reader of the images of rows, from FER2013's CSV if there is one, else from files.

    Args:
        archive: Where the images are.
        rows: The columns row (its number in the list of votes, from 0) and key.
        splits: The split of each row in the list of votes.
        where: That list, for messages.
    """
    key = next(filter(None, map(archive.find, fer2013.LISTS)), None)
    if key is None:
        folder = find_folder(archive, rows["key"].iloc[0], where)
        images = ListedImages(archive, {key: folder + key for key in rows["key"]})
        images.refuse_missing()
        return images
    pixels = fer2013.read_rows(archive, key)
    if pixels["split"].tolist() != splits:
        raise CorpusError(
            f"{where} ({len(splits)} rows) and {key} beside it ({len(pixels)} rows) do not have the same Usage in each "
            "row. Expected the same images in the same order. Use both lists as they were published."
        )
    return fer2013.image_reader(pixels.iloc[rows["row"]].assign(key=rows["key"].to_numpy()))
