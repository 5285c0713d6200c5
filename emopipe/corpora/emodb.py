"""EMO-DB (Burkhardt et al., Interspeech 2005), read off its file names: speaker, text, emotion, version."""

import re
from pathlib import Path

import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.corpora import splits
from emopipe.corpora.classes import with_labels
from emopipe.corpora.files import AUDIO, media_files
from emopipe.corpora.names import parsed
from emopipe.corpora.table import from_rows

_NAME = re.compile(r"(?P<subject>\d\d)(?P<text>[ab]\d\d)(?P<label>[WLEAFTN])(?P<version>[a-z])")
_BOREDOM = "boredom"
# Wut, Langeweile, Ekel, Angst, Freude, Trauer; there is no surprise.
_EMOTIONS: dict[str, str] = {
    "W": "anger",
    "L": _BOREDOM,
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "T": "sadness",
    "N": "neutral",
}


class CorpusOptions(splits.SplitOptions):
    """How EMO-DB is split."""


def scan(root: Path, options: CorpusOptions) -> pd.DataFrame:
    """The clip table of the recordings at any depth below root, with text and version; boredom is left out.

    Raises:
        CorpusError: there is no recording, one is not named as EMO-DB names its files, or all are of boredom.
    """
    every = from_rows(parsed(root, media_files(root, AUDIO), _NAME, "EMO-DB", "03a01Fa")).replace({"label": _EMOTIONS})
    table = every[every["label"] != _BOREDOM]
    if table.empty:
        raise CorpusError(
            f"All {len(every)} recordings in {root} are of boredom, which is none of the seven classes: check "
            "corpus_root."
        )
    return splits.assign(with_labels(table), options)
