"""Stills that a table lists: a CSV of picture paths with a class, or with votes or shares of several classes."""

from pathlib import Path
from typing import Literal, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from emopipe.core.errors import CorpusError
from emopipe.core.options import Number
from emopipe.stills import lists
from emopipe.stills.archive import Archive
from emopipe.stills.base import BaseOptions, Stills, class_map, no_stills_error, one_hot, stills_table
from emopipe.stills.ferplus import NO_EMOTION, vote_majority, vote_shares
from emopipe.stills.folder import splits_of
from emopipe.stills.listed import ListedImages, drop_contradictions, find_folder


class StillsOptions(BaseOptions):
    """The columns of the table, and how votes become targets."""

    pictures: str = ""
    """The folder or zip file with the pictures, beside the CSV. Default: the folder of the CSV."""
    picture: str = Field(default="picture", min_length=1)
    """The column with the path of each picture in that folder or zip file, which is the picture's key."""
    label: str = ""
    """The column with the class. Default: `label`, unless there are `votes`."""
    votes: list[str] = Field(default_factory=list)
    """Columns with votes or shares, one for each class; their names are class names, or are in `labels`. Votes for
    `unknown` and `NF` (no face) are for no class. Default: none; the column `label` has the class."""
    targets: Literal["shares", "majority"] = "shares"
    """What the network is trained on. shares: the share of each class of the votes; pictures with the most votes for no
    class are omitted. majority: the class with more than half of all votes; other pictures are omitted."""
    outliers: Number = Field(default=0.0, ge=0)
    """Votes of a column are ignored if they are so many or fewer. FER+ ignores single votes: 1."""
    raters: int | None = Field(default=None, ge=1)
    """The raters of a picture. Where votes of several copies of a picture are summed, a row has more votes than raters;
    its votes are then divided by how many times more they are. Default: votes are used as they are."""
    split: str = ""
    """The column with the split. Default: folders name it, as in <split>/<class>/<picture> or <split>/<picture>."""
    group: str = ""
    """The column with the person, or with what else must not be divided, such as a number for each distinct picture:
    pictures of a group are held out together, and are one group for intervals. Default: unknown."""

    @model_validator(mode="after")
    def _columns_are_clear(self) -> Self:
        if self.votes and self.label:
            raise ValueError("both label and votes are set; remove label, or remove votes")
        if len(set(self.votes)) < len(self.votes):
            raise ValueError(f"votes is {self.votes}, which has a column twice; list it once")
        of_votes = {"targets": "shares", "outliers": 0.0, "raters": None}
        unused = [name for name, default in of_votes.items() if getattr(self, name) != default]
        if unused and not self.votes:
            raise ValueError(f"{unused[0]} is about votes, and there are none; set votes, or remove {unused[0]}")
        return self

    @property
    def label_column(self) -> str:
        """The column with the class of a table without votes."""
        return self.label or "label"

    def also_read(self, path: Path) -> list[Path]:
        """Return the folder or zip file with the pictures."""
        pictures = path.parent / self.pictures
        if not pictures.exists():
            raise CorpusError(
                f"The pictures {pictures} of the table {path} do not exist. Put them there, or correct the option "
                "pictures."
            )
        return [pictures]


def read(path: Path, options: StillsOptions) -> Stills:
    """Return the stills of a CSV file; see `StillsOptions`.

    FER+ by its authors' rule is `votes: [neutral, ..., contempt, unknown, NF]`, `outliers: 1` and `targets: majority`:
    single votes are ignored, and a picture is kept if a class other than unknown and NF has more than half of the
    votes. A table that sums votes over copies of a picture, of which each has ten raters, needs `raters: 10`: a row of
    30 votes is divided by 3, so that a single vote is again at most one of ten.

    Raises:
        CorpusError: The file is not a CSV, lacks a column, has a class that is unknown or a vote that is not a number,
            or pictures are missing.
    """
    if not path.is_file() or path.suffix.lower() != ".csv":
        raise CorpusError(f"{path} is not a CSV file (.csv), but kind: table reads one. Check the path.")
    # 1. The table.
    columns = [options.picture, *(options.votes or [options.label_column]), options.split, options.group]
    table = lists.read_csv(Archive(path.parent), path.name, list(dict.fromkeys(filter(None, columns))))
    targets = _of_votes(table, options, str(path)) if options.votes else _of_labels(table, options, str(path))
    # 2. The pictures that are used.
    keys = table[options.picture].tolist()
    rows = pd.DataFrame({"key": keys, "split": table[options.split].tolist() if options.split else splits_of(keys)})
    rows["subject"] = table[options.group].tolist() if options.group else ""
    rows = drop_contradictions(rows.join(pd.DataFrame(targets, columns=list(options.classes))), str(path))
    rows = rows[rows[list(options.classes)].sum(axis=1) > 0]
    if rows.empty:
        raise no_stills_error(options.votes or sorted(set(table[options.label_column])), str(path), options.classes)
    # 3. Where they are.
    pictures = Archive(*options.also_read(path))
    folder = find_folder(pictures, rows["key"].iloc[0], str(path))
    images = ListedImages(pictures, {key: folder + key for key in rows["key"]})
    images.refuse_missing()
    return Stills(stills_table(rows), rows[list(options.classes)].to_numpy(np.float32), images, options.classes)


def _of_labels(table: pd.DataFrame, options: StillsOptions, where: str) -> np.ndarray:
    """Return the targets (n, K) of a column of classes; zeros for omitted ones, and for cells without a class."""
    label = table[options.label_column]
    known = class_map(set(label) - {""}, options.labels, where, no_class=NO_EMOTION, classes=options.classes)
    counts_as = label.map({**known, "": ""})
    targets = np.zeros((len(table), len(options.classes)), np.float32)
    targets[(counts_as != "").to_numpy()] = one_hot(counts_as[counts_as != ""], options.classes)
    return targets


def _of_votes(table: pd.DataFrame, options: StillsOptions, where: str) -> np.ndarray:
    """Return the targets (n, K) of columns of votes; zeros for pictures that are omitted."""
    counts = np.stack([lists.numbers(table, name, where, low=0) for name in options.votes], axis=1)  # (n, names)
    if options.raters is not None:
        counts /= np.maximum(counts.sum(1, keepdims=True) / options.raters, 1)
    known = class_map(options.votes, options.labels, where, no_class=NO_EMOTION, classes=options.classes)
    rule = vote_majority if options.targets == "majority" else vote_shares
    return rule(counts, [known[name] for name in options.votes], options.classes, outliers=options.outliers)
