"""One trained model of a run, which predicts from features: its networks, or its pool of heads."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from emopipe.backbones.seeds import backbone_of, count_networks
from emopipe.cache.tensors import State, read
from emopipe.core.errors import CacheError, ConfigError
from emopipe.core.labels import CLASSES, LabelSpace, of_recipe
from emopipe.fusion import attention_weights
from emopipe.fusion.data import FusionDataset
from emopipe.fusion.features import Features
from emopipe.fusion.inputs import FEWEST_CLIPS, model_inputs
from emopipe.fusion.options import POOLS, FusionOptions, effective_options, encodes_time, frame_inputs
from emopipe.fusion.pooled_heads import PREFIX, PooledHeads, of_first_network, read_heads
from emopipe.fusion.stack import Run, TrainedRun
from emopipe.fusion.targets import of_table
from emopipe.fusion.training import predict
from emopipe.scoring import predictions


class FusionPredictor:
    """One trained model of a run, which predicts from features."""

    def __init__(self, folder: Path, name: str, device: torch.device, prior: np.ndarray | None = None) -> None:
        """Open the model `name` of `results/<run>`.

        Args:
            folder: `results/<run>`, or a bundle.
            name: The model's name.
            device: Where its networks run.
            prior: (K,) the shares of the classes among its training clips, or the mean of the dimensions; default: that
                of the model's file or, of the seven classes, of `oof/<name>.csv`.

        Raises:
            CacheError: A file is missing or damaged, or an earlier version trained the model with another encoding.
        """
        self._path, self._device = folder / f"models/{name}.safetensors", device
        tensors, about = read(self._path, sealed=True)
        recipe = json.loads(about["recipe"])
        self.space: LabelSpace = of_recipe(recipe)
        """What the model answers in."""
        self._options = FusionOptions.model_validate(recipe["options"])
        if encodes_time(self._options) and "face_inputs" not in recipe["options"]:
            raise CacheError(
                f"{self._path} was trained by an earlier version, which encoded the numbers of vectors and not their "
                "times. Its answers would be wrong. Run it again with this version."
            )
        self._modalities: dict[str, str] = recipe["streams"]
        self.files: list[str] = list(recipe["features"])
        """Streams, and `<stream>@<view>` for views, in the order in which the networks read them."""
        self._pooled: list[str] = json.loads(about["streams"]) if self.is_pool else []
        """The streams whose heads are pooled; none for networks, and where no training clip has vectors."""
        self.networks = _networks(tensors)
        """Name -> state of each network, or pool of heads, that predicts new clips."""
        if prior is None:
            prior = np.array(json.loads(about["prior"])) if "prior" in about else shares(out_of_fold(folder, name))
        self.prior = prior
        """(K,) the answer for a clip that is not covered: the mean of what the training clips are labelled with."""

    @property
    def normalises_by_subject(self) -> bool:
        """Whether the model normalises sound over all clips of a person."""
        return self._options.normalise == "subject" and "audio" in self._modalities.values()

    @property
    def reads_evidence(self) -> bool:
        """Whether the networks read what the streams' own heads say beyond their priors."""
        return any("evidence" in frame_inputs(self._options, kind) for kind in self._modalities.values())

    @property
    def is_pool(self) -> bool:
        """Whether the model is a formula of what the streams' heads say, and not a network."""
        return self._options.fusion in POOLS

    @property
    def effective(self) -> tuple[FusionOptions, dict[str, str]]:
        """The options of the networks, and the streams that they read -> face or audio."""
        usable = _usable_streams(self.networks)
        modalities = {stream: kind for stream, kind in self._modalities.items() if stream in usable}
        return effective_options(self._options, modalities), modalities

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
        p = np.tile(self.prior, (len(table), 1))
        if self._pooled:
            return self._predict_by_heads(table, features, p)
        if self.has_attention:
            dataset, runs = self._read(table, features)
            covered = dataset.present.cpu().numpy()
            probs = np.mean(predict(dataset, runs, [np.arange(len(table))] * len(runs)), 0)
            p = np.where(covered[:, None], probs, p)
        return predictions.table(table, p, covered, self.space)

    @property
    def has_attention(self) -> bool:
        """Whether the model is a network that reads a stream."""
        return not self.is_pool and bool(self.effective[1])

    def attention(self, table: pd.DataFrame, features: Mapping[str, Features]) -> list[dict[str, np.ndarray]]:
        """Return stream -> the weights (T,) of its vectors, which sum to 1, for each clip: the mean over the networks.

        Args:
            table: The clips, as for `predict`.
            features: As for `predict`. The weights are in the order of these vectors.
        """
        dataset, runs = self._read(table, features)
        return attention_weights.of_clips(runs, dataset, np.arange(len(table)))

    def _read(self, table: pd.DataFrame, features: Mapping[str, Features]) -> tuple[FusionDataset, list[TrainedRun]]:
        """Return what the networks read of clips, and the networks, which read at least one stream."""
        options, modalities = self.effective
        subjects = list(table["subject"])
        views = {
            stream: [model_inputs(each, modalities[stream], self._options, subjects, self.space) for each in of_stream]
            for stream, of_stream in self._views(modalities, features).items()
        }
        count = {stream: count_networks(stream, self.files) for stream in modalities}
        unlabelled = of_table(table.assign(label=""), self.space)
        dataset = FusionDataset.from_views(
            views, modalities, unlabelled, self._device, self.prior > 0, count, self.space
        )
        rows = np.arange(len(table))
        place = {f"seed{seed}": number % dataset.combinations for number, seed in enumerate(self._options.seeds)}
        runs = [
            TrainedRun(Run(options, 0, rows, rows[:0], 1, place[name.partition(".")[0]]), state, 0)
            for name, state in self.networks.items()
        ]
        return dataset, runs

    def _predict_by_heads(self, table: pd.DataFrame, features: Mapping[str, Features], p: np.ndarray) -> pd.DataFrame:
        """Return the predictions of a pool of heads; `p` (N, K) is for clips without any stream."""
        count = {stream: count_networks(stream, self.files) for stream in self._pooled}
        views = of_first_network(self._views(self._pooled, features), count)
        heads = read_heads(views, self._modalities, self._options, len(table), self.space)
        pools = [PooledHeads.from_state(self._options, state) for state in self.networks.values()]
        covered = heads.present.any(0)
        probs = np.mean([pool.predict(heads) for pool in pools], 0)
        return predictions.table(table, np.where(covered[:, None], probs, p), covered, self.space)

    def _views(self, streams: Iterable[str], features: Mapping[str, Features]) -> dict[str, list[Features]]:
        """Return the features of each stream, network by network: the plain ones, then those of its views."""
        return {
            stream: [
                replace(features[file], blocks=_count_blocks(self.networks, stream))
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


def out_of_fold(folder: Path, name: str) -> pd.DataFrame:
    """Return what a model of `results/<run>` predicts for its training clips, each by a network that has not met it."""
    return predictions.read(folder / f"oof/{name}.csv")


def shares(table: pd.DataFrame) -> np.ndarray:
    """Return the shares (7,) of the seven classes among clips; zeros if there are none."""
    labels = table["label"].map(CLASSES.index).to_numpy()
    return np.bincount(labels, minlength=len(CLASSES)) / max(1, len(labels))
