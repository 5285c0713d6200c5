"""Networks that classify: emopipe's own weights, or an ONNX network whose registry entry names its classes."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from emopipe.backbones import registry as backbones
from emopipe.backbones.base import Spec
from emopipe.backbones.classifier import Classifier, load_head
from emopipe.backbones.for_inference import for_inference
from emopipe.backbones.head_in_file import OWN_CLASSES, classes_of
from emopipe.backbones.memory_format import memory_format_of
from emopipe.cache.metadata import read_metadata
from emopipe.core.errors import WeightsError
from emopipe.core.labels import CLASSES
from emopipe.core.validation import checked
from emopipe.corpora.classes import OTHER_CLASSES, canonical_label, ordered
from emopipe.runtime.device import name_of
from emopipe.runtime.memory import AdaptiveBatches
from emopipe.weights import trained_on
from emopipe.weights.checksums import verify
from emopipe.weights.entries import Entry, package_registry
from emopipe.weights.naming import is_path, named, refuse_missing
from emopipe.weights.paths import path_of
from emopipe.weights.trained_on import TrainedOn


@dataclass(frozen=True)
class Network:
    """A network that classifies into the seven classes, or into those that it was trained on."""

    name: str
    """Its name in reports."""
    spec: Spec
    """Its input and output."""
    probabilities: Callable[[np.ndarray], np.ndarray]
    """A batch of its inputs -> (N, K) float64 in the order of `classes`; each row sums to 1."""
    trained_on: TrainedOn | None = None
    """What its weights were trained on; None if their file does not say so."""
    classes: tuple[str, ...] = CLASSES
    """Its K classes; with all of the seven, these are the first."""

    def probabilities_of(self, classes: Sequence[str], batch: np.ndarray) -> np.ndarray:
        """Return the probabilities (N, classes) of a batch, over the first of its classes; each row sums to 1.

        Further classes that are dropped give their share to the others in proportion, as where a network is used.
        """
        found = self.probabilities(batch)[:, : len(classes)]
        return found if len(classes) == len(self.classes) else found / found.sum(1, keepdims=True).clip(1e-300)


def open_network(name: str, *, device: torch.device, onnx_device: str = "", threads: int) -> Network:
    """Open a network by its name in the registry, or by the path of weights from `emopipe pretrain` or a chain.

    Args:
        name: The name or path.
        device: Where it runs. If its memory is too small, batches are divided.
        onnx_device: Where an ONNX network runs: auto, cpu or cuda. Default: on the same kind of device.
        threads: CPU threads of an ONNX network.

    Raises:
        ConfigError: The name is unknown.
        WeightsError: The weights are missing or have no classifier.
        DeviceError: The device does not exist.
    """
    registry = package_registry()
    if is_path(name, registry):
        return _own_network(Path(name).expanduser(), device)
    entry = named(name, registry)
    if not entry.classes:
        raise WeightsError(
            f"{name} has no classes, so it cannot be evaluated by itself. Give a name that has classes; `emopipe "
            "weights list` shows them."
        )
    path = path_of(entry, registry)
    refuse_missing(path, "evaluate", registry)
    verify(path, registry)
    if entry.kind == "onnx":
        return _onnx_network(entry, path, onnx_device or device.type, threads)
    return _own_network(path, device)


def _own_network(path: Path, device: torch.device) -> Network:
    """Open weights with a classifier, as `emopipe.backbones.classifier` writes them; their recipe has the network."""
    if not path.is_file():
        raise WeightsError(
            f"The weights file {path} does not exist. Correct the path, or give a name from `emopipe weights list`."
        )
    recipe, named_classes = _recipe_and_classes(path)
    # 1. The network and its classifier.
    kind = recipe["kind"]
    options = checked(backbones.options_class(kind), recipe["options"], str(path), warn=False)
    spec, network = backbones.spec(kind, options), backbones.build(kind, options)
    backbones.load(kind, options, network, path)
    classes = tuple(ordered(named_classes))
    model = Classifier(network, spec.dim, classes=classes)
    load_head(model, path)
    layout = memory_format_of(network)
    for_inference(network, device)
    model.to(device).eval()

    # 2. Its probabilities.
    @torch.inference_mode()
    def probabilities(batch: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(batch).to(device)
        x = x.contiguous(memory_format=layout) if x.ndim == 4 else x
        return model(x).double().softmax(1).cpu().numpy()

    trained = trained_on.read(path)
    known = trained if trained.contents or trained.speakers else None
    return Network(path.stem, spec, _divided(probabilities, name_of(device)), known, classes)


def _recipe_and_classes(path: Path) -> tuple[dict[str, Any], Sequence[str]]:
    """Return the recipe and the classes of weights with a classifier, which are in the file's metadata."""
    metadata = read_metadata(path) if path.suffix == ".safetensors" else {}
    recipe = _parsed(metadata.get("recipe", ""))
    instead = "Give weights that `emopipe pretrain` wrote, or a name from `emopipe weights list` that has classes."
    if isinstance(recipe, dict) and recipe.get("stage") == "fusion":
        raise WeightsError(
            f"{path} holds the fusion networks of a run's model, which read cached features, but `emopipe evaluate` "
            f"reads faces or sound, with one backbone that has a classifier. {instead} The scores of the run's models "
            "are in its metrics.csv."
        )
    has_network = isinstance(recipe, dict) and {"kind", "options"} <= recipe.keys()
    try:
        if has_network and OWN_CLASSES in metadata:
            return recipe, classes_of(metadata)
    except WeightsError:
        pass  # another program wrote the list; the message is the same
    raise WeightsError(f"{path} has no classifier that emopipe wrote, so it cannot be evaluated. {instead}")


