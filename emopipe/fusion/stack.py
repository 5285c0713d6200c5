"""Networks of one shape as one batched program: their parameters are stacked, and each layer computes all networks."""

import functools
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch.func import functional_call, stack_module_state
from torch.utils._pytree import tree_map

from emopipe.fusion.data import MAX_VECTORS, FusionDataset
from emopipe.fusion.features import Features
from emopipe.fusion.model import FusionModel, Mixup, Moments
from emopipe.fusion.options import SEARCHABLE, FusionOptions
from emopipe.fusion.rng import fold_in, keys_from_seeds
from emopipe.fusion.stream_batch import StreamBatch, Streams

SHARED_BYTES = 16 << 20
"""Most bytes of vectors that a training step of one stack reads."""

OWN_BYTES = 512 << 20
"""Most bytes of tokens and attention weights that the networks of one stack hold."""

MAX_GROUP = 128
"""Most networks of a group, which see the same clips."""

State = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Run:
    """One network to train."""

    options: FusionOptions
    seed: int
    train_idx: np.ndarray
    """Numbers of the clips that it is trained on; each has at least one stream."""
    stop_idx: np.ndarray
    """Numbers of the clips whose loss decides when to stop; used with the option `early_stopping` only."""
    steps: int
    """Number of steps in an epoch."""
    network: int = 0
    """Whose vectors it reads, if backbones were trained with several seeds (see `FusionDataset.networks`)."""

    @functools.cached_property
    def train_digest(self) -> str:
        """The digest of `train_idx`, which stands for it in keys: a list of clips may take megabytes."""
        return digest_of_indices(self.train_idx)

    @property
    def clips_digest(self) -> str:
        """The digest of `train_idx` and `stop_idx`."""
        return f"{self.train_digest} {digest_of_indices(self.stop_idx)}"


def digest_of_indices(idx: np.ndarray) -> str:
    """Return a digest of the numbers of clips (N,), in their order."""
    return hashlib.sha256(np.ascontiguousarray(idx, "<i8")).hexdigest()


@dataclass(frozen=True)
class TrainedRun:
    """A trained network."""

    run: Run
    state: State
    """Its state dict, on the CPU."""
    epochs: int
    """Number of epochs after which the network had this state."""


