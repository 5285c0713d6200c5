"""Any image network of timm, as `kind: timm:<name>`, up to its pooled vector.

Architecture: the named network without its classifier. timm provides architectures only; nothing is downloaded.
Source: Wightman, PyTorch Image Models, https://github.com/huggingface/pytorch-image-models.
Input: (N, 3, size, size), RGB faces. Size, mean and standard deviation are by default those of timm's configuration.
Output: (N, dim), dim as the network has it.
Weights: a local file with timm's own keys, as `torch.save(model.state_dict(), ...)` or timm's repositories
(`model.safetensors`) have it. The specification gives the licence that timm records for the network's weights.
"""

import difflib
from functools import lru_cache
from types import ModuleType
from typing import ClassVar, NamedTuple

from pydantic import Field

from emopipe.backbones import optional_packages
from emopipe.backbones.base import FaceInput, Spec
from emopipe.backbones.torch_types import Module
from emopipe.core.errors import ConfigError
from emopipe.core.options import Number, Options


class BackboneOptions(Options):
    """Which network, and its input. Default values are those of timm's configuration of the network."""

    renamed: ClassVar = {"side_units": "crop_units"}

    name: str = Field(pattern=r"^\w[\w.]*$")
    """timm's name of the network, with or without its tag: the text after the colon of `kind: timm:<name>`."""
    size: int | None = Field(None, ge=16)
    """Side of the crop in pixels. Default: timm's."""
    crop_units: Number = Field(145.6, gt=0)
    """Side of the crop in ArcFace's template units: 112 is ArcFace's own crop, 145.6 adds a 30 % margin."""
    mean: list[Number] | None = Field(None, min_length=3, max_length=3)
    """Mean of red, green and blue, on the scale of 0 to 255; it is subtracted. Default: timm's."""
    std: list[Number] | None = Field(None, min_length=3, max_length=3)
    """Standard deviation of red, green and blue, on the scale of 0 to 255; they are divided by it. Default: timm's."""


class _Facts(NamedTuple):
    """A network's properties, from timm's configuration and from its shapes."""

    size: int
    fixed: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    licence: str
    dim: int
    head: tuple[str, ...]


def spec(options: BackboneOptions) -> Spec:
    """Return the specification: the crop of timm's configuration, unless the options change it, and the pooled vector.

    Raises:
        WeightsError: timm is not installed, or it cannot be imported.
        ConfigError: timm has no such network, or the network takes only one size, which is not the options' size.
    """
    facts = _facts(options.name)
    size = options.size or facts.size
    if facts.fixed and size != facts.size:
        raise ConfigError(
            f"timm's {options.name} takes only images of {facts.size} pixels a side, but size is {size}. Remove size, "
            "or use another network."
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


def build(options: BackboneOptions) -> Module:
    """Build the network without its classifier, with random weights, drawn from torch's global generator.

    Raises:
        WeightsError: timm is not installed, or it cannot be imported.
        ConfigError: timm has no such network.
    """
    return _create(_timm(options.name), options.name, num_classes=0)


def version(options: BackboneOptions) -> str:
    """Return timm's name and version, because a network's architecture and input depend on it.

    Raises:
        WeightsError: timm is not installed.
    """
    return optional_packages.version("timm")


@lru_cache(maxsize=8)
def _facts(name: str) -> _Facts:
    import torch

    timm = _timm(name)
    published = timm.get_pretrained_cfg(name)
    # On the device meta, networks have shapes but no values: nothing is computed, and no random number is drawn.
    with torch.device("meta"), torch.no_grad():
        whole, headless = (_create(timm, name, **options).eval() for options in ({}, {"num_classes": 0}))
        vectors = headless(torch.empty(1, *published.input_size))
    if vectors.ndim != 2:
        raise ConfigError(
            f"The output of timm's {name} for one image has the shape {tuple(vectors.shape)}, expected one vector. Use "
            "a network that ends in a classifier."
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


def _create(timm: ModuleType, name: str, **options: int) -> Module:
    return timm.create_model(name, pretrained=False, **options)


def _timm(name: str) -> ModuleType:
    """Import timm, and check that it has the network `name`."""
    timm = optional_packages.load("timm", "It imports torchvision, whose build has to match the installed torch.")
    names = timm.list_models() + timm.list_pretrained()  # without tags, and with them
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        raise ConfigError(
            f"timm {timm.__version__} has no network {name!r}. timm.list_models() and timm.list_pretrained() list them."
            + (f" Did you mean {near[0]!r}?" if near else "")
        )
    return timm
