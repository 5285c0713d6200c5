"""Python packages that only some backbones need: found and imported, or asked for in a sentence."""

import importlib
import importlib.metadata
from types import ModuleType

from emopipe.core.errors import WeightsError

_INSTALL = {"timm": "timm torchvision"}  # what to install, where it is more than the package
_TERMS = {"opensmile": " (its licence is for non-commercial use and research only)"}


def version(package: str) -> str:
    """The package's name and version, without importing it, such as `opensmile 2.6.0`.

    Raises:
        WeightsError: It is not installed.
    """
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError as error:
        raise WeightsError(
            f"This backbone needs the Python package {package}, which is not installed; install it with "
            f"`pip install {_INSTALL.get(package, package)}`{_TERMS.get(package, '')}."
        ) from error


def load(package: str, hint: str = "") -> ModuleType:
    """Import the package; `hint` is a clause on what may keep it from being imported.

    Raises:
        WeightsError: It is not installed, or cannot be imported.
    """
    found = version(package)
    try:
        return importlib.import_module(package)
    except (ImportError, OSError, RuntimeError) as error:  # a compiled part that does not fit raises any of them
        raise WeightsError(
            f"{found} is installed, but cannot be imported ({error}); "
            f"{hint or f'reinstall it with `pip install --force-reinstall {package}`'}."
        ) from error
