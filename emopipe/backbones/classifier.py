"""Networks with the classifier that emotion pretraining puts on top: one file of weights, for features and scores."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from torch import nn

from emopipe.cache.metadata import UNREADABLE, unfit
from emopipe.cache.tensors import HEAD, read, save_state
from emopipe.core.labels import CLASSES


class Classifier(nn.Module):
    """A backbone, the mean of its vectors where it gives several, dropout and a linear layer."""

    def __init__(self, backbone: nn.Module, dim: int, dropout: float = 0.0) -> None:
        """`dim`: length of the backbone's vectors; `dropout` acts in training only."""
        super().__init__()
        self.backbone, self.dropout, self.head = backbone, nn.Dropout(dropout), nn.Linear(dim, len(CLASSES))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Samples (N, ...) -> logits (N, classes), in the order of `CLASSES`."""
        vectors = self.backbone(x)  # (N, D) or (N, T', D)
        pooled = vectors.mean(1) if vectors.ndim == 3 else vectors  # (N, D)
        return self.head(self.dropout(pooled))


def save_classifier(model: Classifier, path: Path, metadata: Mapping[str, str], *, half: bool) -> None:
    """Write the backbone's weights under their own names, and the classifier's as `emotion_head.*`, as safetensors.

    Args:
        model: The network.
        path: Where to; the file appears whole.
        metadata: What made it; the classes are added.
        half: Keep numbers in half precision, which takes half the space, but for tensors whose numbers are too large.
    """
    state = {**model.backbone.state_dict(), **{f"{HEAD}{key}": value for key, value in model.head.state_dict().items()}}
    if half:
        state = {key: _halved(tensor) for key, tensor in state.items()}
    save_state(state, path, {**metadata, "classes": json.dumps(list(CLASSES))})


def has_classifier(path: Path | str) -> bool:
    """Whether a file of weights holds the classifier that `save_classifier` puts in.

    Raises:
        WeightsError: The file cannot be read.
        DamagedCacheError: The same, of a file in the cache.
    """
    if Path(path).suffix != ".safetensors":
        return False
    try:
        with safe_open(path, framework="pt") as file:
            return f"{HEAD}weight" in file.keys()  # noqa: SIM118 - it is no mapping
    except UNREADABLE as error:
        raise unfit(path, error) from error


def load_head(model: Classifier, path: Path | str) -> None:
    """Load the classifier of a file that `has_classifier`; the backbone's weights are `registry.load`'s business."""
    tensors = {key.removeprefix(HEAD): value for key, value in read(path)[0].items() if key.startswith(HEAD)}
    model.head.load_state_dict(tensors, strict=True)


def _halved(tensor: torch.Tensor) -> torch.Tensor:
    half = tensor.half() if tensor.is_floating_point() else tensor
    return half if half.isfinite().all() else tensor  # a variance of the batches may be above 65504
