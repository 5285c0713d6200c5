"""Fitted combinations of members: plain numbers and how they are applied, so that a file can hold them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from emopipe.scoring.pooling import Mean, MemberPredictions, weighted_mean

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

Combine = Callable[[MemberPredictions], np.ndarray]
"""Members' predictions -> the ensemble's probabilities (N, K)."""


@dataclass(frozen=True)
class WeightedMean:
    """A weighted mean of the members' probabilities."""

    weights: np.ndarray
    """(M,)"""
    mean: Mean = "arithmetic"

    def __call__(self, predicted: MemberPredictions) -> np.ndarray:
        """Return probabilities (N, K)."""
        return weighted_mean(predicted, self.weights, self.mean)

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain data."""
        return {"mean": self.mean, "weights": self.weights.tolist()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return what `to_dict` was called on."""
        return cls(np.array(data["weights"], float), data["mean"])


@dataclass(frozen=True)
class Stacking:
    """Multinomial logistic regression on the members' log-probabilities; a class without any clip gets no probability.

    Tables of coefficients have one row for each class, or one row alone if there are two classes.
    """

    regression: "LogisticRegression"

    def __call__(self, predicted: MemberPredictions) -> np.ndarray:
        """Return probabilities (N, K)."""
        p = np.zeros(predicted.probs.shape[1:])
        if p.size:
            p[:, self.regression.classes_] = self.regression.predict_proba(stacking_inputs(predicted))
        return p

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain data."""
        names = ("classes_", "coef_", "intercept_")
        return {name.rstrip("_"): getattr(self.regression, name).tolist() for name in names}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return what `to_dict` was called on."""
        from sklearn.linear_model import LogisticRegression  # slow to import, and few need it

        regression = LogisticRegression()
        regression.classes_ = np.array(data["classes"], int)
        regression.coef_, regression.intercept_ = (np.array(data[name], float) for name in ("coef", "intercept"))
        regression.n_features_in_ = regression.coef_.shape[1]
        return cls(regression)


def stacking_inputs(members: MemberPredictions) -> np.ndarray:
    """Return centered log probabilities (N, M K); zeros where a member does not cover the clip."""
    logits = np.log(members.probs.clip(1e-4))
    logits = (logits - logits.mean(-1, keepdims=True)) * members.covered[..., None]
    return logits.transpose(1, 0, 2).reshape(members.probs.shape[1], -1)


def from_dict(data: Mapping[str, Any]) -> WeightedMean | Stacking:
    """Return the combination that a `to_dict` wrote."""
    return (WeightedMean if "mean" in data else Stacking).from_dict(data)
