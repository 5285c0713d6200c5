"""M networks of one shape as one: their parameters are stacked, and every layer works on all at once."""

from collections.abc import Sequence
from typing import Self

import torch
from torch.func import functional_call, stack_module_state
from torch.utils._pytree import tree_map

from emopipe.core.labels import CLASSES
from emopipe.fusion.data import Data, Statistics, Streams
from emopipe.fusion.model import FusionModel, Mixing
from emopipe.fusion.rng import key_of, mix
from emopipe.fusion.run import Member, State


class Stack:
    """Networks of one shape, as a batched program (torch.func over stacked parameters).

    They stand in G groups of C networks; the networks of a group learned from the same clips and see the same clips.
    """

    def __init__(self, models: Sequence[FusionModel], seeds: Sequence[int], groups: int, device: torch.device) -> None:
        """Stack `models`, group after group, which draw their random numbers by `seeds`."""
        self._layout = (groups, len(models) // groups)
        self.keys = mix(torch.tensor(list(seeds), dtype=torch.int32, device=device) ^ 0x5EED)  # (M,)
        self._standardise = [model.standardise.to(device) for model in models]
        self.parameters, self._buffers = stack_module_state([model.network.to(device) for model in models])
        self._kept = set(models[0].network.state_dict())
        self._network = models[0].network.to("meta")
        self._keyed = [name for name, module in self._network.named_modules() if hasattr(module, "keyed")]
        for name in self._keyed:
            self._network.get_submodule(name).keyed = True

    @classmethod
    def fresh(cls, data: Data, members: Sequence[Member], groups: int) -> Self:
        """Untrained networks, each as its own seed makes it."""
        models, statistics = [], {}
        for member in members:
            torch.manual_seed(member.seed)
            learn = member.learn.tobytes()
            if learn not in statistics:
                statistics[learn] = data.statistics(member.learn)
            models.append(_model(data, statistics[learn], member))
        return cls(models, [member.seed for member in members], groups, data.targets.device)

    @classmethod
    def of(cls, states: Sequence[State], data: Data, members: Sequence[Member], groups: int) -> Self:
        """Networks with these states."""
        unknown = {
            stream: (f.x.new_zeros(f.x.shape[1]), f.x.new_ones(f.x.shape[1])) for stream, f in data.streams.items()
        }
        models = [_model(data, unknown, member) for member in members]
        for model, state in zip(models, states, strict=True):
            model.load_state_dict(state)
        return cls(models, [member.seed for member in members], groups, data.targets.device)

    def train(self, training: bool) -> None:
        """Whether dropout and its like are at work."""
        self._network.train(training)

    def rekey(self, keys: torch.Tensor) -> None:
        """Give every layer that draws at random a key of its own from `keys` (M,)."""
        for number, name in enumerate(self._keyed):
            self._buffers[f"{name}.key"] = key_of(keys, 100 + number)

    def __call__(self, streams: Streams, mixing: Mixing | None = None) -> torch.Tensor:
        """Vectors (G, B, T, D) and masks (G, B, T) of each stream -> logits (G C, B, K)."""
        # 1. standardise once a group, whose networks share their statistics
        parts = [{s: (x[g], mask[g]) for s, (x, mask) in streams.items()} for g in range(self._layout[0])]
        ready = [one(part) for one, part in zip(self._standardise[:: self._layout[1]], parts, strict=True)]
        streams = tree_map(lambda *tensors: torch.stack(tensors), *ready)
        # 2. all networks at once, without a copy of the vectors for each
        one = None if mixing is None else 0
        every = torch.vmap(torch.vmap(self._one, in_dims=(0, 0, None, one)), in_dims=(0, 0, 0, one))
        parameters, buffers, grouped = (
            None if part is None else tree_map(lambda tensor: tensor.unflatten(0, self._layout), part)
            for part in (self.parameters, self._buffers, mixing)
        )
        return every(parameters, buffers, streams, grouped).flatten(0, 1)

    def _one(self, parameters: State, buffers: State, streams: Streams, mixing: Mixing | None) -> torch.Tensor:
        return functional_call(self._network, (parameters, buffers), (streams, mixing))

    def states(self, numbers: Sequence[int] | None = None) -> list[State]:
        """State dicts of some networks, on the CPU; of all, if no numbers are given."""
        stacked = {key: value for key, value in {**self.parameters, **self._buffers}.items() if key in self._kept}
        chosen = range(len(self.keys)) if numbers is None else numbers
        return [
            {f"standardise.{key}": value.cpu().clone() for key, value in self._standardise[n].state_dict().items()}
            | {f"network.{key}": value[n].detach().cpu().clone() for key, value in stacked.items()}
            for n in chosen
        ]


def _model(data: Data, statistics: Statistics, member: Member) -> FusionModel:
    model = FusionModel(statistics, data.modalities, member.options, len(CLASSES))
    return model.to(next(iter(data.streams.values())).x.dtype)
