"""What made a file: digests of recipes and fingerprints of code that ignore comments and docstrings."""

import ast
import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PACKAGE = "emopipe"
UNCOUNTED = frozenset(
    {
        "emopipe",  # holds the version: a release that changes no stage reruns none
        "emopipe.core.errors",  # messages, and lines of progress, change no result
        "emopipe.workflow.job",
        "emopipe.core.log",
        "emopipe.backbones.registry",  # look-ups: the module that is looked up is named by itself
        "emopipe.faces.detectors",
    }
)
ROOT = Path(__file__).parents[1]


def digest(value: Any) -> str:
    """Hex digest of plain data (str, int, float, bool, None, lists and dicts), whatever the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()  # names of files need not be UTF-8


def code_fingerprint(*modules: str) -> str:
    """Digest of the code of `modules` and of all that they import from this package, directly or not.

    Comments, docstrings, blank lines and formatting do not count, nor do the modules in UNCOUNTED. Modules that are
    only named in strings (the registries of detectors and backbones) are not followed: name the one in use.
    """
    closure: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in closure:
            closure.add(module)
            waiting.extend(_imports(module))
    return digest({module: _code_digest(_path(module)) for module in closure - UNCOUNTED})


def script_fingerprint(path: Path) -> str:
    """The same for one script: its own code and that of this package's modules that it imports."""
    return digest([_code_digest(path), code_fingerprint(*_imports_of(_tree(path), package=""))])


def _path(module: str) -> Path:
    parts = module.split(".")[1:]
    as_module = ROOT.joinpath(*parts).with_suffix(".py") if parts else ROOT / "__init__.py"
    return as_module if as_module.is_file() else ROOT.joinpath(*parts, "__init__.py")


def _exists(module: str) -> bool:
    return module.split(".")[0] == PACKAGE and _path(module).is_file()


def _stamp(path: Path) -> tuple[Path, int, int]:
    """What tells whether a file is still as it was when it was parsed."""
    stat = path.stat()
    return path, stat.st_mtime_ns, stat.st_size


def _tree(path: Path) -> ast.Module:
    return _tree_at(_stamp(path))


@functools.cache
def _tree_at(stamp: tuple[Path, int, int]) -> ast.Module:
    return ast.parse(stamp[0].read_text(encoding="utf-8"))


def _imports(module: str) -> list[str]:
    path = _path(module)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    return _imports_at(_stamp(path), package)


@functools.cache
def _imports_at(stamp: tuple[Path, int, int], package: str) -> list[str]:
    return _imports_of(_tree_at(stamp), package)


def _imports_of(tree: ast.Module, package: str) -> list[str]:
    """The modules of this package that a module imports, also inside functions; `package` anchors relative ones."""
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*above, *filter(None, [node.module])])
            names += [source, *(f"{source}.{alias.name}" for alias in node.names)]
    return [name for name in names if _exists(name)]


def _code_digest(path: Path) -> str:
    return _code_digest_at(_stamp(path))


@functools.cache
def _code_digest_at(stamp: tuple[Path, int, int]) -> str:
    """Of the abstract syntax without bare strings: docstrings and attribute docstrings are for readers."""
    tree = ast.parse(stamp[0].read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(body := getattr(node, "body", None), list):
            node.body = [statement for statement in body if not _is_bare_string(statement)]  # type: ignore[attr-defined]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _is_bare_string(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def recipe_text(recipe: Mapping[str, Any]) -> str:
    """A recipe as readable JSON, for the file that it made."""
    return json.dumps(recipe, sort_keys=True, indent=1, ensure_ascii=False)
