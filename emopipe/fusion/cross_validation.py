"""Trains all networks of one model: its candidates, folds and seeds; then selects a candidate and predicts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.core.labels import LabelSpace
from emopipe.fusion.candidate_scores import candidate_scores
from emopipe.fusion.data import FusionDataset
from emopipe.fusion.options import FusionOptions, candidates
from emopipe.fusion.protocol import ProtocolSplit, split_for_early_stopping
from emopipe.fusion.stack import Run, State
from emopipe.fusion.trained_cache import NO_CACHE, TrainedCache
from emopipe.fusion.training import predict, train
from emopipe.scoring.losses import losses

NO_FOLD = -1
"""Used in place of the number of a fold for a network that is trained on all training clips."""


class HasState(Protocol):
    """A trained network, or a fitted pool of heads."""

    @property
    def state(self) -> State:
        """Its tensors, on the CPU."""
        ...


@dataclass(frozen=True)
class CrossValidationResult:
    """The networks of a model and what they predict."""

    networks: Mapping[str, HasState]
    """`seed0` and so on: trained on all training clips. `seed0.fold1` and so on: trained without a fold; only if the
    protocol is a cross-validation."""
    oof_probs: np.ndarray
    """(S, L, K) float64 out-of-fold answers for the training clips, of each seed: probabilities, or values of
    dimensions."""
    predict_probs: np.ndarray
    """(S, A, K) float64 answers for the other clips, of each seed."""
    candidates: pd.DataFrame
    """One row for each candidate and seed: options, out-of-fold loss and score (`fusion.candidate_scores`), epochs,
    whether it was chosen."""


def fit_candidates(
    dataset: FusionDataset,
    table: pd.DataFrame,
    split: ProtocolSplit,
    options: FusionOptions,
    progress: Callable[[int], None],
    cache: TrainedCache = NO_CACHE,
) -> CrossValidationResult:
    """Train every candidate with every seed, once without each fold, and choose the one with the lowest loss.

    The out-of-fold predictions of a fold come from the candidate that is best on the other folds, so that the labels of
    a fold do not choose the candidate that predicts it.

    Args:
        dataset: Features and labels of the clips in `table`.
        table: The clip table.
        split: Which clips to train on and to predict.
        options: The model's options.
        progress: Called with a number of networks whenever these are trained.
        cache: Where trained networks are kept.

    Raises:
        CorpusError: Early stopping watches val, but val has no usable clip.
    """
    tried, seeds, count = candidates(options), options.seeds, len(dataset.space)
    targets = dataset.vectors(split.train_idx)  # (L, K)
    # 1. train every candidate without each fold
    clips = {fold: _clips_of(dataset, table, split, options, fold) for fold in (NO_FOLD, *range(split.folds))}
    steps = max(1, len(split.train_idx) // options.batch)
    runs = {
        (number, fold, seed): Run(candidate, seed, *clips[fold], steps, place % dataset.combinations)
        for number, candidate in enumerate(tried)
        for fold in range(split.folds)
        for place, seed in enumerate(seeds)
    }
    networks = dict(zip(runs, train(dataset, list(runs.values()), progress, cache), strict=True))
    # 2. predict the clips of each fold by the networks that were trained without it
    held_out = [split.train_idx[split.fold == fold] for _, fold, _ in networks]
    probs = np.empty((len(tried), len(seeds), len(split.train_idx), count))  # (C, S, L, K)
    for (number, fold, seed), p in zip(networks, predict(dataset, list(networks.values()), held_out), strict=True):
        probs[number, seeds.index(seed), split.fold == fold] = p
    # 3. choose a candidate by the loss on all clips, and one for each fold by the loss on the other folds
    of_clips = losses(probs.mean(1), targets, dataset.space)  # (C, L)
    chosen = {NO_FOLD: int(of_clips.mean(1).argmin())}
    chosen |= {fold: int(of_clips[:, split.fold != fold].mean(1).argmin()) for fold in range(split.folds)}
    oof_probs = np.stack([probs[chosen[fold], :, clip] for clip, fold in enumerate(split.fold)], 1)  # (S, L, K)
    # 4. train the chosen candidate on all training clips, and predict the other clips
    kept, predict_probs = {}, np.empty((len(seeds), 0, count))
    if len(split.predict_idx):
        final_runs = [
            Run(tried[chosen[NO_FOLD]], seed, *clips[NO_FOLD], steps, place % dataset.combinations)
            for place, seed in enumerate(seeds)
        ]
        kept = {f"seed{network.run.seed}": network for network in train(dataset, final_runs, progress, cache)}
        predict_probs = np.stack(predict(dataset, list(kept.values()), [split.predict_idx] * len(kept)))  # (S, A, K)
    # 5. collect the networks that made the reported predictions
    if split.cross_validated:
        kept |= {f"seed{s}.fold{f}": network for (c, f, s), network in networks.items() if c == chosen[f]}
    epochs = {key: network.epochs for key, network in networks.items()}
    summary = _candidate_table(tried, probs, targets, dataset.space, epochs, chosen[NO_FOLD], options)
    return CrossValidationResult(kept, oof_probs, predict_probs, summary)


def _clips_of(
    dataset: FusionDataset, table: pd.DataFrame, split: ProtocolSplit, options: FusionOptions, fold: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the clips to train on without a fold, and the clips for early stopping, both with at least one stream."""
    present = dataset.present.cpu().numpy()
    train_idx = split.train_idx[split.fold != fold]
    train_idx = train_idx[present[train_idx]]
    early = options.early_stopping
    if early is None or len(train_idx) < 2:
        return train_idx, train_idx[:0]
    if early.watch == "val" and fold == NO_FOLD:
        stop_idx = np.flatnonzero((table["split"] == "val") & (table["label"] != "") & present)
        if not len(stop_idx):
            raise CorpusError(
                "early_stopping.watch is val, but no val clip has a label and vectors. Set early_stopping.watch to "
                "inner."
            )
        return train_idx, stop_idx
    return split_for_early_stopping(table, train_idx, early, seed=0, by=split.by, space=dataset.space)


def _candidate_table(
    tried: Sequence[FusionOptions],
    probs: np.ndarray,
    targets: np.ndarray,
    space: LabelSpace,
    epochs: dict[tuple[int, int, int], int],
    chosen: int,
    options: FusionOptions,
) -> pd.DataFrame:
    """Return one row for each candidate and seed, from answers (C, S, L, K)."""
    rows = []
    for number, candidate in enumerate(tried):
        for place, seed in enumerate(options.seeds):
            rows.append(
                {
                    "candidate": number,
                    **{name: getattr(candidate, name) for name in sorted(options.search)},
                    "seed": seed,
                    **candidate_scores(probs[number, place], targets, space),
                    "epochs": np.mean([count for (c, _, s), count in epochs.items() if (c, s) == (number, seed)]),
                    "chosen": int(number == chosen),
                }
            )
    return pd.DataFrame(rows)


def count_networks(split: ProtocolSplit, options: FusionOptions) -> int:
    """Return how many networks `fit_candidates` trains."""
    return len(options.seeds) * (len(candidates(options)) * split.folds + bool(len(split.predict_idx)))
