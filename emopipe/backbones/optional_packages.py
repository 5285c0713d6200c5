"""Optional Python packages, which only some backbones need: their versions, and their import."""

import importlib
import importlib.metadata
from types import ModuleType

from emopipe.core.errors import WeightsError

_INSTALL = {"timm": "timm torchvision"}  # what to install, if it is more than the package
_TERMS = {"opensmile": " (its licence is for non-commercial use and research only)"}


def version(package: str) -> str:
    """Return the package's name and version, such as `opensmile 2.6.0`, without importing it.

    Raises:
        WeightsError: The package is not installed.
    """
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError as error:
        raise WeightsError(
            f"This backbone needs the Python package {package}, which is not installed. Install it with "
            f"`pip install {_INSTALL.get(package, package)}`{_TERMS.get(package, '')}."
        ) from error


def load(package: str, hint: str = "") -> ModuleType:
    """Import the package.

    Args:
        package: Its name.
        hint: A sentence on what may prevent its import. Default: the command that reinstalls it.

    Raises:
        WeightsError: The package is not installed, or it cannot be imported.
    """
    found = version(package)
    try:
        return importlib.import_module(package)
    except (ImportError, OSError, RuntimeError) as error:  # an incompatible compiled part raises any of them
        raise WeightsError(
            f"{found} is installed, but it cannot be imported ({error}). "
            f"{hint or f'Reinstall it with `pip install --force-reinstall {package}`.'}"
        ) from error
