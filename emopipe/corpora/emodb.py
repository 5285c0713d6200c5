"""EMO-DB (Burkhardt et al., Interspeech 2005). Its file names give speaker, text, emotion and version."""

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


class CorpusOptions(ClassOptions, FileOptions, splits.SplitOptions):
    """How EMO-DB is split."""


def scan(root: Path, options: CorpusOptions) -> pd.DataFrame:
    """Return the clip table of the recordings at any depth below root, with sentence and version.

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
    return splits.assign(options.with_labels(table), options)
