"""One file of weights for all networks of a pretrained backbone: one for all training clips, and one for each fold.

Keys: `all.<key>` for the network that was trained on all training clips, `fold0.<key>` and so on for the networks of
the folds, and `axes0` and so on for the maps that align their vectors with the first network's. Each network has its
own classifier, under the keys `<network>.emotion_head.*`. The metadata holds the fold of each training clip, the
classes if they are not the seven, those with training samples if these are not all, and how many samples of each class
there were.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from emopipe.backbones.classifier import Classifier, Head, joint_state
from emopipe.cache.metadata import HEAD
from emopipe.cache.tensors import State, read, save_state
from emopipe.core.labels import CLASSES

ALL = -1
"""Used in place of a fold for clips outside the training split, on which no network was trained."""


@dataclass(frozen=True)
class CrossfitWeights:
    """The weights of all networks of a pretrained backbone."""

    full: State
    """State of the network that was trained on all training clips, with its classifier (`classifier.joint_state`)."""
    folds: list[State]
    """For each fold, the state of the network that was trained without it, with its own classifier."""
    alignments: list[np.ndarray]
    """For each fold, the map (D + 1, D) from its network's vectors to the vectors of `full`."""
    fold_of: Mapping[str, int]
    """The fold of each training clip; the fold's network was not trained on the clip."""
    about: Mapping[str, str] = field(default_factory=dict)
    """The rest of the file's metadata."""

    def network(self, fold: int) -> State:
        """Return the state dict of a fold's network, or of that for all clips (ALL), without its classifier."""
        return {key: tensor for key, tensor in self._joint(fold).items() if not key.startswith(HEAD)}

    def head(self, fold: int, wanted: Sequence[str] = CLASSES) -> Head | None:
        """Return the classifier of a fold's network, or of that for all clips; None in files of earlier versions.

        `wanted`: see `Head.of`.
        """
        return Head.of(self._joint(fold), self.about, wanted)

    def _joint(self, fold: int) -> State:
        return self.full if fold == ALL else self.folds[fold]


def save(weights: CrossfitWeights, path: Path, metadata: Mapping[str, str]) -> None:
    """Write one safetensors file, which replaces `path` only when it is complete.

    `metadata` adds to `weights.about`.
    """
    tensors = {f"all.{key}": tensor for key, tensor in weights.full.items()}
    for number, (state, alignment) in enumerate(zip(weights.folds, weights.alignments, strict=True)):
        tensors |= {f"fold{number}.{key}": tensor for key, tensor in state.items()}
        tensors[f"axes{number}"] = torch.from_numpy(alignment)
    save_state(
        tensors, path, {**weights.about, **metadata, "fold_of": json.dumps(dict(weights.fold_of), sort_keys=True)}
    )


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
    fold_of = json.loads(metadata.pop("fold_of"))
    return CrossfitWeights(state("all."), folds, alignments, fold_of, metadata)


def state_of(model: Classifier) -> State:
    """Return a copy of the state of a network and its classifier on the CPU."""
    return {key: tensor.detach().cpu().contiguous().clone() for key, tensor in joint_state(model).items()}
