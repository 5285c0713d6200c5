"""One model by its options: its candidates, its folds and seeds, and what they predict."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from emopipe.errors import CorpusError
from emopipe.fusion.batches import Data
from emopipe.fusion.options import FusionOptions, candidates
from emopipe.fusion.protocol import Roles, stopping
from emopipe.fusion.training import Member, Trained, predict, train
from emopipe.labels import CLASSES

WHOLE = -1
"""Stands for a fold where nothing is left out."""


@dataclass(frozen=True)
class Outcome:
    """What a model came to."""

    networks: dict[str, Trained]
    """`seed0` and so on: learned from all clips; `seed0.fold1` and so on, of a cross-validation: without a fold."""
    out_of_fold: np.ndarray
    """(S, L, K) float64 probabilities of the clips learned from, by the networks that left out their fold."""
    asked: np.ndarray
    """(S, A, K) float64 probabilities of the other clips."""
    candidates: pd.DataFrame
    """A row a candidate and seed: options, out-of-fold loss and accuracy, epochs, whether it was chosen."""


def model(
    data: Data, table: pd.DataFrame, roles: Roles, options: FusionOptions, progress: Callable[[int], None]
) -> Outcome:
    """Train all that a model takes: every candidate, seed and fold, in batched programs.

    Among candidates, the one with the least out-of-fold loss is the model; where the out-of-fold predictions are
    themselves what is reported, each fold's clips are predicted by the candidate that is best on the other folds.
    """
    tried = candidates(options)
    plan = _Plan(data, table, roles, options)
    folds = [*range(roles.folds)]
    left_out = {(c, f, s): plan.member(o, f, s) for c, o in enumerate(tried) for f in folds for s in options.seeds}
    networks = dict(zip(left_out, train(data, list(left_out.values()), progress), strict=True))
    held = {f: roles.learn[roles.fold == f] for f in folds}
    found = dict(zip(networks, predict(data, list(networks.values()), [held[f] for _, f, _ in networks]), strict=True))
    every = _gather(found, len(tried), roles, options)  # (C, S, L, K)
    targets = data.targets[roles.learn].cpu().numpy()
    losses = _losses(every.mean(1), targets)  # (C, L)
    chosen = _chosen(losses, roles)  # fold -> candidate; WHOLE -> candidate
    out_of_fold = np.stack([every[chosen[f], :, line] for line, f in enumerate(_reported(roles))], 1)  # (S, L, K)
    whole = {s: plan.member(tried[chosen[WHOLE]], WHOLE, s) for s in options.seeds} if len(roles.asked) else {}
    trained = dict(zip(whole, train(data, list(whole.values()), progress), strict=True))
    asked = predict(data, list(trained.values()), [roles.asked] * len(trained))
    kept = {f"seed{s}": network for s, network in trained.items()}
    if roles.cross_validated:
        kept |= {f"seed{s}.fold{f}": networks[chosen[f], f, s] for f in folds for s in options.seeds}
    shape = (len(options.seeds), len(roles.asked), len(CLASSES))
    summary = _summary(tried, every, targets, networks, chosen[WHOLE], options)
    return Outcome(kept, out_of_fold, np.stack(asked) if asked else np.empty(shape), summary)


def count(roles: Roles, options: FusionOptions) -> int:
    """How many networks `model` trains."""
    return len(options.seeds) * (len(candidates(options)) * roles.folds + bool(len(roles.asked)))


class _Plan:
    """What each network learns from."""

    def __init__(self, data: Data, table: pd.DataFrame, roles: Roles, options: FusionOptions) -> None:
        self._table, self._roles, self._options = table, roles, options
        self._present = data.present.cpu().numpy()
        self._learnable = {fold: self._cut(fold) for fold in (WHOLE, *range(roles.folds))}
        self._steps = max(1, len(roles.learn) // options.batch)

    def member(self, options: FusionOptions, fold: int, seed: int) -> Member:
        """A network that leaves out a fold; a clip without any stream teaches nothing."""
        learn, stop = self._learnable[fold]
        return Member(options, seed, learn, stop, self._steps)

    def _cut(self, fold: int) -> tuple[np.ndarray, np.ndarray]:
        learn = self._roles.learn[self._roles.fold != fold]
        learn = learn[self._present[learn]]
        early = self._options.early_stopping
        if early is None or len(learn) < 2:
            return learn, learn[:0]
        if early.on == "val" and fold == WHOLE:
            stop = np.flatnonzero((self._table["split"] == "val") & (self._table["label"] != "") & self._present)
            if not len(stop):
                raise CorpusError("early_stopping.on is val, but no val clip has a label and vectors; use on: inner.")
            return learn, stop
        return stopping(self._table, learn, early, seed=0)


def _gather(
    found: dict[tuple[int, int, int], np.ndarray], tried: int, roles: Roles, options: FusionOptions
) -> np.ndarray:
    """Out-of-fold probabilities (C, S, L, K) from those of each candidate, fold and seed."""
    every = np.empty((tried, len(options.seeds), len(roles.learn), len(CLASSES)))
    for (candidate, fold, seed), probabilities in found.items():
        every[candidate, options.seeds.index(seed), roles.fold == fold] = probabilities
    return every


def _losses(probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Negative log-likelihoods (..., L) of probabilities (..., L, K)."""
    return -np.log(probabilities[..., np.arange(len(targets)), targets].clip(1e-12))


def _chosen(losses: np.ndarray, roles: Roles) -> dict[int, int]:
    """The candidate with the least mean loss over all clips, and for each fold over those of the other folds."""
    chosen = {WHOLE: int(losses.mean(1).argmin())}
    for fold in range(roles.folds):
        chosen[fold] = int(losses[:, roles.fold != fold].mean(1).argmin())
    return chosen


def _reported(roles: Roles) -> np.ndarray:
    """For each clip learned from, by whose choice of candidate it is predicted."""
    return roles.fold if roles.cross_validated else np.full(len(roles.learn), WHOLE)


def _summary(
    tried: list[FusionOptions],
    every: np.ndarray,
    targets: np.ndarray,
    networks: dict[tuple[int, int, int], Trained],
    chosen: int,
    options: FusionOptions,
) -> pd.DataFrame:
    rows = []
    for number, candidate in enumerate(tried):
        for place, seed in enumerate(options.seeds):
            p = every[number, place]
            epochs = [network.epochs for (c, _, s), network in networks.items() if (c, s) == (number, seed)]
            rows.append(
                {
                    "candidate": number,
                    **{name: getattr(candidate, name) for name in sorted(options.search)},
                    "seed": seed,
                    "oof_loss": _losses(p, targets).mean(),
                    "oof_accuracy": (p.argmax(1) == targets).mean(),
                    "epochs": np.mean(epochs),
                    "chosen": int(number == chosen),
                }
            )
    return pd.DataFrame(rows)
