"""A finished run as a model of new clips: its networks, and as its answer its ensemble, or else its only model.

The networks that a run trained on its corpus lie in `cache/<corpus>/weights/`. If the folder of the run has a folder
`weights/` of its own, with the same files, it is enough by itself: a bundle, which can be moved to another machine.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from emopipe.backbones.seeds import backbone_of, count_networks
from emopipe.cache.clip_rows import ClipRows
from emopipe.cache.tensors import State, read
from emopipe.core.errors import CacheError, ConfigError
from emopipe.core.labels import CLASSES
from emopipe.fusion.checks import BASELINES, default_members
from emopipe.fusion.data import FusionDataset
from emopipe.fusion.ensemble import FittedEnsemble
from emopipe.fusion.features import LOGP, ClipFeatures, Features
from emopipe.fusion.inputs import FEWEST_CLIPS, model_inputs
from emopipe.fusion.options import POOLS, EnsembleOptions, FusionOptions, effective_options, encodes_time
from emopipe.fusion.pooled_heads import PREFIX, PooledHeads, of_first_network, read_heads
from emopipe.fusion.stack import Run, TrainedRun
from emopipe.fusion.training import predict
from emopipe.inference.model import Answers, FacePreset, Stream
from emopipe.scoring import predictions
from emopipe.workflow import config as configs
from emopipe.workflow.config import Config, modality

CONFIG_FILE = "config.yaml"
"""The run's config, in its folder of results."""
ENSEMBLE = "ensemble"
"""The ensemble that is a run's answer."""


class FinishedRun:
    """The models and the ensemble of a run, in `results/<run>`; the weights that it trained are in `cache/`."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        """Open a run.

        Args:
            folder: `results/<run>`.
            device: Where its fusion networks run.

        Raises:
            CacheError: The run is not finished, or a file of it is missing.
        """
        self.name = folder.resolve().name
        self._device = device
        config = _config(folder)
        own, baselines = (
            [name for name in names if (folder / f"models/{name}.safetensors").is_file()]
            for names in (config.models, BASELINES)
        )
        members = config.ensemble.members or default_members(config.ensemble.method, own, baselines)
        baselines = [name for name in baselines if name in members]  # others do not make the answer
        self._models = {name: FusionPredictor(folder, name, device) for name in (*own, *baselines)}
        if not self._models:
            raise CacheError(f"The run {folder} has no trained model. Give a run that has one.")
        self._ensemble, self._members = self._open_ensemble(folder, config, members)
        self._omit_transductive(folder)
        used = {stream for model in self._models.values() for stream in model.files}
        trained = folder / "weights"
        if not trained.is_dir():
            trained = folder.resolve().parents[1] / "cache" / config.corpus.name / "weights"
        self.streams = {name: _stream(config, name, used, trained) for name in _backbones(config, used)}
        self.faces, self.decode = _presets(config, self.streams)

    def _open_ensemble(
        self, folder: Path, config: Config, asked: Sequence[str]
    ) -> tuple[FittedEnsemble | None, list[str]]:
        """Return the run's ensemble, fitted again on the same out-of-fold predictions, and its members."""
        if not (folder / f"predictions/{ENSEMBLE}.csv").is_file():
            if len(self._models) > 1:
                raise CacheError(
                    f"The run {folder} has {len(self._models)} models and no ensemble, so it has no single answer. Add "
                    "`ensemble: {}` to its config and run it again."
                )
            return None, list(self._models)
        block = config.ensemble
        members = [name for name in asked if name in self._models]
        options = EnsembleOptions.model_validate(block.model_dump(include=set(EnsembleOptions.model_fields)))
        return FittedEnsemble(options, [self._models[name].out_of_fold for name in members]), members

    def _omit_transductive(self, folder: Path) -> None:
        """Refuse an answer that needs all clips of a person, and omit other models that need them."""
        needing = [n for n, m in self._models.items() if isinstance(m, FusionPredictor) and m.normalises_by_subject]
        if members := [name for name in self._members if name in needing]:
            raise ConfigError(
                f"The answer of the run {folder} comes from {', '.join(members)}, which normalises sound by person "
                "(`normalise: subject`), over all clips of that person. New files have no such clips. Use a run whose "
                "answer has no such model, or predict from features of many clips with their people in Python: "
                f'load_run("{folder}").model("{members[0]}").predict(features, subjects={{clip: person}}).'
            )
        self._models = {name: model for name, model in self._models.items() if name not in needing}

    def answer(self, clips: list[str], vectors: Mapping[str, ClipRows]) -> Answers:
        """Return the ensemble's probabilities, and as parts those of each model."""
        table = pd.DataFrame({"clip": clips, "split": "test", "label": "", "subject": ""})
        features = {file: _features(rows, clips) for file, rows in vectors.items()}
        found = {name: model.predict(table, features) for name, model in self._models.items()}
        final = found[self._members[0]]
        if self._ensemble:
            final = self._ensemble.predict([found[name] for name in self._members])
        parts = {name: (_probs(made), made["covered"].to_numpy(bool)) for name, made in found.items()}
        return Answers(_probs(final), final["covered"].to_numpy(bool), parts)


