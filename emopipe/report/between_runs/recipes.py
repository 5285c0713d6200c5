"""The recipes that made the files of a run.

A model carries its recipe, which has the digest of the recipe of its features, and so on up to the decoded clips. Where
the cache was made again since, or does not exist, a recipe that is named by its digest is not known any more.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emopipe.backbones.seeds import backbone_of, network_of
from emopipe.cache.metadata import UNREADABLE, read_sealed
from emopipe.cache.store import attributes
from emopipe.core.errors import EmopipeError
from emopipe.core.text import abbreviate
from emopipe.report.between_runs.runs import OpenedRun

MODELS = "fusion"
"""The stage that makes models."""


@dataclass(frozen=True)
class Made:
    """What made a file."""

    recipe: Mapping[str, Any]
    package: str
    """The version of emopipe."""
    device: str
    """Where networks ran; "" if the file does not say so."""


class Recipes:
    """What made the files of one run, as far as it is known."""

    def __init__(self, run: OpenedRun) -> None:
        self.made: dict[str, Made] = {}
        """Stage, such as fusion/fused_both or faces/main -> what made its file."""
        self._unknown: dict[str, str] = {}
        self._run, self._cache = run, run.cache
        for path in sorted((run.folder / "models").glob("*.safetensors")):
            self._model(path)

    @property
    def unknown(self) -> list[str]:
        """Sentences on what cannot be known."""
        by_reason: dict[str, list[str]] = {}
        for stage, reason in self._unknown.items():
            by_reason.setdefault(reason, []).append(stage)
        return [
            f"{self._run.name}: what made {abbreviate(stages)} cannot be known, nor what that was made from: {reason}."
            for reason, stages in by_reason.items()
        ]

    def _model(self, path: Path) -> None:
        made = self._find(f"{MODELS}/{path.stem}", None, [path])
        for file, wanted in made.recipe.get("features", {}).items() if made else ():
            merged = self._find(f"merge/{file}", wanted, [self._cache / f"features/{file}.h5"])
            if merged:
                self._features(file, merged.recipe["features"], made.recipe["streams"].get(backbone_of(file)))

    def _features(self, file: str, wanted: str, modality: str) -> None:
        found = self._find(f"features/{file}", wanted, sorted((self._cache / "features" / file).glob("*.h5")))
        if found is None:
            return
        network, block = network_of(file), self._run.config.get("backbones", {}).get(backbone_of(file), {})
        weights = self._cache / "weights"
        if found.recipe.get("learned"):
            self._find(f"pretrain/{network}", found.recipe["learned"], [weights / f"{network}.safetensors"])
        self._schedule(backbone_of(file), found.recipe.get("chain", ""), len(block.get("schedule") or ()))
        if modality == "face":
            self._faces(self._preset("faces", block), found.recipe["source"])
        else:
            self._decode(self._preset("decode", block), found.recipe["source"])

    def _schedule(self, backbone: str, wanted: str, phases: int) -> None:
        """Find the phases of a backbone's schedule, from the last one back to the first."""
        for step in reversed(range(phases)):
            path = self._cache / f"weights/{backbone}.step{step}.safetensors"
            found = self._find(f"schedule/{backbone}.step{step}", wanted, [path])
            if found is None:
                return
            wanted = found.recipe.get("start", "")

    def _faces(self, preset: str, wanted: str) -> None:
        found = self._find(f"faces/{preset}", wanted, sorted((self._cache / "faces" / preset).glob("*.h5")))
        if found:
            block = self._run.config.get("faces", {}).get(preset, {})
            self._decode(self._preset("decode", block), found.recipe["media"])

    def _decode(self, preset: str, wanted: str) -> None:
        self._find(f"decode/{preset}", wanted, sorted((self._cache / "media" / preset).glob("*.h5")))

    def _preset(self, kind: str, block: Mapping[str, Any]) -> str:
        """Return the name of a preset: the one that the block names, or else the only one that there is."""
        return block.get(kind) or next(iter(self._run.config.get(kind, {})), "")

    def _find(self, stage: str, wanted: str | None, paths: Iterable[Path]) -> Made | None:
        """Return what made the first of these files that the wanted recipe made; None if no such file is known.

        Args:
            stage: The stage.
            wanted: The digest of the recipe; None: any.
            paths: The file, or the shards of a folder.
        """
        if stage in self.made or stage in self._unknown:
            return self.made.get(stage)
        try:
            for found, made_by in filter(None, map(_read, paths)):
                if wanted in (None, made_by):
                    self.made[stage] = found
                    return found
        except (EmopipeError, OSError, ValueError) as error:
            self._unknown[stage] = f"a file cannot be read ({error})".replace(".)", ")")
            return None
        self._unknown[stage] = (
            f"{self._cache} has no file of this recipe any more; another run may have made the files again"
            if self._cache.is_dir()
            else f"the cache {self._cache} does not exist"
        )
        return None


def _read(path: Path) -> tuple[Made, str] | None:
    """Return what made a file, and the digest of its recipe; None if it does not exist or is damaged."""
    if path.suffix == ".h5":
        about = attributes(path)
    else:
        try:
            about = read_sealed(path)[0]
        except UNREADABLE:
            about = {}
    if "recipe" not in about:
        return None
    recipe = json.loads(about["recipe"])
    made = Made(recipe, *(str(about.get(key, "")) for key in ("package", "device")))
    return made, str(about.get("recipe_digest", ""))
