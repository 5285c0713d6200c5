"""DFEW: 16,372 clips of films; those with a single label are in five published folds.

Source: Jiang et al., "DFEW: A Large-Scale Database for Recognizing Dynamic Facial Expressions in the Wild", ACM
Multimedia 2020, https://dfew-dataset.github.io. Licence: given by the authors on request, for research only; clips may
not be passed on.

The layout was read in public code that uses the release: `EmoLabel_DataSplit/train(single-labeled)/set_1.csv` to
`set_5.csv` and `test(single-labeled)/` with the columns video_name and label (sunlicai/MAE-DFER), the codes of the
labels, the older lists `label/single_trainset_1.csv` and the frames `00001/00001_00001.jpg` (jiangxingxun/DFEW, by the
authors), `Clip/original/1.mp4`, `Clip/clip_224x224_avi/00001.avi` and the folders of frames `Clip/clip_224x224/00001/`.
Some copies have folders between `original` and the files, so numbers are found at any depth.

Ten raters chose among the seven classes. Their counts are in a workbook, `Annotation/annotation.xlsx`, whose column
names were not found in public code: save its sheet as a CSV file and name that in the option `votes`.

Traps: a film gives several clips, and the lists do not say which, so that a film and its actors may be in train and
test of a fold. The folds are of clips, not of people. The lists of single labels omit the clips whose raters did not
agree enough: scores on them are of the clear clips alone.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.core.labels import VOTES
from emopipe.corpora import lists, splits
from emopipe.corpora.cells import read_cells
from emopipe.corpora.classes import canonical_label, is_class
from emopipe.corpora.frames import FrameOptions, with_frames
from emopipe.corpora.labelling import ClassOptions
from emopipe.corpora.subjects import GroupOptions
from emopipe.corpora.table import from_rows
from emopipe.corpora.votes import with_votes

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


class CorpusOptions(ClassOptions, GroupOptions, FrameOptions, splits.GivenSplitOptions):
    """Which of DFEW's folds and files are used, and how val is drawn from the training list."""

    fold: Literal[1, 2, 3, 4, 5] = 1
    """The published fold: its test list is test, and val is drawn from its training list. The published figure is the
    mean over the five folds."""
    clips: str = "original"
    """The name of the folder with the clips, at any depth: original (videos with sound), clip_224x224_avi (videos of
    aligned faces), or clip_224x224 (folders of frames of aligned faces)."""
    votes: str = ""
    """A CSV with a row for each clip: its number in the first column, and the number of votes in a column for each
    class, such as `happy` or `1happy`. Its path is absolute or relative to the corpus folder. Empty: no votes are
    read."""


def scan(root: Path, options: CorpusOptions) -> pd.DataFrame:
    """Return the clip table of the clips with a single label; a clip's id is its number with five digits.

    Raises:
        CorpusError: A list or a clip is missing, a clip is there twice, or a label is not 1 to 7.
    """
    listed = {split: _listed(root, split, options.fold) for split in ("train", "test")}
    found = lists.clips(root, options.clips, "DFEW")
    paths = _numbered(root, found)
    lists.refuse_without_file([clip for clips in listed.values() for clip in clips], paths, root, "DFEW")
    rows = [
        {"clip": clip, "path": paths[clip], "split": split, "label": label}
        for split, clips in listed.items()
        for clip, label in clips.items()
    ]
    table = with_frames(from_rows(rows), root, options.frame_rate, lists.sounds_of(found))
    if options.votes:
        table = with_votes(table, VOTES, tuple(LABELS.values()), _votes(root / options.votes))
    return splits.with_val(options.with_labels(options.with_subjects(table, root)), options)


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


def _votes(file: Path) -> dict[str, dict[str, int]]:
    """Return clip -> class -> how many raters chose it."""
    cells = read_cells(file, ",;\t")
    columns: dict[str, int] = {}
    for place, name in enumerate(cells.header):
        if is_class(word := name.lstrip("0123456789 ")):
            columns[canonical_label(word)] = place
    absent = [label for label in LABELS.values() if label not in columns]
    wrong = [row for row in cells.rows if not all(row[place].isdecimal() for place in (0, *columns.values()))]
    if absent or wrong:
        found = f"no column for {', '.join(absent)}" if absent else f"the row {', '.join(wrong[0])}"
        raise CorpusError(
            f"The table {file} (corpus option votes) has {found}. Expected the number of a clip in the first column, "
            "and whole numbers of votes in a column for each class, such as happy or 1happy. Correct it."
        )
    return {_id(row[0]): {label: int(row[place]) for label, place in columns.items()} for row in cells.rows}


def _numbered(root: Path, found: Iterable[Path]) -> dict[str, str]:
    """Return clip -> path of the videos and folders that are named by a number."""
    paths: dict[str, str] = {}
    for file in found:
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
