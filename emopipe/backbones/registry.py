'''The kinds of backbones. A module is imported only when its kind is used.

A backbone is a module. The project's own are rows of `KINDS`. A module of another package becomes a kind by an entry
point of the group `emopipe.backbones` (see `emopipe.core.registry`). `emopipe kinds` lists them all.

Planning a run imports the modules of its kinds, but not torch, which takes seconds to import. So the project's own
modules import torch and their networks (`emopipe.backbones.nets`) in the functions that need them. Plug-ins may do so.

A module has:

- `MODALITY`: "face" or "audio", the input of the network. Only plug-ins need it; other kinds have it in their row.
- `TRAINABLE`: True if the network is an `nn.Module` that can be trained here; False if it is already trained. Only
  plug-ins need it.
- `NAMED_BY`: optional, for a kind that stands for many networks; the option that holds the text after the colon of
  `kind:text`. Only plug-ins need it.
- `CPU_ONLY`: optional; True if the network computes on the CPU even if there is a GPU, so that its jobs do not ask for
  one. Only plug-ins need it.
- `BackboneOptions`: a class derived from `emopipe.core.options.Options`; it checks the block `options` of the config.
- `spec(options)`: returns an `emopipe.backbones.base.Spec`: the input of the network, the length of its vectors, its
  licence. It should not read weights unless this is necessary.
- `build(options)` of a trainable network: returns the `nn.Module` with weights drawn from torch's global seed. A face
  network maps faces (N, C, size, size) to vectors (N, dim). An audio network maps spectrograms (N, C, F, T) or waves
  (N, T) to (N, T', dim), and its method `patch_times(T)` returns a tensor (T',) of seconds.
- `build(options, device, threads)` of an already trained network: returns an object with the attribute `device` that
  maps such batches to such vectors. Both are float32 arrays of numpy.
- `net_files(options)` of an already trained network: returns the files (paths) that the network consists of. Their
  content is part of what made the features. The option that holds a file of weights is called `weights`.
- `LAST_LAYERS` of the network of `build`: optional; prefixes of the names of the parameters that a phase with `frozen`
  trains, beside the classifier's.
- `fold()` of the network of `build`, or of modules in it: optional; called once before inference, to merge layers that
  only training needs.
- `adapt(state, options)`: optional; changes the keys of a published state dict, without its head, to the network's own.
- `read_onnx(path)`: optional; returns the state dict, under the network's own keys, of a published ONNX file.
- `version(options)`: optional; returns the name and version of a package that the network is part of, such as "timm
  1.0.19". They are part of what made the features.

A complete module, `mypackage/mean_colour.py`:

    import torch
    from torch import nn

    from emopipe.backbones.base import FaceInput, Spec
    from emopipe.core.options import Options

    MODALITY = "face"
    TRAINABLE = True

    class BackboneOptions(Options):
        size: int = 16
        """Side of the face in pixels."""

    def spec(options):
        face = FaceInput(112.0, options.size, "rgb", mean=(0.0, 0.0, 0.0), std=(255.0, 255.0, 255.0))
        return Spec(modality="face", input=face, dim=3, licence="MIT", citation="none")

    def build(options):
        return MeanColour()

    class MeanColour(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(3))

        def forward(self, x):  # (N, 3, size, size) -> (N, 3)
            return x.mean((2, 3)) * self.scale
'''

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

from emopipe.backbones.base import Modality, Spec
from emopipe.core.errors import ConfigError
from emopipe.core.options import Options
from emopipe.core.registry import Registry, Row
from emopipe.core.validation import known, with_new_names


@dataclass(frozen=True)
class Kind(Row):
    """A kind of backbone."""

    modality: Modality
    """What it reads."""
    trainable: bool = True
    """Whether it is an `nn.Module` that can be trained here; False if it is already trained."""
    named_by: str | None = None
    """For a kind of many networks, such as `timm:<name>`: the option that holds the text after the colon."""
    cpu_only: bool = False
    """Whether it computes on the CPU even if there is a GPU."""


