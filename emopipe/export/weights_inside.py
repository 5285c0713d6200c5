"""The weights of a bundle: copied, or taken out of the files of a run, or only named if their terms forbid copies.

A run's own weights lose what a bundle for others must not carry: the ids of the corpus' clips, its people, and digests
of its files. The networks of the folds are only for the clips of the corpus, so they stay behind, too.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from emopipe.backbones import crossfit
from emopipe.backbones import registry as backbones
from emopipe.backbones.classifier import TRAINED_CLASSES, TRAINED_ON
from emopipe.backbones.head_in_file import OWN_CLASSES
from emopipe.cache.tensors import State, read, save_state
from emopipe.core.atomic import sha256
from emopipe.export import terms
from emopipe.export.terms import Part
from emopipe.inference.description import Weights
from emopipe.inference.finished_run import FinishedRun
from emopipe.inference.model import FacePreset, Stream
from emopipe.weights.checksums import expected
from emopipe.weights.entries import Entry, Registry, package_registry
from emopipe.weights.paths import entry_at
from emopipe.workflow.config import BackboneBlock

FOLDER = "weights"
"""In a bundle."""


@dataclass
class WeightsInside:
    """Collects the weights of a run in the folder of a bundle."""

    run: FinishedRun
    bundle: Path
    """The folder of the bundle."""
    registry: Registry = field(default_factory=package_registry)
    parts: list[Part] = field(default_factory=list)
    """The terms of what was collected."""

    def of_stream(self, name: str, stream: Stream) -> Weights | None:
        """Collect the weights of a backbone; return where the bundle finds them."""
        block = self.run.config.backbones[name]
        use = f"the {stream.modality} network {name}"
        if stream.pretrained or block.schedule:
            return self._trained(name, stream, block, use)
        if backbones.trainable(stream.kind):
            return self._file(name, stream.weights, [Path(stream.weights)], use) if stream.weights else None
        options = backbones.options_class(stream.kind).model_validate(stream.options)
        files = backbones.net_files(stream.kind, options)
        given = stream.options.get("weights")
        return self._file(name, given, files, use) if given else None

    def of_faces(self, name: str, preset: FacePreset) -> Weights | None:
        """Collect the weights of a face detector; None if a package has them."""
        if not preset.weights:
            return None
        path = Path(preset.weights)
        return self._file(f"faces_{name}", preset.weights, _with_external_data(path), f"the face detector {name}")

    def _trained(self, name: str, stream: Stream, block: BackboneBlock, use: str) -> Weights:
        """Write the network that the run trained on all of its training clips, or in its schedule."""
        inside = f"{FOLDER}/{name}.safetensors"
        if stream.pretrained:
            made = crossfit.load(stream.pretrained)
            state, about = made.full, made.about
        else:
            state, about = read(stream.weights, sealed=True)
        _save(state, about, self.bundle / inside)
        sources = [f"{self.run.config.sources[key].kind} ({key})" for key in _sources(block)]
        corpora = [*sources, *([f"the corpus {self.run.config.corpus.name}"] if stream.pretrained else [])]
        start = self._start(block.weights, use)
        self.parts.append(terms.trained(use, inside, corpora, start))
        return Weights(path=inside)

    def _start(self, weights: str | None, use: str) -> Part | None:
        """Return the terms of the weights that a training started from."""
        if not weights:
            return None
        entry = self._entry(Path(weights))
        return terms.of_entry(entry, use, weights) if entry else terms.of_own_file(use, weights)

    def _file(self, name: str, given: str, files: Sequence[Path], use: str) -> Weights:
        """Copy files of weights, if their terms let them be passed on, and return where the bundle finds them.

        Args:
            name: The folder in the bundle, for several files or a folder.
            given: What the config names: a file or a folder.
            files: The files that belong to it.
            use: What reads them.
        """
        entry = self._entry(Path(given))
        if entry and not terms.may_be_passed_on(entry):
            self.parts.append(terms.of_entry(entry, use, None))
            return Weights(name=entry.name, sha256=sha256(Path(given)))
        inside, is_file = f"{FOLDER}/{name}", Path(given).is_file()
        for file in files:
            target = self.bundle / inside / _relative(file, files[0].parent)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
        path = f"{inside}/{Path(given).name}" if is_file else inside
        self.parts.append(terms.of_entry(entry, use, path) if entry else terms.of_own_file(use, path))
        return Weights(path=path)

    def _entry(self, path: Path) -> Entry | None:
        """Return the entry of weights in the registry: by their path or, wherever they are, by their content."""
        if not path.is_file():
            return None
        found = entry_at(path, self.registry)
        if found is None:
            content = sha256(path)
            found = next((entry for entry in self.registry if expected(entry) == content), None)
        return found


def _relative(file: Path, folder: Path) -> Path:
    """Return the path of a file in a folder; one of the two may be resolved and the other not."""
    return file.relative_to(folder if file.is_relative_to(folder) else folder.resolve())


def _save(state: State, about: Mapping[str, str], path: Path) -> None:
    """Write weights with what is needed to use them: classes, and how many samples of each class there were."""
    kept = {key: about[key] for key in (OWN_CLASSES, TRAINED_CLASSES) if key in about}
    counts = json.loads(about.get(TRAINED_ON, "{}")).get("classes")
    if counts:
        kept[TRAINED_ON] = json.dumps({"classes": counts}, separators=(",", ":"), sort_keys=True)
    save_state(state, path, kept)


def _sources(block: BackboneBlock) -> list[str]:
    """Return the sources of a backbone's schedule, each once, in their order."""
    phases = [phase["sources"] for phase in block.schedule]
    return list(dict.fromkeys(name for names in phases for name in names))


def _with_external_data(path: Path) -> list[Path]:
    """Return an ONNX file and the files beside it that hold its tensors."""
    from emopipe.runtime.onnx import files_of  # it imports onnx, which takes a while

    return files_of(path)
