"""Clips as batches for many networks at once: (M, B) clips, each network with its own."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from emopipe.fusion.features import Features, concatenate
from emopipe.fusion.options import FusionOptions
from emopipe.fusion.rng import key_of, uniform

MOST_VECTORS = 64
"""Vectors of a clip that a training step takes at most, where the options name no number."""

Streams = dict[str, tuple[torch.Tensor, torch.Tensor]]
"""Stream -> vectors (..., T, D) and mask (..., T)."""

Statistics = dict[str, tuple[torch.Tensor, torch.Tensor]]
"""Stream -> mean and standard deviation (D,)."""


@dataclass(frozen=True)
class Data:
    """N clips: each stream's views, and the clips' classes."""

    streams: Mapping[str, Features]
    """Stream -> all its views, one after the other: clip n of view v is row v * N + n."""
    views: Mapping[str, int]
    """Stream -> how many views."""
    modalities: Mapping[str, str]
    """Stream -> face or audio."""
    targets: torch.Tensor
    """(N,) class numbers; -1 where unlabelled."""

    @classmethod
    def of(
        cls,
        views: Mapping[str, Sequence[Features]],
        modalities: Mapping[str, str],
        targets: np.ndarray,
        where: torch.device,
    ) -> "Data":
        """Views of the same N clips for each stream, the plain one first; classes (N,)."""
        return cls(
            {stream: concatenate(of_stream).to(where) for stream, of_stream in views.items()},
            {stream: len(of_stream) for stream, of_stream in views.items()},
            dict(modalities),
            torch.as_tensor(targets, dtype=torch.int64, device=where),
        )

    @property
    def present(self) -> torch.Tensor:
        """(N,) bool: the clip has at least one stream."""
        clips = len(self.targets)
        return torch.stack([features.present[:clips] for features in self.streams.values()]).any(0)

    def whole(self, rows: torch.Tensor, view: int = 0) -> Streams:
        """Clips (...) with all their vectors, of one view; a stream with fewer views starts again with the first."""
        shift = {stream: view % count * len(self.targets) for stream, count in self.views.items()}
        return {stream: features.batch(rows + shift[stream]) for stream, features in self.streams.items()}

    def drawn(self, rows: torch.Tensor, keys: torch.Tensor, options: FusionOptions) -> Streams:
        """Clips (M, B) as a training step takes them: views and vectors are drawn by the networks' keys (M,)."""
        taken = {}
        for number, (stream, features) in enumerate(self.streams.items()):
            key = key_of(keys, 10 + number)
            if options.augment and self.views[stream] > 1:
                view = (uniform(key_of(key, 1), rows.shape[1]) * self.views[stream]).long()
                rows_of_view = rows + view * len(self.targets)
            else:
                rows_of_view = rows
            draws = uniform(key_of(key, 2), rows.shape[1], max(options.frames or 0, MOST_VECTORS))
            if options.sampling == "random":
                taken[stream] = features.scatter(rows_of_view, draws, options.frames or MOST_VECTORS)
            else:
                taken[stream] = features.sample(rows_of_view, draws[..., : options.frames or MOST_VECTORS])
        return taken

    def statistics(self, learn: np.ndarray) -> Statistics:
        """Mean and standard deviation of each stream's vectors over the clips `learn`, in their plain view."""
        rows = torch.as_tensor(learn, device=self.targets.device)
        return {stream: _statistics(features, rows) for stream, features in self.streams.items()}


def _statistics(features: Features, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    length = features.length[rows]
    shift = features.start[rows] - (length.cumsum(0) - length)  # from a place among these clips' vectors to one in x
    x = features.x[torch.arange(int(length.sum()), device=rows.device) + shift.repeat_interleave(length)]
    if not len(x):
        return x.new_zeros(x.shape[1]), x.new_ones(x.shape[1])
    return x.mean(0), x.std(0, correction=0) + 1e-3


class Order:
    """In which order networks see their clips: a new one each epoch, cut into steps."""

    def __init__(self, learn: Sequence[np.ndarray], steps: int, keys: torch.Tensor) -> None:
        """`learn`: the clips of each of M networks; `steps` an epoch; `keys` (M,)."""
        self._keys, self._steps = keys, steps
        self._rows, there = padded(learn, keys.device)  # (M, N)
        self._absent = ~there
        self._count = there.sum(1, keepdim=True)  # (M, 1)

    def epoch(self, number: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Steps: clips (M, B), and which of them are there (M, B) bool; those come first."""
        draws = uniform(key_of(self._keys, number), self._rows.shape[1]).masked_fill(self._absent, torch.inf)
        order = self._rows.gather(1, draws.argsort(dim=1, stable=True))  # (M, N)
        ends = [self._count * step // self._steps for step in range(self._steps + 1)]  # (M, 1) each
        return [_between(order, begin, end) for begin, end in itertools.pairwise(ends)]


def padded(rows: Sequence[np.ndarray], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Lists of clips as one table (M, longest) of their numbers, and where it holds some (M, longest) bool."""
    longest = max(1, *(len(part) for part in rows))
    table = np.zeros((len(rows), longest), np.int64)
    for line, part in zip(table, rows, strict=True):
        line[: len(part)] = part
    length = torch.tensor([len(part) for part in rows], device=device)
    return torch.from_numpy(table).to(device), torch.arange(longest, device=device) < length[:, None]


def _between(order: torch.Tensor, begin: torch.Tensor, end: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    place = begin + torch.arange(max(1, int((end - begin).max())), device=order.device)  # (M, B)
    there = place < end
    return order.gather(1, place.where(there, 0)), there
