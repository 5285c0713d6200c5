"""The table of results: one row for each model and split, with confidence intervals."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from emopipe.core.labels import BASIC7, LabelSpace
from emopipe.corpora.groups import groups_of_clips
from emopipe.fusion.checks import BASELINES
from emopipe.report import paper, unseen
from emopipe.scoring.calibration import calibration_error
from emopipe.scoring.intervals import Intervals
from emopipe.scoring.measures import measures, primary
from emopipe.scoring.metrics import OF_VOTES, score, scored
from emopipe.scoring.paired_tests import holm
from emopipe.scoring.primary import primary_intervals, primary_test, primary_value

ONE_CLASS = [
    "accuracy", "low", "high", "uar", "uar_low", "uar_high", "macro_f1", "macro_f1_low", "macro_f1_high", "waf",
]  # fmt: skip
"""Columns with scores, where an answer is one class."""


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
    space: LabelSpace = BASIC7
    """The label space."""

    def on(self, split: str) -> pd.DataFrame:
        """Return the predictions of a split's clips that are scored; of votes, those whose label is one class."""
        return scored(self.predictions[self.predictions["split"] == split], self.space)

    def correct(self, split: str) -> np.ndarray:
        """Return whether the answer for each scored clip of a split is its label, (N,) bool."""
        part = self.on(split)
        return (part["label"] == part["pred"]).to_numpy()

    def score(self, split: str) -> float:
        """Return the primary score on a split."""
        return primary_value(self.on(split), self.space)

    def score_by_seed(self, split: str) -> dict[int, float]:
        """Return the primary score on a split of each seed: seed -> score."""
        part = scored(self.seeds[self.seeds["split"] == split], self.space)
        return {seed: primary_value(rows, self.space) for seed, rows in part.groupby("seed")}

    @property
    def oof_score(self) -> float:
        """The primary score of the out-of-fold predictions."""
        return primary_value(scored(self.oof, self.space), self.space)


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
    space: LabelSpace = BASIC7
    """The label space."""
    _groups: dict[str, tuple[np.ndarray, str]] = field(default_factory=dict, init=False)

    @property
    def splits(self) -> list[str]:
        """The splits with clips that are scored."""
        return sorted({s for model in self.models.values() for s in scored(model.predictions, self.space)["split"]})

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
        """Return the model whose name has one of the prefixes with the best primary score out of fold.

        Ensembles and baselines are not among them: models are compared with those, too.
        """
        own = [name for name in self._single(prefixes) if name not in BASELINES]
        return max(own, key=lambda name: self.models[name].oof_score, default=None)

    def best_in_hindsight(self, split: str) -> str | None:
        """Return the model with the best primary score on a reported split; no ensemble."""
        return max(self._single(("",)), key=lambda name: self.models[name].score(split), default=None)

    def _single(self, prefixes: tuple[str, ...]) -> list[str]:
        return [name for name, model in self.models.items() if not model.combines and name.startswith(prefixes)]


def columns(space: LabelSpace) -> list[str]:
    """Return the columns of the table of results: those of the measures, and what is said of each row.

    The bounds `low` and `high` are of the primary score. `right` is empty unless an answer is one class.
    """
    first, *others = [measure.key for measure in measures(space)]
    of_classes = [*ONE_CLASS, *(OF_VOTES if space.kind == "votes" else [])]
    return [
        "model", "split", "right", "n", *(of_classes if space.has_one_class else [first, "low", "high", *others]),
        "drawn", "groups", "interval", "seeds", "seeds_mean", "seeds_sd", "coverage",
        *(["accuracy_covered"] if space.has_one_class else []), "ece", f"oof_{first}", "best_single", "p", "test",
        "p_holm", "selected_on", "paper", "note", *unseen.columns(space),
    ]  # fmt: skip


COLUMNS = columns(BASIC7)


def table(results: Results) -> pd.DataFrame:
    """Return the table of results. A model that was not run has a row with the reason."""
    out_of_fold = f"oof_{primary(results.space).key}"
    rows = [_row(results, model, split) for split in results.splits for model in results.models.values()]
    if not rows:  # only clips that models were trained on have labels
        rows = [{"model": m.name, out_of_fold: m.oof_score, "note": m.note} for m in results.models.values()]
    rows += [{"model": name, "note": reason} for name, reason in results.missing.items()]
    made = pd.DataFrame(rows, columns=columns(results.space))
    return made.assign(p_holm=holm(made["p"].astype(float)))


def _row(results: Results, model: Model, split: str) -> dict[str, object]:
    # 1. The scores, and their intervals over groups.
    space, part, seeds = results.space, model.on(split), list(model.score_by_seed(split).values())
    labelled = model.predictions[model.predictions["split"] == split]  # a loss on votes is over ties, too
    scores = score(labelled, model.name, space).iloc[0].drop(["model", "split", "n_covered"])
    groups, drawn = results.groups(split)
    found = primary_intervals(part, space, groups)
    # 2. The test against the single model that is best out of fold.
    best = results.best_out_of_fold("")
    other = results.models[best].on(split) if best else part
    p, test = (np.nan, "") if best in (None, model.name) else primary_test(part, other, space, groups, drawn)
    return {
        "model": model.name,
        "split": split,
        **scores,
        **_bounds(found, space),
        **(_of_one_class(part, space) if space.has_one_class else {}),
        "drawn": drawn,
        "groups": found.groups,
        "interval": found.method,
        "seeds": len(seeds),
        "seeds_mean": np.mean(seeds) if seeds else np.nan,
        "seeds_sd": np.std(seeds, ddof=1) if len(seeds) > 1 else np.nan,
        f"oof_{primary(space).key}": model.oof_score,
        "best_single": best,
        "p": p,
        "test": test,
        "selected_on": model.selected_on if split == model.selected_on else "",
        "paper": model.paper if split == "val" and len(part) == paper.CLIPS else "",
        "note": model.note,
        **unseen.scores(part, model.met, groups, space),
    }


def _bounds(found: Intervals, space: LabelSpace) -> dict[str, float]:
    """Return the bounds of the scores that have some: of the primary one, and of UAR and macro F1."""
    names = ("", "uar_", "macro_f1_") if space.has_one_class else ("",)
    return {
        f"{name}{bound}": getattr(found, bound)[number]
        for number, name in enumerate(names)
        for bound in ("low", "high")
    }


def _of_one_class(part: pd.DataFrame, space: LabelSpace) -> dict[str, float]:
    correct = (part["label"] == part["pred"]).to_numpy()
    return {"right": int(correct.sum()), "ece": calibration_error(part[space.columns].to_numpy().max(1), correct)}