KINDS: dict[str, Kind] = {
    "ir50": Kind("emopipe.backbones.ir50", "face"),
    "ir_se50": Kind("emopipe.backbones.ir_se50", "face"),
    "resnet18": Kind("emopipe.backbones.resnet18", "face"),
    "densenet121": Kind("emopipe.backbones.densenet121", "face"),
    "vgg16": Kind("emopipe.backbones.vgg16", "face"),
    "vggface": Kind("emopipe.backbones.vggface", "face"),
    "expression": Kind("emopipe.backbones.expression", "face"),
    "mobilefacenet": Kind("emopipe.backbones.mobilefacenet", "face"),
    "onnx": Kind("emopipe.backbones.onnx", "face", trainable=False),
    "timm": Kind("emopipe.backbones.timm_net", "face", named_by="name"),
    "audio_alexnet": Kind("emopipe.backbones.audio_alexnet", "audio"),
    "speech": Kind("emopipe.backbones.speech", "audio"),
    "speech_whisper": Kind("emopipe.backbones.speech_whisper", "audio"),
    "hf": Kind("emopipe.backbones.hf_audio", "audio", trainable=False, named_by="weights"),
    "opensmile": Kind("emopipe.backbones.opensmile_sets", "audio", trainable=False, cpu_only=True),
}
"""The project's own kinds."""


def _kind_of(module: ModuleType) -> Kind:
    """Return the row of a plug-in's module. Raises ValueError with the fault."""
    for name, expected in {"MODALITY": get_args(Modality), "TRAINABLE": (True, False)}.items():
        wanted = f"expected {' or '.join(map(repr, expected))}"
        if not hasattr(module, name):
            raise ValueError(f"lacks the constant {name} ({wanted})")
        if (found := getattr(module, name)) not in expected:
            raise ValueError(f"has the constant {name} = {found!r} ({wanted})")
    if not module.TRAINABLE and not callable(getattr(module, "net_files", None)):
        raise ValueError("lacks the function net_files, which an already trained network needs")
    optional = {"named_by": getattr(module, "NAMED_BY", None), "cpu_only": getattr(module, "CPU_ONLY", False) is True}
    return Kind(module.__name__, module.MODALITY, module.TRAINABLE, **optional)


REGISTRY = Registry(
    KINDS,
    group="emopipe.backbones",
    noun="backbone",
    options="BackboneOptions",
    functions=("spec", "build"),
    row_of=_kind_of,
)
"""All kinds. In the functions below, `timm:<name>` is of kind timm."""


def list_kinds(modality: Modality | None = None, *, trainable: bool | None = None) -> list[str]:
    """Return the names of all kinds that meet the conditions, plug-ins included. Default: all kinds.

    Raises:
        ConfigError: A condition is given, and the module of a plug-in is invalid.

    >>> list_kinds("audio", trainable=True)[:2]
    ['audio_alexnet', 'speech']
    """
    names = REGISTRY.names()
    if modality is not None:
        names = [name for name in names if REGISTRY.row(name).modality == modality]
    if trainable is not None:
        names = [name for name in names if REGISTRY.row(name).trainable == trainable]
    return names


def resolve(where: str, kind: str, options: Mapping[str, Any]) -> tuple[str, dict[str, Any], Kind]:
    """Return a backbone's kind without the colon and its text, its options by their new names, and the kind's row.

    Raises:
        ConfigError: There is no such kind, or the options do not fit the kind; `where` is the block's key.
    """
    known(f"{where}.kind", _plain(kind), list_kinds())
    plain, unfolded_options = unfolded(kind, options)
    renamed = with_new_names(options_class(plain), unfolded_options, f"{where}.options")
    return plain, renamed, REGISTRY.row(plain)


def module_name(kind: str) -> str:
    """Return the module of a kind, whose code makes its features.

    Raises:
        ConfigError: There is no such kind.
    """
    return REGISTRY.module_name(_plain(kind))


