"""ESD: 20 people who say 350 parallel sentences in five emotions, ten in Mandarin and ten in English, as sound alone.

Source: Zhou, Sisman, Liu and Li, "Emotional voice conversion: Theory, databases and ESD", Speech Communication 2022,
https://github.com/HLTSingapore/Emotional-Speech-Data. Licence: "can only be used for research purpose", with a signed
form (README of that repository; the file LICENSE beside it is MIT).

The layout was read in that README and in public code that uses the release: `0011/Angry/train/0011_000351.wav`, with
the folders `train`, `evaluation` and `test` in each class; some copies lack these: `0011/Angry/0011_000351.wav`.
Speakers 0001 to 0010 speak Mandarin, 0011 to 0020 English; the readme in the release has their sex. Each class has 350
numbers in a row (Neutral from 1, Angry from 351, Happy from 701, up to 1750), in one order of sentences.

Traps: every speaker is in all three published splits, which therefore test how well models know these voices; their
sentences are apart as far as the numbers show (evaluation begins at 1, test at 21, train at 51). In a split by subject,
voices are apart, and everybody says the same sentences. There is no Disgust and no Fear.
"""

import re
from pathlib import Path
from typing import Literal

import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.core.text import abbreviate
from emopipe.corpora import splits
from emopipe.corpora.files import FileOptions, clip_files
from emopipe.corpora.labelling import ClassOptions
from emopipe.corpora.names import parse_names
from emopipe.corpora.table import from_rows

_NAME = re.compile(r"(?P<subject>00(?:0[1-9]|1\d|20))_(?P<number>\d{6})")
FOLDERS: dict[str, str] = {"train": "train", "evaluation": "val", "test": "test"}
"""Folder -> published split."""
SENTENCES = 350
"""How many sentences each person says in each class."""
_LAST_CHINESE = "0010"
_MEN = frozenset({"0004", "0005", "0006", "0008", "0010", "0011", "0012", "0013", "0014", "0020"})


class CorpusOptions(ClassOptions, FileOptions, splits.SplitOptions):
    """Which of ESD's speakers are used, and how they are split."""

    split: Literal["auto", "published", "subject", "stratified"] = "auto"
    """How clips are split: as published (by sentence, so that everybody is in all splits), by subject, or by clip
    within each class (stratified). auto: as published if the folders are there and no subjects are listed, else by
    subject."""
    language: Literal["all", "en", "zh"] = "all"
    """Whose recordings are used: those in English (0011 to 0020), in Mandarin (0001 to 0010), or all."""

    @property
    def subjects_apart(self) -> bool:
        """Whether no subject may be in two splits; the published splits share all of them."""
        return self.split == "subject" or self.lists_subjects


def scan(root: Path, options: CorpusOptions) -> pd.DataFrame:
    """Return the clip table of the recordings at any depth below root, with sentence, language and sex.

    Raises:
        CorpusError: There is no recording, a file name does not follow ESD's scheme, a folder is not a class, or the
            published split is asked for and has no folders.
    """
    rows = parse_names(root, clip_files(root, ["audio"], options.omit_folders), _NAME, "ESD", "0011_000351")
    table = from_rows(map(_with_folders, rows))
    if options.language != "all":
        table = table[table["language"] == options.language]
    if table.empty:
        raise CorpusError(
            f"None of the {len(rows)} recordings in {root} is of language: {options.language}. Change this option."
        )
    _refuse_without_class(table, root)
    table, published = options.with_labels(table), (table["split"] != "").all()
    if options.split == "published" and not published:
        raise CorpusError(
            f"The recordings in {root} are not all in folders {', '.join(FOLDERS)} (such as 0011/Angry/train), so the "
            "published split is not known. Unpack the corpus with these folders, or set split: subject."
        )
    if published and (options.split == "published" or (options.split == "auto" and not options.lists_subjects)):
        return table
    return splits.assign(table, options)


def _with_folders(row: dict[str, str]) -> dict[str, str]:
    """Return the row of a recording with what its folders and its number say."""
    folders = Path(row["path"]).parts[:-1]
    split = FOLDERS.get(folders[-1].casefold(), "") if folders else ""
    above = folders[:-1] if split else folders
    language = "zh" if row["subject"] <= _LAST_CHINESE else "en"
    return {
        "clip": row["clip"],
        "path": row["path"],
        "label": above[-1] if above else "",
        "split": split,
        "subject": row["subject"],
        "sentence": f"{language}{(int(row['number']) - 1) % SENTENCES + 1:03d}",
        "language": language,
        "sex": "male" if row["subject"] in _MEN else "female",
    }


def _refuse_without_class(table: pd.DataFrame, root: Path) -> None:
    """Raise a CorpusError if a recording is in no folder."""
    stray = table.loc[table["label"] == "", "path"].tolist()
    if stray:
        raise CorpusError(
            f"The files {abbreviate(stray)} in {root} are in no folder of a class. Expected folders such as 0011/Angry "
            "or 0011/Angry/train. Use the corpus as it is published."
        )
