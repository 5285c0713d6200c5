"""A bundle as a model of new clips: a folder, or a .zip, that `emopipe export RUN --to bundle` wrote.

It needs neither the corpus, nor the cache, nor the run's config. All of its files are compared with the manifest first.
"""

import shutil
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from emopipe.backbones import registry as backbones
from emopipe.core.atomic import sha256
from emopipe.core.errors import BundleError
from emopipe.core.labels import in_recipe
from emopipe.fusion.combination import Ensemble
from emopipe.inference import description, manifest
from emopipe.inference.description import DESCRIPTION, Description, FacesBlock, StreamBlock, Weights
from emopipe.inference.fusion_predictor import FusionPredictor
from emopipe.inference.manifest import Manifest
from emopipe.inference.model import FacePreset, Stream
from emopipe.inference.run_model import RunModel
from emopipe.inference.unpacking import unpack
from emopipe.weights.checksums import verify
from emopipe.weights.entries import package_registry
from emopipe.weights.naming import named, refuse_missing
from emopipe.weights.paths import path_of

ZIP = ".zip"
"""The suffix of a bundle in one file."""


def is_bundle(path: Path) -> bool:
    """Return whether a path is a bundle, and not the folder of a run."""
    return _is_zip(path) or manifest.is_bundle(path)


def _is_zip(path: Path) -> bool:
    return path.suffix.lower() == ZIP and not path.is_dir()


class Bundle(RunModel):
    """The models and the ensemble of a run that was exported."""

    def __init__(self, path: Path, device: torch.device) -> None:
        """Open a bundle.

        Args:
            path: Its folder or its .zip, which is unpacked into a temporary folder for as long as the bundle is used.
            device: Where its fusion networks run.

        Raises:
            BundleError: It is not a bundle, or a file of it is damaged, changed or missing.
            WeightsError: Weights that it names, but does not hold, are missing.
        """
        folder = path
        if _is_zip(path):
            if not path.is_file():
                raise BundleError(path, "the file does not exist")
            unpacked = Path(tempfile.mkdtemp(prefix="emopipe-bundle-"))
            weakref.finalize(self, shutil.rmtree, unpacked, ignore_errors=True)  # after the last use, or at the exit
            folder = unpack(path, unpacked)
        files = _Files(folder, manifest.read(folder))
        about = description.read(files.one(DESCRIPTION), path)
        models = {}
        for name, block in about.models.items():
            files.one(f"models/{name}.safetensors")
            models[name] = FusionPredictor(folder, name, device, np.array(block.prior))
            if models[name].space != about.space:
                raise BundleError(
                    path, f"its model {name} answers in other classes or dimensions than {DESCRIPTION} has"
                )
        streams = {name: files.stream(name, block) for name, block in about.streams.items()}
        faces = {name: files.faces(name, block) for name, block in about.faces.items()}
        _refuse_gaps(path, about, models, streams, faces)
        super().__init__(about.run, models, about.members, _ensemble(about), streams, faces, about.decode)


class _Files:
    """The files of a bundle."""

    def __init__(self, folder: Path, listed: Manifest) -> None:
        self._folder, self._listed = folder, listed

    def one(self, path: str) -> Path:
        """Return the path of a file, which the manifest has to list."""
        return self._listed.require(path, self._folder)

    def stream(self, name: str, block: StreamBlock) -> Stream:
        """Return a stream with the paths of its weights on this machine."""
        weights = self._weights(block.weights, f"The stream {name} of the bundle")
        options = dict(block.options)
        if weights and not backbones.trainable(block.kind):
            options["weights"] = weights
        views = tuple(block.views)
        return Stream(
            block.kind, options, block.modality, weights, None, block.preset, block.batch, block.precision, views
        )

    def faces(self, name: str, block: FacesBlock) -> FacePreset:
        """Return a preset of faces with the path of the detector's weights on this machine."""
        weights = self._weights(block.weights, f"The preset of faces {name} of the bundle")
        return FacePreset(block.detector, block.options, weights, block.decode, block.jpeg_quality, block.every)

    def _weights(self, given: Weights | None, where: str) -> str | None:
        """Return the path of weights: in the bundle, or of a name in the registry, whose checksum is compared."""
        if given is None:
            return None
        if given.path is not None:
            inside = [file for file in self._listed.files if file == given.path or file.startswith(f"{given.path}/")]
            if not inside:
                raise BundleError(self._folder, f"{given.path} is not listed in its {manifest.MANIFEST}")
            return str(self._folder / given.path)
        entries = package_registry()
        path = path_of(named(given.name or "", entries, where), entries)
        refuse_missing(path, where)
        verify(path)
        if given.sha256 not in (None, sha256(path)):
            raise BundleError(self._folder, f"it was made with another file of the weights {given.name} than {path}")
        return str(path)


def _ensemble(about: Description) -> Ensemble | None:
    return about.ensemble and Ensemble.from_dict({**about.ensemble.model_dump(), **in_recipe(about.space)})


def _refuse_gaps(
    path: Path,
    about: Description,
    models: Mapping[str, FusionPredictor],
    streams: Mapping[str, Stream],
    faces: Mapping[str, Any],
) -> None:
    """Refuse a description that lacks a stream or a preset that it refers to."""
    read = {file.partition("@")[0] for model in models.values() for file in model.files}
    if lacking := sorted(read - {*streams}):
        raise BundleError(path, f"its models read {lacking[0]}, which its {DESCRIPTION} does not describe")
    for name, stream in streams.items():
        presets = faces if stream.modality == "face" else about.decode
        if stream.preset not in presets:
            raise BundleError(path, f"its stream {name} reads the preset {stream.preset}, which is not described")
    for name, block in about.faces.items():
        if block.decode not in about.decode:
            raise BundleError(path, f"its preset {name} reads the preset {block.decode}, which is not described")
