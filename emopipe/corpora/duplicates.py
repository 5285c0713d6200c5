"""Files of the same content that are several clips of different splits or labels.

Such a clip is in both training and test data, or one of its labels is wrong. It is reported before anything runs.
"""

import itertools
import logging
import os
import stat
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pandas as pd

from emopipe.cache.status import UNDECODABLE, UNREADABLE
from emopipe.core import tables
from emopipe.core.errors import CacheError, CorpusError, MediaError
from emopipe.core.text import escape_text
from emopipe.corpora import frames, times
from emopipe.corpora.copies import second_copy
from emopipe.corpora.digests import NO_CONTENT, content_digests
from emopipe.media.decoded import DecodeOptions, Span

LOGGER = logging.getLogger(__name__)

Choice = Literal["refuse", "keep", "first", "exclude"]
"""What to do with such clips."""
FILE = "duplicates.csv"
"""The table in the corpus' cache that lists them."""
COLUMNS: tuple[str, ...] = ("digest", "clip", "path", "split", "label", "decodes", "used")

_LOOK = DecodeOptions(policy="count", count=1, max_side=64, clip_seconds=20)
_MOST_OPENED = 200  # contents; of more, the others are taken to decode
_SHOWN = 3


def resolve(table: pd.DataFrame, root: Path, choice: Choice, record: Path | None = None) -> pd.DataFrame:
    """Return the clip table without the clips that the choice omits, and log what was found.

    Contents that do not decode do not count, because such files give nothing to any model.

    Args:
        table: The clip table with digests; "" where no other file can have the same content.
        root: The corpus folder.
        choice: keep uses all clips, first the first one of each content by its id, exclude none; refuse is an error.
        record: Where to list the clips with the same content; None: nowhere. If there are none, no file is left there.

    Raises:
        CorpusError: There are such clips, and the choice is refuse; or no other clip remains.
    """
    # 1. The clips of contents with several splits or labels, and those of them that decode.
    found = _same_content(table)
    _note_plain_copies(found, root)
    apart = found[_differs(found)]
    if apart.empty:
        if record is not None:
            record.unlink(missing_ok=True)
        return table
    counted = apart[apart["digest"].isin(_decoding(apart, root, record))]
    # 2. Those that are used.
    omitted = {
        "keep": counted.iloc[:0],
        "first": counted[counted["digest"].duplicated()],
    }.get(choice, counted)
    if record is not None:
        _list(apart, counted, omitted, record)
    if counted.empty:
        return table
    if choice == "refuse":
        raise CorpusError(_refusal(counted, root, record))
    kept = table[~table["clip"].isin(omitted["clip"])].reset_index(drop=True)
    if kept.empty:
        raise CorpusError(
            f"No clip of {root} remains, because {remark(counted, choice)} Expected clips of a content of their own. "
            "Remove the copies, or set duplicates: first in the block corpus of the config."
        )
    LOGGER.warning("%s: %s", root, remark(counted, choice))
    return kept


def _list(apart: pd.DataFrame, counted: pd.DataFrame, omitted: pd.DataFrame, record: Path) -> None:
    """Write the table of clips that share their content, unless it is written already."""
    columns = {"decodes": apart["clip"].isin(counted["clip"]), "used": ~apart["clip"].isin(omitted["clip"])}
    words = {name: column.map({True: "yes", False: "no"}) for name, column in columns.items()}
    rows = apart.assign(path=_names(apart), **words)[list(COLUMNS)].astype(str).reset_index(drop=True)
    if (listed := _read(record)) is None or not listed.equals(rows):
        tables.write(rows, record)


def _read(record: Path) -> pd.DataFrame | None:
    """Return the table that `_list` wrote; None if there is none, or it is damaged, so that it is made again."""
    try:
        return tables.read(record, COLUMNS)[list(COLUMNS)]
    except (OSError, CacheError):
        return None


def across(table: pd.DataFrame, root: Path) -> pd.DataFrame:
    """Return the clips of contents that decode and have several splits or labels; see `resolve`."""
    found = _same_content(table)
    apart = found[_differs(found)]
    return apart if apart.empty else apart[apart["digest"].isin(_decoding(apart, root, None))]


def candidates(table: pd.DataFrame, root: Path) -> pd.Series:
    """Return which clips may have the content of another one: (N,) bool, by the sizes of the files."""
    sizes = {path: _size(root / path) for path in table["path"].unique()}  # parts of one file are not copies
    files = Counter(sizes.values())
    return table["path"].map(lambda path: sizes[path] > 0 and files[sizes[path]] > 1).astype(bool)


def with_possible_digests(table: pd.DataFrame, root: Path, index_path: Path | None) -> pd.DataFrame:
    """Return the clip table with the digests of those files alone that may have the content of another one.

    Args:
        table: The clip table.
        root: The corpus folder.
        index_path: The CSV file of digests that are known already, which is not changed; None: there is none.
    """
    maybe = candidates(table, root)
    some = content_digests(root, table[maybe], index_path, remember=False) if maybe.any() else table[maybe]
    digests = dict(zip(some["clip"], some.get("digest", ()), strict=True))
    return table.assign(digest=pd.Series([digests.get(clip, "") for clip in table["clip"]], table.index, dtype=str))


def recorded(record: Path) -> pd.DataFrame:
    """Return the clips of the same content that `resolve` listed and that decode; none if there is no such list."""
    found = _read(record)
    return pd.DataFrame(columns=list(COLUMNS), dtype=str) if found is None else found[found["decodes"] == "yes"]


