"""The table of results: a row a model and split, with how sure each figure is."""

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
    """A model or an ensemble, as a reader of tables meets it."""

    name: str
    predictions: pd.DataFrame
    oof: pd.DataFrame
    """Out-of-fold predictions of the clips learned from."""
    seeds: pd.DataFrame
    """Each seed's predictions, in a column `seed`."""
    combines: bool = False
    """Whether it is an ensemble."""
    note: str = ""
    """What a reader has to know."""
    selected_on: str = ""
    """The reported split, where that chose anything."""
    paper: str = ""
    """The paper's figure."""

    def on(self, split: str) -> pd.DataFrame:
        """The labelled predictions of a split."""
        return self.predictions[(self.predictions["split"] == split) & (self.predictions["label"] != "")]

    def right(self, split: str) -> np.ndarray:
        """(N,) bool."""
        part = self.on(split)
        return (part["label"] == part["pred"]).to_numpy()

    def seeds_right(self, split: str) -> dict[int, float]:
        """Seed -> its accuracy."""
        part = self.seeds[(self.seeds["split"] == split) & (self.seeds["label"] != "")]
        return (part["pred"] == part["label"]).groupby(part["seed"]).mean().to_dict()


@dataclass(frozen=True)
class Results:
    """All models of a run."""

    models: Mapping[str, Model]
    subjects: Mapping[str, str]
    """Clip -> subject, empty where unknown."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Model -> why it was not run, and what would help."""

    @property
    def splits(self) -> list[str]:
        """The splits that have labels."""
        tables = [model.predictions for model in self.models.values()]
        return sorted({s for t in tables for s in t.loc[t["label"] != "", "split"]})

    def groups(self, split: str) -> tuple[np.ndarray, str]:
        """What a bootstrap of this split draws, and its name."""
        clips = next(iter(self.models.values())).on(split)["clip"]
        return statistics.groups_of(clips.to_numpy(), np.array([self.subjects.get(clip, "") for clip in clips]))

    def best(self, split: str, *prefixes: str) -> str | None:
        """The most accurate model on a split whose name begins so, ensembles left out."""
        names = [name for name, model in self.models.items() if not model.combines and name.startswith(prefixes)]
        return max(names, key=lambda name: self.models[name].right(split).mean(), default=None)


def table(results: Results) -> pd.DataFrame:
    """A row a model and split; a model that was not run has a row that says why."""
    rows = [_row(results, model, split) for split in results.splits for model in results.models.values()]
    if not rows:  # nothing but the clips learned from is labelled
        rows = [{"model": m.name, "oof_accuracy": _right(m.oof), "note": m.note} for m in results.models.values()]
    rows += [{"model": name, "note": reason} for name, reason in results.missing.items()]
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(results: Results, model: Model, split: str) -> dict[str, object]:
    part, right, seeds = model.on(split), model.right(split), list(model.seeds_right(split).values())
    scores = score(part, model.name).iloc[0]
    groups, drawn = results.groups(split)
    low, high = statistics.interval(right.astype(float), groups)
    best = results.best(split, "")
    return {
        "model": model.name,
        "split": split,
        "right": int(right.sum()),
        **{name: scores[name] for name in ("n", "accuracy", "uar", "macro_f1", "coverage", "accuracy_covered")},
        "low": low,
        "high": high,
        "drawn": drawn,
        "seeds": len(seeds),
        "seeds_mean": np.mean(seeds) if seeds else np.nan,
        "seeds_sd": np.std(seeds, ddof=1) if len(seeds) > 1 else np.nan,
        "ece": statistics.calibration_error(part[PROBABILITIES].to_numpy().max(1), right),
        "oof_accuracy": _right(model.oof),
        "best_single": best,
        "mcnemar_p": np.nan if best == model.name else statistics.mcnemar(right, results.models[best].right(split)),
        "selected_on": model.selected_on if split == model.selected_on else "",
        "paper": model.paper if split == "val" and len(part) == paper.CLIPS else "",
        "note": model.note,
    }


def _right(predictions: pd.DataFrame) -> float:
    return (predictions["pred"] == predictions["label"]).mean()
