"""CREMA-D, read off its file names: subject_sentence_emotion_level. It has no surprise."""

import re
from pathlib import Path
from typing import Literal

import pandas as pd

from emopipe.corpora import splits
from emopipe.corpora.classes import with_labels
from emopipe.corpora.files import AUDIO, VIDEO, media_files
from emopipe.corpora.names import parsed
from emopipe.corpora.table import from_rows

# The level is LO, MD, HI or XX (unspecified); one clip of the release, 1040_ITH_SAD_X, has a single X.
_NAME = re.compile(
    r"(?P<subject>\d{4})_(?P<sentence>[A-Z]{3})_(?P<label>ANG|DIS|FEA|HAP|NEU|SAD)_(?P<level>LO|MD|HI|XX?)"
)


class CorpusOptions(splits.SplitOptions):
    """Which of CREMA-D's files are taken, and how they are split."""

    modality: Literal["video", "audio"] = "video"
    """Each clip comes as video with sound (VideoFlash) and as sound alone (AudioWAV; AudioMP3, where there is no wav
    file): which one is taken."""


def scan(root: Path, options: CorpusOptions) -> pd.DataFrame:
    """The clip table of the videos or sound files at any depth below root, with sentence and level.

    Raises:
        CorpusError: there is no such file, or one is not named as CREMA-D names its files.
    """
    rows = parsed(root, _files(root, options.modality), _NAME, "CREMA-D", "1001_DFA_ANG_XX")
    return splits.assign(with_labels(from_rows(rows)), options)


def _files(root: Path, modality: str) -> list[Path]:
    """Sound is in AudioWAV/ and once more, under the same names, in AudioMP3/."""
    files = media_files(root, VIDEO if modality == "video" else AUDIO)
    return [file for file in files if file.suffix.lower() == ".wav"] or files
