"""A corpus whose clips are listed in a CSV or TSV file."""

from pathlib import Path, PurePosixPath

import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.core.text import abbreviate
from emopipe.corpora import label_columns, splits, times
from emopipe.corpora.cells import SUFFIXES, read_cells
from emopipe.corpora.frames import FrameOptions, with_frames
from emopipe.corpora.labelling import Labelling, LabelOptions
from emopipe.corpora.spelling import on_disk
from emopipe.corpora.table import from_rows
from emopipe.media.frame_folders import RATE, clip_name
from emopipe.media.pairs import SOUND_FILE


class CorpusOptions(LabelOptions, splits.GivenSplitOptions, FrameOptions):
    """Which file lists the clips, and how they are split if it has no column `split`."""

    table: str = "clips.csv"
    """The list, .csv (commas or semicolons) or .tsv (tabs); its path is absolute or relative to the corpus folder."""


def scan(root: Path, options: CorpusOptions) -> pd.DataFrame:
    """Return the clip table from the columns path and label and, optionally, clip, split, subject, start, end, others.

    Columns of votes, of classes or of numbers may be there in place of label, as the label space has it
    (`emopipe.corpora.label_columns`).
    Paths are relative to root; they may have backslashes. A path may be a folder of
    frames (`emopipe.corpora.frames`). A row with `start` or `end` is that part of its file. A
    missing clip id is the file's stem; that of a part is made of its path and times. Without a column `split`, clips
    without a label are test clips, and the others are split as the options say.

    Raises:
        CorpusError: The list is missing, is not UTF-8, has rows of different lengths, lacks a column, or has an unknown
            class.
    """
    header, *rows = _read(root / options.table, options.labelling)
    listed = [dict(zip(header, row, strict=True)) for row in rows]
    paths = on_disk(root, [row["path"] for row in listed])
    own = [_own_path(row["path"], found) for row, found in zip(listed, paths, strict=True)]
    table = from_rows(row | {"path": _tidy(found)} for row, found in zip(listed, paths, strict=True))
    if SOUND_FILE in table:
        table = table.assign(**{SOUND_FILE: [_tidy(path) for path in on_disk(root, table[SOUND_FILE].tolist())]})
    table = options.with_labels(_with_ids(with_frames(table, root, options.frame_rate), own))
    if "split" in header:
        return table.assign(split=table["split"].map(lambda name: splits.split_of(name) or name).astype(str))
    unlabelled = table["label"] == ""
    parts = [table[unlabelled].assign(split="test")]
    if not unlabelled.all():
        parts.append(splits.assign(table[~unlabelled], options))
    return pd.concat(parts).fillna({splits.SPLIT_BY: ""})


def _read(file: Path, labelling: Labelling) -> list[list[str]]:
    """Return the header and the rows, all of the same length; blank lines and empty columns are ignored."""
    separators = SUFFIXES.get(file.suffix.lower())
    if separators is None:
        raise CorpusError(f"The table {file} is neither .csv nor .tsv. Save it as one of these.")
    cells = read_cells(file, separators)
    _refuse_bad_header(cells.header, file, labelling)
    return [cells.header, *cells.rows]


def _refuse_bad_header(header: list[str], file: Path, labelling: Labelling) -> None:
    absent = [column for column in ("path", "label") if column not in header]
    if absent == ["label"] and label_columns.has_labels(header, labelling.space, labelling.class_of):
        absent = []
    if absent:
        others = label_columns.expected(labelling.space) if "label" in absent else ""
        raise CorpusError(
            f"The table {file} lacks the column {' and the column '.join(absent)}{others}. Its columns are: "
            f"{abbreviate(header, limit=8) or 'none'}. The first line must name path, label and, optionally, clip, "
            "split, subject, start, end, sound_file. The cells of label may be empty. `emopipe init` writes such a "
            "table from one with other names."
        )
    bad = sorted({name for name in header if header.count(name) > 1 or name in ("", "digest", times.FILE_DIGEST, RATE)})
    if bad:
        raise CorpusError(
            f"The table {file} has the columns {abbreviate([repr(name) for name in bad])}. Column names must be unique "
            f"and not empty, and must not be digest, {times.FILE_DIGEST} or {RATE}, which emopipe fills itself. Rename "
            "these columns."
        )


def _name(path: str, *, is_folder: bool) -> str:
    return clip_name(Path(path)).name if is_folder else PurePosixPath(path).stem


def _own_path(given: str, found: str) -> str:
    """Return a path as the table spells it, with slashes. Ids are made of it, so that they are equal on all disks."""
    return _tidy(given if given == found else given.replace("\\", "/"))


def _tidy(path: str) -> str:
    return str(PurePosixPath(path)) if path else ""


def _with_ids(table: pd.DataFrame, own: list[str]) -> pd.DataFrame:
    """Return the table with an id for each row that has none, and with times in seconds.

    Args:
        table: The clip table.
        own: The path of each row, as ids and messages give it.
    """
    table = times.normalised(table, [f"row {number} ({path})" for number, path in enumerate(own, start=2)])
    parts = table[list(times.COLUMNS)].to_numpy() if times.is_part(table).any() else [("", "")] * len(table)
    folders = table[RATE] != "" if RATE in table else [False] * len(table)
    ids = [
        clip or (times.fragment(path, *part) if any(part) else _name(path, is_folder=is_folder))
        for clip, path, part, is_folder in zip(table["clip"], own, parts, folders, strict=True)
    ]
    return table.assign(clip=pd.Series(ids, index=table.index, dtype=str))
