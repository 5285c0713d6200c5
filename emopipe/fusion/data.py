"""The data set of a fusion model, and batches of it for many networks at once."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from emopipe.core.labels import BASIC7, LabelSpace
from emopipe.fusion.answers import answers
from emopipe.fusion.features import Features, concatenate
from emopipe.fusion.model import Moments
from emopipe.fusion.options import FusionOptions
from emopipe.fusion.rng import fold_in, uniform
from emopipe.fusion.stream_batch import StreamBatch
from emopipe.fusion.targets import as_vectors, class_numbers

MAX_VECTORS = 64
"""The most vectors of a clip that a training step samples if the option `frames` is not set."""

STATISTICS_VECTORS = 1 << 16
"""Vectors that are converted to float64 at a time for the statistics."""

ROUNDING = 4
"""A feature is constant if its standard deviation is at most this many times the rounding error of its values."""


@dataclass(frozen=True)
class FusionDataset:
    """The features of N clips, by stream and view, and the clips' labels."""

    streams: Mapping[str, Features]
    """Stream -> all its views, one after the other, of one network after the other: clip n of view v of network k is
    row (k * V + v) * N + n."""
    views: Mapping[str, int]
    """Stream -> number of views V."""
    networks: Mapping[str, int]
    """Stream -> number of networks that computed its vectors, which differ in their seeds."""
    modalities: Mapping[str, str]
    """Stream -> face or audio."""
    targets: torch.Tensor
    """(N,) class numbers of `single`, -1 where unlabelled; of other label spaces, (N, K) float64 vectors as
    `LabelSpace.targets` gives them, NaN where unlabelled."""
    classes: torch.Tensor
    """(K,) bool: the classes that networks may predict, which are those with a training clip; all of them are True
    for dimensions."""
    space: LabelSpace = BASIC7
    """What clips are labelled with, and K = len(space)."""

    @classmethod
    def from_views(
        cls,
        views: Mapping[str, Sequence[Features]],
        modalities: Mapping[str, str],
        targets: np.ndarray,
        device: torch.device,
        classes: np.ndarray | None = None,
        networks: Mapping[str, int] | None = None,
        space: LabelSpace = BASIC7,
    ) -> "FusionDataset":
        """Build a data set on a device.

        Args:
            views: Stream -> features of the same N clips, one entry for each view of each network; the first view of a
                network is not augmented.
            modalities: Stream -> face or audio.
            targets: (N, K) vectors, NaN where unlabelled (`LabelSpace.targets`); or (N,) class numbers of `single`, -1
                where unlabelled.
            device: Where to keep it.
            classes: (K,) bool: the classes that networks may predict. Default: all. Dimensions do not use it.
            networks: Stream -> number of networks that computed its vectors. Default: one each.
            space: The label space.
        """
        if classes is None or space.kind == "dimensions":
            classes = np.ones(len(space), bool)
        if targets.ndim == 2 and space.kind == "single":
            targets = class_numbers(targets)
        count = {stream: (networks or {}).get(stream, 1) for stream in views}
        return cls(
            {stream: concatenate(of_stream).to(device) for stream, of_stream in views.items()},
            {stream: len(of_stream) // count[stream] for stream, of_stream in views.items()},
            count,
            dict(modalities),
            torch.as_tensor(targets, dtype=torch.int64 if targets.ndim == 1 else torch.float64, device=device),
            torch.as_tensor(classes, dtype=torch.bool, device=device),
            space,
        )

    @property
    def device(self) -> torch.device:
        """The device that holds the data set."""
        return self.targets.device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the vectors."""
        return next(iter(self.streams.values())).x.dtype

    @property
    def present(self) -> torch.Tensor:
        """(N,) bool: whether the clip has a vector of any stream."""
        clips = len(self.targets)
        return torch.stack([features.present[:clips] for features in self.streams.values()]).any(0)

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        """Return the targets (R, K) float64 of the clips `rows` (R,); NaN where unlabelled."""
        return as_vectors(self.targets[torch.as_tensor(rows, device=self.device)].cpu().numpy(), len(self.space))

    def restrict(self, logits: torch.Tensor) -> torch.Tensor:
        """Return logits (..., K) whose probability is exactly zero for classes without a training clip.

        The number in their place is finite, because the loss multiplies its logarithm by zero.
        """
        return logits.masked_fill(~self.classes, torch.finfo(logits.dtype).min)

    def answers(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the answers (..., K) float64 for the outputs (..., K) of networks (`emopipe.fusion.answers`)."""
        return answers(self.restrict(logits.double()), self.space)

    @property
    def combinations(self) -> int:
        """The number of combinations of the streams' networks, in which streams with fewer networks take turns."""
        return math.lcm(*self.networks.values())

    def full_batch(self, rows: torch.Tensor, view: int = 0, network: int | torch.Tensor = 0) -> dict[str, StreamBatch]:
        """Return all vectors of the clips `rows` (...), of one view and network.

        For a stream with fewer views or networks, their numbers wrap around. `network` may be a tensor (..., 1).
        """
        return {
            stream: features.batch(rows + self._first_row(stream, view % self.views[stream], network))
            for stream, features in self.streams.items()
        }

    def _first_row(self, stream: str, view: int | torch.Tensor, network: int | torch.Tensor) -> int | torch.Tensor:
        """Return the row of a stream's features where the clips of a view and network begin."""
        return (network % self.networks[stream] * self.views[stream] + view) * len(self.targets)

    def training_batch(
        self, rows: torch.Tensor, keys: torch.Tensor, options: FusionOptions, network: int | torch.Tensor = 0
    ) -> dict[str, StreamBatch]:
        """Return the input of a training step for the clips `rows` (M, B), by the keys (M,) of the epoch.

        Which view and which vectors are drawn of a clip depends on the key and the clip alone. `network`, of which
        vectors are taken, may be a tensor (M, 1).
        """
        batch, count = {}, options.frames or MAX_VECTORS
        for number, (stream, features) in enumerate(self.streams.items()):
            key = fold_in(fold_in(keys, 10 + number)[:, None], rows)  # (M, B)
            view = 0
            if options.augment and self.views[stream] > 1:
                view = (uniform(fold_in(key, 1)) * self.views[stream]).long()  # (M, B)
            rows_of_view = rows + self._first_row(stream, view, network)
            if options.sampling == "random":
                batch[stream] = features.sample_random(rows_of_view, fold_in(key, 2), count)
            else:
                batch[stream] = features.sample_segments(rows_of_view, uniform(fold_in(key, 2), count))
        return batch

    def moments(self, train_idx: np.ndarray, network: int = 0) -> dict[str, Moments]:
        """Return mean and standard deviation of what networks read of the first view of the clips `train_idx`.

        The standard deviation of a feature that is constant, but for rounding, is infinite: it is standardized to 0.
        """
        clips = torch.as_tensor(train_idx, device=self.device)
        found = {}
        for stream, features in self.streams.items():
            rows = clips + self._first_row(stream, 0, network)
            # 1. the vectors of these clips; `shift` leads from a position among them to a position in features.x
            length = features.length[rows]
            shift = features.start[rows] - (length.cumsum(0) - length)
            positions = torch.arange(int(length.sum()), device=rows.device) + shift.repeat_interleave(length)
            # 2. their mean and standard deviation
            vectors = mean_and_std(features.x, positions)
            # 3. those of the statistics of clips that have vectors
            statistics = () if features.statistics is None else mean_and_std(features.statistics, rows[length > 0])
            found[stream] = Moments(*vectors, *statistics, blocks=features.blocks)
        return found

    def placeholder_moments(self) -> dict[str, Moments]:
        """Return moments of the same shapes, for networks whose state is loaded."""
        return self.moments(np.empty(0, np.int64))


def mean_and_std(x: torch.Tensor, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and standard deviation (D,) of the vectors of x (N, D) at `positions`; 0 and 1 if there are none.

    They are computed in float64, whose range holds the squares of all float32 numbers.
    """
    if not len(positions):
        return x.new_zeros(x.shape[1]), x.new_ones(x.shape[1])
    parts = positions.split(STATISTICS_VECTORS)
    # 1. mean, and standard deviation about it
    mean = sum(x[part].double().sum(0) for part in parts) / len(positions)
    std = (sum((x[part].double() - mean).square().sum(0) for part in parts) / len(positions)).sqrt()
    # 2. a spread that rounding explains, or whose inverse has no float, is none
    magnitude, limits = (mean.square() + std.square()).sqrt(), torch.finfo(x.dtype)
    constant = std <= (ROUNDING * limits.eps * magnitude).clamp_min(limits.tiny)
    return mean.to(x.dtype), std.masked_fill(constant, torch.inf).to(x.dtype)


class BatchSampler:
    """The order in which networks see their clips: shuffled in each epoch and divided into steps."""

    def __init__(self, train_idx: Sequence[np.ndarray], steps: int, keys: torch.Tensor) -> None:
        """`train_idx`: the clips of each of M networks; `steps`: number of steps in an epoch; `keys`: (M,)."""
        self._keys, self._steps = keys, steps
        self._rows, valid = pad_indices(train_idx, keys.device)  # (M, N)
        self._padding = ~valid
        self._count = valid.sum(1, keepdim=True)  # (M, 1)

    def epoch(self, number: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Return the steps of an epoch: clips (M, B), and which are valid (M, B) bool; padding comes last."""
        # 1. shuffle
        draws = uniform(fold_in(self._keys, number), self._rows.shape[1]).masked_fill(self._padding, torch.inf)
        order = self._rows.gather(1, draws.argsort(dim=1, stable=True))  # (M, N)
        # 2. divide into steps
        ends = [self._count * step // self._steps for step in range(self._steps + 1)]  # (M, 1) each
        steps = []
        for begin, end in itertools.pairwise(ends):
            position = begin + torch.arange(max(1, int((end - begin).max())), device=order.device)  # (M, B)
            valid = position < end
            steps.append((order.gather(1, position.where(valid, 0)), valid))
        return steps


def pad_indices(rows: Sequence[np.ndarray], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return M arrays of clip numbers as one table (M, longest), and which entries are valid (M, longest) bool."""
    longest = max(1, *(len(part) for part in rows))
    table = np.zeros((len(rows), longest), np.int64)
    for line, part in zip(table, rows, strict=True):
        line[: len(part)] = part
    length = torch.tensor([len(part) for part in rows], device=device)
    return torch.from_numpy(table).to(device), torch.arange(longest, device=device) < length[:, None]