class Stack:
    """Networks of one shape, as one batched program (torch.func over stacked parameters).

    They form G groups of C networks. The networks of one group are trained on the same clips and see the same clips.
    """

    def __init__(self, models: Sequence[FusionModel], seeds: Sequence[int], groups: int, device: torch.device) -> None:
        """Stack `models`, one group after the other; `seeds` give their random numbers."""
        self._layout = (groups, len(models) // groups)
        self.keys = keys_from_seeds(seeds, device)  # (M,)
        self._standardise = [model.standardise.to(device) for model in models]
        self.parameters, self._buffers = stack_module_state([model.network.to(device) for model in models])
        self._saved_keys = set(models[0].network.state_dict())
        self._network = models[0].network.to("meta")
        self._keyed = [name for name, module in self._network.named_modules() if hasattr(module, "keyed")]
        for name in self._keyed:
            self._network.get_submodule(name).keyed = True

    @classmethod
    def init(cls, dataset: FusionDataset, runs: Sequence[Run], groups: int) -> Self:
        """Return untrained networks, each initialized by its seed."""
        models, moments = [], {}
        for run in runs:
            torch.manual_seed(run.seed)
            if (seen := (run.train_digest, run.network)) not in moments:
                moments[seen] = dataset.moments(run.train_idx, run.network)
            models.append(_build_model(dataset, moments[seen], run))
        return cls(models, [run.seed for run in runs], groups, dataset.device)

    @classmethod
    def from_states(cls, states: Sequence[State], dataset: FusionDataset, runs: Sequence[Run], groups: int) -> Self:
        """Return networks with these state dicts."""
        placeholder = dataset.placeholder_moments()
        models = [_build_model(dataset, placeholder, run) for run in runs]
        for model, state in zip(models, states, strict=True):
            model.load_state_dict(state)
        return cls(models, [run.seed for run in runs], groups, dataset.device)

    def train(self, training: bool) -> None:
        """Switch between training mode, which uses dropout, and evaluation mode."""
        self._network.train(training)

    def set_keys(self, keys: torch.Tensor) -> None:
        """Give each layer that uses random numbers its own keys, which depend on `keys` (M,)."""
        for number, name in enumerate(self._keyed):
            self._buffers[f"{name}.key"] = fold_in(keys, 100 + number)

    def __call__(self, streams: Streams, mixup: Mixup | None = None) -> torch.Tensor:
        """Return logits (G C, B, K) for streams of G groups, with vectors (G, B, T, D)."""
        # 1. standardize once for each group, because its networks share their moments
        parts = [
            {stream: StreamBatch(*(tensor[g] for tensor in given)) for stream, given in streams.items()}
            for g in range(self._layout[0])
        ]
        ready = [one(part) for one, part in zip(self._standardise[:: self._layout[1]], parts, strict=True)]
        streams = tree_map(lambda *tensors: torch.stack(tensors), *ready)
        # 2. all networks at once, without a copy of the vectors for each network
        mixup_dim = None if mixup is None else 0
        every = torch.vmap(torch.vmap(self._one, in_dims=(0, 0, None, mixup_dim)), in_dims=(0, 0, 0, mixup_dim))
        parameters, buffers, mixup = (
            None if part is None else tree_map(lambda tensor: tensor.unflatten(0, self._layout), part)
            for part in (self.parameters, self._buffers, mixup)
        )
        return every(parameters, buffers, streams, mixup).flatten(0, 1)

    def _one(self, parameters: State, buffers: State, streams: Streams, mixup: Mixup | None) -> torch.Tensor:
        return functional_call(self._network, (parameters, buffers), (streams, mixup))

    def states(self, numbers: Sequence[int] | None = None) -> list[State]:
        """Return the state dicts of some networks, on the CPU; default: of all networks."""
        stacked = {key: value for key, value in {**self.parameters, **self._buffers}.items() if key in self._saved_keys}
        chosen = range(len(self.keys)) if numbers is None else numbers
        return [
            {f"standardise.{key}": value.cpu().clone() for key, value in self._standardise[n].state_dict().items()}
            | {f"network.{key}": value[n].detach().cpu().clone() for key, value in stacked.items()}
            for n in chosen
        ]


def _build_model(dataset: FusionDataset, moments: Mapping[str, Moments], run: Run) -> FusionModel:
    space = dataset.space
    return FusionModel(moments, dataset.modalities, run.options, len(space), space.kind).to(dataset.dtype)


def plan_stacks(dataset: FusionDataset, runs: Sequence[Run], seen: Sequence[object]) -> Iterator[list[list[int]]]:
    """Decide which networks run in one stack, within the limits on memory.

    Args:
        dataset: The data set.
        runs: The networks.
        seen: For each network, a value that is equal for networks that see the same clips.

    Yields:
        The groups of one stack, all of one size, as numbers of `runs`.
    """
    # 1. networks by shape, and then by the clips that they see
    shapes: dict[tuple[object, ...], dict[object, list[int]]] = {}
    for number, (run, clips) in enumerate(zip(runs, seen, strict=True)):
        shapes.setdefault(_shape(run), {}).setdefault(clips, []).append(number)
    for groups in shapes.values():
        # 2. memory that a training step takes
        numbers = [number for group in groups.values() for number in group]
        first = runs[numbers[0]]
        clips = -(-max(len(runs[number].train_idx) for number in numbers) // first.steps)
        own, shared = own_bytes(dataset, clips, first.options), shared_bytes(dataset, clips, first.options)
        # 3. divide groups that are too large, and collect groups of equal size
        most = max(1, min(MAX_GROUP, OWN_BYTES // own))
        sizes: dict[int, list[list[int]]] = {}
        for group in groups.values():
            for part in np.array_split(group, -(-len(group) // most)):
                sizes.setdefault(len(part), []).append(part.tolist())
        # 4. as many groups in a stack as memory allows
        for size, equal in sizes.items():
            at_once = max(1, min(SHARED_BYTES // max(1, shared), OWN_BYTES // (own * size)))
            yield from (equal[start : start + at_once] for start in range(0, len(equal), at_once))


def _shape(run: Run) -> tuple[object, ...]:
    """Return a value that is equal for networks that can share a stack.

    Such networks differ in their seeds and in searchable options only, and each of these is zero in all or in none.
    """
    options = run.options.model_dump(exclude={"seeds", "search", *SEARCHABLE})
    used = {name: getattr(run.options, name) > 0 for name in SEARCHABLE}
    return repr(sorted(options.items())), repr(sorted(used.items())), run.steps


def own_bytes(dataset: FusionDataset, clips: int, options: FusionOptions, *, full: bool = False) -> int:
    """Return the bytes of tokens and attention weights that one network holds for a number of clips; at least 1.

    A training step samples vectors from the clips; `full` counts all of their vectors.
    """
    total, sampled = 0, None if full else options
    all_vectors = sum(_max_vectors(features, sampled) for features in dataset.streams.values())
    for stream, features in dataset.streams.items():
        kind = options.face_attention if dataset.modalities[stream] == "face" else options.audio_attention
        vectors = _max_vectors(features, sampled)
        width = features.x.shape[1] // features.blocks
        if features.blocks > 1:
            total += clips * vectors * 2 * width  # their weighted sum, which each network has of its own, with gradient
        if kind == "multihead" or options.fusion == "crossmodal":
            total += clips * vectors * (20 * options.hidden + 4 * options.heads * all_vectors)
        elif kind == "patch":
            total += clips * vectors * 3 * options.hidden
        elif kind in ("self", "relation") and options.attention_dropout and not full:
            total += clips * vectors * 6 * width  # vectors, and pairs of twice their size, after dropout
    return max(1, total * 4)


def shared_bytes(dataset: FusionDataset, clips: int, options: FusionOptions | None = None) -> int:
    """Return the bytes of the padded vectors of a number of clips; with options, of those that a step samples."""
    total = 0
    for features in dataset.streams.values():
        total += clips * _max_vectors(features, options) * features.x.shape[1] * features.x.element_size()
    return total


def _max_vectors(features: Features, options: FusionOptions | None) -> int:
    """Return the most vectors of any clip; with options, the most that a training step samples from a clip."""
    longest = max(1, int(features.length.max()))
    return min(longest, options.frames or MAX_VECTORS) if options else longest
