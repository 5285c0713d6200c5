"""The clip table: one row per clip, every cell a string ("" where unknown), sorted by clip id."""

import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

import pandas as pd

from emopipe.corpora.wording import named
from emopipe.errors import CorpusError
from emopipe.labels import CLASSES

COLUMNS: tuple[str, ...] = ("clip", "path", "split", "label", "subject")
SPLITS: tuple[str, ...] = ("train", "val", "test")

# Names of files need not be UTF-8, which strings kept by pyarrow (where that happens to be installed) have to be.
pd.set_option("mode.string_storage", "python")

_LONGEST_ID = 200  # bytes: file systems allow 255, and stages append suffixes


def from_rows(rows: Iterable[Mapping[str, str]]) -> pd.DataFrame:
    """A table of string columns; COLUMNS first, and "" where a row lacks a column."""
    table = pd.DataFrame([dict(row) for row in rows], dtype=str).fillna("")
    for column in COLUMNS:
        if column not in table:
            table[column] = pd.Series("", index=table.index, dtype=str)
    return _in_order(table)


def check(table: pd.DataFrame, root: Path, *, subjects_apart: bool = True) -> pd.DataFrame:
    """The table sorted by clip id, after every promise that the stages rely on was verified.

    With `subjects_apart` false a subject may be in two splits, as whoever splits by clip has asked for;
    a corpus of a single subject may always be so.

    Raises:
        CorpusError: no clips, a missing column, an id that is repeated or no safe file name, a path that is
            missing, repeated or outside of root, an unknown split or label, a train or val clip without a
            label, or a subject in two splits.
    """
    absent = [column for column in COLUMNS if column not in table]
    if absent:
        raise CorpusError(f"The clip table of {root} lacks the columns {named(absent)}: add them.")
    if table.empty:
        raise CorpusError(f"No clips were found in {root}: check corpus_root and the corpus kind.")
    table = _in_order(table.astype(str)).sort_values("clip", kind="stable", ignore_index=True)
    _refuse_unsafe_ids(table)
    refuse_duplicates(table, remedy="rename one of them")
    _refuse_bad_paths(table, root)
    _refuse_bad_splits_and_labels(table)
    if subjects_apart and table["subject"].nunique() > 1:
        _refuse_shared_subjects(table)
    return table


def refuse_duplicates(table: pd.DataFrame, *, remedy: str) -> None:
    """Raise a CorpusError where two rows have one clip id or one path; `remedy` ends the sentence."""
    for column, other in (("clip", "path"), ("path", "clip")):
        repeated = table[table[column].duplicated(keep=False)]
        if not repeated.empty:
            first = repeated[column].iloc[0]
            where = named(repeated.loc[repeated[column] == first, other].tolist())
            more = repeated[column].nunique() - 1
            raise CorpusError(
                f"The {column} {first!r} stands for several rows ({other}: {where})"
                f"{f', and so do {more} more' if more else ''}, where each must be unique: {remedy}."
            )


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
    return table[[*COLUMNS, *(column for column in table if column not in COLUMNS)]]


def _refuse_unsafe_ids(table: pd.DataFrame) -> None:
    faults = {clip: fault for clip in table["clip"] if (fault := _id_fault(clip))}
    if faults:
        clip, fault = next(iter(faults.items()))
        path = table.loc[table["clip"] == clip, "path"].iloc[0]
        raise CorpusError(
            f"The clip id {clip!r} (path {path!r}) {fault}{_and_more(faults)}, but ids become file names: rename it."
        )


def _id_fault(clip: str) -> str:
    """What keeps an id from being a file name, "" where nothing does."""
    if clip.strip() == "":
        return "is empty"
    if "/" in clip or "\\" in clip:
        return "has a slash in it"
    if clip in (".", ".."):
        return "names a folder"
    if _unprintable(clip):
        return "has control characters or undecodable bytes in it"
    if len(clip.encode()) > _LONGEST_ID:
        return f"is longer than {_LONGEST_ID} bytes"
    return ""


def _unprintable(text: str) -> bool:
    """Control characters, line separators, and the surrogates that stand for bytes that are no UTF-8."""
    return any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text)


def _refuse_bad_paths(table: pd.DataFrame, root: Path) -> None:
    paths = table["path"].tolist()
    stray = [p for p in paths if not p or PurePosixPath(p).is_absolute() or ".." in PurePosixPath(p).parts]
    if stray:
        raise CorpusError(
            f"The path {stray[0]!r} is not below the corpus folder {root}{_and_more(stray)}: give paths "
            "relative to that folder, or set corpus_root to a folder that holds them all."
        )
    undecodable = [p for p in paths if _unprintable(p)]
    if undecodable:
        raise CorpusError(
            f"The path {undecodable[0]!r} has control characters or undecodable bytes in it"
            f"{_and_more(undecodable)}: rename the file or its folder."
        )
    missing = [p for p in paths if not (root / p).is_file()]
    if missing:
        raise CorpusError(
            f"The files {named(missing)} are not in the corpus folder {root}: put them there, check the "
            "spelling of their paths, or take their rows out."
        )


def _refuse_bad_splits_and_labels(table: pd.DataFrame) -> None:
    for column, allowed in (("split", SPLITS), ("label", (*CLASSES, ""))):
        wrong = table[~table[column].isin(allowed)]
        if not wrong.empty:
            first = wrong.iloc[0]
            raise CorpusError(
                f"The clip {first['clip']!r} has the {column} {first[column]!r}{_and_more(wrong)}, "
                f"but expected was one of {', '.join(filter(None, allowed))}: correct it."
            )
    bare = table[(table["label"] == "") & (table["split"] != "test")]
    if not bare.empty:
        raise CorpusError(
            f"The clips {named(bare['clip'].tolist())} of the splits train and val have no label, and only "
            "test may be unlabelled: label them or take them out."
        )


def _refuse_shared_subjects(table: pd.DataFrame) -> None:
    splits = table[table["subject"] != ""].groupby("subject")["split"].unique()
    shared = splits[splits.map(len) > 1]
    if not shared.empty:
        raise CorpusError(
            f"The subject {shared.index[0]!r} is in the splits {' and '.join(sorted(shared.iloc[0]))}"
            f"{_and_more(shared)}, but nobody may be both learned from and tested on: move these clips to "
            "one split."
        )


def _and_more(items: pd.DataFrame | pd.Series | list[str] | dict[str, str]) -> str:
    return f" (and {len(items) - 1} more like it)" if len(items) > 1 else ""
