"""Packages that only one format needs, which are extras of emopipe."""

import importlib
from types import ModuleType

from emopipe.core.errors import ConfigError


def load(module: str, *, package: str, extra: str) -> ModuleType:
    """Import a module of an optional package.

    Args:
        module: Its name.
        package: The name under which pip installs it.
        extra: The extra of emopipe that has it, which is the name of the format.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"--to {extra} needs the package {package}, which cannot be imported ({error}). Install it with "
            f"`pip install {package}`, or with `pip install 'emopipe[{extra}]'`."
        ) from error
