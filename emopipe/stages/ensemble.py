"""Stage ensemble: predictions of models -> what their combinations predict, and with which weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emopipe.core.atomic import write_text
from emopipe.core.errors import CacheError
from emopipe.core.labels import CLASSES
from emopipe.fusion.options import EnsembleOptions
from emopipe.fusion.protocol import KFOLD
from emopipe.scoring import ensembling, predictions
from emopipe.scoring.ensembling import Votes

COLUMNS = ["ensemble", "method", "member", "weight", "temperature", "oof_accuracy", "oof_loss"]


def run(
    recipe: Mapping[str, Any],
    predicted: Mapping[str, Path],
    out_of_fold: Mapping[str, Path],
    seeds: Mapping[str, Path],
    outputs: Mapping[str, Path],
    oof_outputs: Mapping[str, Path],
    seeds_outputs: Mapping[str, Path],
    weights: Path,
) -> None:
    """Combine models in every way that the config asks for.

    Args:
        recipe: `Plan.ensemble`.
        predicted: Model -> its predictions, all of the same clips.
        out_of_fold: Model -> its out-of-fold predictions of the clips learned from.
        seeds: Model -> what each of its seeds predicts of the same clips.
        outputs: Ensemble -> its predictions to make.
        oof_outputs: Ensemble -> its out-of-fold predictions to make: each fold by what was fitted on the others.
        seeds_outputs: Ensemble -> what it predicts from the members' networks of one seed, for each that all have.
        weights: The table to make of members' weights and temperatures.

    Raises:
        CacheError: The members predict different clips.
    """
    asked, learned, by_seed = (
        {model: predictions.read(path) for model, path in paths.items()} for paths in (predicted, out_of_fold, seeds)
    )
    for tables in (asked, learned):
        _same_clips(tables)
    rows = []
    for name, options in recipe["ensembles"].items():
        block = EnsembleOptions.model_validate(options)
        members = [model for model in predicted if block.members is None or model in block.members]
        ensemble = _Ensemble(block, [learned[m] for m in members])
        predictions.write(ensemble.answers([asked[m] for m in members]), outputs[name])
        predictions.write(ensemble.answers([learned[m] for m in members]), oof_outputs[name])
        predictions.write(ensemble.by_seed([by_seed[m] for m in members]), seeds_outputs[name])
        rows += [{"ensemble": name, "method": block.method, **row} for row in ensemble.weights(members)]
    write_text(weights, pd.DataFrame(rows, columns=COLUMNS).to_csv(index=False, float_format="%.6f"))


class _Ensemble:
    """One way to combine, fitted on what its members predict out of fold."""

    def __init__(self, options: EnsembleOptions, learned: list[pd.DataFrame]) -> None:
        self._options, self._votes = options, _votes(learned)
        self._targets = learned[0]["label"].map(CLASSES.index).to_numpy()
        fold = learned[0]["fold"].to_numpy()
        self._fold_of = dict(zip(learned[0]["clip"], fold, strict=True))
        # 1. for each fold, what is fitted on the others
        self._without: dict[int, ensembling.Combine] = {}
        crossed = np.zeros(self._votes.p.shape[1:])
        for number in np.unique(fold):
            here, others = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
            self._without[number] = self._fitted(others if len(others) else here)
            crossed[here] = self._without[number](self._votes.at(here))
        # 2. for other clips, what is fitted on all; it comes last, since weights are told of it
        self._whole = self._fitted(np.arange(len(fold)))
        # 3. the answers' temperatures
        self._t = self._temperature(crossed, np.ones(len(fold), bool))
        self._t_without = {number: self._temperature(crossed, fold != number) for number in self._without}

    def answers(self, tables: list[pd.DataFrame]) -> pd.DataFrame:
        """The ensemble's predictions from its members'; clips learned from are answered without their fold."""
        votes, first = _votes(tables), tables[0]
        p = ensembling.tempered(self._whole(votes), self._t)
        learned = (first["split"] == KFOLD) | ("fold" in first)
        fold = np.array([self._fold_of[c] if here else -1 for c, here in zip(first["clip"], learned, strict=True)], int)
        for number, combine in self._without.items():
            rows = np.flatnonzero(fold == number)
            p[rows] = ensembling.tempered(combine(votes.at(rows)), self._t_without[number])
        made = predictions.table(first, p, votes.covered.any(0))
        return made.assign(fold=fold) if "fold" in first else made

    def by_seed(self, tables: list[pd.DataFrame]) -> pd.DataFrame:
        """The same for each seed that all members have, from their networks of that seed."""
        seeds = sorted(set.intersection(*(set(table["seed"]) for table in tables)))
        parts = [self.answers([table[table["seed"] == seed] for table in tables]).assign(seed=seed) for seed in seeds]
        return pd.concat(parts, ignore_index=True) if parts else tables[0].iloc[:0]

    def weights(self, members: list[str]) -> list[dict[str, object]]:
        """A row a member, chosen or not, and one for the answer, as fitted on all clips learned from."""
        rows = [
            {
                "member": member,
                "weight": self._weight.get(number, 0.0),
                "temperature": self._temperatures.get(number, 1.0),
                "oof_accuracy": (self._votes.p[number].argmax(1) == self._targets).mean(),
                "oof_loss": ensembling.loss(self._votes.p[number], self._targets),
            }
            for number, member in enumerate(members)
        ]
        return [*rows, {"member": "(the answer)", "temperature": self._t}]

    def _fitted(self, rows: np.ndarray) -> ensembling.Combine:
        """The combination fitted on some of the clips learned from; remembers its weights."""
        targets, votes = self._targets[rows], self._votes.at(rows)
        chosen = ensembling.best_members(votes, targets, self._options.top)
        t = {number: self._fitted_temperature(votes.p[number], targets) for number in chosen}
        combine, weights = ensembling.fit(self._options.method, _calibrated(votes, t), targets)
        self._weight, self._temperatures = dict(zip(chosen, weights, strict=True)), t
        return lambda asked: combine(_calibrated(asked, t))

    def _temperature(self, crossed: np.ndarray, rows: np.ndarray) -> float:
        return self._fitted_temperature(crossed[rows], self._targets[rows])

    def _fitted_temperature(self, p: np.ndarray, targets: np.ndarray) -> float:
        return ensembling.temperature(p, targets) if self._options.calibrate else 1.0


def _calibrated(votes: Votes, temperatures: Mapping[int, float]) -> Votes:
    chosen = list(temperatures)
    p = [ensembling.tempered(votes.p[number], temperatures[number]) for number in chosen]
    return Votes(np.stack(p), votes.covered[chosen])


def _votes(tables: list[pd.DataFrame]) -> Votes:
    p = np.stack([table[predictions.PROBABILITIES].to_numpy(float) for table in tables])
    return Votes(p, np.stack([table["covered"].to_numpy(bool) for table in tables]))


def _same_clips(tables: Mapping[str, pd.DataFrame]) -> None:
    first = next(iter(tables), "")
    for model, table in tables.items():
        if not table["clip"].equals(tables[first]["clip"]):
            raise CacheError(
                f"The models {first} and {model} predict different clips; delete their predictions and run again."
            )
