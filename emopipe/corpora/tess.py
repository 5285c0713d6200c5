"""TESS: two women who say "Say the word ..." with 200 words in seven emotions, as sound alone.

Source: Pichora-Fuller and Dupuis, "Toronto emotional speech set (TESS)", 2010, https://doi.org/10.5683/SP2/E8H2MF.
Licence: CC BY-NC-ND 4.0.

The layout was read in public code and descriptions of the release: files such as `OAF_back_angry.wav`, in one folder or
in folders such as `OAF_angry`; `ps` is pleasant surprise. One file lacks a letter, `OA_bite_neutral.wav`; it is of OAF.

Traps: there are no published splits. People are apart by default, and then one of two women is val: scores are of one
voice. Both are from Toronto and speak one accent. Both say the same words, and all clips have the same first three
words. A split by clip (`split: stratified`) has both voices in training and in val.
"""

import re
from pathlib import Path

import pandas as pd

from emopipe.corpora import splits
from emopipe.corpora.files import FileOptions, clip_files
from emopipe.corpora.labelling import ClassOptions
from emopipe.corpora.names import parse_names
from emopipe.corpora.table import from_rows

_NAME = re.compile(
    r"(?P<subject>OAF?|YAF)_(?P<sentence>[A-Za-z'-]+)_(?P<label>angry|disgust|fear|happy|neutral|ps|sad)", re.IGNORECASE
)
AGES: dict[str, str] = {"OAF": "64", "YAF": "26"}
"""Speaker -> years: the older and the younger woman."""
_SURPRISE = "pleasant surprise"


class CorpusOptions(ClassOptions, FileOptions, splits.SplitOptions):
    """How TESS is split."""


def scan(root: Path, options: CorpusOptions) -> pd.DataFrame:
    """Return the clip table of the recordings at any depth below root, with sentence (the word), sex and age.

    Raises:
        CorpusError: There is no recording, a file name does not follow TESS's scheme, or a folder repeats another one.
    """
    rows = parse_names(root, clip_files(root, ["audio"], options.omit_folders), _NAME, "TESS", "OAF_back_angry")
    table = from_rows(rows)
    speaker = table["subject"].str.upper().replace({"OA": "OAF"})
    table = table.assign(
        subject=speaker,
        sentence=table["sentence"].str.lower(),
        label=table["label"].str.lower().replace({"ps": _SURPRISE}),
        sex="female",
        age=speaker.map(AGES).astype(str),
    )
    return splits.assign(options.with_labels(table), options)
