"""EMO-DB (Burkhardt et al., Interspeech 2005). Its file names give speaker, text, emotion and version.

The sex and the age of the ten speakers are those of the corpus' page, emodb.bilderbar.info ("Information about the
speakers"), as copies of it have them (DagsHub/audio-datasets).
"""

import re
from pathlib import Path

import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.corpora import splits
from emopipe.corpora.files import FileOptions, clip_files
from emopipe.corpora.labelling import ClassOptions
from emopipe.corpora.names import parse_names
from emopipe.corpora.table import from_rows

_NAME = re.compile(r"(?P<subject>\d\d)(?P<sentence>[ab]\d\d)(?P<label>[WLEAFTN])(?P<version>[a-z])")
_BOREDOM = "boredom"
# Wut, Langeweile, Ekel, Angst, Freude, Trauer. There is no surprise.
_EMOTIONS: dict[str, str] = {
    "W": "anger",
    "L": _BOREDOM,
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "T": "sadness",
    "N": "neutral",
}
SPEAKERS: dict[str, tuple[str, str]] = {
    "03": ("male", "31"),
    "08": ("female", "34"),
    "09": ("female", "21"),
    "10": ("male", "32"),
    "11": ("male", "26"),
    "12": ("male", "30"),
    "13": ("female", "32"),
    "14": ("female", "35"),
    "15": ("male", "25"),
    "16": ("female", "31"),
}
"""Speaker -> sex and years."""
_NOT_KNOWN = ("", "")


class CorpusOptions(ClassOptions, FileOptions, splits.SplitOptions):
    """How EMO-DB is split."""


def scan(root: Path, options: CorpusOptions) -> pd.DataFrame:
    """Return the clip table of the recordings at any depth below root, with sentence, version, sex and age.

    Boredom is omitted, unless the label space of the run has it.

    Raises:
        CorpusError: There is no recording, a file name does not follow EMO-DB's scheme, or all recordings are of
            boredom.
    """
    rows = parse_names(root, clip_files(root, ["audio"], options.omit_folders), _NAME, "EMO-DB", "03a01Fa")
    recordings = from_rows(rows).replace({"label": _EMOTIONS})
    table = recordings if options.labelling.keeps(_BOREDOM) else recordings[recordings["label"] != _BOREDOM]
    if table.empty:
        raise CorpusError(
            f"All {len(recordings)} recordings in {root} are of boredom, which is not one of the seven classes. Check "
            "corpus_root."
        )
    sex, age = zip(*(SPEAKERS.get(speaker, _NOT_KNOWN) for speaker in table["subject"]), strict=True)
    return splits.assign(options.with_labels(table.assign(sex=list(sex), age=list(age))), options)
