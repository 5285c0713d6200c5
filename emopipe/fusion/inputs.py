"""From a backbone's features to what a model reads: vectors or log-probabilities, and statistics of each clip.

Nothing here looks at a label.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from emopipe.core.errors import ConfigError
from emopipe.core.labels import BASIC7, LabelSpace
from emopipe.fusion import head_classes, product
from emopipe.fusion.data import mean_and_std
from emopipe.fusion.features import Features
from emopipe.fusion.options import POOLS, FusionOptions, frame_inputs, frames_pool, needs_head

FEWEST_CLIPS = 5
"""A person's own mean and spread are used from this number of clips on: those of fewer are mostly about emotions."""

CHUNK_VECTORS = 1 << 16
"""Vectors that are converted to float64 at a time, about."""


def model_inputs(
    features: Features, modality: str, options: FusionOptions, subjects: Sequence[str], space: LabelSpace = BASIC7
) -> Features:
    """Return what a model reads of one stream: `x` and `statistics` by its options, `time` as it is.

    Pools of heads read the features themselves.

    Args:
        features: The backbone's features of N clips.
        modality: face or audio.
        options: The model's options.
        subjects: Each clip's person, "" if unknown; read by `normalise: subject` alone.
        space: The label space, read by `evidence` alone.

    Raises:
        ConfigError: The model reads log-probabilities, and the backbone has no head; or it reads evidence of a head
            that knows too few of the classes.
    """
    if options.fusion in POOLS:
        return features
    if needs_head(options, modality) and features.logp is None:
        raise ConfigError(
            "The model reads what an emotion head says (logp, evidence, confidence, entropy), but features of a "
            "backbone have no log-probabilities. Use a network that emopipe trained, by weights, schedule or pretrain, "
            "or change the model's inputs and statistics."
        )
    if options.normalise == "subject" and modality == "audio":
        features = normalise_by_subject(features, subjects)
    asked = frame_inputs(options, modality)
    parts = {"vectors": features.x, "logp": features.logp}
    chosen = [parts[name] for name in asked if name in parts]
    evidence = head_evidence(features, modality, options, space) if "evidence" in asked else None
    if not chosen:  # the network reads the evidence alone
        return dataclasses.replace(features, x=features.x[:, :0], evidence=evidence, logp=None)
    features = dataclasses.replace(features, x=chosen[0] if len(chosen) == 1 else torch.cat(chosen, 1))
    statistics = clip_statistics(features, options.statistics) if options.statistics else None
    return dataclasses.replace(features, statistics=statistics, evidence=evidence, logp=None)


# -- what heads say of clips ------------------------------------------------------------------------------------------


def head_evidence(
    features: Features, modality: str, options: FusionOptions, space: LabelSpace = BASIC7
) -> torch.Tensor:
    """Return log p - log prior (N, K) float32 of the backbone's own head for each clip.

    It is 0 for a clip without vectors, and for classes of the label space that the head does not know
    (`fusion.head_classes`). Frames are pooled as `fusion: product` pools them (`fusion.product`).
    """
    pool = frames_pool(options, modality)
    logp = product.over_frames(features.logp.numpy(), features.length.numpy(), pool)
    logp, prior = head_classes.of_clips(logp, features, space)
    found = product.Heads(logp[None], features.present.numpy()[None], prior[None]).evidence[0]
    return torch.from_numpy(found.astype(np.float32))


# -- statistics of clips ----------------------------------------------------------------------------------------------