def remark(clips: pd.DataFrame, choice: Choice) -> str:
    """Return a sentence on clips of the same content, for the terminal and the tables of results."""
    did = {
        "keep": "All are used, so clips that were trained on may be among those that are scored",
        "first": "Only the first clip of each content is used",
        "exclude": "None of them is used",
    }[choice]
    return f"{said(clips)} {did} (corpus.duplicates: {choice})."


def said(clips: pd.DataFrame) -> str:
    """Return a sentence on clips of the same content: how many there are, and the first pair."""
    contents = clips["digest"].nunique()
    return (
        f"{len(clips)} clips share {'1 content' if contents == 1 else f'{contents} contents'} across splits or labels, "
        f"such as {_pairs(clips, 1)[0]}."
    )


def _same_content(table: pd.DataFrame) -> pd.DataFrame:
    """Return the clips whose content is that of another file."""
    whole = table[times.FILE_DIGEST] if times.FILE_DIGEST in table else table["digest"]
    known = table[~whole.isin(NO_CONTENT)]
    if not known["digest"].duplicated().any():
        return known.iloc[:0]
    files = known.groupby("digest", sort=False)["path"].transform("nunique")
    return known[files > 1].sort_values(["digest", "clip"], kind="stable")


def _differs(found: pd.DataFrame) -> pd.Series:
    """Return (N,) bool: the clips of contents with several splits, or with several labels."""
    groups = found.assign(label=found["label"].replace("", None)).groupby("digest", sort=False)
    return (groups["split"].transform("nunique") > 1) | (groups["label"].transform("nunique") > 1)


def _note_plain_copies(found: pd.DataFrame, root: Path) -> None:
    """Log copies within one split and one label: they only count more than other clips."""
    plain = found[~_differs(found)]
    if not plain.empty:
        same = plain[plain["digest"] == plain["digest"].iloc[0]]["path"].tolist()
        LOGGER.info(
            "%s: %d clips are copies of others of the same split and label, such as %s and %s. They are used.",
            root,
            int(plain["digest"].duplicated().sum()),
            escape_text(same[0]),
            escape_text(same[1]),
        )


def _decoding(apart: pd.DataFrame, root: Path, record: Path | None) -> set[str]:
    """Return the digests of the contents that decode; what the record says of a content is not asked again."""
    listed = _read(record) if record is not None else None
    known = {} if listed is None else dict(zip(listed["digest"], listed["decodes"], strict=True))
    first = apart.drop_duplicates("digest")
    unknown = first[~first["digest"].isin(known)]
    known |= dict.fromkeys(unknown["digest"], "yes")
    opened = unknown.iloc[:_MOST_OPENED]
    if len(opened):
        from emopipe.media.spans import spans_of  # here, as most runs are planned without it

        fails = _fail([(root / path, span) for path, span in zip(opened["path"], spans_of(opened), strict=True)])
        known |= dict.fromkeys(opened["digest"][fails], "no")
    return {digest for digest in first["digest"] if known[digest] == "yes"}


def _fail(clips: Sequence[tuple[Path, Span | None]]) -> list[bool]:
    """Return which files, or parts of files, give neither frames nor sound.

    Another process opens them, so that they harm nothing.
    """
    from emopipe.media.sandbox import ClipReader  # here, as most runs are planned without it

    fails = []
    with ClipReader(_LOOK) as read:
        for path, span in clips:
            try:
                fails.append(read(path, span).status in (UNDECODABLE, UNREADABLE))
            except MediaError:
                fails.append(True)
    return fails


def _refusal(clips: pd.DataFrame, root: Path, record: Path | None) -> str:
    contents = clips["digest"].nunique()
    more = f"; and {contents - _SHOWN} more contents" if contents > _SHOWN else ""
    groups = clips.groupby("digest", sort=False)["path"].apply(list)
    copy = second_copy(groups)
    listed = f" {record} lists all of them." if record is not None else ""
    return (
        f"{len(clips)} clips in {root} share {'1 content' if contents == 1 else f'{contents} contents'}, but have "
        f"different splits or labels: {'; '.join(_pairs(clips, _SHOWN))}{more}. Expected each content in one split, "
        "with one label, because a clip that is in both training and test data makes scores too good. "
        f"{f'{copy.sentence()} Or remove' if copy else 'Remove'} the copies, or set duplicates in the block corpus of "
        f"the config: first uses the first clip of each content, exclude uses none of them, keep uses all.{listed}"
    )


def _pairs(clips: pd.DataFrame, most: int) -> list[str]:
    """Return a text for each of the first contents: a clip, and the first other one of another split or label."""
    texts, clips = [], clips.assign(path=_names(clips))
    for _, group in itertools.islice(clips.groupby("digest", sort=False), most):
        first = group.iloc[0]
        other = group[(group["split"] != first["split"]) | (group["label"] != first["label"])].iloc[0]
        more = f" and {len(group) - 2} more" if len(group) > 2 else ""
        texts.append(f"{_named(first)} and {_named(other)}{more}")
    return texts


def _names(clips: pd.DataFrame) -> list[str]:
    """Return the path of each clip, with its times if it is a part of the file."""
    if not set(times.COLUMNS) <= set(clips):
        return clips["path"].tolist()
    return [times.fragment(*row) for row in clips[["path", *times.COLUMNS]].itertuples(index=False)]


def _named(row: pd.Series) -> str:
    return f"{escape_text(row['path'])} ({', '.join(filter(None, (row['split'], row['label'])))})"


def _size(path: Path) -> int:
    try:
        found = os.stat(path)
        if stat.S_ISDIR(found.st_mode):
            return (frames.stamp(str(path)) or (0,))[0]
        return found.st_size
    except (OSError, ValueError):
        return 0
