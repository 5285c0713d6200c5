"""The table of results: one row for each model and split, with confidence intervals."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from emopipe.corpora.groups import groups_of_clips
from emopipe.fusion.checks import BASELINES
from emopipe.report import paper, unseen
from emopipe.scoring.calibration import calibration_error
from emopipe.scoring.metrics import score
from emopipe.scoring.paired_tests import holm, paired_test
from emopipe.scoring.predictions import PROBABILITIES
from emopipe.scoring.scores import score_intervals

COLUMNS = [
    "model", "split", "right", "n", "accuracy", "low", "high", "uar", "uar_low", "uar_high", "macro_f1",
    "macro_f1_low", "macro_f1_high", "waf", "drawn", "groups", "interval", "seeds", "seeds_mean", "seeds_sd",
    "coverage", "accuracy_covered", "ece", "oof_accuracy", "best_single", "p", "test", "p_holm", "selected_on",
    "paper", "note", *unseen.COLUMNS,
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
    met: frozenset[str] = frozenset()
    """Clips that its weights were trained on before the run, themselves or other clips of their people."""

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
    clips: pd.DataFrame | None = None
    """The clip table, which says what clips share; None: only `subjects` are known."""
    _groups: dict[str, tuple[np.ndarray, str]] = field(default_factory=dict, init=False)

    @property
    def splits(self) -> list[str]:
        """The splits that have labels."""
        tables = [model.predictions for model in self.models.values()]
        return sorted({s for t in tables for s in t.loc[t["label"] != "", "split"]})

    def groups(self, split: str) -> tuple[np.ndarray, str]:
        """Return the groups of a split's clips, (N,), and what they are (see `groups_of_clips`)."""
        if split not in self._groups:
            clips = next(iter(self.models.values())).on(split)["clip"]
            subject = [self.subjects.get(clip, "") for clip in clips]
            known = pd.DataFrame({"clip": clips.to_numpy(), "subject": subject})
            if self.clips is not None:
                known = self.clips.set_index("clip", drop=False).loc[clips].reset_index(drop=True)
            self._groups[split] = groups_of_clips(known)
        return self._groups[split]

    def best_out_of_fold(self, *prefixes: str) -> str | None:
        """Return the model whose name has one of the prefixes with the best out-of-fold accuracy.

        Ensembles and baselines are not among them: models are compared with those, too.
        """
        own = [name for name in self._single(prefixes) if name not in BASELINES]
        return max(own, key=lambda name: self.models[name].oof_accuracy, default=None)

    def best_in_hindsight(self, split: str) -> str | None:
        """Return the model that is most accurate on a reported split; no ensemble."""
        return max(self._single(("",)), key=lambda name: self.models[name].correct(split).mean(), default=None)

    def _single(self, prefixes: tuple[str, ...]) -> list[str]:
        return [name for name, model in self.models.items() if not model.combines and name.startswith(prefixes)]


def table(results: Results) -> pd.DataFrame:
    """Return the table of results. A model that was not run has a row with the reason."""
    rows = [_row(results, model, split) for split in results.splits for model in results.models.values()]
    if not rows:  # only clips that models were trained on have labels
        rows = [{"model": m.name, "oof_accuracy": m.oof_accuracy, "note": m.note} for m in results.models.values()]
    rows += [{"model": name, "note": reason} for name, reason in results.missing.items()]
    made = pd.DataFrame(rows, columns=COLUMNS)
    return made.assign(p_holm=holm(made["p"].astype(float)))


def _row(results: Results, model: Model, split: str) -> dict[str, object]:
    # 1. The scores, and their intervals over groups.
    part, correct, seeds = model.on(split), model.correct(split), list(model.accuracy_by_seed(split).values())
    scores = score(part, model.name).iloc[0]
    groups, drawn = results.groups(split)
    found = score_intervals(part["label"], part["pred"], groups)
    bounds = {
        f"{name}{bound}": getattr(found, bound)[number]
        for number, name in enumerate(("accuracy_", "uar_", "macro_f1_"))
        for bound in ("low", "high")
    }
    # 2. The test against the single model that is best out of fold.
    best = results.best_out_of_fold("")
    other = results.models[best].correct(split) if best else correct
    p, test = (np.nan, "") if best in (None, model.name) else paired_test(correct, other, groups, drawn)
    return {
        "model": model.name,
        "split": split,
        "right": int(correct.sum()),
        **{name: scores[name] for name in ("n", "accuracy", "uar", "macro_f1", "waf", "coverage", "accuracy_covered")},
        **{name.removeprefix("accuracy_"): bound for name, bound in bounds.items()},
        "drawn": drawn,
        "groups": found.groups,
        "interval": found.method,
        "seeds": len(seeds),
        "seeds_mean": np.mean(seeds) if seeds else np.nan,
        "seeds_sd": np.std(seeds, ddof=1) if len(seeds) > 1 else np.nan,
        "ece": calibration_error(part[PROBABILITIES].to_numpy().max(1), correct),
        "oof_accuracy": model.oof_accuracy,
        "best_single": best,
        "p": p,
        "test": test,
        "selected_on": model.selected_on if split == model.selected_on else "",
        "paper": model.paper if split == "val" and len(part) == paper.CLIPS else "",
        "note": model.note,
        **unseen.scores(part, model.met, groups),
    }
