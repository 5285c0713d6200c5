"""The clip table: one row per clip, every cell a string ("" where unknown), sorted by clip id."""

import errno
import logging
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

import pandas as pd

from emopipe.core import tables
from emopipe.core.errors import CorpusError
from emopipe.core.labels import CLASSES
from emopipe.core.text import abbreviate
from emopipe.corpora.ids import safe_id

COLUMNS: tuple[str, ...] = ("clip", "path", "split", "label", "subject")
SPLITS: tuple[str, ...] = ("train", "val", "test")

log = logging.getLogger(__name__)


def from_rows(rows: Iterable[Mapping[str, str]]) -> pd.DataFrame:
    """A table of string columns; COLUMNS first, and "" where a row lacks a column."""
    table = tables.of(rows)
    for column in COLUMNS:
        if column not in table:
            table[column] = pd.Series("", index=table.index, dtype=str)
    return _in_order(table)


def check(table: pd.DataFrame, root: Path, *, subjects_apart: bool = True) -> pd.DataFrame:
    """The table sorted by clip id, after every promise that the stages rely on was verified.

    Ids that are no file names are written so that they are (see `emopipe.corpora.ids`).

    With `subjects_apart` false a subject may be in two splits, as whoever splits by clip has asked for;
    a corpus of a single subject may always be so.

    Raises:
        CorpusError: no clips, a missing column, an id that is repeated or empty, a path that is missing, repeated
            or outside of root, an unknown split or label, a train or val clip without a label, or a subject in
            two splits.
    """
    absent = [column for column in COLUMNS if column not in table]
    if absent:
        raise CorpusError(f"The clip table of {root} lacks the columns {abbreviate(absent)}: add them.")
    if table.empty:
        raise CorpusError(f"No clips were found in {root}: check corpus_root and the corpus kind.")
    table = _with_safe_ids(_in_order(table.astype(str))).sort_values("clip", kind="stable", ignore_index=True)
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
            where = abbreviate(repeated.loc[repeated[column] == first, other].tolist())
            more = repeated[column].nunique() - 1
            raise CorpusError(
                f"The {column} {first!r} stands for several rows ({other}: {where})"
                f"{f', and so do {more} more' if more else ''}, where each must be unique: {remedy}."
            )


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
    return table[[*COLUMNS, *(column for column in table if column not in COLUMNS)]]


def _with_safe_ids(table: pd.DataFrame) -> pd.DataFrame:
    """Every id as a file name, which is told where it changes any."""
    bare = table.loc[table["clip"] == "", "path"].tolist()
    if bare:
        raise CorpusError(f"The clip id of the path {bare[0]!r} is empty{_and_more(bare)}: give it one.")
    safe = table["clip"].map(safe_id).astype(str)
    changed = table.loc[safe != table["clip"], "clip"].tolist()
    if changed:
        log.info(
            "%d clip ids are no safe file names and are written otherwise, such as %r as %r.",
            len(changed),
            changed[0],
            safe_id(changed[0]),
        )
    return table.assign(clip=safe)


def _refuse_bad_paths(table: pd.DataFrame, root: Path) -> None:
    paths = table["path"].tolist()
    stray = [p for p in paths if not p or PurePosixPath(p).is_absolute() or ".." in PurePosixPath(p).parts]
    if stray:
        raise CorpusError(
            f"The path {stray[0]!r} is not below the corpus folder {root}{_and_more(stray)}: give paths "
            "relative to that folder, or set corpus_root to a folder that holds them all."
        )
    missing = [p for p in paths if not _is_there(root / p)]
    if missing:
        raise CorpusError(
            f"The files {abbreviate(missing)} are not in the corpus folder {root}: put them there, check the "
            "spelling of their paths, or take their rows out."
        )


def _is_there(path: Path) -> bool:
    """Whether there is anything but a folder by that name; a link that leads nowhere becomes an unreadable clip."""
    try:
        return not stat.S_ISDIR(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    except OSError as error:
        return error.errno != errno.ENAMETOOLONG


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
            f"The clips {abbreviate(bare['clip'].tolist())} of the splits train and val have no label, and only "
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
