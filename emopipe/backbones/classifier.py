"""Backbones with a classifier of emotions on top, and the one file that holds the weights of both."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from emopipe.backbones.head_in_file import classes_of, has_classifier, in_metadata
from emopipe.backbones.shared_classes import answered
from emopipe.cache.metadata import HEAD
from emopipe.cache.tensors import State, read, save_state
from emopipe.core.labels import CLASSES, PROBABILITY_FLOOR

TRAINED_CLASSES = "trained_classes"
"""The key of a file's metadata that lists the classes with training samples, if these are not all."""
TRAINED_ON = "trained_on"
"""The key of a file's metadata with what the network was trained on, as JSON; `classes` counts its samples by class."""


class Classifier(nn.Module):
    """A backbone, the mean of its vectors if it returns several, dropout and a linear layer."""

    def __init__(self, backbone: nn.Module, dim: int, dropout: float = 0.0, classes: Sequence[str] = CLASSES) -> None:
        """Create the classifier.

        Args:
            backbone: The network.
            dim: The length of its vectors.
            dropout: The dropout before the linear layer.
            classes: The names of the classes.
        """
        super().__init__()
        self.classes = tuple(classes)
        self.backbone, self.dropout, self.head = backbone, nn.Dropout(dropout), nn.Linear(dim, len(self.classes))
        self.register_buffer("absent", None, persistent=False)

    def restrict(self, classes: np.ndarray) -> None:
        """Give no probability to classes without training samples; `classes`: (K,) bool, those that have samples."""
        absent = None if classes.all() else torch.from_numpy(~classes)
        self.register_buffer("absent", absent, persistent=False)

    def freeze(self) -> None:
        """Exclude from training all but the classifier and the backbone's `LAST_LAYERS`, prefixes of parameters."""
        last = getattr(self.backbone, "LAST_LAYERS", ())
        for name, parameter in self.backbone.named_parameters():
            parameter.requires_grad_(name.startswith(last))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (N, classes) of samples (N, ...), in the order of `classes`.

        Their softmax is exactly zero for the classes that `restrict` excludes.
        """
        return self.classify(self.pooled(x))

    def pooled(self, x: torch.Tensor) -> torch.Tensor:
        """Return the backbone's vector (N, D) of samples (N, ...): the mean if it returns several."""
        vectors = self.backbone(x)  # (N, D) or (N, T', D)
        return vectors.mean(1) if vectors.ndim == 3 else vectors

    def classify(self, pooled: torch.Tensor) -> torch.Tensor:
        """Return logits (N, classes) of vectors (N, D)."""
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
    state = joint_state(model)
    if half:
        for key, tensor in state.items():
            # A variance of batch normalisation may be above 65504, the largest number in half precision.
            if tensor.is_floating_point() and (halved := tensor.half()).isfinite().all():
                state[key] = halved
    save_state(state, path, {**metadata, **in_metadata(model.classes), **trained_classes(model)})


def joint_state(model: Classifier) -> State:
    """Return the backbone's state under its own names and the classifier's as `emotion_head.*`."""
    return {**model.backbone.state_dict(), **{f"{HEAD}{key}": value for key, value in model.head.state_dict().items()}}


def trained_classes(model: Classifier) -> dict[str, str]:
    """Return the entry of a file's metadata on the classes with training samples; none if these are all."""
    if model.absent is None:
        return {}
    trained = [name for name, is_absent in zip(model.classes, model.absent.tolist(), strict=True) if not is_absent]
    return {TRAINED_CLASSES: json.dumps(trained)}


