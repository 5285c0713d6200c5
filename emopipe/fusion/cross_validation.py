"""One model by its options: its candidates, its folds and seeds, and what they predict."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.core.labels import CLASSES
from emopipe.fusion.data import Data
from emopipe.fusion.options import FusionOptions, candidates
from emopipe.fusion.protocol import Roles, stopping
from emopipe.fusion.run import Member, Trained
from emopipe.fusion.trained_cache import KEEP_NOTHING, Finished
from emopipe.fusion.training import predict, train

WHOLE = -1
"""Stands for a fold where nothing is left out."""

Which = tuple[int, int, int]
"""A network's candidate, the fold that it left out, and its seed."""

Learn = Callable[[Sequence[Member]], list[Trained]]
"""Trains networks, those of one shape together."""


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
    data: Data,
    table: pd.DataFrame,
    roles: Roles,
    options: FusionOptions,
    progress: Callable[[int], None],
    finished: Finished = KEEP_NOTHING,
) -> Outcome:
    """Train all that a model takes: every candidate, seed and fold, in batched programs.

    Among candidates, the one with the least out-of-fold loss is the model; out of fold, each fold's clips are
    predicted by the candidate that is best on the other folds, so that these predictions choose nothing themselves.
    Networks that are `finished` already are not trained again.
    """
    tried, plan = candidates(options), _Plan(data, table, roles, options)
    learn = functools.partial(train, data, progress=progress, finished=finished)
    targets = data.targets[roles.learn].cpu().numpy()
    # 1. every candidate, without each fold
    networks, every = _left_out(data, plan, roles, tried, options.seeds, learn)  # every (C, S, L, K)
    # 2. the candidate to take: fold (or WHOLE) -> its number
    chosen = _chosen(_losses(every.mean(1), targets), roles)
    out_of_fold = np.stack([every[chosen[f], :, line] for line, f in enumerate(roles.fold)], 1)  # (S, L, K)
    # 3. that one, on all clips
    trained, asked = _whole(data, plan, roles, tried[chosen[WHOLE]], options.seeds, learn)  # asked (S, A, K)
    kept = {f"seed{seed}": network for seed, network in trained.items()}
    if roles.cross_validated:
        kept |= {f"seed{s}.fold{f}": network for (c, f, s), network in networks.items() if c == chosen[f]}
    return Outcome(kept, out_of_fold, asked, _summary(tried, every, targets, networks, chosen[WHOLE], options))


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
        if early.watch == "val" and fold == WHOLE:
            stop = np.flatnonzero((self._table["split"] == "val") & (self._table["label"] != "") & self._present)
            if not len(stop):
                raise CorpusError(
                    "early_stopping.watch is val, but no val clip has a label and vectors; use watch: inner."
                )
            return learn, stop
        return stopping(self._table, learn, early, seed=0)


def _left_out(
    data: Data,
    plan: _Plan,
    roles: Roles,
    tried: Sequence[FusionOptions],
    seeds: Sequence[int],
    learn: Learn,
) -> tuple[dict[Which, Trained], np.ndarray]:
    """Networks by candidate, fold and seed, and their probabilities (C, S, L, K) for the clips of the fold left out."""
    members = {
        (c, fold, seed): plan.member(candidate, fold, seed)
        for c, candidate in enumerate(tried)
        for fold in range(roles.folds)
        for seed in seeds
    }
    networks = dict(zip(members, learn(list(members.values())), strict=True))
    held = [roles.learn[roles.fold == fold] for _, fold, _ in networks]
    every = np.empty((len(tried), len(seeds), len(roles.learn), len(CLASSES)))
    for (c, fold, seed), p in zip(networks, predict(data, list(networks.values()), held), strict=True):
        every[c, seeds.index(seed), roles.fold == fold] = p
    return networks, every


def _whole(
    data: Data,
    plan: _Plan,
    roles: Roles,
    options: FusionOptions,
    seeds: Sequence[int],
    learn: Learn,
) -> tuple[dict[int, Trained], np.ndarray]:
    """Networks by seed that learned from all clips, and their probabilities (S, A, K) for the others."""
    if not len(roles.asked):
        return {}, np.empty((len(seeds), 0, len(CLASSES)))
    networks = learn([plan.member(options, WHOLE, seed) for seed in seeds])
    asked = predict(data, networks, [roles.asked] * len(networks))
    return dict(zip(seeds, networks, strict=True)), np.stack(asked)


def _losses(probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Negative log-likelihoods (..., L) of probabilities (..., L, K)."""
    return -np.log(probabilities[..., np.arange(len(targets)), targets].clip(1e-12))


def _chosen(losses: np.ndarray, roles: Roles) -> dict[int, int]:
    """The candidate with the least mean loss over all clips, and for each fold over those of the other folds."""
    chosen = {WHOLE: int(losses.mean(1).argmin())}
    for fold in range(roles.folds):
        chosen[fold] = int(losses[:, roles.fold != fold].mean(1).argmin())
    return chosen


def _summary(
    tried: list[FusionOptions],
    every: np.ndarray,
    targets: np.ndarray,
    networks: Mapping[Which, Trained],
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
