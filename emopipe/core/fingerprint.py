"""Fingerprints of code: a digest that changes when the code that makes a stage's numbers changes, and only then.

A fingerprint starts at entry points, such as the function `run` of a stage, and follows every name that the code uses:
functions, classes and constants, one by one, through all modules of this package and of plug-ins. Code that no entry
point uses does not count, even if it is in the same file.

These do not count either, as they change no number: comments, docstrings, type hints of functions, the messages of
`raise`, `assert` and `warnings.warn`, lines sent to LOGGER, calls of PROGRESS and names of progress lines, licences and
citations, the names of modules (a moved file changes nothing), and the modules in UNCOUNTED. The digest is the same on
all versions of Python.

Code is read, not run. So these are not followed: modules that are named in strings, modules that are imported for their
effects alone, and data files beside the code.

This module imports the standard library alone, so that a test can run it on other versions of Python.
"""

import ast
import functools
import hashlib
import importlib.util
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emopipe.core.syntax import chains_and_imports, defined_names, statements, stripped
from emopipe.core.syntax import text as syntax_text

PACKAGE = "emopipe"
ROOT = Path(__file__).parents[1]

UNCOUNTED = (
    "emopipe",  # the version alone
    "emopipe.cache",  # keeps what stages compute, bit by bit; its format has a number of its own, `store.SCHEMA`
    "emopipe.core.ahead",  # when work is done, not what it gives
    "emopipe.core.atomic",
    "emopipe.core.errors",
    "emopipe.core.fingerprint",
    "emopipe.core.log",
    "emopipe.core.memory",
    "emopipe.core.notice",
    "emopipe.core.registry",
    "emopipe.core.syntax",
    "emopipe.core.options",  # options are part of every recipe by their values
    "emopipe.core.tables",
    "emopipe.core.text",
    "emopipe.core.validation",
    "emopipe.runtime.gpus",  # which of several GPUs computes
    "emopipe.training.batches",  # when batches are prepared, not what is in them
    "emopipe.workflow.job",
    # Registries only look modules up. A recipe names the module that is looked up as an entry point of its own.
    "emopipe.backbones.registry",
    "emopipe.corpora",
    "emopipe.extraction",
    "emopipe.faces.detectors",
    "emopipe.stills",
)
"""Modules that make no numbers. The name of a package stands for its `__init__.py` only."""
UNCOUNTED_ROOMS = ("emopipe.cache",)
"""Packages of which no module makes numbers."""

EFFECTS = "<effects>"
"""A name for the statements of a module that do more at its import than define names."""


@dataclass
class Closure:
    """The code that entry points use, directly or indirectly."""

    symbols: dict[str, list[str]] = field(default_factory=dict)
    """Module -> the names in it that are used, sorted."""
    imports: set[str] = field(default_factory=set)
    """Modules of other packages that are used, by their first name, such as `cv2`."""
    plugin_imports: set[str] = field(default_factory=set)
    """Those of them that code of plug-ins uses."""
    fingerprint: str = ""
    """The digest of all this code."""


def code_fingerprint(*entries: str) -> str:
    """Return the digest of the code that `entries` use.

    Args:
        entries: `module` for all of a module, or `module:name` for one name in it. Modules that are named in strings
            (as registries do) are not followed: name the one in use as an entry.
    """
    return closure(*entries).fingerprint


def script_fingerprint(path: Path) -> str:
    """Return the digest of a script of the workflow and of all that it uses."""
    return _Walk().closure([(_module_at(_stamp(path), ""), None)]).fingerprint


def script_closure(path: Path, *entries: str) -> Closure:
    """Return what a script of the workflow uses, together with further entries (see `code_fingerprint`)."""
    walk = _Walk()
    return walk.closure([(_module_at(_stamp(path), ""), None), *map(walk.entry, entries)])


def closure(*entries: str) -> Closure:
    """Return what `entries` use; see `code_fingerprint`."""
    walk = _Walk()
    return walk.closure([walk.entry(entry) for entry in entries])


