"""DFEW: 16,372 clips of films; those with a single label are in five published folds.

Source: Jiang et al., "DFEW: A Large-Scale Database for Recognizing Dynamic Facial Expressions in the Wild", ACM
Multimedia 2020, https://dfew-dataset.github.io. Licence: given by the authors on request, for research only; clips may
not be passed on.

The layout was read in public code that uses the release: `EmoLabel_DataSplit/train(single-labeled)/set_1.csv` to
`set_5.csv` and `test(single-labeled)/` with the columns video_name and label (sunlicai/MAE-DFER), the codes of the
labels and the older lists `label/single_trainset_1.csv` (jiangxingxun/DFEW, by the authors), `Clip/original/1.mp4`
and `Clip/clip_224x224_avi/00001.avi`. Some copies have folders between `original` and the files, so numbers are found
at any depth.

Traps: a film gives several clips, and the lists do not say which, so that a film and its actors may be in train and
test of a fold. The folds are of clips, not of people. The lists of single labels omit the clips whose raters did not
agree enough: scores on them are of the clear clips alone.
"""

from pathlib import Path
from typing import Literal

import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.corpora import lists, splits
from emopipe.corpora.labelling import ClassOptions
from emopipe.corpora.subjects import GroupOptions
from emopipe.corpora.table import from_rows

LABELS: dict[str, str] = {
    "1": "Happy",
    "2": "Sad",
    "3": "Neutral",
    "4": "Angry",
    "5": "Surprise",
    "6": "Disgust",
    "7": "Fear",
}
"""Code in the lists -> class."""
_NAME, _LABEL = "video_name", "label"


class CorpusOptions(ClassOptions, GroupOptions, splits.GivenSplitOptions):
    """Which of DFEW's folds and files are used, and how val is drawn from the training list."""

    fold: Literal[1, 2, 3, 4, 5] = 1
    """The published fold: its test list is test, and val is drawn from its training list. The published figure is the
    mean over the five folds."""
    clips: str = "original"
    """The name of the folder with the videos, at any depth: original (with sound), or clip_224x224_avi (aligned
    faces)."""


def scan(root: Path, options: CorpusOptions) -> pd.DataFrame:
    """Return the clip table of the clips with a single label; a clip's id is its number with five digits.

    Raises:
        CorpusError: A list or a clip is missing, a clip is there twice, or a label is not 1 to 7.
    """
    listed = {split: _listed(root, split, options.fold) for split in ("train", "test")}
    paths = _numbered(root, options.clips)
    lists.refuse_without_file([clip for clips in listed.values() for clip in clips], paths, root, "DFEW")
    rows = [
        {"clip": clip, "path": paths[clip], "split": split, "label": label}
        for split, clips in listed.items()
        for clip, label in clips.items()
    ]
    return splits.with_val(options.with_labels(options.with_subjects(from_rows(rows), root)), options)


def _listed(root: Path, split: str, fold: int) -> dict[str, str]:
    """Return clip -> label, as a published list has them."""
    pattern = rf"(^|/){split}(\([^/]*\))?/set_{fold}\.csv$|(^|/)single_{split}set_{fold}\.csv$"
    file = lists.find(root, pattern, "DFEW", f"EmoLabel_DataSplit/{split}(single-labeled)/set_{fold}.csv")
    rows = lists.read(file, (_NAME, _LABEL))
    wrong = [row for row in rows if row[_LABEL] not in LABELS or not row[_NAME].isdecimal()]
    if wrong:
        raise CorpusError(
            f"The list {file} has the {_NAME} {wrong[0][_NAME]!r} with the {_LABEL} {wrong[0][_LABEL]!r}. Expected a "
            "number, and a label from 1 to 7 (single-labeled). Use the list as it is published."
        )
    return {_id(row[_NAME]): LABELS[row[_LABEL]] for row in rows}


def _numbered(root: Path, folder: str) -> dict[str, str]:
    """Return clip -> path of the videos that are named by a number."""
    paths: dict[str, str] = {}
    for file in lists.videos(root, folder, "DFEW"):
        if not file.stem.isdecimal():
            continue
        clip, path = _id(file.stem), file.as_posix()
        if clip in paths:
            raise CorpusError(
                f"The clip {clip} of DFEW is in {root} twice: {paths[clip]} and {path}. Expected one file for each "
                "clip. Set clips in the corpus options to one of their folders."
            )
        paths[clip] = path
    return paths


def _id(number: str) -> str:
    return f"{int(number):05d}"
