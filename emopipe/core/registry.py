"""Registries: the kinds that a config can name, each with the module that holds it.

A registry has the project's own kinds and those of plug-ins. A plug-in is a module of any installed package. The
package names it by an entry point in its `pyproject.toml`; the entry point's name is the kind, its value is the module:

    [project.entry-points."emopipe.backbones"]
    mean_colour = "mypackage.mean_colour"

The groups are `emopipe.backbones`, `emopipe.detectors`, `emopipe.corpora` and `emopipe.stills`. What a module must have
is described in the docstrings of `emopipe.backbones.registry`, `emopipe.faces.detectors`, `emopipe.corpora` and
`emopipe.stills`. Entry points are found in the metadata of installed packages, so no package is imported to list kinds.
A module is imported only when its kind is used. It must be a source file (.py), because its code is fingerprinted.
"""

import difflib
import functools
import importlib
import importlib.metadata
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Generic, TypeVar

from emopipe.core.errors import ConfigError, EmopipeError
from emopipe.core.fingerprint import follow
from emopipe.core.options import Options

OWN = "emopipe"
"""The package of the project's own kinds, and what the names of groups begin with."""


@dataclass(frozen=True)
class Row:
    """The row of a kind in a registry."""

    module: str
    """The module that holds it."""


@dataclass(frozen=True)
class Plugin:
    """An entry point of an installed package."""

    group: str
    """The entry point's group."""
    kind: str
    """The entry point's name."""
    module: str
    """The entry point's value."""
    package: str
    """Name of the installed package (its distribution)."""
    version: str
    """Version of the package."""

    def __str__(self) -> str:
        """The package with its version."""
        return f"{self.package} {self.version}"


RowType = TypeVar("RowType", bound=Row)


class Registry(Generic[RowType]):
    """The kinds of one group: the project's own and those of plug-ins."""

    def __init__(
        self,
        own: Mapping[str, RowType],
        *,
        group: str,
        noun: str,
        options: str,
        functions: tuple[str, ...],
        base: type[Options] = Options,
        error: type[EmopipeError] = ConfigError,
        row_of: Callable[[ModuleType], RowType] | None = None,
    ) -> None:
        """Describe a group; nothing is searched or imported yet.

        Args:
            own: The project's own kinds.
            group: The group of entry points.
            noun: What messages call a kind, such as "face detector".
            options: The name of the class of options that each module has.
            functions: The names of the functions that each module has.
            base: The class that the options of plug-ins must be derived from.
            error: The class of the errors to raise.
            row_of: Makes the row of a plug-in from its module; default: a `Row`. It raises ValueError with the rest of
                the sentence "The module <name> ..." if the module is invalid.
        """
        self.own, self.group = own, group
        self._row_of, self._noun, self._error = row_of or _plain_row, noun, error
        self._options, self._functions, self._base = options, functions, base

    def names(self) -> list[str]:
        """Return all kinds: the project's own in their order, then those of plug-ins by name."""
        return [*self.own, *sorted({plugin.kind for plugin in self._plugins()} - set(self.own))]

    def plugin(self, kind: str) -> Plugin | None:
        """Return the plug-in that a kind comes from, or None if the kind is the project's own.

        Raises:
            EmopipeError: There is no such kind, or several packages have a kind of this name.
        """
        found = [plugin for plugin in self._plugins() if plugin.kind == kind]
        sources = [*([OWN] if kind in self.own else []), *map(str, found)]
        if len(sources) > 1:
            raise self._error(
                f"Several packages have a {self._noun} of kind {kind!r}: {', '.join(sources)}. Only one may have it. "
                f"Uninstall a package, or rename its entry point in the group {self.group}."
            )
        if not sources:
            names = self.names()
            near = difflib.get_close_matches(kind, names, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise self._error(f"There is no {self._noun} of kind {kind!r}.{hint} Use one of {', '.join(names)}.")
        return found[0] if found else None

    def module_name(self, kind: str) -> str:
        """Return the name of the module that holds a kind, as fingerprints of code need it; it is not imported.

        Raises:
            EmopipeError: There is no such kind, or several packages have a kind of this name.
        """
        if (plugin := self.plugin(kind)) is None:
            return self.own[kind].module
        for each in _installed(tuple(sys.path)):  # one plug-in may use the code of another
            follow(each.module)
        return plugin.module

    def row(self, kind: str) -> RowType:
        """Return the row of a kind; only the modules of plug-ins are imported for it.

        Raises:
            EmopipeError: There is no such kind, several packages have a kind of this name, or the module of the plug-in
                cannot be imported or lacks something.
        """
        plugin = self.plugin(kind)
        return self._imported(kind, plugin)[1] if plugin else self.own[kind]

    def load(self, kind: str) -> ModuleType:
        """Import the module that holds a kind.

        Raises:
            EmopipeError: As `row`.
        """
        plugin = self.plugin(kind)
        return self._imported(kind, plugin)[0] if plugin else importlib.import_module(self.own[kind].module)

    def _plugins(self) -> list[Plugin]:
        return [plugin for plugin in _installed(tuple(sys.path)) if plugin.group == self.group]

    def _imported(self, kind: str, plugin: Plugin) -> tuple[ModuleType, RowType]:
        """Import a plug-in's module, and check that it has what this group needs."""
        about = f"The {self._noun} {kind!r} of the package {plugin} cannot be used."
        remedy = f"Correct the module, or uninstall {plugin.package}."
        if not all(part.isidentifier() for part in plugin.module.split(".")):
            raise self._error(
                f"{about} Its entry point is {plugin.module!r}; expected the name of a module, such as "
                f"{OWN}_plugin.{kind}. Correct the entry point, or uninstall {plugin.package}."
            )
        try:
            module = importlib.import_module(plugin.module)
        except EmopipeError:
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise self._error(f"{about} The module {plugin.module} cannot be imported ({reason}). {remedy}") from error
        options = getattr(module, self._options, None)
        lacking = [] if isinstance(options, type) else [f"the class {self._options}"]
        lacking += [f"the function {name}" for name in self._functions if not callable(getattr(module, name, None))]
        try:
            if lacking:
                raise ValueError(f"lacks {' and '.join(lacking)}")
            if not issubclass(options, self._base):
                base = f"{self._base.__module__}.{self._base.__name__}"
                raise ValueError(f"has a class {self._options} that is not derived from {base}")
            return module, self._row_of(module)
        except ValueError as error:
            raise self._error(f"{about} The module {plugin.module} {error}. {remedy}") from None


def _plain_row(module: ModuleType) -> Row:
    return Row(module.__name__)


@functools.lru_cache(maxsize=8)
def _installed(_path: tuple[str, ...]) -> list[Plugin]:
    """Return the plug-ins of all packages on a search path. Reading metadata takes a while, so it is done once."""
    found = importlib.metadata.entry_points()
    return [
        Plugin(group, point.name, point.value, point.dist.name, point.dist.version)
        for group in sorted(found.groups)
        if group.startswith(f"{OWN}.")
        for point in found.select(group=group)
    ]
