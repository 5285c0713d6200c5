"""Backbones with a classifier of emotions on top, and the one file that holds the weights of both."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from emopipe.cache.metadata import UNREADABLE, open_tensors, unfit
from emopipe.cache.tensors import HEAD, read, save_state
from emopipe.core.labels import CLASSES

TRAINED_CLASSES = "trained_classes"
"""The key of a file's metadata that lists the classes with training samples, if these are not all."""


class Classifier(nn.Module):
    """A backbone, the mean of its vectors if it returns several, dropout and a linear layer."""

    def __init__(self, backbone: nn.Module, dim: int, dropout: float = 0.0) -> None:
        """Create the classifier; `dim` is the length of the backbone's vectors."""
        super().__init__()
        self.backbone, self.dropout, self.head = backbone, nn.Dropout(dropout), nn.Linear(dim, len(CLASSES))
        self.register_buffer("absent", None, persistent=False)

    def restrict(self, classes: np.ndarray) -> None:
        """Give no probability to classes without training samples; `classes`: (K,) bool, those that have samples."""
        absent = None if classes.all() else torch.from_numpy(~classes)
        self.register_buffer("absent", absent, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (N, classes) of samples (N, ...), in the order of `CLASSES`.

        Their softmax is exactly zero for the classes that `restrict` excludes.
        """
        vectors = self.backbone(x)  # (N, D) or (N, T', D)
        pooled = vectors.mean(1) if vectors.ndim == 3 else vectors  # (N, D)
        logits = self.head(self.dropout(pooled))
        return logits if self.absent is None else logits.masked_fill(self.absent, torch.finfo(logits.dtype).min)


def save_classifier(model: Classifier, path: Path, metadata: Mapping[str, str], *, half: bool) -> None:
    """Write the backbone's weights under their own names and the classifier's as `emotion_head.*`, as safetensors.

    Args:
        model: The network.
        path: The file to write; it is replaced only when the new file is complete.
        metadata: What made the file. The classes are added, and those with training samples if these are not all.
        half: Save in half precision, except for tensors with numbers that are too large for it.
    """
    state = {**model.backbone.state_dict(), **{f"{HEAD}{key}": value for key, value in model.head.state_dict().items()}}
    if half:
        for key, tensor in state.items():
            # A variance of batch normalisation may be above 65504, the largest number in half precision.
            if tensor.is_floating_point() and (halved := tensor.half()).isfinite().all():
                state[key] = halved
    about = {**metadata, "classes": json.dumps(list(CLASSES))}
    if model.absent is not None:
        trained = [name for name, is_absent in zip(CLASSES, model.absent.tolist(), strict=True) if not is_absent]
        about[TRAINED_CLASSES] = json.dumps(trained)
    save_state(state, path, about)


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
    """Load the classifier of a file for which `has_classifier` is true; `registry.load` loads the backbone.

    Classes without training samples get no probability.
    """
    tensors, about = read(path)
    head = {key.removeprefix(HEAD): value for key, value in tensors.items() if key.startswith(HEAD)}
    model.head.load_state_dict(head, strict=True)
    trained = json.loads(about.get(TRAINED_CLASSES, json.dumps(CLASSES)))
    model.restrict(np.isin(CLASSES, trained))
