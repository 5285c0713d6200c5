"""Labels that a clip table has in several columns: raters' votes, a 0 or 1 for each class, or numbers.

| kind       | columns                                                                                              |
|------------|------------------------------------------------------------------------------------------------------|
| votes      | `votes_<class>`: how many raters chose the class; an empty cell counts as 0                          |
| multi      | one for each class, named as it is, with 0 or 1; read if no clip has anything in the column `label`  |
| dimensions | one for each dimension, named as it is, with a number                                                |

A row that is empty in all of these columns has no label from them. Columns `voice_votes_<class>` and
`face_votes_<class>`, votes of raters who only heard or only saw the clip, get the names of the classes, too.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.core.labels import NOTHING, SEPARATOR, VOTES, LabelSpace
from emopipe.corpora.classes import class_key
from emopipe.corpora.votes import FACE_VOTES, VOICE_VOTES

VOTE_PREFIXES: tuple[str, ...] = (VOTES, VOICE_VOTES, FACE_VOTES)
"""What begins the columns of votes: of the clip, of its sound alone, of its pictures alone."""
ClassOf = Callable[[str], str | None]
"""A class name of the corpus -> the classes that it counts as, as a label; "": it is omitted, None: it is unknown."""


def is_label(label: str, space: LabelSpace) -> bool:
    """Return whether a text is a label of the space, as `LabelSpace.label` writes it."""
    parts = label.split(SEPARATOR)
    if space.kind == "dimensions":
        numbers = [_number(part) for part in parts]
        return len(parts) == len(space) and all(one is not None and space.low <= one <= space.high for one in numbers)
    if space.kind == "single":
        return label in space.names
    return (label == NOTHING and space.kind == "multi") or (label != NOTHING and label == space.of_names(parts))


def described(space: LabelSpace) -> str:
    """Return what a label of the space is, for messages."""
    listed, several = ", ".join(space.names), SEPARATOR.join(space.names[:2])
    if space.kind == "dimensions":
        example = SEPARATOR.join([f"{(space.low + space.high) / 2:g}"] * len(space))
        return f"a number from {space.low:g} to {space.high:g} for each of {listed}, such as {example!r}"
    return {
        "single": f"one of {listed}",
        "votes": f"one of {listed}, or several for a tie, such as {several}",
        "multi": f"some of {listed}, such as {several}, or {NOTHING}",
    }[space.kind]


def has_labels(columns: Iterable[str], space: LabelSpace, class_of: ClassOf) -> bool:
    """Return whether a table with these columns needs no column `label`."""
    columns = list(columns)
    if space.kind == "dimensions":
        return bool(_dimensions(columns, space))
    if space.kind == "votes":
        return any(column.startswith(VOTES) for column in columns)
    return space.kind == "multi" and bool(_class_columns(columns, class_of))


def expected(space: LabelSpace) -> str:
    """Return what a table of clips may have in place of a column `label`, for messages; "" if nothing."""
    return {
        "votes": f", or columns {VOTES}<class>",
        "multi": f", or a column with 0 or 1 for each of {', '.join(space.names)}",
        "dimensions": f", or the columns {', '.join(space.names)}",
    }.get(space.kind, "")


def read(
    table: pd.DataFrame, space: LabelSpace, class_of: ClassOf, *, ignore_others: bool
) -> tuple[pd.DataFrame, pd.Series]:
    """Return the clip table with columns of votes named by the classes of the space, and the labels from its columns.

    Args:
        table: A clip table of N clips.
        space: The label space.
        class_of: What the class names of the corpus count as.
        ignore_others: Whether votes for classes that are not in the space are dropped; else they are refused.

    Returns:
        The table, and (N,) the label of each clip: "" where the columns give none, None where all votes are for classes
        that are dropped.

    Raises:
        CorpusError: A cell is not such a number, a number is not in the range of the space, a clip has only some of its
            numbers, a column of a class or a dimension is missing, or there are votes for another class.
    """
    before = _total(table, VOTES) if space.kind == "votes" else None
    table = _with_named_votes(table, space, class_of, ignore_others=ignore_others)
    if before is not None:
        return table, _labels_of_votes(table, space, before)
    empty = pd.Series("", table.index, dtype=object)
    if space.kind == "dimensions" and (columns := _dimensions(table.columns, space)):
        return table.assign(label=""), _labels_of_numbers(table, columns, space)
    if space.kind == "multi" and (table["label"] == "").all():
        marks = _class_columns(table.columns, class_of)
        return table, _labels_of_marks(table, marks, space) if marks else empty
    return table, empty


# -- votes -----------------------------------------------------------------------------------------------------


def _with_named_votes(
    table: pd.DataFrame, space: LabelSpace, class_of: ClassOf, *, ignore_others: bool
) -> pd.DataFrame:
    """Return the table with the votes of each known class in one column; of other classes, see `read`."""
    for prefix in VOTE_PREFIXES if space.kind != "dimensions" else ():
        columns = [column for column in table if column.startswith(prefix)]
        counts_as = {column: class_of(column.removeprefix(prefix)) for column in columns}
        must_be_known = space.kind == "votes" and prefix == VOTES
        if must_be_known and not ignore_others:
            _refuse_other_votes(table, [column for column, name in counts_as.items() if name is None], space)
        gone = [c for c, name in counts_as.items() if name in ("", NOTHING) or (name is None and space.kind == "votes")]
        table = table.drop(columns=gone)
        taken: dict[str, dict[str, float]] = {}
        for column in columns:
            names = (counts_as[column] or "").split(SEPARATOR) if column not in gone else ()
            for name in (name for name in names if name in space.names):
                taken.setdefault(f"{prefix}{name}", {})[column] = 1 / len(names)
        table = _merged(table, taken)
        if must_be_known and columns:
            absent = [column for column in space.vote_columns if column not in table]
            table = table.assign(**dict.fromkeys(absent, "0"))
    return table


def _merged(table: pd.DataFrame, taken: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """Return the table with sums of columns, each in the place of the first one that it is made of.

    All are made at once, because a column may have the name of one that counts as another class.

    Args:
        table: A clip table.
        taken: Name of a new column -> the columns that it is made of, and the share of their votes that it gets.
    """
    used = {column for columns in taken.values() for column in columns}
    found: dict[str, pd.Series] = {}
    for column in table:
        here = [name for name, columns in taken.items() if next(iter(columns)) == column]
        found |= {name: _weighted(table, taken[name]) for name in here}
        if column not in used:
            found[column] = table[column]
    return pd.DataFrame(found, index=table.index)


def _weighted(table: pd.DataFrame, columns: Mapping[str, float]) -> pd.Series:
    """Return the sum of shares of some columns as texts; a single whole one as it is."""
    if [*columns.values()] == [1.0]:
        return table[next(iter(columns))]
    total = (_numbers(table, list(columns)).fillna(0) * pd.Series(columns)).sum(axis=1)
    return total.map(lambda number: f"{number:g}").astype(str)


def _refuse_other_votes(table: pd.DataFrame, columns: Sequence[str], space: LabelSpace) -> None:
    votes = _numbers(table, columns).fillna(0)
    used = [column for column in columns if (votes[column] > 0).any()]
    if used:
        name = used[0].removeprefix(VOTES)
        raise CorpusError(
            f"The column {used[0]} has votes for a class that is not in the label space. Expected votes for "
            f'{", ".join(space.names)}. Map it (labels: {{map: {{"{name}": {space.names[0]}}}}}; an empty text drops '
            "the votes), set labels.others: exclude, which drops the votes for all such classes, or add it to labels."
        )


def _total(table: pd.DataFrame, prefix: str) -> pd.Series:
    columns = [column for column in table if column.startswith(prefix)]
    return _numbers(table, columns).fillna(0).sum(axis=1)


def _labels_of_votes(table: pd.DataFrame, space: LabelSpace, before: pd.Series) -> pd.Series:
    """Return the classes with most votes; None where no vote remains, "" where there was none `before`."""
    columns = [column for column in space.vote_columns if column in table]
    if not columns:
        return pd.Series("", table.index, dtype=object)
    votes = _numbers(table, columns).fillna(0).to_numpy(float)
    labels = [
        space.label(row) if row.any() else None if given else "" for row, given in zip(votes, before > 0, strict=True)
    ]
    return pd.Series(labels, table.index, dtype=object)


# -- a column for each class -----------------------------------------------------------------------------------


def _class_columns(columns: Iterable[str], class_of: ClassOf) -> dict[str, list[str]]:
    """Return column -> the classes that it counts as, of the columns that are named as classes."""
    found = {column: class_of(column) for column in columns if not column.startswith(VOTE_PREFIXES)}
    return {column: name.split(SEPARATOR) for column, name in found.items() if name and name != NOTHING}


def _labels_of_marks(table: pd.DataFrame, marks: Mapping[str, Sequence[str]], space: LabelSpace) -> pd.Series:
    given = {name for names in marks.values() for name in names}
    absent = [name for name in space.names if name not in given]
    if absent:
        raise CorpusError(
            f"The clips have a column for each of the classes {', '.join(marks)}, but none for {', '.join(absent)}. "
            "Expected one for each class of labels, with 0 or 1. Add it, or write the classes of a clip in the column "
            f"label, such as {space.names[0]}{SEPARATOR}{space.names[1]}."
        )
    numbers = _numbers(table, list(marks))
    wrong = numbers.isin([0, 1]) | numbers.isna()
    for column in numbers:
        if not wrong[column].all():
            row = table[~wrong[column]].iloc[0]
            raise CorpusError(
                f"The clip {row['path']} has {row[column]!r} in the column {column}. Expected 0 or 1. Correct it."
            )
    _refuse_gaps(table, numbers)
    labels = []
    for row in numbers.to_numpy(float):
        shown = [name for one, names in zip(row, marks.values(), strict=True) if one == 1 for name in names]
        labels.append("" if np.isnan(row).all() else space.of_names(shown))
    return pd.Series(labels, table.index, dtype=object)


# -- numbers ---------------------------------------------------------------------------------------------------


def _dimensions(columns: Iterable[str], space: LabelSpace) -> list[str]:
    """Return the columns of the dimensions, in the order of the space; [] if there is none of them.

    Raises:
        CorpusError: There are only some of them.
    """
    by_key = {class_key(column): column for column in columns}
    absent = [name for name in space.names if class_key(name) not in by_key]
    if len(absent) == len(space):
        return []
    if absent:
        there = [name for name in space.names if name not in absent]
        raise CorpusError(
            f"The clips have the column {', '.join(there)}, but none for the dimension {', '.join(absent)}. Expected a "
            f"column for each of {', '.join(space.names)}. Add it, or remove the dimension from labels."
        )
    return [by_key[class_key(name)] for name in space.names]


def _labels_of_numbers(table: pd.DataFrame, columns: Sequence[str], space: LabelSpace) -> pd.Series:
    numbers = _numbers(table, columns, lowest=space.low, highest=space.high)
    _refuse_gaps(table, numbers)
    labels = ["" if np.isnan(row).all() else space.label(row) for row in numbers.to_numpy(float)]
    return pd.Series(labels, table.index, dtype=object)


def _refuse_gaps(table: pd.DataFrame, numbers: pd.DataFrame) -> None:
    """Raise a CorpusError if a clip has some of its numbers, and not the others."""
    gaps = numbers.isna().any(axis=1) & numbers.notna().any(axis=1)
    if gaps.any():
        row = numbers[gaps].iloc[0]
        empty = [column for column in numbers if np.isnan(row[column])]
        more = f" (and {int(gaps.sum()) - 1} more clips like it)" if gaps.sum() > 1 else ""
        raise CorpusError(
            f"The clip {table.loc[gaps, 'path'].iloc[0]}{more} has no number in the column {', '.join(empty)}. "
            f"Expected numbers in all of {', '.join(map(str, numbers))}, or in none of them if the label is not known. "
            "Add the numbers."
        )


def _numbers(
    table: pd.DataFrame, columns: Sequence[str], *, lowest: float = 0.0, highest: float = math.inf
) -> pd.DataFrame:
    """Return columns as numbers, NaN for an empty cell.

    Raises:
        CorpusError: A cell is not a number from `lowest` to `highest`.
    """
    found = {}
    for column in columns:
        numbers = {cell: _number(cell) for cell in table[column].unique()}
        wrong = [c for c, one in numbers.items() if c != "" and (one is None or not lowest <= one <= highest)]
        if wrong:
            clip = table.loc[table[column] == wrong[0], "path"].iloc[0]
            what, remedy = f"a number of {lowest:g} or more", "Correct it"
            if highest < math.inf:
                what, remedy = f"a number from {lowest:g} to {highest:g}", "Correct it, or set labels.range"
            raise CorpusError(f"The clip {clip} has {wrong[0]!r} in the column {column}. Expected {what}. {remedy}.")
        found[column] = table[column].map(numbers).astype(float)
    return pd.DataFrame(found, index=table.index, dtype=float)


def _number(cell: str) -> float | None:
    """Return the number in a cell; None if it is not a finite number."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
