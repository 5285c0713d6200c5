"""Backbones with a classifier of emotions on top, and the one file that holds the weights of both."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from emopipe.cache.metadata import UNREADABLE, open_tensors, unfit
from emopipe.cache.tensors import HEAD, read, save_state
from emopipe.core.labels import CLASSES


class Classifier(nn.Module):
    """A backbone, the mean of its vectors if it returns several, dropout and a linear layer."""

    def __init__(self, backbone: nn.Module, dim: int, dropout: float = 0.0) -> None:
        """Create the classifier; `dim` is the length of the backbone's vectors."""
        super().__init__()
        self.backbone, self.dropout, self.head = backbone, nn.Dropout(dropout), nn.Linear(dim, len(CLASSES))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (N, classes) of samples (N, ...), in the order of `CLASSES`."""
        vectors = self.backbone(x)  # (N, D) or (N, T', D)
        pooled = vectors.mean(1) if vectors.ndim == 3 else vectors  # (N, D)
        return self.head(self.dropout(pooled))


def save_classifier(model: Classifier, path: Path, metadata: Mapping[str, str], *, half: bool) -> None:
    """Write the backbone's weights under their own names and the classifier's as `emotion_head.*`, as safetensors.

    Args:
        model: The network.
        path: The file to write; it is replaced only when the new file is complete.
        metadata: What made the file. The classes are added.
        half: Save in half precision, except for tensors with numbers that are too large for it.
    """
    state = {**model.backbone.state_dict(), **{f"{HEAD}{key}": value for key, value in model.head.state_dict().items()}}
    if half:
        for key, tensor in state.items():
            # A variance of batch normalisation may be above 65504, the largest number in half precision.
            if tensor.is_floating_point() and (halved := tensor.half()).isfinite().all():
                state[key] = halved
    save_state(state, path, {**metadata, "classes": json.dumps(list(CLASSES))})


def has_classifier(path: Path | str) -> bool:
    """Return whether a file of weights holds a classifier that `save_classifier` wrote.

    Raises:
        WeightsError: The file cannot be read.
        DamagedCacheError: The same, for a file in the cache.
    """
    if Path(path).suffix != ".safetensors":
        return False
    try:
        with open_tensors(path, "pt") as file:
            return f"{HEAD}weight" in file.keys()  # noqa: SIM118 - it is not a mapping
    except UNREADABLE as error:
        raise unfit(path, error) from error


def load_head(model: Classifier, path: Path | str) -> None:
    """Load the classifier of a file for which `has_classifier` is true; `registry.load` loads the backbone."""
    tensors = {key.removeprefix(HEAD): value for key, value in read(path)[0].items() if key.startswith(HEAD)}
    model.head.load_state_dict(tensors, strict=True)
