"""Stage ensemble: predictions of models -> what their combinations predict, and with which weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emopipe import ensembling, predictions
from emopipe.ensembling import Votes
from emopipe.errors import CacheError
from emopipe.files import write_text
from emopipe.fusion.options import EnsembleOptions
from emopipe.fusion.protocol import KFOLD
from emopipe.labels import CLASSES

COLUMNS = ["ensemble", "method", "member", "weight", "temperature", "oof_accuracy", "oof_loss"]


def run(
    recipe: Mapping[str, Any],
    predicted: Mapping[str, Path],
    out_of_fold: Mapping[str, Path],
    outputs: Mapping[str, Path],
    oof_outputs: Mapping[str, Path],
    weights: Path,
) -> None:
    """Combine models in every way that the config asks for.

    Args:
        recipe: `Plan.ensemble`.
        predicted: Model -> its predictions, all of the same clips.
        out_of_fold: Model -> its out-of-fold predictions of the clips learned from.
        outputs: Ensemble -> its predictions to make.
        oof_outputs: Ensemble -> its out-of-fold predictions to make: each fold by what was fitted on the others.
        weights: The table to make of members' weights and temperatures.

    Raises:
        CacheError: The members predict different clips.
    """
    asked, learned = ({m: predictions.read(path) for m, path in paths.items()} for paths in (predicted, out_of_fold))
    for tables in (asked, learned):
        _same_clips(tables)
    rows = []
    for name, options in recipe["ensembles"].items():
        block = EnsembleOptions.model_validate(options)
        members = [model for model in predicted if block.members is None or model in block.members]
        ensemble = _Ensemble(block, [learned[m] for m in members], [asked[m] for m in members])
        predictions.write(ensemble.asked, outputs[name])
        predictions.write(ensemble.learned, oof_outputs[name])
        rows += [{"ensemble": name, "method": block.method, **row} for row in ensemble.weights(members)]
    write_text(weights, pd.DataFrame(rows, columns=COLUMNS).to_csv(index=False, float_format="%.6f"))


class _Ensemble:
    """One way to combine, fitted and applied."""

    def __init__(self, options: EnsembleOptions, learned: list[pd.DataFrame], asked: list[pd.DataFrame]) -> None:
        self._options, table = options, learned[0]
        self._without: dict[int, float] = {}
        self._targets = table["label"].map(CLASSES.index).to_numpy()
        self._votes, votes = _votes(learned), _votes(asked)
        everything = np.arange(len(table))
        fold = table["fold"].to_numpy()
        # 1. out of fold: what is fitted on the other folds, applied to each
        crossed = np.zeros(self._votes.p.shape[1:])
        for number in np.unique(fold):
            here, others = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
            crossed[here] = self._fitted(others if len(others) else everything)(self._votes.at(here))
        t = ensembling.temperature(crossed, self._targets) if options.calibrate else 1.0
        # 2. for the other clips: fitted on all
        answers = ensembling.tempered(self._fitted(everything)(votes), t)
        covered = votes.covered.any(0)
        # 3. cross-validated clips stand among the asked as well, where they are reported
        cross = (asked[0]["split"] == KFOLD).to_numpy()
        place = {clip: line for line, clip in enumerate(table["clip"])}
        for line in np.flatnonzero(cross):
            here = place[asked[0]["clip"].iat[line]]
            answers[line] = ensembling.tempered(crossed[here], self._temperature_without(fold, fold[here], crossed))
        self.learned = predictions.table(table, crossed, self._votes.covered.any(0)).assign(fold=fold)
        self.asked = predictions.table(asked[0], answers, covered)

    def weights(self, members: list[str]) -> list[dict[str, object]]:
        """A row a member, chosen or not, as fitted on all clips learned from."""
        return [
            {
                "member": member,
                "weight": self._weight.get(number, 0.0),
                "temperature": self._temperatures.get(number, 1.0),
                "oof_accuracy": (self._votes.p[number].argmax(1) == self._targets).mean(),
                "oof_loss": ensembling.loss(self._votes.p[number], self._targets),
            }
            for number, member in enumerate(members)
        ]

    def _fitted(self, rows: np.ndarray) -> ensembling.Combine:
        """The combination fitted on some of the clips learned from; remembers its weights."""
        targets, votes = self._targets[rows], self._votes.at(rows)
        chosen = ensembling.best_members(votes, targets, self._options.top)
        calibrate = self._options.calibrate
        t = {n: ensembling.temperature(votes.p[n], targets) if calibrate else 1.0 for n in chosen}
        combine, weights = ensembling.fit(self._options.method, _calibrated(votes, t), targets)
        self._weight, self._temperatures = dict(zip(chosen, weights, strict=True)), t
        return lambda asked: combine(_calibrated(asked, t))

    def _temperature_without(self, fold: np.ndarray, left_out: int, crossed: np.ndarray) -> float:
        if not self._options.calibrate:
            return 1.0
        if left_out not in self._without:
            others = fold != left_out
            self._without[left_out] = ensembling.temperature(crossed[others], self._targets[others])
        return self._without[left_out]


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
