"""One file of weights for all the networks of a pretrained backbone: one that saw every training clip, one a fold.

Keys: `all.<key>` for the network that saw all training clips, `fold0.<key>` and so on for the folds' networks, and
`axes0` and so on for the maps onto the first one's axes. The metadata holds which clip is in which fold.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from emopipe.cache.tensors import read, save_state

State = dict[str, torch.Tensor]

ALL = -1
"""Stands for a fold where a clip was in no network's training: those outside the training split."""


@dataclass(frozen=True)
class Learned:
    """What pretraining learned."""

    everything: State
    """State dict of the network that saw all training clips."""
    folds: list[State]
    """State dicts of the networks that left out a fold each."""
    axes: list[np.ndarray]
    """(D + 1, D) for each fold: its network's vectors onto the axes of `everything`."""
    fold_of: Mapping[str, int]
    """Training clip -> the fold whose network never saw it."""


def save(learned: Learned, path: Path, metadata: Mapping[str, str]) -> None:
    """Write one safetensors file; it appears whole."""
    tensors = {f"all.{key}": tensor for key, tensor in learned.everything.items()}
    for number, (state, axes) in enumerate(zip(learned.folds, learned.axes, strict=True)):
        tensors |= {f"fold{number}.{key}": tensor for key, tensor in state.items()}
        tensors[f"axes{number}"] = torch.from_numpy(axes)
    save_state(tensors, path, {**metadata, "fold_of": json.dumps(dict(learned.fold_of), sort_keys=True)})


def load(path: Path) -> Learned:
    """Read what `save` wrote.

    Raises:
        WeightsError: The file is not what was written.
        DamagedCacheError: The same, of a file in the cache.
    """
    tensors, metadata = read(path, sealed=True)
    fold_of = json.loads(metadata["fold_of"])
    count = sum(key.startswith("axes") for key in tensors)
    folds = [_part(tensors, f"fold{number}.") for number in range(count)]
    axes = [tensors[f"axes{number}"].numpy() for number in range(count)]
    return Learned(_part(tensors, "all."), folds, axes, fold_of)


def state_of(module: nn.Module) -> State:
    """A network's state dict on the CPU."""
    return {key: tensor.detach().cpu().contiguous().clone() for key, tensor in module.state_dict().items()}


def _part(tensors: State, prefix: str) -> State:
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}
