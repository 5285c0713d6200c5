"""Splits for corpora that do not define them.

Both ways rank names by their hashes and never shuffle, so that a split depends on the seed and the names alone:

- `stratified` draws each clip by its own hash: it is in val if the hash lies below the fraction. Other clips do not
  change this. Where labels are not classes, groups of clips with like labels (`emopipe.corpora.strata`) stand for
  classes. Therefore the val share of a class is only close to the fraction. If a class would have no clip in
  train, or a large enough class none in val, one clip is moved. Only in such a small class can a new clip move
  another one.
- `by_subject` puts the first subjects by hash into val, exactly the nearest number to the fraction, because corpora
  have few subjects. New clips of known subjects move nothing. A new subject moves at most one other.
"""

import logging
import math
from collections.abc import Collection
from typing import Annotated, Literal, Self

import pandas as pd
from pydantic import BeforeValidator, Field, model_validator

from emopipe.core.errors import CorpusError
from emopipe.core.hashing import stable_hash
from emopipe.core.labels import BASIC7, LabelSpace
from emopipe.core.options import Number, Options
from emopipe.core.text import abbreviate
from emopipe.corpora.labelling import ClassOptions
from emopipe.corpora.strata import rule as strata_rule
from emopipe.corpora.strata import strata

LOGGER = logging.getLogger(__name__)

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
"""What folders and tables call the splits, in lower case -> the split."""

SPLIT_BY = "split_by"
"""The column of a clip table that says what made a clip's split; "", or no such column: the corpus has it."""
DRAWN, BY_REPETITION = "options", "repetition"
"""What made a split: the options, by `assign`; or the repetition that RAVDESS' names give."""

# YAML reads `[1001, 1002]` as integers, but a subject is a name.
Subject = Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value)]


class SplitOptions(Options):
    """How a corpus without its own splits is split."""

    split: Literal["auto", "subject", "stratified"] = "auto"
    """How clips are split: by subject, or by clip within each class (stratified), so that a subject may be in both
    splits. For several classes: within each combination of classes; for dimensions: within each quarter of the values
    of the first one. auto: by subject if there are several."""
    val_subjects: list[Subject] = []  # noqa: RUF012 - pydantic copies defaults
    """The subjects in val. Empty: drawn by `val_fraction` and `seed`."""
    test_subjects: list[Subject] = []  # noqa: RUF012 - pydantic copies defaults
    """The subjects in test. Empty: there is no test split."""
    val_fraction: Annotated[Number, Field(gt=0, lt=1)] = 0.2
    """The share that is drawn for val: of the subjects, or of the clips of each class. Not used if `val_subjects` lists
    subjects."""
    seed: int = 0
    """The seed of the val split."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        both = set(self.val_subjects) & set(self.test_subjects)
        if both:
            raise ValueError(
                f"the subjects {abbreviate(sorted(both))} are in both val_subjects and test_subjects. Remove them from "
                "one of the lists"
            )
        if self.lists_subjects and self.split not in ("auto", "subject"):
            raise ValueError(f"val_subjects and test_subjects need split: subject, but split is {self.split}")
        return self

    @property
    def lists_subjects(self) -> bool:
        """Whether the options list the subjects of val or test."""
        return bool(self.val_subjects or self.test_subjects)

    @property
    def subjects_apart(self) -> bool:
        """Whether no subject may be in two splits; false only where the options ask for a split by clip."""
        return self.split in ("auto", "subject")


class GivenSplitOptions(SplitOptions):
    """How a corpus that may have its own splits is split."""

    shared_subjects: Literal["refuse", "keep"] = "refuse"
    """What happens if the corpus' own splits share people: refuse stops with an error; keep uses the splits as they
    are, and scores then say how well models know these people, which is usually better than how well they do with
    others."""

    @property
    def subjects_apart(self) -> bool:
        """Whether no subject may be in two splits."""
        return super().subjects_apart and self.shared_subjects == "refuse"


class OwnSplitOptions(Options):
    """How a corpus is used that is published with splits for training, validation and test."""

    shared_subjects: Literal["refuse", "keep"] = "refuse"
    """What happens if people are in several splits: refuse stops with an error; keep uses the splits as they are, and
    scores then say how well models know these people."""

    @property
    def subjects_apart(self) -> bool:
        """Whether no subject may be in two splits."""
        return self.shared_subjects == "refuse"


def with_val(table: pd.DataFrame, options: SplitOptions) -> pd.DataFrame:
    """Return the clip table of a corpus with published train and test lists, and a val split drawn from train.

    Raises:
        CorpusError: See `by_subject`.
    """
    in_train = table["split"] == "train"
    drawn = [assign(table[in_train], options)] if in_train.any() else []
    return pd.concat([table[~in_train], *drawn]).fillna({SPLIT_BY: ""})


def assign(table: pd.DataFrame, options: SplitOptions) -> pd.DataFrame:
    """Return the clip table with its column `split` filled as the options say, and log a sentence on the val split.

    Raises:
        CorpusError: See `by_subject`.
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
        groups = strata(table["label"], _space(options), least=math.ceil(1 / options.val_fraction))
        split = stratified(table["clip"], groups, fraction=options.val_fraction, seed=options.seed)
    LOGGER.info(announcement(table.assign(split=split), options))
    return table.assign(split=split, **{SPLIT_BY: DRAWN})


