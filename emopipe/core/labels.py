"""Label spaces: what clips are labelled with, and how labels are written in tables.

A label is a text in every table, in the column `label`; an answer is a text in the column `pred`. "" stands for an
unknown label. Numbers of an answer are in columns of their own (`LabelSpace.columns`).

| kind       | a label                    | the numbers of an answer, for each name                              |
|------------|----------------------------|----------------------------------------------------------------------|
| single     | `Happy`                    | `p_Happy`: probabilities, which sum to 1                             |
| votes      | `Happy`, or a tie          | `p_Happy`: probabilities, which sum to 1: shares of votes            |
| multi      | `Happy;Surprise`, `(none)` | `p_Happy`: a probability each, by itself                             |
| dimensions | `0.5;-0.25`                | `y_valence`: a number between `low` and `high`                       |

With `votes`, the raters' votes of a clip are in columns `votes_<name>`. Its label is the class with most votes; for a
tie it is all of them, such as `Happy;Sad`, which is not a class: such clips are trained on, but have no accuracy.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

CLASSES: tuple[str, ...] = ("Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")
"""The seven classes of AFEW, as AFEW spells them: those of a run that does not name others, and of shipped networks."""

PROBABILITY_FLOOR = 1e-9
"""Probabilities are raised to this value before their logarithm is taken."""

SETS: Mapping[str, tuple[str, ...]] = {
    "basic7": CLASSES,
    "ferplus8": ("Neutral", "Happy", "Surprise", "Sad", "Angry", "Disgust", "Fear", "Contempt"),
    "affectnet8": ("Neutral", "Happy", "Sad", "Surprise", "Fear", "Disgust", "Angry", "Contempt"),
    "iemocap4": ("Angry", "Happy", "Neutral", "Sad"),
    "iemocap6": ("Angry", "Excited", "Frustrated", "Happy", "Neutral", "Sad"),
    "mer6": ("Neutral", "Angry", "Happy", "Sad", "Worried", "Surprise"),
    "mafw11": (*CLASSES, "Contempt", "Anxiety", "Helplessness", "Disappointment"),
    "cremad6": ("Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad"),
}
"""Named lists of classes, in the order of the corpora after which they are named."""

Kind = Literal["single", "votes", "multi", "dimensions"]
SEPARATOR = ";"
"""Between the names, or the numbers, of a label."""
NOTHING = "(none)"
"""The label, and the answer, of a clip that shows none of the classes (`multi`)."""
PRESENT = 0.5
"""With `multi`, an answer names the classes with at least this probability."""
DIGITS = 6
"""Decimals of numbers in tables."""
VOTES = "votes_"
"""Before a class: the column with its votes."""


@dataclass(frozen=True)
class LabelSpace:
    """What clips are labelled with."""

    names: tuple[str, ...]
    """K classes, or dimensions such as valence and arousal, in the order of all arrays."""
    kind: Kind = "single"
    """single: one class for each clip. votes: shares of raters' votes. multi: any number of classes. dimensions:
    numbers."""
    low: float = -1.0
    """The smallest value of a dimension; not used by other kinds."""
    high: float = 1.0
    """The largest value of a dimension; not used by other kinds."""

    def __len__(self) -> int:
        return len(self.names)

    @property
    def has_one_class(self) -> bool:
        """Whether an answer is one class with probabilities that sum to 1 (`single` and `votes`)."""
        return self.kind in ("single", "votes")

    @property
    def columns(self) -> list[str]:
        """The K columns of tables of predictions that hold the numbers of an answer."""
        prefix = "y_" if self.kind == "dimensions" else "p_"
        return [f"{prefix}{name}" for name in self.names]

    @property
    def vote_columns(self) -> list[str]:
        """The K columns of a clip table with raters' votes."""
        return [f"{VOTES}{name}" for name in self.names]

    # -- labels as numbers -------------------------------------------------------------------------------------

    def targets(self, table: "pd.DataFrame") -> np.ndarray:
        """Return what models are to answer for the N clips of a clip table, (N, K) float64.

        single: 1 for the class, else 0. votes: shares of the votes; clips without votes have all of it in their class.
        multi: 1 for each class of the label. dimensions: the numbers. A row is NaN where the label is unknown.
        """
        found = np.array([self.vector(label) for label in table["label"]], float).reshape(len(table), len(self))
        if self.kind == "votes" and {*self.vote_columns} <= {*table.columns}:
            votes = table[self.vote_columns].replace("", "0").to_numpy(float)
            total = votes.sum(1)
            given = (total > 0) & (table["label"] != "").to_numpy()
            found[given] = votes[given] / total[given, None]
        return found

    def vector(self, label: str) -> np.ndarray:
        """Return a label as a vector (K,) float64, as in `targets`; a tie has equal shares. NaN if it is unknown."""
        if label == "":
            return np.full(len(self), np.nan)
        if self.kind == "dimensions":
            return np.array(label.split(SEPARATOR), float)
        given = () if label == NOTHING else label.split(SEPARATOR)
        found = np.array([float(name in given) for name in self.names])
        return found / found.sum() if self.has_one_class else found

    def label(self, vector: np.ndarray) -> str:
        """Return the label of a vector (K,): of votes, of ones and zeros, or of numbers."""
        if self.kind == "dimensions":
            return SEPARATOR.join(f"{value:.{DIGITS}g}" for value in vector)
        if self.has_one_class:
            return self.of_names(name for name, one in zip(self.names, vector == vector.max(), strict=True) if one)
        return self.of_names(name for name, p in zip(self.names, vector, strict=True) if p >= PRESENT)

    def of_names(self, names: Iterable[str]) -> str:
        """Return the label with some classes, in the order of the space."""
        given = {*names}
        return SEPARATOR.join(name for name in self.names if name in given) or NOTHING

    def answers(self, values: np.ndarray) -> list[str]:
        """Return the texts of N answers (N, K); of classes with equal probabilities, the first one counts."""
        if self.has_one_class:
            return [self.names[number] for number in values.argmax(1)] if len(values) else []
        return [self.label(row) for row in values]

    # -- as plain data -----------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return the space as plain data, for recipes and bundles."""
        found: dict[str, Any] = {"kind": self.kind, "names": list(self.names)}
        return {**found, "range": [self.low, self.high]} if self.kind == "dimensions" else found

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the space that `to_dict` was called on."""
        return cls(tuple(data["names"]), data["kind"], *map(float, data.get("range", (-1.0, 1.0))))


BASIC7 = LabelSpace(CLASSES)
"""The label space of a run that does not name another."""


def of_recipe(recipe: Mapping[str, Any]) -> LabelSpace:
    """Return the label space of a job: recipes name it unless it is BASIC7."""
    return LabelSpace.from_dict(recipe["labels"]) if "labels" in recipe else BASIC7


def in_recipe(space: LabelSpace) -> dict[str, Any]:
    """Return what a recipe holds about a label space: nothing for BASIC7."""
    return {} if space == BASIC7 else {"labels": space.to_dict()}


def shared(classes: Sequence[str], space: LabelSpace) -> list[str]:
    """Return the classes of a network that a label space has, too, in the order of the space."""
    return [name for name in space.names if name in classes] if space.kind != "dimensions" else []
