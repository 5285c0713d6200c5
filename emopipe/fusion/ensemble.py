"""An ensemble of models: fitted on their out-of-fold predictions, it combines what they predict for any clips."""

import numpy as np
import pandas as pd

from emopipe.core.labels import BASIC7, LabelSpace
from emopipe.fusion.combination import Calibrated, Ensemble, at_temperature, calibrated, read_members
from emopipe.fusion.options import EnsembleOptions
from emopipe.fusion.protocol import KFOLD
from emopipe.scoring import ensembling, predictions
from emopipe.scoring.greedy import Selection
from emopipe.scoring.losses import losses
from emopipe.scoring.measures import primary
from emopipe.scoring.metrics import log_losses
from emopipe.scoring.primary import score_of


class FittedEnsemble:
    """One combination of models, fitted on the members' out-of-fold predictions.

    It works on the C classes that a training clip shows, and gives the other ones the probability zero. Where an answer
    is not one class, it works on all classes or dimensions.
    """

    def __init__(self, options: EnsembleOptions, oof_tables: list[pd.DataFrame], space: LabelSpace = BASIC7) -> None:
        """Fit by the options on the out-of-fold predictions of each member, whose tables have the same clips."""
        self._options, self._space = options, space
        self._classes, self._targets = _targets(oof_tables[0], space)
        self._members = read_members(oof_tables, self._classes, space)
        fold = oof_tables[0]["fold"].to_numpy()
        self._fold_of = dict(zip(oof_tables[0]["clip"], fold, strict=True))
        # 1. for the clips of each fold: fitted on the other folds
        self._combine_for: dict[int, Calibrated] = {}
        oof_probs = np.zeros(self._members.probs.shape[1:])
        for number in np.unique(fold):
            here, others = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
            self._combine_for[number], _ = self._fit(others if len(others) else here)
            oof_probs[here] = self._combine_for[number](self._members.select(here))
        # 2. for all other clips: fitted on all training clips
        combination, self._weights = self._fit(np.arange(len(fold)))
        # 3. temperatures of the ensemble, fitted on the same clips
        self.for_new_clips = Ensemble(self._classes, combination, self._fit_temperature(oof_probs, self._targets))
        """The ensemble as it predicts clips that are not among the training clips."""
        self._t_for = {
            number: self._fit_temperature(oof_probs[fold != number], self._targets[fold != number])
            for number in self._combine_for
        }

    def predict(self, tables: list[pd.DataFrame]) -> pd.DataFrame:
        """Return the ensemble's predictions for its members' predictions.

        The prediction of a training clip comes from the combination that is fitted without the clip's fold.
        """
        members, first = self.for_new_clips.read(tables), tables[0]
        p = self.for_new_clips.probabilities(members)
        is_train = (first["split"] == KFOLD) | ("fold" in first)
        fold = np.array(
            [self._fold_of[c] if train else -1 for c, train in zip(first["clip"], is_train, strict=True)], int
        )
        for number, combine in self._combine_for.items():
            rows = np.flatnonzero(fold == number)
            p[rows] = at_temperature(combine(members.select(rows)), self._t_for[number], self._space)
        made = predictions.table(first, self.for_new_clips.spread(p), members.covered.any(0), self._space)
        return made.assign(fold=fold) if "fold" in first else made

    def predict_by_seed(self, tables: list[pd.DataFrame]) -> pd.DataFrame:
        """Return the predictions for each seed that all members have, from the members' networks of that seed."""
        seeds = sorted(set.intersection(*(set(table["seed"]) for table in tables)))
        parts = [self.predict([table[table["seed"] == seed] for table in tables]).assign(seed=seed) for seed in seeds]
        return pd.concat(parts, ignore_index=True) if parts else tables[0].iloc[:0]

    def weights(self, members: list[str]) -> list[dict[str, object]]:
        """Return a row for each member, selected or not, and one for the ensemble, as fitted on all training clips."""
        rows = [
            {
                "member": member,
                "weight": self._weights.get(number, 0.0),
                "temperature": self.for_new_clips.combination.temperatures.get(number, 1.0),
                f"oof_{primary(self._space).key}": score_of(self._members.probs[number], self._targets, self._space),
                "oof_loss": self._losses(self._members.probs[number]).mean(),
            }
            for number, member in enumerate(members)
        ]
        return [*rows, {"member": "(ensemble)", "temperature": self.for_new_clips.temperature}]

    def _losses(self, p: np.ndarray) -> np.ndarray:
        if self._space.kind == "single":
            return log_losses(p, self._targets)
        return losses(p, self._targets, self._space)

    def _fit(self, rows: np.ndarray) -> tuple[Calibrated, dict[int, float]]:
        """Fit on some of the training clips; return the combination, and the weights of the selected members."""
        members, targets = self._members.select(rows), self._targets[rows]
        selected = ensembling.best_members(members, targets, self._options.top, self._space)
        temperatures = {number: self._fit_temperature(members.probs[number], targets) for number in selected}
        options = self._options
        selection = Selection(options.bags, options.sorted_start, options.seed)
        given = calibrated(members, temperatures, self._space)
        combine, weights = ensembling.fit(options.method, given, targets, options.mean, selection, self._space)
        return Calibrated(temperatures, combine, self._space), dict(zip(selected, weights, strict=True))

    def _fit_temperature(self, p: np.ndarray, targets: np.ndarray) -> float:
        return ensembling.fit_temperature(p, targets) if self._options.calibrate else 1.0


def _targets(table: pd.DataFrame, space: LabelSpace) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers (C,) of the classes to work on, and the targets: class numbers (N,) of these, or (N, C)."""
    if space.kind == "single":
        classes, targets = np.unique(table["label"].map(space.names.index), return_inverse=True)
        return classes, targets
    targets = space.targets(table)
    classes = np.flatnonzero(targets.any(0)) if space.has_one_class else np.arange(len(space))
    return classes, targets[:, classes]
