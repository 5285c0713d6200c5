"""The backbones by name; each module is imported when asked for, so each is fingerprinted by itself."""

import importlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from emopipe.backbones.base import Modality, Spec
from emopipe.core.errors import ConfigError
from emopipe.core.options import Options

KINDS: dict[str, str] = {
    "ir50": "emopipe.backbones.ir50",
    "ir_se50": "emopipe.backbones.ir_se50",
    "resnet18": "emopipe.backbones.resnet18",
    "densenet121": "emopipe.backbones.densenet121",
    "vgg16": "emopipe.backbones.vgg16",
    "vggface": "emopipe.backbones.vggface",
    "expression": "emopipe.backbones.expression",
    "onnx": "emopipe.backbones.onnx",
    "timm": "emopipe.backbones.timm_net",
    "audio_alexnet": "emopipe.backbones.audio_alexnet",
    "speech": "emopipe.backbones.speech",
    "hf": "emopipe.backbones.hf_audio",
    "opensmile": "emopipe.backbones.opensmile_sets",
}
"""Kind -> the module that holds its `BackboneOptions`, `spec` and `build`, and `adapt` where weights need it."""

AUDIO = frozenset({"audio_alexnet", "speech", "hf", "opensmile"})
"""Kinds that read sound; the others read faces."""
FIXED = frozenset({"onnx", "hf", "opensmile"})
"""Kinds that come trained and cannot be trained here."""
NAMED = {"timm": "name", "hf": "weights"}
"""Kinds that stand for many networks, as `timm:<name>` -> the option that the text after the first colon is."""


def module_name(kind: str) -> str:
    """The module of a kind, whose code makes its features; `timm:<name>` is of kind timm.

    Raises:
        ConfigError: There is no such kind.
    """
    if (plain := _plain(kind)) not in KINDS:
        raise ConfigError(f"There is no backbone of kind '{plain}'; use one of {', '.join(sorted(KINDS))}.")
    return KINDS[plain]


def unfolded(kind: str, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """A kind such as `timm:resnet18` as a key of `KINDS` and options that hold what stood after the colon.

    Raises:
        ConfigError: Nothing stands there, or what the options or the kind have no use for.

    >>> unfolded("timm:resnet18", {"size": 112})
    ('timm', {'name': 'resnet18', 'size': 112})
    """
    plain, colon, text = kind.partition(":")
    if not colon:
        return kind, dict(options)
    if (key := NAMED.get(plain)) is None:
        raise ConfigError(f"The kind {kind!r} has a colon, but {plain} is one network; write {plain}.")
    if not text:
        raise ConfigError(f"The kind {kind!r} ends at its colon; name the network after it, or as the option {key}.")
    if key in options:
        raise ConfigError(f"The kind {kind!r} names its network, and so does its option {key}; leave that out.")
    return plain, {key: text, **options}


def modality(kind: str) -> Modality:
    """`face` or `audio`."""
    return "audio" if _plain(kind) in AUDIO else "face"


def trainable(kind: str) -> bool:
    """Whether the pretrain stage can train it: it is an `nn.Module`."""
    return _plain(kind) not in FIXED


def net_files(kind: str, options: Options) -> list[Path]:
    """The files that a network which comes trained consists of; none for the others.

    Raises:
        WeightsError: One is missing or unfit.
    """
    return [] if trainable(kind) else _module(kind).net_files(options)


def version(kind: str, options: Options) -> str:
    """The package that a network is part of and its version, where that decides what it gives; "" for the others.

    Raises:
        WeightsError: It is not installed.
    """
    module = _module(kind)
    return module.version(options) if hasattr(module, "version") else ""


def options_class(kind: str) -> type[Options]:
    """The class that checks a backbone's block of the config.

    Raises:
        ConfigError: There is no such kind.
    """
    return _module(kind).BackboneOptions


def options_from(recipe: Mapping[str, Any], weights: str | None) -> Options:
    """The options in a recipe, which leaves out the path of a network that comes trained: `weights` is that path."""
    options = options_class(recipe["kind"])
    path = {"weights": weights} if "weights" in options.model_fields else {}
    return options.model_validate({**recipe["options"], **path})


def spec(kind: str, options: Options) -> Spec:
    """What the backbone is; `options` is an instance of `options_class(kind)`.

    Raises:
        ConfigError: There is no such kind, or the network has not what the options say.
        WeightsError: Kinds `onnx`, `hf` and `timm`: a file or package is missing or unfit.
    """
    return _module(kind).spec(options)


def build(kind: str, options: Options, **where: Any) -> Any:
    """The network itself: an `nn.Module` initialised from torch's global seed, or one that comes trained.

    Args:
        kind: A key of `KINDS`.
        options: An instance of `options_class(kind)`.
        where: Of kinds in `FIXED` only, which are bound to their device when built: `device`, `threads`.

    Raises:
        ConfigError: There is no such kind, or the network has not what the options say.
        WeightsError: Kinds in `FIXED` and `timm`: a file or package is missing or unfit.
        DeviceError: Kinds in `FIXED` only: the device is not there.
    """
    return _module(kind).build(options, **where)


def load(kind: str, options: Options, module: Any, path: Path | str) -> None:
    """Load a file of weights into a network that `build` gave: published ones, or this project's own.

    A module's `adapt(state, options)` makes a published state dict, less its head, the network's own; the keys and
    shapes that it does not know pass through it unchanged and are refused afterwards.

    Args:
        kind: A key of `KINDS` that is `trainable`.
        options: An instance of `options_class(kind)`.
        module: The network, changed in place.
        path: A .safetensors file or a torch file, see `weights.load_strict`.

    Raises:
        ConfigError: There is no such kind.
        WeightsError: The file is missing, unreadable, holds more than tensors, or is of another network.
    """
    from emopipe.cache.tensors import load_strict  # here, as planning a run has no other need of torch

    network = _module(kind)
    adapt = getattr(network, "adapt", None)
    load_strict(module, path, network.spec(options).head, adapt and partial(adapt, options=options))


def _module(kind: str) -> ModuleType:
    return importlib.import_module(module_name(kind))


def _plain(kind: str) -> str:
    return kind.partition(":")[0]
