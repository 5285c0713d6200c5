"""Find what no given config asks for in the caches of their corpora."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from emopipe.cache.usage import WEIGHTS, files_in, presets, size
from emopipe.workflow import scan
from emopipe.workflow.config import Config


@dataclass(frozen=True)
class Unused:
    """A preset of a stage that no config asks for."""

    stage: Path
    """The folder of the stage in the cache."""
    preset: str
    paths: list[Path]
    """Its files and folders, directly in the folder of the stage."""
    bytes: int


def asked_for(configs: Iterable[Config]) -> dict[Path, dict[str, set[str]]]:
    """Return cache -> stage -> the presets that configs ask for, optional backbones included."""
    asked: dict[Path, dict[str, set[str]]] = {}
    for config in configs:
        stages = asked.setdefault(
            scan.cache_folder(config), {"media": set(), "faces": set(), "features": set(), WEIGHTS: set()}
        )
        stages["media"] |= {*config.decode}
        stages["faces"] |= {*config.faces}
        stages[WEIGHTS] |= {*config.backbones}
        stages["features"] |= {*config.backbones}
        stages["features"] |= {f"{name}@{view}" for name, block in config.backbones.items() for view in block.views}
    return asked


def unused(asked: Mapping[Path, Mapping[str, set[str]]]) -> list[Unused]:
    """Return the presets in these caches that nothing asks for, in the order of the stages. Links are not followed."""
    return [
        Unused(cache / stage, preset, paths, size(files_in(paths)))
        for cache, stages in asked.items()
        for stage, wanted in stages.items()
        for preset, paths in presets(cache / stage).items()
        if preset not in wanted
    ]
