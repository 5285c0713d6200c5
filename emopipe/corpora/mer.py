"""MER2023 and MER2024: clips of Chinese films and series, with six classes and valence, of the MER challenges.

Source: Lian et al., "MER 2023: Multi-label Learning, Modality Robustness, and Semi-Supervised Learning", ACM Multimedia
2023, https://huggingface.co/datasets/MERChallenge/MER2023, and MERChallenge/MER2024. Licence: CC BY-NC 4.0 there, after
an agreement: for academic research, clips may not be passed on.

The layout was read in the challenge's own code (zeroQiaoba/MERTools, `preprocess/mer2023.py` and `mer2024.py`):

- 2023: `train-label.csv` with the columns name, discrete and valence, and the videos `train/<name>.<suffix>`; the same
  for `test1` (MER-MULTI), `test2` (MER-NOISE) and `test3` (MER-SEMI, without valence).
- 2024: `label-disdim.csv` with the columns name and discrete, and the videos `video-labeled/<name>.mp4`. The test clips
  are among those without labels, which are not read.

Traps: one of the six classes is Worried, in place of Disgust and Fear: set `labels: mer6`. Nothing names people, films
or series, which may be in train and test. The videos of test2 have added noise. The challenge's score is the F1 of the
classes weighted by their number of clips ("WAF"), which follows the frequent classes.
"""

from pathlib import Path
from typing import Literal, Self

import pandas as pd
from pydantic import model_validator

from emopipe.corpora import lists, splits
from emopipe.corpora.labelling import ClassOptions
from emopipe.corpora.subjects import GroupOptions
from emopipe.corpora.table import from_rows

_NAME, _LABEL, _VALENCE = "name", "discrete", "valence"


class CorpusOptions(ClassOptions, GroupOptions, splits.GivenSplitOptions):
    """Which of the releases and lists are used, and how val is drawn from the training list."""

    release: Literal[2023, 2024] = 2023
    """The year of the challenge."""
    test: Literal["none", "test1", "test2", "test3"] = "none"
    """Which test list of 2023 is the test split: that of MER-MULTI, MER-NOISE or MER-SEMI; none: there is none."""

    @model_validator(mode="after")
    def _has_the_test_list(self) -> Self:
        if self.release != 2023 and self.test != "none":
            raise ValueError(f"test is {self.test}, but only the release of 2023 has such lists. Remove test")
        return self


def scan(root: Path, options: CorpusOptions) -> pd.DataFrame:
    """Return the clip table of the clips with labels, with valence where the lists have it.

    Raises:
        CorpusError: A list or a video is missing, a list lacks a column, or a clip is there twice.
    """
    if options.release == 2024:
        rows = _rows(root, "label-disdim", "video-labeled", "train")
    else:
        rows = _rows(root, "train-label", "train", "train")
        rows += _rows(root, f"{options.test}-label", options.test, "test") if options.test != "none" else []
    return splits.with_val(options.with_labels(options.with_subjects(from_rows(rows), root)), options)


def _rows(root: Path, name: str, folder: str, split: str) -> list[dict[str, str]]:
    """Return a row for each line of a list."""
    file = lists.find(root, rf"(^|/){name}\.csv$", "MER", f"{name}.csv")
    listed = lists.read(file, (_NAME, _LABEL))
    paths = lists.by_stem(lists.videos(root, folder, "MER"), root, "MER")
    lists.refuse_without_file([line[_NAME] for line in listed], paths, root, "MER")
    has_valence = any(line.get(_VALENCE) for line in listed)
    return [
        {
            "clip": line[_NAME],
            "path": paths[line[_NAME]],
            "split": split,
            "label": line[_LABEL],
            **({_VALENCE: line[_VALENCE]} if has_valence else {}),
        }
        for line in listed
    ]
