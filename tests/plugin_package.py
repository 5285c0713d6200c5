"""A package of plug-ins, one file for each of the four kinds: the examples in the docstrings of the registries."""

import re
import textwrap
from pathlib import Path
from types import ModuleType

from emopipe import corpora, stills
from emopipe.backbones import registry as backbones
from emopipe.faces import detectors

REGISTRIES = {"backbones": backbones, "detectors": detectors, "corpora": corpora, "stills": stills}


def example(registry: ModuleType) -> tuple[str, str]:
    """The name and the text of the module that a registry's docstring shows."""
    text = registry.__doc__.partition("A complete module, ")[2]
    return re.match(r"`mypackage/(\w+)\.py`", text)[1], textwrap.dedent(text.partition(":\n\n")[2]).strip() + "\n"


def write_distribution(folder: Path, name: str, points: dict[str, dict[str, str]]) -> None:
    """What an installed package leaves for importlib.metadata: `points` are groups of kinds and their modules."""
    about = folder / f"{name}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [
        line
        for group, kinds in points.items()
        for line in [f"[emopipe.{group}]", *(f"{kind} = {module}" for kind, module in kinds.items()), ""]
    ]
    (about / "entry_points.txt").write_text("\n".join(lines))


def write_package(folder: Path) -> None:
    """Install mypackage in a folder; the kinds are called as the modules are."""
    examples = {group: example(registry) for group, registry in REGISTRIES.items()}
    (folder / "mypackage").mkdir(parents=True)
    (folder / "mypackage/__init__.py").write_text("")
    for name, text in examples.values():
        (folder / f"mypackage/{name}.py").write_text(text)
    write_distribution(
        folder, "mypackage", {group: {name: f"mypackage.{name}"} for group, (name, _) in examples.items()}
    )
