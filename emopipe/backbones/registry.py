"""The backbones by name; each module is imported when asked for, so each is fingerprinted by itself."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from emopipe.backbones.base import Modality, Spec
from emopipe.errors import ConfigError
from emopipe.options import Options

KINDS: dict[str, str] = {
    "ir50": "emopipe.backbones.ir50",
    "resnet18": "emopipe.backbones.resnet18",
    "expression": "emopipe.backbones.expression",
    "onnx": "emopipe.backbones.onnx",
    "audio_alexnet": "emopipe.backbones.audio_alexnet",
}
"""Kind -> the module that holds its `BackboneOptions`, `spec` and `build`."""

AUDIO = frozenset({"audio_alexnet"})
"""Kinds that read sound; the others read faces."""
FIXED = frozenset({"onnx"})
"""Kinds that come trained and cannot be trained here."""


def modality(kind: str) -> Modality:
    """`face` or `audio`."""
    return "audio" if kind in AUDIO else "face"


def trainable(kind: str) -> bool:
    """Whether the pretrain stage can train it: it is an `nn.Module`."""
    return kind not in FIXED


def net_files(kind: str, options: Options) -> list[Path]:
    """The files that a network which comes trained consists of; none for the others.

    Raises:
        WeightsError: One is missing or unfit.
    """
    return _module(kind).net_files(options) if kind in FIXED else []


def options_class(kind: str) -> type[Options]:
    """The class that checks a backbone's block of the config.

    Raises:
        ConfigError: There is no such kind.
    """
    return _module(kind).BackboneOptions


def options_from(recipe: Mapping[str, Any], weights: str | None) -> Options:
    """The options in a recipe, which leaves out the path of a network that comes trained: `weights` is that path."""
    path = {"weights": weights} if recipe["kind"] in FIXED else {}
    return options_class(recipe["kind"]).model_validate({**recipe["options"], **path})


def spec(kind: str, options: Options) -> Spec:
    """What the backbone is; `options` is an instance of `options_class(kind)`.

    Raises:
        ConfigError: There is no such kind.
        WeightsError: Kind `onnx` only: the file is missing or unfit.
    """
    return _module(kind).spec(options)


def build(kind: str, options: Options, **where: Any) -> Any:
    """The network itself, initialised from torch's global seed: an `nn.Module`, or `onnx.OnnxNet`.

    Args:
        kind: A key of `KINDS`.
        options: An instance of `options_class(kind)`.
        where: Kind `onnx` only, which is bound to its device when built: `device`, `threads`.

    Raises:
        ConfigError: There is no such kind.
        WeightsError: Kind `onnx` only: the file is missing or unfit.
        DeviceError: Kind `onnx` only: the device is not there.
    """
    return _module(kind).build(options, **where)


def _module(kind: str) -> ModuleType:
    if kind not in KINDS:
        known = ", ".join(sorted(KINDS))
        raise ConfigError(f"There is no backbone of kind '{kind}'; use one of {known}.")
    return importlib.import_module(KINDS[kind])