class _Walk:
    """Follows names from entry points to all code that they use."""

    def __init__(self) -> None:
        self._modules: dict[str, _Module | None] = {}

    def entry(self, entry: str) -> "tuple[_Module, str | None]":
        """Return the module and the name that an entry stands for."""
        name, _, symbol = entry.partition(":")
        if (module := self._module(name)) is None:
            raise ModuleNotFoundError(f"The module {name} was not found; its code cannot be fingerprinted.")
        return module, symbol or None

    def closure(self, waiting: "list[tuple[_Module, str | None]]") -> Closure:
        """Follow all names from these entries, and return the code that was found with its digest."""
        # 1. nodes: (module, name) -> digest of its own code; edges: (user, name, what it stands for)
        nodes: dict[tuple[str, str], str] = {}
        links: list[tuple[tuple[str, str], str, tuple[str, str]]] = []
        outside: set[tuple[str, str, str]] = set()
        found = Closure()
        while waiting:
            module, symbol = waiting.pop()
            names = [*module.names, EFFECTS] if symbol is None else [symbol, EFFECTS]
            for name in names:
                node = (module.name, name)
                if node in nodes or not module.statements(name):
                    continue
                nodes[node] = module.digest(name)
                for used, source, attributes in module.uses(name):
                    if (target := self._resolve(source, attributes)) is not None:
                        waiting.append(target)
                        links.append((node, used, (target[0].name, target[1] or "")))
                    elif not self._module(_first(source)):
                        outside.add((nodes[node], used, source))
                        found.imports.add(_first(source))
                        if module.name and _first(module.name) != PACKAGE:
                            found.plugin_imports.add(_first(source))
        # 2. the digest: of codes and of who uses whom, whatever the modules are called
        codes = sorted(set(nodes.values()))
        edges = sorted({(nodes[user], used, nodes.get(target, "")) for user, used, target in links})
        text = json.dumps([codes, edges, sorted(outside)])
        for module_name, name in sorted(nodes):
            if name != EFFECTS:
                found.symbols.setdefault(module_name, []).append(name)
        found.fingerprint = hashlib.sha256(text.encode()).hexdigest()
        return found

    def _resolve(self, source: str, attributes: list[str]) -> "tuple[_Module, str | None] | None":
        """Return the module and name that `source.attributes` stands for; None if it makes no numbers."""
        # 1. as far as the path names modules, it is a path of modules
        path = [*source.split("."), *attributes]
        known = [end for end in range(1, len(path) + 1) if self._module(".".join(path[:end]))]
        if not known:
            return None
        module = self._module(".".join(path[: known[-1]]))
        rest = path[known[-1] :]
        # 2. what follows is a name in the last one, which that module may itself have imported
        if _is_uncounted(module.name):
            return None
        if not rest or (rest[0] not in module.names and rest[0] not in module.bindings):
            return module, None
        if rest[0] in module.names:
            return module, rest[0]
        return self._resolve(module.bindings[rest[0]], rest[1:])

    def _module(self, name: str) -> "_Module | None":
        """Return a module of this package or of a plug-in; None for those of other packages."""
        if name not in self._modules:
            path = _path(name)
            self._modules[name] = _module_at(_stamp(path), name) if path else None
        return self._modules[name]


