"""One file of weights for all networks of a pretrained backbone: one for all training clips, and one for each fold.

Keys: `all.<key>` for the network that was trained on all training clips, `fold0.<key>` and so on for the networks of
the folds, and `axes0` and so on for the maps that align their vectors with the first network's. The metadata holds the
fold of each training clip.
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
"""Used in place of a fold for clips outside the training split, on which no network was trained."""


@dataclass(frozen=True)
class CrossfitWeights:
    """The weights of all networks of a pretrained backbone."""

    full: State
    """State dict of the network that was trained on all training clips."""
    folds: list[State]
    """For each fold, the state dict of the network that was trained without it."""
    alignments: list[np.ndarray]
    """For each fold, the map (D + 1, D) from its network's vectors to the vectors of `full`."""
    fold_of: Mapping[str, int]
    """The fold of each training clip; the fold's network was not trained on the clip."""


def save(weights: CrossfitWeights, path: Path, metadata: Mapping[str, str]) -> None:
    """Write one safetensors file, which replaces `path` only when it is complete."""
    tensors = {f"all.{key}": tensor for key, tensor in weights.full.items()}
    for number, (state, alignment) in enumerate(zip(weights.folds, weights.alignments, strict=True)):
        tensors |= {f"fold{number}.{key}": tensor for key, tensor in state.items()}
        tensors[f"axes{number}"] = torch.from_numpy(alignment)
    save_state(tensors, path, {**metadata, "fold_of": json.dumps(dict(weights.fold_of), sort_keys=True)})


def load(path: Path) -> CrossfitWeights:
    """Read a file that `save` wrote.

    Raises:
        WeightsError: The file is damaged.
        DamagedCacheError: The same, for a file in the cache.
    """
    tensors, metadata = read(path, sealed=True)

    def state(prefix: str) -> State:
        return {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}

    count = sum(key.startswith("axes") for key in tensors)
    folds = [state(f"fold{number}.") for number in range(count)]
    alignments = [tensors[f"axes{number}"].numpy() for number in range(count)]
    return CrossfitWeights(state("all."), folds, alignments, json.loads(metadata["fold_of"]))


def state_of(module: nn.Module) -> State:
    """Return a copy of a network's state dict on the CPU."""
    return {key: tensor.detach().cpu().contiguous().clone() for key, tensor in module.state_dict().items()}
