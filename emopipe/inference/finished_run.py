"""A finished run as a model of new clips: its networks, and as its answer its ensemble, or else its only model.

The networks that a run trained on its corpus lie in `cache/<corpus>/weights/`; if the folder of the run has a folder
`weights/` of its own, with the same files, they are read from there.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from emopipe.backbones import registry as backbones
from emopipe.core.errors import CacheError, ConfigError
from emopipe.fusion.checks import BASELINES, default_members
from emopipe.fusion.combination import Ensemble
from emopipe.fusion.ensemble import FittedEnsemble
from emopipe.fusion.options import EnsembleOptions
from emopipe.inference.fusion_predictor import FusionPredictor, out_of_fold
from emopipe.inference.model import FacePreset, Stream
from emopipe.inference.run_model import RunModel
from emopipe.workflow import config as configs
from emopipe.workflow.config import Config, modality

CONFIG_FILE = "config.yaml"
"""The run's config, in its folder of results."""
ENSEMBLE = "ensemble"
"""The ensemble that is a run's answer."""


class FinishedRun(RunModel):
    """The models and the ensemble of a run, in `results/<run>`; the weights that it trained are in `cache/`."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        """Open a run.

        Args:
            folder: `results/<run>`.
            device: Where its fusion networks run.

        Raises:
            CacheError: The run is not finished, or a file of it is missing.
        """
        self.config = config = _config(folder)
        own, baselines = (
            [name for name in names if (folder / f"models/{name}.safetensors").is_file()]
            for names in (config.models, BASELINES)
        )
        members = config.ensemble.members or default_members(config.ensemble.method, own, baselines)
        baselines = [name for name in baselines if name in members]  # others do not make the answer
        models = {name: FusionPredictor(folder, name, device) for name in (*own, *baselines)}
        if not models:
            raise CacheError(f"The run {folder} has no trained model. Give a run that has one.")
        ensemble, members = _ensemble(folder, config, list(models), members)
        models = without_transductive(models, members, folder)
        used = {stream for model in models.values() for stream in model.files}
        trained = folder / "weights"
        if not trained.is_dir():
            trained = folder.resolve().parents[1] / "cache" / config.corpus.name / "weights"
        streams = {name: _stream(config, name, used, trained) for name in _backbones(config, used)}
        super().__init__(folder.resolve().name, models, members, ensemble, streams, *_presets(config, streams))


def _ensemble(
    folder: Path, config: Config, models: Sequence[str], asked: Sequence[str]
) -> tuple[Ensemble | None, list[str]]:
    """Return the run's ensemble, fitted again on the same out-of-fold predictions, and its members."""
    if not (folder / f"predictions/{ENSEMBLE}.csv").is_file():
        if len(models) > 1:
            raise CacheError(
                f"The run {folder} has {len(models)} models and no ensemble, so it has no single answer. Add "
                "`ensemble: {}` to its config and run it again."
            )
        return None, list(models)
    members = [name for name in asked if name in models]
    options = EnsembleOptions.model_validate(config.ensemble.model_dump(include=set(EnsembleOptions.model_fields)))
    oof = [out_of_fold(folder, name) for name in members]
    return FittedEnsemble(options, oof, config.label_space).for_new_clips, members


def without_transductive(
    models: Mapping[str, FusionPredictor], members: Sequence[str], folder: Path
) -> dict[str, FusionPredictor]:
    """Return the models that need no other clips of a person; refuse an answer that needs them.

    Raises:
        ConfigError: A member normalises by person.
    """
    needing = [name for name, model in models.items() if model.normalises_by_subject]
    if refused := [name for name in members if name in needing]:
        raise ConfigError(
            f"The answer of the run {folder} comes from {', '.join(refused)}, which normalises sound by person "
            "(`normalise: subject`), over all clips of that person. New files have no such clips. Use a run whose "
            "answer has no such model, or predict from features of many clips with their people in Python: "
            f'load_run("{folder}").model("{refused[0]}").predict(features, subjects={{clip: person}}).'
        )
    return {name: model for name, model in models.items() if name not in needing}


def _config(folder: Path) -> Config:
    """Return the run's config; names of weights are resolved on this machine."""
    if not folder.is_dir():
        raise CacheError(
            f"The folder {folder} does not exist. Give the folder of a finished run, such as results/demo."
        )
    if not (folder / CONFIG_FILE).is_file():
        raise CacheError(
            f"The folder {folder} has no {CONFIG_FILE}, which the last step of a run writes. Finish the run first: run "
            "it again with the same config."
        )
    return configs.parse(configs.read(folder / CONFIG_FILE))


def _backbones(config: Config, files: set[str]) -> list[str]:
    """Return the backbones that models read."""
    named = {file.partition("@")[0] for file in files}
    return [name for name in config.backbones if name in named]


def _stream(config: Config, name: str, files: set[str], folder: Path) -> Stream:
    """Return a backbone as a stream; `folder` has the weights that the run trained."""
    block = config.backbones[name]
    pretrained = folder / f"{name}.safetensors" if block.pretrain else None
    weights = block.weights or block.options.get("weights")
    if block.schedule and not pretrained:
        weights = str(folder / f"{name}.step{len(block.schedule) - 1}.safetensors")
    is_trainable = backbones.trainable(block.kind)
    if not is_trainable:  # such a network may be a folder or part of a package; its kind knows what it lacks
        backbones.net_files(block.kind, backbones.options_class(block.kind).model_validate(block.options))
    for file in filter(None, (pretrained, weights if is_trainable else None)):
        if not Path(file).is_file():
            raise CacheError(
                f"The file {file} is missing. It holds the weights of the backbone {name}, which the run used. Run it "
                "again, or put the file back."
            )
    views = tuple(file.partition("@")[2] for file in sorted(files) if file.partition("@")[0] == name)
    preset = block.faces if modality(block) == "face" else block.decode
    return Stream(
        block.kind,
        block.options,
        modality(block),
        weights,
        pretrained,
        preset,
        block.batch,
        block.precision,
        views=views,
    )


def _presets(config: Config, streams: Mapping[str, Stream]) -> tuple[dict[str, FacePreset], dict[str, Any]]:
    """Return the presets of faces and of decode that streams read."""
    faces = {}
    for name in {stream.preset for stream in streams.values() if stream.modality == "face"}:
        block = config.faces[name]
        options = {key: value for key, value in block.options.items() if key != "weights"}
        weights = block.options.get("weights")
        faces[name] = FacePreset(block.detector, options, weights, block.decode, block.jpeg_quality, block.every)
    read_by = {preset.decode for preset in faces.values()}
    read_by |= {stream.preset for stream in streams.values() if stream.modality == "audio"}
    return faces, {name: config.decode[name] for name in config.decode if name in read_by}