class _Module:
    """The top level of one source file: which statements define which name, and which names each of them uses."""

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        self._package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        self.bindings: dict[str, str] = {}
        """Imported name -> what it stands for, with dots."""
        self.names: dict[str, list[ast.stmt]] = {}
        """Defined name -> the statements that define it, as they are written: few of them are used."""
        self._effects: list[ast.stmt] = []
        self._stars: list[str] = []
        """Modules of which all names are imported: each name here may use any of theirs."""
        self._stripped: dict[str, list[ast.stmt]] = {}
        self._digests: dict[str, str] = {}
        self._used: dict[str, list[tuple[str, str, list[str]]]] = {}
        for statement in statements(path.read_text(encoding="utf-8")):
            if (defined := defined_names(statement)) is not None:
                for each in defined:
                    self.names.setdefault(each, []).append(statement)
                continue
            for node in ast.walk(statement):  # imports may stand in `try` or `if`
                if isinstance(node, ast.Import | ast.ImportFrom):
                    self.bindings |= dict(self._imported(node))
            if not isinstance(statement, ast.Import | ast.ImportFrom):
                self._effects.append(statement)

    def statements(self, name: str) -> list[ast.stmt]:
        """Return the statements that define a name, or those that do something at import."""
        if name not in self._stripped:
            written = self._effects if name == EFFECTS else self.names.get(name, [])
            self._stripped[name] = [stripped(statement) for statement in written]
        return self._stripped[name]

    def digest(self, name: str) -> str:
        """Return the digest of a name's own code."""
        if name not in self._digests:
            text = "\n".join(map(syntax_text, self.statements(name)))
            self._digests[name] = hashlib.sha256(text.encode()).hexdigest()
        return self._digests[name]

    def uses(self, name: str) -> list[tuple[str, str, list[str]]]:
        """Return the names that a name's code uses: each as written, as a full name, and with the attributes used."""
        if name not in self._used:
            self._used[name] = list(self._find_uses(name))
        return self._used[name]

    def _find_uses(self, name: str) -> Iterator[tuple[str, str, list[str]]]:
        bindings = dict(self.bindings)
        found = [chains_and_imports(statement) for statement in self.statements(name)]
        for _, imports in found:
            for node in imports:
                bindings |= dict(self._imported(node))
        yield from (("*", source, []) for source in self._stars)
        for chains, _ in found:
            for chain in chains:
                if chain[0] in bindings:
                    yield chain[0], bindings[chain[0]], chain[1:]
                elif chain[0] in self.names and chain[0] != name:
                    yield chain[0], f"{self.name}.{chain[0]}", []

    def _imported(self, statement: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
        """Return pairs of a name that an import binds and what it stands for."""
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                yield alias.asname or _first(alias.name), alias.name if alias.asname else _first(alias.name)
            return
        package = self._package.split(".")
        above = package[: len(package) - statement.level + 1] if statement.level else []
        source = ".".join([*above, *filter(None, [statement.module])])
        for alias in statement.names:
            if alias.name == "*":
                self._stars.append(source)
            else:
                yield alias.asname or alias.name, f"{source}.{alias.name}"


def _is_uncounted(module: str) -> bool:
    return module in UNCOUNTED or module.startswith(tuple(f"{room}." for room in UNCOUNTED_ROOMS))


def _first(module: str) -> str:
    return module.partition(".")[0]


def _path(module: str) -> Path | None:
    """Return the source file of a module of this package or of a plug-in's; None for any other."""
    first, *rest = module.split(".")
    root = ROOT if first == PACKAGE else _plugin_root(first)
    if root is None:
        return None
    if root.is_file():
        return root if not rest else None
    inside = root.joinpath(*rest)
    as_module = inside.with_suffix(".py")
    found = as_module if rest and as_module.is_file() else inside / "__init__.py"
    return found if found.is_file() else None


PLUGINS: set[str] = set()
"""First names of the packages that plug-ins come from; `follow` adds to them."""


def follow(module: str) -> None:
    """Follow all modules of the package that a plug-in's module is part of, as if they were this package's."""
    if _first(module) != PACKAGE:
        PLUGINS.add(_first(module))


def _plugin_root(first: str) -> Path | None:
    """Return the folder of a plug-in's package, or its file; the package is not imported."""
    if first not in PLUGINS:
        return None
    spec = sys.modules[first].__spec__ if first in sys.modules else importlib.util.find_spec(first)
    if spec is None:
        return None
    folders = list(spec.submodule_search_locations or ())
    return Path(folders[0]) if folders else Path(spec.origin) if spec.origin else None


def _stamp(path: Path) -> tuple[Path, int, int]:
    """Return a value that changes if a file is changed after it was parsed."""
    stat = path.stat()
    return path, stat.st_mtime_ns, stat.st_size


@functools.cache
def _module_at(stamp: tuple[Path, int, int], name: str) -> _Module:
    return _Module(stamp[0], name)


def digest(value: Any) -> str:
    """Return the hex digest of plain data (str, int, float, bool, None, lists and dicts); order of keys is ignored."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()  # names of files need not be UTF-8


def recipe_text(recipe: Any) -> str:
    """Return a recipe as readable JSON, for the file that it made."""
    return json.dumps(recipe, sort_keys=True, indent=1, ensure_ascii=False)
