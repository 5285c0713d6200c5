"""What a clip table and the prints of clips say: equal contents, shared people and sentences, and counts of classes."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from emopipe.core.labels import LabelSpace
from emopipe.corpora.audit.alike import Pairs
from emopipe.corpora.audit.findings import Finding, Kind
from emopipe.corpora.audit.pictures import PicturePrint, same_pictures
from emopipe.corpora.audit.sounds import same_sounds
from emopipe.corpora.digests import NO_CONTENT
from emopipe.corpora.strata import strata

SENTENCES: tuple[str, ...] = ("sentence", "statement", "text", "transcript")
"""Columns of a clip table that name what is said."""


def sentence_column(table: pd.DataFrame) -> str:
    """Return the column that names what is said, if it does so for all clips; "" if there is none."""
    return next((name for name in SENTENCES if name in table and (table[name] != "").all()), "")


def identical(table: pd.DataFrame) -> list[Finding]:
    """Return the pairs of clips whose files have the same content."""
    if "digest" not in table:
        return []
    known = table[~table["digest"].isin(NO_CONTENT)].reset_index(drop=True)
    groups = [rows for rows in known.groupby("digest", sort=False).indices.values() if len(rows) > 1]
    pairs = {(int(a), int(b)): 1.0 for rows in groups for a, b in combinations(rows, 2)}
    return of_pairs("identical", known, pairs)


def alike(
    table: pd.DataFrame,
    pictures: Mapping[str, PicturePrint],
    sounds: Mapping[str, np.ndarray],
    known: Iterable[Finding] = (),
) -> list[Finding]:
    """Return the pairs of clips with the same frames, mirrored frames or the same sound.

    Args:
        table: The clip table.
        pictures: Clip -> print of its frames.
        sounds: Clip -> print of its sound.
        known: Pairs of identical clips, which are not reported again.
    """
    seen = {frozenset(finding.names) for finding in known}
    shown, heard = ([prints.get(clip) for clip in table["clip"]] for prints in (pictures, sounds))
    found = [
        *of_pairs("picture", table, same_pictures(shown)),
        *of_pairs("mirrored", table, same_pictures(shown, mirrored=True)),
        *of_pairs("sound", table, same_sounds(heard)),
    ]
    return [finding for finding in found if frozenset(finding.names) not in seen]


def of_pairs(kind: Kind, table: pd.DataFrame, pairs: Pairs) -> list[Finding]:
    """Return a finding for each pair of rows of the table, those across splits first, then by similarity."""
    clips, splits, labels = (table[column].tolist() for column in ("clip", "split", "label"))
    found = [
        Finding(kind, (clips[a], clips[b]), (splits[a], splits[b]), (labels[a], labels[b]), value)
        for (a, b), value in pairs.items()
    ]
    return sorted(found, key=lambda finding: (not finding.across, -(finding.similarity or 0), finding.names))


def shared(kind: Kind, table: pd.DataFrame, column: str) -> list[Finding]:
    """Return the values of a column, such as people or sentences, that are in several splits."""
    known = table[table[column] != ""]
    splits = known.groupby(column)["split"].unique()
    return [Finding(kind, (str(name),), tuple(sorted(found))) for name, found in splits.items() if len(found) > 1]


def same_people(kind: Kind, table: pd.DataFrame, pairs: Mapping[tuple[str, str], float]) -> list[Finding]:
    """Return the pairs of people, named differently, who are taken for one, if they are in different splits."""
    splits = table.groupby("subject")["split"].unique()
    return [
        Finding(kind, pair, (" and ".join(sorted(splits[pair[0]])), " and ".join(sorted(splits[pair[1]]))), (), value)
        for pair, value in sorted(pairs.items(), key=lambda item: -item[1])
        if set(splits[pair[0]]) != set(splits[pair[1]])
    ]


def class_counts(table: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Return split -> label -> number of clips; clips without a label count as "no label"."""
    named = table.assign(label=table["label"].replace("", "no label"))
    counts = named.groupby(["split", "label"]).size()
    return {split: {label: int(n) for label, n in counts[split].items()} for split in _in_order(named["split"])}


def with_groups(table: pd.DataFrame, space: LabelSpace, least: int) -> pd.DataFrame:
    """Return the clip table with groups of like labels in place of labels that are not classes.

    Clips with several classes are grouped as folds group them, and numbers by the quarters of the first dimension
    (`emopipe.corpora.strata`).

    Args:
        table: The clip table.
        space: The label space.
        least: How many clips a combination of classes needs for a group of its own.
    """
    groups = strata(table["label"], space, least)
    if space.kind == "dimensions":
        groups = groups.map(lambda number: number and f"{space.names[0]}, quarter {number}")
    return table.assign(label=groups)


def _in_order(splits: Sequence[str]) -> list[str]:
    order = ("train", "val", "test")
    return sorted(set(splits), key=lambda split: (order.index(split) if split in order else len(order), split))