def load_head(model: Classifier, path: Path | str) -> None:
    """Load the classifier of a file for which `has_classifier` is true; `registry.load` loads the backbone.

    Classes are matched by name: those of the file that the model lacks are dropped, and those of the model that the
    file lacks keep their initial weights. Classes without training samples get no probability.

    Raises:
        WeightsError: The file's classes are not as emopipe writes them.
    """
    tensors, about = read(path)
    head = {key.removeprefix(HEAD): value for key, value in tensors.items() if key.startswith(HEAD)}
    classes = classes_of(about)
    if classes != model.classes:
        initial = model.head.state_dict()
        head = {key: _by_name(value.float(), classes, initial[key], model.classes) for key, value in head.items()}
    model.head.load_state_dict(head, strict=True)
    model.restrict(_has_samples(about, model.classes))


def _by_name(rows: torch.Tensor, classes: Sequence[str], initial: torch.Tensor, wanted: Sequence[str]) -> torch.Tensor:
    """Return the rows (K, ...) of classes in another order; a class that they lack has its initial row."""
    found = [rows[classes.index(name)] if name in classes else initial[n] for n, name in enumerate(wanted)]
    return torch.stack(found)


@dataclass(frozen=True)
class Head:
    """The linear layer of a classifier by itself: from vectors to log-probabilities of its classes.

    Of a classifier with the seven and further classes, these are the seven, with their probabilities renormalised,
    unless a further one is wanted (`shared_classes.answered`).
    """

    weight: torch.Tensor
    """(K, D) float32."""
    bias: torch.Tensor
    """(K,) float32."""
    known: torch.Tensor
    """(K,) bool: the classes that it was trained on."""
    prior: np.ndarray
    """(K,) the shares of the classes among its training samples of the K; equal for all known classes if they are not
    known."""
    classes: tuple[str, ...] = CLASSES
    """The K classes."""

    @classmethod
    def of(
        cls, state: Mapping[str, torch.Tensor], about: Mapping[str, str], wanted: Sequence[str] = CLASSES
    ) -> Self | None:
        """Return the head that a state dict holds as `emotion_head.*`; None if it holds none.

        Args:
            state: The tensors of a file of weights, or of one of its networks.
            about: The metadata of the file.
            wanted: The classes that it is used for, such as those of a run; see `shared_classes.answered`.

        Raises:
            WeightsError: The classes in the metadata are not as emopipe writes them.
        """
        if f"{HEAD}weight" not in state:
            return None
        own = classes_of(about)
        classes = answered(own, wanted)
        known, order = _has_samples(about, classes), [own.index(name) for name in classes]
        counts = json.loads(about.get(TRAINED_ON, "{}")).get("classes", {})
        shares = np.array([counts.get(name, 0) for name in classes], float) * known
        shares = shares if shares.any() else known.astype(float)
        tensors = (state[f"{HEAD}{name}"].float()[order] for name in ("weight", "bias"))
        return cls(*tensors, torch.from_numpy(known), shares / shares.sum(), classes)

    def to(self, device: torch.device) -> Self:
        """Return a copy on a device."""
        return type(self)(self.weight.to(device), self.bias.to(device), self.known.to(device), self.prior, self.classes)

    def log_probabilities(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return the log-softmax (..., K) float32 of vectors (..., D); PROBABILITY_FLOOR for classes without samples.

        It is computed in float64. As the layer is linear, the mean of the log-probabilities of several vectors,
        normalised again, is exactly what it gives for the mean vector.
        """
        logits = F.linear(vectors, self.weight, self.bias).double()
        logp = logits.masked_fill(~self.known, -torch.inf).log_softmax(-1)
        return logp.masked_fill(~self.known, float(np.log(PROBABILITY_FLOOR))).float()


def read_head(path: Path | str, wanted: Sequence[str] = CLASSES) -> Head | None:
    """Return the head in a file of weights; None if it has none, as those of other programs; see `Head.of`."""
    return Head.of(*read(path), wanted) if has_classifier(path) else None


def _has_samples(about: Mapping[str, str], classes: Sequence[str]) -> np.ndarray:
    """Return (K,) bool: those of the classes with training samples, by a file's metadata."""
    trained = json.loads(about[TRAINED_CLASSES]) if TRAINED_CLASSES in about else classes_of(about)
    return np.isin(classes, trained)
