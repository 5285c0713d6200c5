"""An ensemble that is fitted, for clips that it was not fitted on: plain numbers, and how they are applied."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from emopipe.core.labels import BASIC7, LabelSpace, in_recipe, of_recipe
from emopipe.scoring import combining, predictions
from emopipe.scoring.ensembling import apply_temperature
from emopipe.scoring.pooling import MemberPredictions


@dataclass(frozen=True)
class Calibrated:
    """Some of the members, each with its temperature, and what combines them."""

    temperatures: Mapping[int, float]
    """Number of a selected member, in ascending order -> its temperature."""
    combine: combining.WeightedMean | combining.Stacking
    """What combines the selected members."""
    space: LabelSpace = BASIC7
    """The label space; temperatures count only where an answer is one class."""

    @property
    def used(self) -> list[int]:
        """The numbers of the members that count, in ascending order."""
        if isinstance(self.combine, combining.Stacking):
            return list(self.temperatures)
        return [number for number, weight in zip(self.temperatures, self.combine.weights, strict=True) if weight]

    def __call__(self, members: MemberPredictions) -> np.ndarray:
        """Return probabilities, or values of dimensions, (N, C) of the predictions of all members."""
        return self.combine(calibrated(members, self.temperatures, self.space))


@dataclass(frozen=True)
class Ensemble:
    """An ensemble as fitted on all training clips.

    It works on the C classes that a training clip shows, and gives the other ones the probability zero. Where an answer
    is not one class, it works on all classes or dimensions.
    """

    classes: np.ndarray
    """(C,) numbers of classes, or of dimensions."""
    combination: Calibrated
    """What combines the members."""
    temperature: float
    """The temperature of the whole."""

    @property
    def space(self) -> LabelSpace:
        """The label space."""
        return self.combination.space

    def predict(self, tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
        """Return the ensemble's predictions for new clips from those of its members, in the order of the fit."""
        members = self.read(tables)
        answers = self.spread(self.probabilities(members))
        return predictions.table(tables[0], answers, members.covered.any(0), self.space)

    def read(self, tables: Sequence[pd.DataFrame]) -> MemberPredictions:
        """Return the members' probabilities, or values of dimensions, (M, N, C)."""
        return read_members(tables, self.classes, self.space)

    def probabilities(self, members: MemberPredictions) -> np.ndarray:
        """Return probabilities, or values of dimensions, (N, C)."""
        return at_temperature(self.combination(members), self.temperature, self.space)

    def spread(self, p: np.ndarray) -> np.ndarray:
        """Return probabilities (N, K) of all classes for those (N, C) of the classes that a training clip shows."""
        whole = np.zeros((len(p), len(self.space)))
        whole[:, self.classes] = p
        return whole

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain data; there is nothing of a single clip in them."""
        return {
            **in_recipe(self.space),
            "classes": [self.space.names[number] for number in self.classes],
            "temperature": self.temperature,
            "members": [{"number": number, "temperature": t} for number, t in self.combination.temperatures.items()],
            "combine": self.combination.combine.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return what `to_dict` was called on; numbers are the same to the last bit."""
        space = of_recipe(data)
        temperatures = {each["number"]: each["temperature"] for each in data["members"]}
        classes = np.array([space.names.index(name) for name in data["classes"]], int)
        combination = Calibrated(temperatures, combining.from_dict(data["combine"]), space)
        return cls(classes, combination, data["temperature"])


def at_temperature(p: np.ndarray, t: float, space: LabelSpace) -> np.ndarray:
    """Return probabilities (..., K) at a temperature; unchanged where an answer is not one class."""
    return apply_temperature(p, t) if space.has_one_class else p


def calibrated(
    members: MemberPredictions, temperatures: Mapping[int, float], space: LabelSpace = BASIC7
) -> MemberPredictions:
    """Return the predictions of the members that `temperatures` has, by number, at their temperatures."""
    p = [at_temperature(members.probs[number], t, space) for number, t in temperatures.items()]
    return MemberPredictions(np.stack(p), members.covered[list(temperatures)])


def read_members(tables: Sequence[pd.DataFrame], classes: np.ndarray, space: LabelSpace = BASIC7) -> MemberPredictions:
    """Return the members' probabilities, or values, (M, N, C) of some classes or dimensions (C,)."""
    columns = [space.columns[number] for number in classes]
    probs = np.stack([table[columns].to_numpy(float) for table in tables])
    return MemberPredictions(probs, np.stack([table["covered"].to_numpy(bool) for table in tables]))