def clip_statistics(features: Features, names: Sequence[str]) -> torch.Tensor:
    """Return statistics (N, S) float32 of all vectors of each clip, one after the other; zeros for an empty clip.

    Args:
        features: N clips with n_i vectors x (n_i, D) and, for confidence and entropy, log-probabilities (n_i, C).
        names: Keys of STATISTICS; their widths are D for mean, spread and maximum, and 1 for confidence and entropy.
    """
    length = features.length.numpy()
    end = length.cumsum()
    rows = np.flatnonzero(length)  # `reduceat` has no empty segments
    parts = [np.zeros((0, _width(features, names)))]
    for some in np.split(rows, np.flatnonzero(np.diff(end[rows] // CHUNK_VECTORS)) + 1) if len(rows) else []:
        vectors = slice(int(end[some[0]] - length[some[0]]), int(end[some[-1]]))
        clips = _Clips(
            features.x[vectors].double().numpy(),
            np.empty((0, 1)) if features.logp is None else features.logp[vectors].double().numpy(),
            length[some],
        )
        parts.append(np.concatenate([STATISTICS[name](clips) for name in names], 1))
    found = np.zeros((len(length), parts[0].shape[1]), np.float32)
    found[rows] = np.concatenate(parts)
    return torch.from_numpy(found)


@dataclasses.dataclass(frozen=True)
class _Clips:
    """Clips that all have vectors."""

    x: np.ndarray
    """(sum of n_i, D) float64."""
    logp: np.ndarray
    """(sum of n_i, C) float64."""
    length: np.ndarray
    """(N,) n_i."""

    def reduce(self, operation: np.ufunc, values: np.ndarray) -> np.ndarray:
        """Reduce (sum of n_i, D) to (N, D). What a clip gets does not depend on the other clips."""
        return operation.reduceat(values, self.length.cumsum() - self.length, axis=0)

    def mean(self, values: np.ndarray) -> np.ndarray:
        return self.reduce(np.add, values) / self.length[:, None]

    def spread(self) -> np.ndarray:
        deviation = self.x - self.mean(self.x).repeat(self.length, axis=0)
        return np.sqrt(self.mean(deviation**2))

    def confidence(self) -> np.ndarray:
        return self.mean(np.exp(self.logp.max(1, keepdims=True)))

    def entropy(self) -> np.ndarray:
        return self.mean(-(np.exp(self.logp) * self.logp).sum(1, keepdims=True))


STATISTICS: Mapping[str, Callable[[_Clips], np.ndarray]] = {
    "mean": lambda clips: clips.mean(clips.x),
    "spread": _Clips.spread,
    "maximum": lambda clips: clips.reduce(np.maximum, clips.x),
    "confidence": _Clips.confidence,
    "entropy": _Clips.entropy,
}
"""Value of the option `statistics` -> function of clips: mean, standard deviation and maximum of the vectors (N, D);
mean over the vectors of the largest probability and of the entropy in nats (N, 1)."""


def _width(features: Features, names: Sequence[str]) -> int:
    return sum(1 if name in ("confidence", "entropy") else features.x.shape[1] for name in names)


# -- normalisation by person ------------------------------------------------------------------------------------------


def normalise_by_subject(features: Features, subjects: Sequence[str]) -> Features:
    """Return features whose vectors have mean 0 and standard deviation 1 over all clips of each person.

    This is transductive: a person's unlabelled clips take part, those to predict included. Clips of unknown people, and
    of people with fewer than FEWEST_CLIPS clips, get the mean and standard deviation over all clips instead. A feature
    that is constant in a person's clips becomes 0.

    Args:
        features: Features of N clips.
        subjects: (N,) each clip's person; "" if unknown.
    """
    person = np.array(people(features, subjects)).repeat(features.length.numpy())  # of each vector
    x = torch.empty_like(features.x)
    for name in np.unique(person):
        own = torch.from_numpy(np.flatnonzero(person == name))
        mean, std = mean_and_std(features.x, own if name else torch.arange(len(person)))
        x[own] = (features.x[own] - mean) / std
    return dataclasses.replace(features, x=x)


def people(features: Features, subjects: Sequence[str]) -> list[str]:
    """Return by whose mean and spread each of N clips is normalised; "" means those over all clips."""
    clips = Counter(name for name, has in zip(subjects, features.present.tolist(), strict=True) if has)
    return [name if clips[name] >= FEWEST_CLIPS else "" for name in subjects]
