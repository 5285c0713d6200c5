"""Who learns and who is tested, for corpora that do not say so themselves.

Both ways rank by a hash of the name and never shuffle, so a split depends on the seed and the names only:

- `stratified` holds a clip out where its own hash falls below the fraction, which no other clip can change.
  The price is that the held-out share of a class is only near the fraction. Where chance leaves a class
  nothing to learn from or, though it is large enough, nothing to be tested on, one clip is moved over; only
  in so small a class can a new clip move one other.
- `by_subject` holds out the first subjects by hash, exactly the nearest number to the fraction, because
  corpora have few subjects. New clips of known subjects move nothing; a new subject moves one other at most.
"""

from collections.abc import Collection
from typing import Annotated, Literal, Self

import pandas as pd
from pydantic import BeforeValidator, Field, model_validator

from emopipe.core.errors import CorpusError
from emopipe.core.hashing import stable_hash
from emopipe.core.options import Number, Options
from emopipe.core.text import abbreviate

# What folders and tables call the three splits, in lower case.
SPLIT_NAMES: dict[str, str] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "development": "val",
    "test": "test",
    "testing": "test",
}

# YAML reads `[1001, 1002]` as integers, and a subject is a name.
Subject = Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value)]


class SplitOptions(Options):
    """How a corpus without splits of its own is split."""

    split: Literal["auto", "subject", "stratified"] = "auto"
    """By subject, or by clip within each class, subjects mixed; auto: by subject where there are several."""
    val_subjects: list[Subject] = []  # noqa: RUF012 - pydantic copies defaults
    """The subjects of val; empty: drawn by `val_fraction` and `seed`."""
    test_subjects: list[Subject] = []  # noqa: RUF012 - pydantic copies defaults
    """The subjects of test; empty: no test split."""
    val_fraction: Annotated[Number, Field(gt=0, lt=1)] = 0.2
    """The share of the subjects or of each class's clips that is drawn for val where none are listed."""
    seed: int = 0
    """Draws another val split."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        both = set(self.val_subjects) & set(self.test_subjects)
        if both:
            raise ValueError(f"the subjects {abbreviate(sorted(both))} are in both val_subjects and test_subjects")
        if self.lists_subjects and self.split not in ("auto", "subject"):
            raise ValueError(f"val_subjects and test_subjects need split: subject, not split: {self.split}")
        return self

    @property
    def lists_subjects(self) -> bool:
        """Whether the subjects of val or test are named one by one."""
        return bool(self.val_subjects or self.test_subjects)

    @property
    def subjects_apart(self) -> bool:
        """Whether no subject may be in two splits: always, unless a split by clip was asked for."""
        return self.split in ("auto", "subject")


def assign(table: pd.DataFrame, options: SplitOptions) -> pd.DataFrame:
    """The clip table with its column `split` filled as the options say.

    Raises:
        CorpusError: see `by_subject`.
    """
    if is_by_subject(table, options):
        split = by_subject(
            table["subject"],
            val=options.val_subjects,
            test=options.test_subjects,
            fraction=options.val_fraction,
            seed=options.seed,
        )
    else:
        split = stratified(table["clip"], table["label"], fraction=options.val_fraction, seed=options.seed)
    return table.assign(split=split)


def is_by_subject(table: pd.DataFrame, options: SplitOptions) -> bool:
    """Whether the options mean a split by subject for this table, `auto` resolved."""
    if options.split == "auto":
        return options.lists_subjects or table.loc[table["subject"] != "", "subject"].nunique() > 1
    return options.split == "subject"


def stratified(clips: pd.Series, labels: pd.Series, *, fraction: float, seed: int) -> pd.Series:
    """`train` or `val` for each clip, about `fraction` of every class in val."""
    draws = clips.map(lambda clip: stable_hash(f"{seed}/{clip}") / 2**64)
    held_out = draws < fraction
    for _, group in draws.groupby(labels):
        if held_out[group.index].all():
            held_out[group.idxmax()] = False
        elif not held_out[group.index].any() and len(group) * fraction >= 1:
            held_out[group.idxmin()] = True
    return held_out.map({True: "val", False: "train"}).astype(str)


def by_subject(
    subjects: pd.Series,
    *,
    fraction: float,
    seed: int,
    val: Collection[str] = (),
    test: Collection[str] = (),
) -> pd.Series:
    """The split of each clip by its subject: those listed, else about `fraction` of the subjects in val.

    Raises:
        CorpusError: a clip has no subject, a listed subject has no clip, or nobody is left for train.
    """
    present, test = sorted(set(subjects)), set(test)
    if "" in present:
        raise CorpusError(
            f"{(subjects == '').sum()} of {len(subjects)} clips have no known subject, which a split by "
            "subject needs: name their subjects or set split: stratified."
        )
    absent = sorted({*val, *test} - set(present))
    if absent:
        raise CorpusError(
            f"The subjects {abbreviate(absent)} of val_subjects or test_subjects have no clips; the corpus has "
            f"{abbreviate(present, limit=8)}: correct the lists, with quotes around names that begin with 0."
        )
    free = [subject for subject in present if subject not in test]
    held_out = set(val) or set(first_by_hash(free, fraction, seed))
    if set(free) <= held_out:
        raise CorpusError(
            f"val_subjects and test_subjects take all {len(present)} subjects, so none is left for train: "
            "shorten the lists."
        )
    return subjects.map(lambda s: "test" if s in test else "val" if s in held_out else "train").astype(str)


def split_of(name: str) -> str:
    """The split that a folder or a cell means, "" where it means none.

    >>> split_of("Validation")
    'val'
    """
    return SPLIT_NAMES.get(name.strip().casefold(), "")


def first_by_hash(subjects: list[str], fraction: float, seed: int) -> list[str]:
    """The share of the subjects that comes first by hash: one at least, and never all."""
    count = min(len(subjects) - 1, max(1, round(len(subjects) * fraction)))
    return sorted(subjects, key=lambda subject: stable_hash(f"{seed}/{subject}"))[: max(0, count)]