class FusionPredictor:
    """One trained model of a run, which predicts from features."""

    def __init__(self, folder: Path, name: str, device: torch.device) -> None:
        """Open the model `name` of `results/<run>`.

        Raises:
            CacheError: A file is missing or damaged, or an earlier version trained the model with another encoding.
        """
        self._path, self._device = folder / f"models/{name}.safetensors", device
        tensors, about = read(self._path, sealed=True)
        recipe = json.loads(about["recipe"])
        self._options = FusionOptions.model_validate(recipe["options"])
        if encodes_time(self._options) and "face_inputs" not in recipe["options"]:
            raise CacheError(
                f"{self._path} was trained by an earlier version, which encoded the numbers of vectors and not their "
                "times. Its answers would be wrong. Run it again with this version."
            )
        self._modalities: dict[str, str] = recipe["streams"]
        self.files: list[str] = list(recipe["features"])
        """Streams, and `<stream>@<view>` for views, in the order in which the networks read them."""
        self._pooled: list[str] = json.loads(about["streams"]) if self._options.fusion in POOLS else []
        """The streams whose heads are pooled; none for networks, and where no training clip has vectors."""
        self._networks = _networks(tensors)
        self.out_of_fold = predictions.read(folder / f"oof/{name}.csv")
        labels = self.out_of_fold["label"].map(CLASSES.index).to_numpy()
        self._prior = np.bincount(labels, minlength=len(CLASSES)) / max(1, len(labels))

    @property
    def normalises_by_subject(self) -> bool:
        """Whether the model normalises sound over all clips of a person."""
        return self._options.normalise == "subject" and "audio" in self._modalities.values()

    def predict(self, table: pd.DataFrame, features: Mapping[str, Features]) -> pd.DataFrame:
        """Return the predictions for clips: the mean over the networks of all seeds, as in the fusion stage.

        Args:
            table: The clips: clip, split, label, subject.
            features: Stream, or `<stream>@<view>` -> the features of these clips.

        Raises:
            ConfigError: The model normalises by subject, and the clips are too few; or it reads log-probabilities, and
                features have none.
        """
        if self.normalises_by_subject and len(table) < FEWEST_CLIPS:
            raise ConfigError(
                f"The model {self._path.stem} normalises sound by person, over all clips of that person, but there are "
                f"only {len(table)} clips. Give at least {FEWEST_CLIPS} clips, better of each person."
            )
        covered = np.zeros(len(table), bool)
        p = np.tile(self._prior, (len(table), 1))
        if self._pooled:
            return self._predict_by_heads(table, features, p)
        usable = _usable_streams(self._networks)
        if usable:
            modalities = {stream: kind for stream, kind in self._modalities.items() if stream in usable}
            subjects = list(table["subject"])
            views = {
                stream: [model_inputs(each, modalities[stream], self._options, subjects) for each in of_stream]
                for stream, of_stream in self._views(modalities, features).items()
            }
            count = {stream: count_networks(stream, self.files) for stream in modalities}
            unlabelled = np.full(len(table), -1)
            dataset = FusionDataset.from_views(views, modalities, unlabelled, self._device, self._prior > 0, count)
            covered = dataset.present.cpu().numpy()
            rows = np.arange(len(table))
            options = effective_options(self._options, modalities)
            place = {f"seed{seed}": number % dataset.combinations for number, seed in enumerate(self._options.seeds)}
            runs = [
                TrainedRun(Run(options, 0, rows, rows[:0], 1, place[name.partition(".")[0]]), state, 0)
                for name, state in self._networks.items()
            ]
            probs = np.mean(predict(dataset, runs, [rows] * len(runs)), 0)
            p = np.where(covered[:, None], probs, p)
        return predictions.table(table, p, covered)

    def _predict_by_heads(self, table: pd.DataFrame, features: Mapping[str, Features], p: np.ndarray) -> pd.DataFrame:
        """Return the predictions of a pool of heads; `p` (N, K) is for clips without any stream."""
        count = {stream: count_networks(stream, self.files) for stream in self._pooled}
        views = of_first_network(self._views(self._pooled, features), count)
        heads = read_heads(views, self._modalities, self._options, len(table))
        pools = [PooledHeads.from_state(self._options, state) for state in self._networks.values()]
        covered = heads.present.any(0)
        probs = np.mean([pool.predict(heads) for pool in pools], 0)
        return predictions.table(table, np.where(covered[:, None], probs, p), covered)

    def _views(self, streams: Iterable[str], features: Mapping[str, Features]) -> dict[str, list[Features]]:
        """Return the features of each stream, network by network: the plain ones, then those of its views."""
        return {
            stream: [
                replace(features[file], blocks=_count_blocks(self._networks, stream))
                for file in self.files
                if backbone_of(file) == stream
            ]
            for stream in streams
        }


