"""The clip table: one row for each clip, each cell a string ("" if unknown), sorted by clip id."""

import errno
import logging
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

import pandas as pd

from emopipe.core import tables
from emopipe.core.errors import CorpusError
from emopipe.core.labels import BASIC7, LabelSpace
from emopipe.core.text import abbreviate
from emopipe.corpora import times
from emopipe.corpora.ids import safe_id
from emopipe.corpora.label_columns import described, is_label
from emopipe.media.frame_folders import RATE
from emopipe.media.pairs import SOUND_FILE, sound_files

COLUMNS: tuple[str, ...] = ("clip", "path", "split", "label", "subject")
SPLITS: tuple[str, ...] = ("train", "val", "test")

LOGGER = logging.getLogger(__name__)


def from_rows(rows: Iterable[Mapping[str, str]]) -> pd.DataFrame:
    """Return a table of string columns: COLUMNS first, and "" where a row lacks a column."""
    table = tables.of(rows)
    for column in COLUMNS:
        if column not in table:
            table[column] = pd.Series("", index=table.index, dtype=str)
    return _in_order(table)


def check(
    table: pd.DataFrame,
    root: Path,
    *,
    subjects_apart: bool = True,
    may_share: str = "",
    lenient: bool = False,
    space: LabelSpace = BASIC7,
) -> pd.DataFrame:
    """Verify all that the stages rely on, and return the table sorted by clip id.

    Ids that are not safe file names are replaced by safe ones (see `emopipe.corpora.ids`).

    Args:
        table: The clip table that an adapter made.
        root: The corpus folder.
        subjects_apart: Whether no subject may be in two splits. False for a split by clip. A corpus of a single
            subject may always have it in two splits.
        may_share: What else may be done about a subject in two splits: a sentence for the message.
        lenient: Accept files that do not exist, and train and val clips without a label.
        space: The label space that labels are of.

    Raises:
        CorpusError: There are no clips, a column is missing, an id is repeated or empty, a path is missing, repeated
            (unless its clips are different parts of the file) or outside of root, times are wrong, a split or label is
            unknown, a train or val clip has no label, or a subject is in two splits.
    """
    absent = [column for column in COLUMNS if column not in table]
    if absent:
        raise CorpusError(f"The clip table of {root} lacks the columns {abbreviate(absent)}. Add them.")
    if table.empty:
        raise CorpusError(f"No clips were found in {root}. Check corpus_root and the kind of the corpus.")
    table = _with_safe_ids(_in_order(table.astype(str))).sort_values("clip", kind="stable", ignore_index=True)
    table = times.normalised(table, [f"the clip {clip!r}" for clip in table["clip"]])
    refuse_duplicates(table, remedy="Rename one of them")
    for column in [name for name in ("path", SOUND_FILE) if name in table]:
        _refuse_bad_paths(table, root, column)
    _refuse_parts_with_sound_files(table)
    _refuse_bad_splits_and_labels(table, space)
    if not lenient:
        _refuse_missing_files(table, root)
        _refuse_unlabelled(table)
    if subjects_apart and table["subject"].nunique() > 1:
        _refuse_shared_subjects(table, may_share)
    _report_parts(table)
    return table


def _report_parts(table: pd.DataFrame) -> None:
    """Log how many clips are parts of files, and files with parts in several splits."""
    parts = table[times.is_part(table)]
    if parts.empty:
        return
    files = parts["path"].nunique()
    LOGGER.info("%d clips are parts of files (of %d file%s).", len(parts), files, "" if files == 1 else "s")
    splits = parts.groupby("path")["split"].nunique()
    shared = splits.index[splits > 1].tolist()
    if shared:
        LOGGER.info(
            "Files have parts in several splits, such as %r (%d in all): models may know a recording again. Name the "
            "subjects, or give a column split that keeps the parts of a file together.",
            shared[0],
            len(shared),
        )


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
    return table[[*COLUMNS, *(column for column in table if column not in COLUMNS)]]