def unfolded(kind: str, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Split a kind such as `timm:resnet18`: return `timm`, and the options with the text after the colon.

    Raises:
        ConfigError: There is no such kind, there is no text after the colon, or the kind or its options allow no text
            there.

    >>> unfolded("timm:resnet18", {"size": 112})
    ('timm', {'name': 'resnet18', 'size': 112})
    """
    plain, colon, text = kind.partition(":")
    if not colon:
        return kind, dict(options)
    if (key := REGISTRY.row(plain).named_by) is None:
        raise ConfigError(f"The kind {kind!r} has a colon, but {plain} is a single network. Write {plain}.")
    if not text:
        raise ConfigError(f"The kind {kind!r} has no text after its colon. Name the network there, or set {key}.")
    if key in options:
        raise ConfigError(f"The kind {kind!r} names its network, but its option {key} is set too. Remove {key}.")
    return plain, {key: text, **options}


def modality(kind: str) -> Modality:
    """Return the modality of a kind: `face` or `audio`.

    Raises:
        ConfigError: There is no such kind, or the module of a plug-in is invalid.
    """
    return REGISTRY.row(_plain(kind)).modality


def trainable(kind: str) -> bool:
    """Return whether the pretrain stage can train a kind: it is an `nn.Module`.

    Raises:
        ConfigError: As `modality`.
    """
    return REGISTRY.row(_plain(kind)).trainable


def cpu_only(kind: str) -> bool:
    """Return whether networks of a kind compute on the CPU even if there is a GPU.

    Raises:
        ConfigError: As `modality`.
    """
    return REGISTRY.row(_plain(kind)).cpu_only


def net_files(kind: str, options: Options) -> list[Path]:
    """Return the files that an already trained network consists of; none for other kinds.

    Raises:
        WeightsError: A file is missing or unsuitable.
    """
    return [] if trainable(kind) else _module(kind).net_files(options)


def version(kind: str, options: Options) -> str:
    """Return name and version of the package that a network is part of, if its numbers depend on it; else "".

    Raises:
        WeightsError: The package is not installed.
    """
    module = _module(kind)
    return module.version(options) if hasattr(module, "version") else ""


def options_class(kind: str) -> type[Options]:
    """Return the class that checks a backbone's block of the config.

    Raises:
        ConfigError: There is no such kind, or the module of a plug-in is invalid.
    """
    return _module(kind).BackboneOptions


def options_from(recipe: Mapping[str, Any], weights: str | None) -> Options:
    """Return the options in a recipe. Recipes omit the path of an already trained network; give it as `weights`."""
    options = options_class(recipe["kind"])
    path = {"weights": weights} if "weights" in options.model_fields else {}
    return options.model_validate({**recipe["options"], **path})


def spec(kind: str, options: Options) -> Spec:
    """Return the specification of a backbone; `options` is an instance of `options_class(kind)`.

    Raises:
        ConfigError: There is no such kind, or the options do not fit the network.
        WeightsError: Kinds `onnx`, `hf` and `timm`: a file or package is missing or unsuitable.
    """
    found = _module(kind).spec(options)
    if found.modality != modality(kind):
        raise ConfigError(
            f"The backbone {kind} has the modality {modality(kind)}, but its spec has {found.modality}. Make "
            f"both equal in the module {module_name(kind)}."
        )
    if found.blocks < 1 or found.dim % found.blocks or (found.blocks > 1 and trainable(kind)):
        raise ConfigError(
            f"The backbone {kind} has vectors of {found.dim} numbers in {found.blocks} blocks. Blocks have equal "
            f"lengths, and a network that is trained here has one. Change the spec in the module {module_name(kind)}."
        )
    return found


def build(kind: str, options: Options, **where: Any) -> Any:
    """Build the network: an `nn.Module` initialised from torch's global seed, or an already trained network.

    Args:
        kind: A kind; `list_kinds` has them all.
        options: An instance of `options_class(kind)`.
        where: Only for kinds that are not trainable, which are bound to their device when built: `device`, `threads`.

    Raises:
        ConfigError: There is no such kind, or the options do not fit the network.
        WeightsError: Kinds that are not trainable, and `timm`: a file or package is missing or unsuitable.
        DeviceError: Kinds that are not trainable: the device does not exist.
    """
    return _module(kind).build(options, **where)


def load(kind: str, options: Options, module: Any, path: Path | str) -> None:
    """Load a file of weights into a network that `build` returned: published ones, or this project's own.

    A module's `adapt(state, options)` changes the keys of a published state dict, without its head, to the network's
    own. It passes on keys and shapes that it does not know; these are refused afterwards.

    Args:
        kind: A kind that is `trainable`.
        options: An instance of `options_class(kind)`.
        module: The network, changed in place.
        path: A .safetensors file or a torch file, see `emopipe.cache.tensors.load_strict`.

    Raises:
        ConfigError: There is no such kind.
        WeightsError: The file is missing, unreadable, holds more than tensors, or is of another network.
    """
    from emopipe.cache.tensors import load_strict  # here, as planning a run needs no torch otherwise

    network = _module(kind)
    adapt = getattr(network, "adapt", None)
    read_onnx = getattr(network, "read_onnx", None)
    load_strict(module, path, network.spec(options).head, adapt and partial(adapt, options=options), read_onnx)


def _module(kind: str) -> ModuleType:
    return REGISTRY.load(_plain(kind))


def _plain(kind: str) -> str:
    return kind.partition(":")[0]
