"""Networks that classify: this project's own weights, or an ONNX net whose entry in the registry names its outputs."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from emopipe.backbones import registry as backbones
from emopipe.backbones.base import Spec
from emopipe.backbones.classifier import Classifier, load_head
from emopipe.backbones.memory_format import layout_of
from emopipe.cache.metadata import read_metadata
from emopipe.core.errors import WeightsError
from emopipe.core.labels import CLASSES, EXTENDED, canonical
from emopipe.core.options import Options
from emopipe.core.validation import checked
from emopipe.weights.checksums import verify
from emopipe.weights.entries import Entry, package_registry
from emopipe.weights.naming import is_path, named, refuse_missing
from emopipe.weights.paths import path_of


@dataclass(frozen=True)
class Network:
    """A network that tells the seven classes."""

    name: str
    """What it is called."""
    spec: Spec
    """What it takes in."""
    probabilities: Callable[[np.ndarray], np.ndarray]
    """A batch as it takes it in -> (N, 7) float64 in the order of `CLASSES`, each row summing to 1."""


def open_network(name: str, *, device: torch.device, threads: int) -> Network:
    """A network by its name in the registry, or by the path of weights that `emopipe pretrain` or a chain made.

    Raises:
        ConfigError: There is no such name.
        WeightsError: The weights are missing, or cannot classify.
        DeviceError: The device is not there.
    """
    registry = package_registry()
    if is_path(name, registry):
        return _own(Path(name).expanduser(), device)
    entry = named(name, registry)
    if not entry.classes:
        raise WeightsError(
            f"{name} tells no classes, so it cannot be evaluated by itself; `emopipe weights list` shows which do."
        )
    path = path_of(entry, registry)
    refuse_missing(path, "evaluate", registry)
    verify(path, registry)
    return _onnx(entry, path, device, threads) if entry.kind == "onnx" else _own(path, device)


def _own(path: Path, device: torch.device) -> Network:
    """Weights with a classifier, as `emopipe.backbones.classifier` writes them; their recipe names the network."""
    if not path.is_file():
        raise WeightsError(
            f"The weights {path} are not there: correct the path, or name what `emopipe weights list` has."
        )
    metadata = read_metadata(path) if path.suffix == ".safetensors" else {}
    if "classes" not in metadata or "recipe" not in metadata:
        raise WeightsError(
            f"{path} holds no classifier of this project's, so it cannot be evaluated: name weights that `emopipe "
            "pretrain` made, or a name of `emopipe weights list` that tells classes."
        )
    recipe = json.loads(metadata["recipe"])
    kind = recipe["kind"]
    options = checked(backbones.options_class(kind), recipe["options"], str(path), warn=False)
    model = _classifier(kind, options, path).eval()
    layout = layout_of(model)
    model.to(device, memory_format=layout)
    order = [json.loads(metadata["classes"]).index(label) for label in CLASSES]

    @torch.inference_mode()
    def probabilities(batch: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(batch).to(device)
        x = x.contiguous(memory_format=layout) if x.ndim == 4 else x
        return model(x).double().softmax(1).cpu().numpy()[:, order]

    return Network(path.stem, backbones.spec(kind, options), probabilities)


def _classifier(kind: str, options: Options, path: Path) -> nn.Module:
    network = backbones.build(kind, options)
    backbones.load(kind, options, network, path)
    model = Classifier(network, backbones.spec(kind, options).dim)
    load_head(model, path)
    return model


def _onnx(entry: Entry, path: Path, device: torch.device, threads: int) -> Network:
    options = backbones.options_class("onnx").model_validate({**entry.defaults, "weights": str(path)})
    network: Any = backbones.build("onnx", options, device=device.type, threads=threads)
    places = [_place(name) for name in entry.classes]
    if network.dim != len(places):
        raise WeightsError(
            f"{path} gives {network.dim} numbers, where {entry.name} has {len(places)} classes; fetch it."
        )

    def probabilities(batch: np.ndarray) -> np.ndarray:
        return onto_classes(network(batch).astype(np.float64), places)

    return Network(entry.name, backbones.spec("onnx", options), probabilities)


def _place(name: str) -> int | None:
    """Which of the seven a network's class is; None for others, such as contempt."""
    return None if name.casefold() in EXTENDED else CLASSES.index(canonical(name))


def onto_classes(outputs: np.ndarray, places: Sequence[int | None]) -> np.ndarray:
    """The share of each of the seven classes among them, the network's other classes left out.

    Args:
        outputs: (N, K) logits or probabilities over the network's own classes.
        places: Which of the seven each of the K is; None for another.

    Returns:
        (N, 7) probabilities.
    """
    kept = [column for column, place in enumerate(places) if place is not None]
    if (outputs >= 0).all() and np.allclose(outputs.sum(1), 1, atol=1e-3):
        shares = outputs[:, kept]
    else:
        shares = np.exp(outputs[:, kept] - outputs[:, kept].max(1, keepdims=True))
    found = np.zeros((len(outputs), len(CLASSES)))
    for column, share in zip(kept, shares.T, strict=True):
        found[:, places[column]] += share
    return found / found.sum(1, keepdims=True).clip(1e-12)
