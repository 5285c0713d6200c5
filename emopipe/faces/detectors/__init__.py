"""The face detectors by name. Each is a module of its own, imported only when it is asked for."""

from importlib import import_module
from pathlib import Path
from types import ModuleType

from emopipe.core.errors import ConfigError
from emopipe.core.options import Options
from emopipe.faces.detection import Detector

KINDS: dict[str, str] = {
    "mtcnn": "emopipe.faces.detectors.mtcnn",
    "centerface": "emopipe.faces.detectors.centerface",
    "scrfd": "emopipe.faces.detectors.scrfd",
    "yunet": "emopipe.faces.detectors.yunet",
}
"""Kind -> the module that has its `DetectorOptions` and its `build`."""


def options_class(kind: str) -> type[Options]:
    """The class of the options that detectors of this kind take.

    Raises:
        ConfigError: there is no such kind.
    """
    return _module(kind).DetectorOptions


def net_files(kind: str, options: Options) -> list[Path]:
    """The files that hold the detector's nets, weights of the config or parts of a package.

    Raises:
        ConfigError: there is no such kind.
        WeightsError: one is missing.
    """
    return _module(kind).net_files(options)


def build(kind: str, options: Options, *, threads: int = 1, device: str = "cpu") -> Detector:
    """A detector of this kind; build one for each thread that detects.

    Raises:
        ConfigError: there is no such kind.
        WeightsError: its weights are missing or not what they should be.
        DeviceError: the device is not there.
    """
    return _module(kind).build(options, threads=threads, device=device)


def _module(kind: str) -> ModuleType:
    if kind not in KINDS:
        raise ConfigError(f"There is no face detector of kind '{kind}': choose one of {', '.join(KINDS)}.")
    return import_module(KINDS[kind])
