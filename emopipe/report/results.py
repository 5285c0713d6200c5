"""The table of results: one row for each model and split, with confidence intervals."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from emopipe.report import paper
from emopipe.scoring import statistics
from emopipe.scoring.metrics import score
from emopipe.scoring.predictions import PROBABILITIES

COLUMNS = [
    "model", "split", "right", "n", "accuracy", "low", "high", "drawn", "uar", "macro_f1", "seeds", "seeds_mean",
    "seeds_sd", "coverage", "accuracy_covered", "ece", "oof_accuracy", "best_single", "mcnemar_p", "selected_on",
    "paper", "note",
]  # fmt: skip


@dataclass(frozen=True)
class Model:
    """The predictions of a model or an ensemble, and what the tables say about it."""

    name: str
    predictions: pd.DataFrame
    oof: pd.DataFrame
    """Out-of-fold predictions of the clips that it was trained on."""
    seeds: pd.DataFrame
    """The predictions of each seed; the seed is in a column `seed`."""
    combines: bool = False
    """Whether it is an ensemble."""
    note: str = ""
    """A note for the table."""
    selected_on: str = ""
    """The reported split, if that split was used to select the model; else empty."""
    paper: str = ""
    """The accuracy that the paper reports for this setting; else empty."""

    def on(self, split: str) -> pd.DataFrame:
        """Return the predictions of a split's labelled clips."""
        return self.predictions[(self.predictions["split"] == split) & (self.predictions["label"] != "")]

    def correct(self, split: str) -> np.ndarray:
        """Return whether each labelled clip of a split is predicted correctly, (N,) bool."""
        part = self.on(split)
        return (part["label"] == part["pred"]).to_numpy()

    def accuracy_by_seed(self, split: str) -> dict[int, float]:
        """Return the accuracy on a split of each seed: seed -> accuracy."""
        part = self.seeds[(self.seeds["split"] == split) & (self.seeds["label"] != "")]
        return (part["pred"] == part["label"]).groupby(part["seed"]).mean().to_dict()

    @property
    def oof_accuracy(self) -> float:
        """The accuracy of the out-of-fold predictions."""
        return (self.oof["pred"] == self.oof["label"]).mean()


@dataclass(frozen=True)
class Results:
    """All models and ensembles of a run."""

    models: Mapping[str, Model]
    subjects: Mapping[str, str]
    """Clip -> subject; empty if unknown."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Model that was not run -> why, and what to do about it."""

    @property
    def splits(self) -> list[str]:
        """The splits that have labels."""
        tables = [model.predictions for model in self.models.values()]
        return sorted({s for t in tables for s in t.loc[t["label"] != "", "split"]})

    def groups(self, split: str) -> tuple[np.ndarray, str]:
        """Return what a bootstrap of this split resamples, (N,), and its name: `subject` or `clip`."""
        clips = next(iter(self.models.values())).on(split)["clip"]
        return statistics.groups_of(clips.to_numpy(), np.array([self.subjects.get(clip, "") for clip in clips]))

    def best(self, split: str, *prefixes: str) -> str | None:
        """Return the most accurate model on a split whose name has one of the prefixes; ensembles are omitted."""
        names = [name for name, model in self.models.items() if not model.combines and name.startswith(prefixes)]
        return max(names, key=lambda name: self.models[name].correct(split).mean(), default=None)


def table(results: Results) -> pd.DataFrame:
    """Return the table of results. A model that was not run has a row with the reason."""
    rows = [_row(results, model, split) for split in results.splits for model in results.models.values()]
    if not rows:  # only clips that models were trained on have labels
        rows = [{"model": m.name, "oof_accuracy": m.oof_accuracy, "note": m.note} for m in results.models.values()]
    rows += [{"model": name, "note": reason} for name, reason in results.missing.items()]
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(results: Results, model: Model, split: str) -> dict[str, object]:
    part, correct, seeds = model.on(split), model.correct(split), list(model.accuracy_by_seed(split).values())
    scores = score(part, model.name).iloc[0]
    groups, drawn = results.groups(split)
    low, high = statistics.interval(correct.astype(float), groups)
    best = results.best(split, "")
    is_best = best == model.name
    return {
        "model": model.name,
        "split": split,
        "right": int(correct.sum()),
        **{name: scores[name] for name in ("n", "accuracy", "uar", "macro_f1", "coverage", "accuracy_covered")},
        "low": low,
        "high": high,
        "drawn": drawn,
        "seeds": len(seeds),
        "seeds_mean": np.mean(seeds) if seeds else np.nan,
        "seeds_sd": np.std(seeds, ddof=1) if len(seeds) > 1 else np.nan,
        "ece": statistics.calibration_error(part[PROBABILITIES].to_numpy().max(1), correct),
        "oof_accuracy": model.oof_accuracy,
        "best_single": best,
        "mcnemar_p": np.nan if is_best else statistics.mcnemar(correct, results.models[best].correct(split)),
        "selected_on": model.selected_on if split == model.selected_on else "",
        "paper": model.paper if split == "val" and len(part) == paper.CLIPS else "",
        "note": model.note,
    }
