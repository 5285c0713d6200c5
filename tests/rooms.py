"""Rooms of the package, and the imports between them.

    python -m tests.rooms            # as the working tree is
    python -m tests.rooms REVISION   # as a commit was

A room is a folder directly under `emopipe/`, or a single file there. An arrow stands for all imports from one room to
another, those in functions included. It runs up if it breaks LAYERS; where a commit has rooms that LAYERS does not
know, the order with the fewest arrows up is looked for.
"""

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]

LAYERS = (
    "core", "demo", "cache", "runtime", "media", "corpora", "stills", "faces", "backbones", "weights", "extraction",
    "scoring", "training", "fusion", "evaluation", "report", "workflow", "stages", "inference", "export", "doctor",
    "commands",
)  # fmt: skip
"""Rooms from the ground up: each may import only those before it."""

Arrow = tuple[str, str]


def sources(revision: str = "") -> dict[str, str]:
    """Path below the repository -> text of each module of the package; of the working tree, or of a commit."""
    if not revision:
        paths = sorted((REPOSITORY / "emopipe").rglob("*.py"))
        return {path.relative_to(REPOSITORY).as_posix(): path.read_text(encoding="utf-8") for path in paths}
    names = _git("ls-tree", "-r", "--name-only", revision, "emopipe").splitlines()
    return {name: _git("show", f"{revision}:{name}") for name in names if name.endswith(".py")}


def imports(files: Mapping[str, str]) -> list[tuple[str, str]]:
    """Pairs of modules: one that imports, and one of this package that it imports."""
    modules = {module_of(path): text for path, text in files.items()}
    pairs = []
    for path, text in files.items():
        module = module_of(path)
        package = module if path.endswith("__init__.py") else module.rpartition(".")[0]
        for node in ast.walk(ast.parse(text)):
            for name in _named(node, package):
                if name in modules and name != module:
                    pairs.append((module, name))
    return pairs


def room(module: str) -> str:
    """The room of a module; "" of the package itself."""
    return [*module.split("."), ""][1]


def arrows(files: Mapping[str, str]) -> Counter[Arrow]:
    """(From room, to room) -> how many imports."""
    pairs = ((room(one), room(other)) for one, other in imports(files))
    return Counter((one, other) for one, other in pairs if one and other and one != other)


def upward(found: Mapping[Arrow, int], order: tuple[str, ...]) -> list[Arrow]:
    """The arrows that run up, or sideways, in an order of rooms."""
    rank = {name: number for number, name in enumerate(order)}
    return sorted((one, other) for one, other in found if rank[other] >= rank[one])


def best_order(found: Mapping[Arrow, int]) -> tuple[str, ...]:
    """An order with few arrows up: whoever imports none of the rest comes next, else whoever imports the fewest."""
    waiting = {name for arrow in found for name in arrow}
    order: list[str] = []
    while waiting:
        needs = {name: sum(other in waiting for one, other in found if one == name) for name in waiting}
        order.append(min(sorted(waiting), key=needs.__getitem__))
        waiting.remove(order[-1])
    return tuple(order)


def floors(found: Mapping[Arrow, int], order: tuple[str, ...]) -> int:
    """How many rooms the longest way down passes, arrows up aside."""
    up, height = {*upward(found, order)}, dict.fromkeys(order, 1)
    for name in order:
        below = [height[other] for one, other in found if one == name and (one, other) not in up]
        height[name] = 1 + max(below, default=0)
    return max(height.values(), default=0)


def _named(node: ast.AST, package: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
    source = ".".join([*above, *filter(None, [node.module])])
    return [source, *(f"{source}.{alias.name}" for alias in node.names)]


def module_of(path: str) -> str:
    return path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout


def main() -> None:
    """Print rooms, floors, arrows and arrows up."""
    files = sources(*sys.argv[1:2])
    found = arrows(files)
    rooms = {name for arrow in found for name in arrow} | {room(module_of(path)) for path in files} - {""}
    order = LAYERS if rooms <= {*LAYERS} else best_order(found)
    up = upward(found, order)
    single = sum(path.count("/") == 1 and not path.endswith("__init__.py") for path in files)
    print(
        f"{len(rooms)} rooms ({single} single files), {floors(found, order)} floors, {len(found)} arrows, {len(up)} up"
    )
    for one, other in up:
        print(f"  up: {one} -> {other} ({found[one, other]} imports)")


if __name__ == "__main__":
    main()
