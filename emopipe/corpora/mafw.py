"""MAFW: 10,045 clips of films, series and short videos; 11 classes, one or several for each clip, in five folds.

Source: Liu et al., "MAFW: A Large-scale, Multi-modal, Compound Affective Database for Dynamic Facial Expression
Recognition in the Wild", ACM Multimedia 2022, https://mafw-database.github.io/MAFW. Licence: for non-commercial
research, to people at universities; clips may not be passed on (README of MAFW-database/MAFW).

The layout was read in that README and in public code that uses the release (sunlicai/HiCMAE and others):
`Train & Test Set/single/no_caption/set_1/train.txt` and `test.txt`, up to `set_5`, with lines such as `00025.mp4 anger`
for the 9,172 clips with a single label; the same below `compound`, with lines such as `00027.mp4 anger_disgust`, for
8,996 clips in 11 single and 32 compound classes; and the clips, `data/clips/00025.mp4`. Folders of frames such as
`data/frames/00025/` are read with `clips: frames`. The lists with captions are not read: their text is not in UTF-8.

Traps: the clips of a film are in train and test of a fold, and nothing names films or people. Four of the 11 classes
are not among the seven: name those of the run by the key `labels` of the config. The workbook `annotation.xlsx` says
which classes a clip shows, not how many of the 11 raters chose each, so that there are no votes. The file `gender.txt`
was made by a network, and what its 0 and 1 mean is not documented: it is not read.
"""

from pathlib import Path
from typing import Literal

import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.core.labels import SEPARATOR
from emopipe.corpora import lists, splits
from emopipe.corpora.cells import read_cells
from emopipe.corpora.frames import FrameOptions, with_frames
from emopipe.corpora.labelling import ClassOptions
from emopipe.corpora.subjects import GroupOptions
from emopipe.corpora.table import from_rows

LABELS: dict[str, str] = {
    "anger": "Angry",
    "disgust": "Disgust",
    "fear": "Fear",
    "happiness": "Happy",
    "neutral": "Neutral",
    "sadness": "Sad",
    "surprise": "Surprise",
    "contempt": "Contempt",
    "anxiety": "Anxiety",
    "helplessness": "Helplessness",
    "disappointment": "Disappointment",
}
"""Name in the lists -> class, in the order of the corpus."""


class CorpusOptions(ClassOptions, GroupOptions, FrameOptions, splits.GivenSplitOptions):
    """Which of MAFW's lists and files are used, and how val is drawn from the training list."""

    set: Literal["single", "compound"] = "single"
    """Which lists are used: those of clips with one class, or those that have one or several classes for a clip, such
    as Angry;Disgust, for `labels: {kind: multi}`."""
    fold: Literal[1, 2, 3, 4, 5] = 1
    """The published fold: its test list is test, and val is drawn from its training list. The published figure is the
    mean over the five folds."""
    clips: str = "clips"
    """The name of the folder with the clips, at any depth: videos, or folders of frames."""


def scan(root: Path, options: CorpusOptions) -> pd.DataFrame:
    """Return the clip table of the clips in the lists; a clip's id is its number, such as 00025.

    Raises:
        CorpusError: A list or a clip is missing, a clip is there twice, or a line of a list is not of its form.
    """
    listed = {split: _listed(root, split, options) for split in ("train", "test")}
    found = lists.clips(root, options.clips, "MAFW")
    paths = lists.by_stem(found, root, "MAFW")
    lists.refuse_without_file([clip for clips in listed.values() for clip in clips], paths, root, "MAFW")
    rows = [
        {"clip": clip, "path": paths[clip], "split": split, "label": label}
        for split, clips in listed.items()
        for clip, label in clips.items()
    ]
    table = with_frames(from_rows(rows), root, options.frame_rate, lists.sounds_of(found))
    return splits.with_val(options.with_labels(options.with_subjects(table, root)), options)


def _listed(root: Path, split: str, options: CorpusOptions) -> dict[str, str]:
    """Return clip -> its class or classes, as a published list has them."""
    place = f"{options.set}/no_caption/set_{options.fold}/{split}.txt"
    file = lists.find(root, rf"(^|/){place}$", "MAFW", f"Train & Test Set/{place}", ".txt")
    cells = read_cells(file, " ")
    labels: dict[str, str] = {}
    for row in [cells.header, *cells.rows]:
        names = row[1].split("_") if len(row) > 1 else []
        if len(row) != 2 or not set(names) <= LABELS.keys():
            raise CorpusError(
                f"The list {file} has the line {' '.join(row)!r}. Expected <clip>.mp4 <class>, such as 00025.mp4 anger "
                f"or 00027.mp4 anger_disgust, with the classes {', '.join(LABELS)}. Use the list as it is published."
            )
        labels[Path(row[0]).stem] = SEPARATOR.join(LABELS[name] for name in names)
    return labels
