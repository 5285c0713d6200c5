"""Models that are pools of the streams' heads (`fusion: product`, `product_untrained`, `mean_of_heads`).

They are fitted and predict by the same protocol as trained networks: out of fold for the training clips. Their prior is
the class shares of the clips that they are fitted on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
import torch

from emopipe.core.errors import ConfigError
from emopipe.core.labels import BASIC7, LabelSpace
from emopipe.fusion import head_classes, product
from emopipe.fusion.candidate_scores import candidate_scores
from emopipe.fusion.cross_validation import CrossValidationResult
from emopipe.fusion.features import Features
from emopipe.fusion.options import FusionOptions, frames_pool
from emopipe.fusion.product import Heads
from emopipe.fusion.protocol import ProtocolSplit
from emopipe.fusion.targets import as_vectors

State = dict[str, torch.Tensor]
PREFIX = "pool."
"""Before the keys of a pool's tensors."""


@dataclass(frozen=True)
class PooledHeads:
    """A fitted pool of heads."""

    options: FusionOptions
    exponents: np.ndarray
    """(S,) by stream; 1 each if they are not fitted."""
    prior: np.ndarray
    """(K,) the class shares that the answer assumes."""
    stream_priors: np.ndarray
    """(S, K) the class shares that the heads were trained on."""

    @property
    def state(self) -> State:
        """Its numbers as tensors, which share no memory with those of other pools: one file has to hold them all."""
        names = ("exponents", "prior", "stream_priors")
        return {f"{PREFIX}{name}": torch.from_numpy(getattr(self, name).copy()) for name in names}

    @classmethod
    def from_state(cls, options: FusionOptions, state: State) -> Self:
        """Return the pool that `state` describes."""
        return cls(options, **{key.removeprefix(PREFIX): tensor.numpy() for key, tensor in state.items()})

    def predict(self, heads: Heads) -> np.ndarray:
        """Return probabilities (N, K) for clips; `heads.priors` are not used."""
        if self.options.fusion == "mean_of_heads":
            return product.mean(heads, self.prior)
        return product.product(Heads(heads.logp, heads.present, self.stream_priors), self.exponents, self.prior)


def of_first_network(
    views: Mapping[str, Sequence[Features]], networks: Mapping[str, int]
) -> dict[str, Sequence[Features]]:
    """Return the views of each stream's first network: a pool reads one network, whatever the number of its seeds.

    Args:
        views: Stream -> features of its networks, each with all its views, one network after the other.
        networks: Stream -> number of its networks.
    """
    return {stream: of_stream[: len(of_stream) // networks[stream]] for stream, of_stream in views.items()}


def read_heads(
    views: Mapping[str, Sequence[Features]],
    modalities: Mapping[str, str],
    options: FusionOptions,
    clips: int,
    space: LabelSpace = BASIC7,
) -> Heads:
    """Return what the streams' heads say about clips, on the classes of a label space (`fusion.head_classes`).

    Args:
        views: Stream -> features of the same clips, one entry for each view.
        modalities: Stream -> face or audio.
        options: The model's options.
        clips: N, the number of clips.
        space: The label space.

    Raises:
        ConfigError: A stream's network has no head, or its head knows too few of the classes.
    """
    if lacking := [stream for stream, of_stream in views.items() if of_stream[0].logp is None]:
        raise ConfigError(
            f"fusion is {options.fusion}, which needs networks with an emotion head, but {', '.join(lacking)} has "
            "none. Use networks that emopipe trained, or another fusion."
        )
    found = [_of_stream(of_stream, modalities[stream], options, space) for stream, of_stream in views.items()]
    logp, priors = [logp for logp, _ in found], [prior for _, prior in found]
    present = [of_stream[0].present.cpu().numpy() for of_stream in views.values()]
    shape = len(views), clips, len(space)
    return Heads(np.reshape(logp, shape), np.reshape(present, shape[:2]), np.reshape(priors, (len(views), len(space))))


def _of_stream(
    views: Sequence[Features], modality: str, options: FusionOptions, space: LabelSpace
) -> tuple[np.ndarray, np.ndarray]:
    """Return a stream's log-probabilities (N, K), and the prior (K,) of its head."""
    pool = frames_pool(options, modality)
    logp = product.over_views([product.over_frames(v.logp.numpy(), v.length.numpy(), pool) for v in views])
    return head_classes.of_clips(logp, views[0], space)


def fit_and_predict(
    heads: Heads,
    streams: Sequence[str],
    targets: np.ndarray,
    split: ProtocolSplit,
    options: FusionOptions,
    classes: np.ndarray,
    space: LabelSpace = BASIC7,
) -> CrossValidationResult:
    """Fit a pool on all training clips, and one without each fold, and predict as `cross_validation.fit_candidates`.

    Args:
        heads: The streams' answers for all clips of the clip table.
        streams: Their S names.
        targets: (N,) class numbers, -1 where unlabelled; or (N, K) shares of votes, NaN where unlabelled.
        split: Which clips to fit on and to predict.
        options: The model's options, with one seed; the seed changes nothing.
        classes: (K,) bool: the classes that may be predicted.
        space: The label space.
    """
    labels, (seed,) = targets[split.train_idx], options.seeds
    oof_probs = np.zeros((1, len(labels), len(space)))
    kept: dict[str, PooledHeads] = {}
    for fold in range(split.folds):
        here = split.fold == fold
        pool = _fit(heads.select(split.train_idx[~here]), labels[~here], options, classes)
        oof_probs[0, here] = pool.predict(heads.select(split.train_idx[here]))
        if split.cross_validated:
            kept[f"seed{seed}.fold{fold}"] = pool
    whole = _fit(heads.select(split.train_idx), labels, options, classes)
    if len(split.predict_idx):
        kept[f"seed{seed}"] = whole
    predicted = whole.predict(heads.select(split.predict_idx))[None]
    row = {
        "candidate": 0,
        **{f"exponent_{stream}": exponent for stream, exponent in zip(streams, whole.exponents, strict=True)},
        "seed": seed,
        **candidate_scores(oof_probs[0], as_vectors(labels, len(space)), space),
        "epochs": 0,
        "chosen": 1,
    }
    return CrossValidationResult(kept, oof_probs, predicted, pd.DataFrame([row]))


def _fit(heads: Heads, targets: np.ndarray, options: FusionOptions, classes: np.ndarray) -> PooledHeads:
    prior = product.class_shares(targets, classes)
    exponents = np.ones(len(heads.priors))
    if options.fusion == "product" and len(targets):
        exponents, prior = product.fit(heads, prior, targets)
    return PooledHeads(options, exponents, prior, heads.priors)
