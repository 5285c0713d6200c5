"""CREMA-D. Its file names give subject_sentence_emotion_level. It has no surprise."""

import re
from pathlib import Path
from typing import Literal

import pandas as pd

from emopipe.corpora import splits
from emopipe.corpora.files import FileOptions, clip_files
from emopipe.corpora.labelling import ClassOptions
from emopipe.corpora.names import parse_names
from emopipe.corpora.table import from_rows

# The level is LO, MD, HI or XX (unspecified). One clip of the release, 1040_ITH_SAD_X, has a single X.
_NAME = re.compile(
    r"(?P<subject>\d{4})_(?P<sentence>[A-Z]{3})_(?P<label>ANG|DIS|FEA|HAP|NEU|SAD)_(?P<level>LO|MD|HI|XX?)"
)


class CorpusOptions(ClassOptions, FileOptions, splits.SplitOptions):
    """Which of CREMA-D's files are used, and how they are split."""

    modality: Literal["video", "audio"] = "video"
    """Which files are used: videos with sound (VideoFlash), or sound alone (AudioWAV; AudioMP3 where there is no wav
    file)."""


def scan(root: Path, options: CorpusOptions) -> pd.DataFrame:
    """Return the clip table of the video or sound files at any depth below root, with sentence and level.

    Raises:
        CorpusError: There is no such file, or a file name does not follow CREMA-D's scheme.
    """
    files = clip_files(root, [options.modality], options.omit_folders)
    # AudioMP3/ holds the same recordings as AudioWAV/, under the same names.
    files = [file for file in files if file.suffix.lower() == ".wav"] or files
    rows = parse_names(root, files, _NAME, "CREMA-D", "1001_DFA_ANG_XX")
    return splits.assign(options.with_labels(from_rows(rows)), options)