def rule(table: pd.DataFrame, options: object) -> str:
    """Return a sentence on who made the splits of a corpus, for its results.

    Args:
        table: The clip table.
        options: The corpus' options.
    """
    made_by = table[SPLIT_BY] if SPLIT_BY in table else pd.Series("", table.index)
    if (made_by == BY_REPETITION).any():
        return "The corpus has no splits of its own: first repetitions of a recording are train, second ones are val."
    if isinstance(options, SplitOptions) and (made_by == DRAWN).any():
        return announcement(table[made_by == DRAWN], options)
    return "The splits are those of the corpus."


def announcement(table: pd.DataFrame, options: SplitOptions) -> str:
    """Return a sentence on a val split that `assign` made: how many clips it has, and by which rule.

    Args:
        table: The clips, with their splits.
        options: The options that the splits were made by.
    """
    val, is_drawn = table[table["split"] == "val"], not options.val_subjects
    rule = f"val_fraction: {options.val_fraction:g}, seed: {options.seed}"
    if is_by_subject(table, options):
        subjects = sorted(set(val["subject"]))
        who = f"{len(subjects)} of {table['subject'].nunique()} subjects ({abbreviate(subjects)})"
        rule = f"all clips of {who}, {f'drawn by {rule}' if is_drawn else 'which val_subjects lists'}"
    else:
        rule = f"drawn from each {strata_rule(_space(options))} by {rule}"
    taken = f"{len(val)} of {len(table)} clips become val" if len(val) else f"none of {len(table)} clips becomes val"
    return f"The corpus has no val split of its own: {taken} ({rule})."


def _space(options: SplitOptions) -> LabelSpace:
    """Return the label space of a corpus' options; the seven classes for a kind that does not know it."""
    return options.labelling.space if isinstance(options, ClassOptions) else BASIC7


def is_by_subject(table: pd.DataFrame, options: SplitOptions) -> bool:
    """Return whether the options ask for a split by subject of this table, with `auto` resolved."""
    if options.split == "auto":
        return options.lists_subjects or table.loc[table["subject"] != "", "subject"].nunique() > 1
    return options.split == "subject"


def stratified(clips: pd.Series, labels: pd.Series, *, fraction: float, seed: int) -> pd.Series:
    """Return `train` or `val` for each clip, with about `fraction` of each class, or group of labels, in val."""
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
    """Return the split of each clip by its subject.

    Args:
        subjects: The subject of each clip.
        fraction: The share of the subjects that is drawn for val, if `val` is empty.
        seed: The seed of this draw.
        val: The subjects of val; empty: drawn.
        test: The subjects of test.

    Raises:
        CorpusError: A clip has no subject, a listed subject has no clip, or no subject remains for train.
    """
    present, test = sorted(set(subjects)), set(test)
    if "" in present:
        raise CorpusError(
            f"{(subjects == '').sum()} of {len(subjects)} clips have no known subject, but a split by subject needs "
            "one for each clip. Name their subjects, or set split: stratified."
        )
    absent = sorted({*val, *test} - set(present))
    if absent:
        raise CorpusError(
            f"The subjects {abbreviate(absent)} of val_subjects or test_subjects have no clips. The corpus has the "
            f"subjects {abbreviate(present, limit=8)}. Correct the lists. Put names that begin with 0 in quotes."
        )
    free = [subject for subject in present if subject not in test]
    held_out = set(val) or set(first_by_hash(free, fraction, seed))
    if set(free) <= held_out:
        raise CorpusError(
            f"val_subjects and test_subjects list all {len(present)} subjects, so that none remains for train. Shorten "
            "the lists."
        )
    return subjects.map(lambda s: "test" if s in test else "val" if s in held_out else "train").astype(str)


def first_by_hash(subjects: list[str], fraction: float, seed: int) -> list[str]:
    """Return the share of the subjects that comes first by hash: at least one, and never all."""
    count = min(len(subjects) - 1, max(1, round(len(subjects) * fraction)))
    return sorted(subjects, key=lambda subject: stable_hash(f"{seed}/{subject}"))[: max(0, count)]


def split_of(name: str) -> str:
    """Return the split that the name of a folder or a cell means; "" if it means none.

    >>> split_of("Validation")
    'val'
    """
    return SPLIT_NAMES.get(name.strip().casefold(), "")