def _networks(tensors: State) -> dict[str, State]:
    """Return name -> state of each network that predicts new clips: those trained on all training clips, if any are.

    A cross-validation without other clips has only networks that were trained without a fold; then all of these.
    """
    by_name: dict[str, State] = {}
    for key, tensor in tensors.items():
        name = key.partition(".standardise.")[0].partition(".network.")[0].partition(f".{PREFIX}")[0]
        by_name.setdefault(name, {})[key.removeprefix(f"{name}.")] = tensor
    return {name: state for name, state in by_name.items() if ".fold" not in name} or by_name


def _usable_streams(networks: Mapping[str, State]) -> set[str]:
    """Return the streams that the networks read: those of which training clips had vectors."""
    prefix = "standardise.scale_"
    first = next(iter(networks.values()), {})
    return {key.removeprefix(prefix) for key in first if key.startswith(prefix)}


def _count_blocks(networks: Mapping[str, State], stream: str) -> int:
    """Return the number of blocks of a stream's vectors of which the networks learned the weights; otherwise 1."""
    weights = next(iter(networks.values()), {}).get(f"network.blocks.{stream}.logits")
    return 1 if weights is None else len(weights)


def _features(rows: ClipRows, clips: list[str]) -> Features:
    """Return the vectors of clips that are neither masked nor infinite, as `emopipe.fusion.features.load` does."""
    names = [*("x", "mask", "time"), *([LOGP] if LOGP in rows.fields else [])]
    return Features.from_clips([ClipFeatures(*(rows.field(clip, name) for name in names)) for clip in clips])


def _probs(table: pd.DataFrame) -> np.ndarray:
    """Return the probabilities (N, K) of a table of predictions."""
    return table[predictions.PROBABILITIES].to_numpy(float)


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
    for file in filter(None, (pretrained, weights)):
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
