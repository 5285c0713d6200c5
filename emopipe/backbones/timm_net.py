"""Any image network of timm by its name, as `kind: timm:<name>`, up to its pooled vector.

Wightman, PyTorch Image Models, https://github.com/huggingface/pytorch-image-models. timm is asked for architectures
alone: weights are a local file with timm's own keys, as `torch.save(model.state_dict(), ...)` or the
`model.safetensors` of timm's repositories hold them.
"""

import difflib
from functools import lru_cache
from types import ModuleType
from typing import ClassVar, NamedTuple

import torch
from pydantic import Field
from torch import nn

from emopipe.backbones import optional_packages
from emopipe.backbones.base import FaceInput, Spec
from emopipe.core.errors import ConfigError
from emopipe.core.options import Number, Options


class BackboneOptions(Options):
    """Which network, and what it sees; what is left out is as timm says of the network."""

    renamed: ClassVar = {"side_units": "crop_units"}

    name: str = Field(pattern=r"^\w[\w.]*$")
    """timm's name of the network, with its tag or without; the text after the colon of `kind: timm:<name>`."""
    size: int | None = Field(None, ge=16)
    """Side of the face in pixels."""
    crop_units: Number = Field(145.6, gt=0)
    """Side of the face in ArcFace's template units: 112 for its own crop, 145.6 for 30 % more."""
    mean: list[Number] | None = Field(None, min_length=3, max_length=3)
    """Subtracted from red, green and blue, of values 0 to 255."""
    std: list[Number] | None = Field(None, min_length=3, max_length=3)
    """Red, green and blue are divided by these, of values 0 to 255."""


class _Facts(NamedTuple):
    """What timm says of a network, and what its form tells."""

    size: int
    fixed: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    licence: str
    dim: int
    head: tuple[str, ...]


def spec(options: BackboneOptions) -> Spec:
    """The face that the network was trained on, but for what the options change; its pooled vector out.

    Raises:
        WeightsError: timm is not installed, or cannot be imported.
        ConfigError: timm has no such network, or it reads faces of one size alone.
    """
    facts = _facts(options.name)
    size = options.size or facts.size
    if facts.fixed and size != facts.size:
        raise ConfigError(
            f"timm's {options.name} reads pictures of {facts.size} pixels a side alone, but size is {size}; leave "
            "size out, or take another network."
        )
    mean, std = tuple(options.mean or facts.mean), tuple(options.std or facts.std)
    return Spec(
        modality="face",
        input=FaceInput(options.crop_units, size, "rgb", mean, std),
        dim=facts.dim,
        licence=f"Apache-2.0 (code, timm); weights: {facts.licence}",
        citation=f"{options.name} of Wightman, PyTorch Image Models, github.com/huggingface/pytorch-image-models",
        head=facts.head,
    )


def build(options: BackboneOptions) -> nn.Module:
    """The network without its classifier, with fresh weights, drawn from torch's global seed.

    Raises:
        WeightsError: timm is not installed, or cannot be imported.
        ConfigError: timm has no such network.
    """
    return _create(_timm(options.name), options.name, num_classes=0)


def version(options: BackboneOptions) -> str:
    """timm and its version, on which a network's form and input depend.

    Raises:
        WeightsError: timm is not installed.
    """
    return optional_packages.version("timm")


@lru_cache(maxsize=8)
def _facts(name: str) -> _Facts:
    timm = _timm(name)
    published = timm.get_pretrained_cfg(name)
    # On meta, networks have shapes and no numbers: nothing is computed, and no seed is drawn from.
    with torch.device("meta"), torch.no_grad():
        whole, headless = (_create(timm, name, **options).eval() for options in ({}, {"num_classes": 0}))
        vectors = headless(torch.empty(1, *published.input_size))
    if vectors.ndim != 2:
        raise ConfigError(
            f"timm's {name} gives an array of {tuple(vectors.shape)} for a picture, not one vector; take a network "
            "that ends in a classifier."
        )
    return _Facts(
        size=published.input_size[-1],
        fixed=published.fixed_input_size,
        mean=tuple(255 * value for value in published.mean),
        std=tuple(255 * value for value in published.std),
        licence=published.license or "as their author says",
        dim=vectors.shape[1],
        head=tuple(sorted(set(whole.state_dict()) - set(headless.state_dict()))),
    )


def _create(timm: ModuleType, name: str, **options: int) -> nn.Module:
    return timm.create_model(name, pretrained=False, **options)


def _timm(name: str) -> ModuleType:
    """timm, which has to have the network `name`."""
    timm = optional_packages.load("timm", "it reads torchvision, whose build has to be the one for the installed torch")
    names = timm.list_models() + timm.list_pretrained()  # without tags, and with them
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        raise ConfigError(
            f"timm {timm.__version__} has no network {name!r}; timm.list_models() and timm.list_pretrained() list them."
            + (f" Did you mean {near[0]!r}?" if near else "")
        )
    return timm
