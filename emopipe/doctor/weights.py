"""Weights: the shipped files by their checksums, and those that a config names."""

from collections.abc import Iterator
from pathlib import Path

from emopipe.core.errors import EmopipeError
from emopipe.doctor.check import Check
from emopipe.weights import checksums, fetching
from emopipe.weights.entries import Registry, package_registry
from emopipe.weights.naming import refuse_missing
from emopipe.workflow.config import Config


def checks(config: Config | None = None) -> Iterator[Check]:
    """Yield a check for each shipped file and, with a config, for each file that it names."""
    yield from shipped(package_registry())
    if config:
        for key, path, is_optional in named(config):
            yield of_config(key, path, is_optional=is_optional)


def shipped(registry: Registry) -> Iterator[Check]:
    """Yield a check for each file that is part of the package."""
    for entry in registry:
        if entry.shipped:
            try:
                finding = fetching.check(entry, registry)
            except EmopipeError as error:
                yield Check("weights", entry.name, "problem", str(error), "Install emopipe again.")
            else:
                yield Check("weights", entry.name, "ok", f"Shipped; {finding}.")


def named(config: Config) -> Iterator[tuple[str, str, bool]]:
    """Yield (key, path, whether a run goes on without it) for all weights that a config names."""
    for name, block in config.backbones.items():
        for key, path in (("weights", block.weights), ("options.weights", block.options.get("weights"))):
            if path:
                yield f"backbones.{name}.{key}", path, block.optional
    for name, block in config.faces.items():
        if path := block.options.get("weights"):
            yield f"faces.{name}.options.weights", path, False


def of_config(key: str, path: str, *, is_optional: bool) -> Check:
    """Return whether the weights at a key of the config exist and have the registry's checksum."""
    state = "warning" if is_optional else "problem"
    todo = "Do what this sentence says. Models that need these weights are skipped until then." if is_optional else ""
    try:
        refuse_missing(path, key)
        if not Path(path).is_file():
            todo = todo or "Put the file there, change the path, or name weights that `emopipe weights list` shows."
            return Check("weights", key, state, f"{path} does not exist.", todo)
        checksums.verify(path)
    except (EmopipeError, OSError) as error:
        return Check("weights", key, state, str(error), todo or "Do what this sentence says, then run again.")
    return Check("weights", key, "ok", f"{path} exists.")