def _with_safe_ids(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with safe file names as ids; changes are logged."""
    paths = table.loc[table["clip"] == "", "path"].tolist()
    if paths:
        raise CorpusError(f"The clip with the path {paths[0]!r} has an empty id{_and_more(paths)}. Give it an id.")
    safe = table["clip"].map(safe_id).astype(str)
    changed = table.loc[safe != table["clip"], "clip"].tolist()
    if changed:
        LOGGER.info(
            "%d clip ids are not safe file names and are written differently, such as %r as %r.",
            len(changed),
            changed[0],
            safe_id(changed[0]),
        )
    return table.assign(clip=safe)


def refuse_duplicates(table: pd.DataFrame, *, remedy: str) -> None:
    """Raise a CorpusError if two rows have the same clip id, or the same path and times.

    `remedy`, a sentence, ends its message.
    """
    if times.is_part(table).any():
        parts = table[["path", *times.COLUMNS]].itertuples(index=False)
        table = table.assign(path=[times.fragment(*part) for part in parts])
    for column, other in (("clip", "path"), ("path", "clip")):
        repeated = table[table[column].duplicated(keep=False)]
        if not repeated.empty:
            first = repeated[column].iloc[0]
            where = abbreviate(repeated.loc[repeated[column] == first, other].tolist())
            more = repeated[column].nunique() - 1
            raise CorpusError(
                f"Several rows have the {column} {first!r} ({other}: {where})"
                f"{f', and {more} more are repeated' if more else ''}. Each {column} must be unique. {remedy}."
            )


def _refuse_bad_paths(table: pd.DataFrame, root: Path, column: str) -> None:
    paths = [path for path in table[column] if path or column == "path"]
    stray = [p for p in paths if not p or PurePosixPath(p).is_absolute() or ".." in PurePosixPath(p).parts]
    if stray:
        raise CorpusError(
            f"The {column} {stray[0]!r} is not below the corpus folder {root}{_and_more(stray)}. Give paths relative "
            "to that folder, or set corpus_root to a folder that contains all files."
        )


def _refuse_parts_with_sound_files(table: pd.DataFrame) -> None:
    is_file = table[RATE] == "" if RATE in table else True  # parts of folders of frames take parts of their sound
    both = table[is_file & times.is_part(table) & pd.Series(sound_files(table), index=table.index, dtype=bool)]
    if not both.empty:
        raise CorpusError(
            f"The clip {both['clip'].iloc[0]!r} is a part of a file (start, end) and has a {SOUND_FILE}"
            f"{_and_more(both)}. A clip may be one of these. Cut these files first."
        )


def _refuse_missing_files(table: pd.DataFrame, root: Path) -> None:
    paths = dict.fromkeys([*table["path"], *filter(None, sound_files(table))])
    folders = set(table.loc[table[RATE] != "", "path"]) if RATE in table else set()
    missing = [path for path in paths if path not in folders and not _exists(root / path)]
    if missing:
        raise CorpusError(
            f"The files {abbreviate(missing)} are not in the corpus folder {root}. Put them there, correct their "
            "paths, or remove their rows. A folder is a clip if it holds frames: images that differ in their number."
        )


def _exists(path: Path) -> bool:
    """Return whether the path exists and is not a folder.

    A broken link counts: it becomes an unreadable clip.
    """
    try:
        return not stat.S_ISDIR(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    except OSError as error:
        return error.errno != errno.ENAMETOOLONG


def _refuse_bad_splits_and_labels(table: pd.DataFrame, space: LabelSpace) -> None:
    labels = ["", *(label for label in table["label"].unique() if is_label(label, space))]
    for column, allowed, expected in (
        ("split", SPLITS, f"one of {', '.join(SPLITS)}"),
        ("label", labels, described(space)),
    ):
        wrong = table[~table[column].isin(allowed)]
        if not wrong.empty:
            first = wrong.iloc[0]
            raise CorpusError(
                f"The clip {first['clip']!r} has the {column} {first[column]!r}{_and_more(wrong)}. Expected "
                f"{expected}. Correct it."
            )


def _refuse_unlabelled(table: pd.DataFrame) -> None:
    unlabelled = table[(table["label"] == "") & (table["split"] != "test")]
    if not unlabelled.empty:
        raise CorpusError(
            f"The clips {abbreviate(unlabelled['clip'].tolist())} of the splits train and val have no label. Only test "
            "clips may have none. Label these clips or remove them."
        )


def shared_subjects(table: pd.DataFrame) -> list[str]:
    """Return the people who are in the training split and in another one, sorted.

    People who are in val and test alone are new to models that are trained on the training split.
    """
    known = table[table["subject"] != ""]
    trained = known["split"] == "train"
    return sorted(set(known["subject"][trained]) & set(known["subject"][~trained]))


def _refuse_shared_subjects(table: pd.DataFrame, may_share: str) -> None:
    shared = shared_subjects(table)
    if shared:
        own = table[table["subject"] == shared[0]]
        splits = sorted(set(own["split"]))
        raise CorpusError(
            f"The subject {shared[0]!r} is in the splits {' and '.join(splits)}"
            f"{_and_more(shared)}. No subject may be in both training and test data. Move all clips of a subject to "
            f"one split.{f' {may_share}' if may_share else ''}{_of_unlabelled(own)}"
        )


def _of_unlabelled(clips: pd.DataFrame) -> str:
    """Return a sentence on those of a subject's clips that may be in test only because their labels are missing."""
    test = clips[clips["split"] == "test"]
    if test.empty or (test["label"] != "").any():
        return ""
    return (
        f" The test clips of this subject have no label: {abbreviate(test['clip'].tolist())}. Clips without a label "
        "are test clips if no split is given: label them, or remove them."
    )


def _and_more(items: pd.DataFrame | pd.Series | list[str]) -> str:
    return f" (and {len(items) - 1} more like it)" if len(items) > 1 else ""