def _parsed(text: str) -> Any:
    """Return what a JSON text holds; None if it is not JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def _onnx_network(entry: Entry, path: Path, device: str, threads: int) -> Network:
    options = backbones.options_class("onnx").model_validate({**entry.defaults, "weights": str(path)})
    network: Any = backbones.build("onnx", options, device=device, threads=threads)
    class_idx = [
        None if name.casefold() in OTHER_CLASSES else CLASSES.index(canonical_label(name)) for name in entry.classes
    ]
    if network.dim != len(class_idx):
        raise WeightsError(
            f"{path} gives {network.dim} numbers, but {entry.name} has {len(class_idx)} classes. Run `emopipe weights "
            f"fetch {entry.name}`."
        )

    def probabilities(batch: np.ndarray) -> np.ndarray:
        return map_to_classes(network(batch).astype(np.float64), class_idx)

    return Network(entry.name, backbones.spec("onnx", options), _divided(probabilities, network.device))


def _divided(probabilities: Callable[[np.ndarray], np.ndarray], device: str) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that computes the same, in smaller batches if the memory of the device is too small."""
    batches = AdaptiveBatches(device)
    return lambda batch: np.concatenate(batches.map(probabilities, batch))


def map_to_classes(outputs: np.ndarray, class_idx: Sequence[int | None]) -> np.ndarray:
    """Return probabilities over the seven classes; the network's other classes are omitted.

    Args:
        outputs: (N, K) logits or probabilities over the network's own classes.
        class_idx: The index into `CLASSES` of each of the K classes; None for another class, such as contempt.

    Returns:
        (N, 7) probabilities.
    """
    kept = [column for column, index in enumerate(class_idx) if index is not None]
    if (outputs >= 0).all() and np.allclose(outputs.sum(1), 1, atol=1e-3):
        shares = outputs[:, kept]
    else:
        shares = np.exp(outputs[:, kept] - outputs[:, kept].max(1, keepdims=True))
    found = np.zeros((len(outputs), len(CLASSES)))
    for column, share in zip(kept, shares.T, strict=True):
        found[:, class_idx[column]] += share
    return found / found.sum(1, keepdims=True).clip(1e-12)
