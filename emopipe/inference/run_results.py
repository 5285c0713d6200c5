"""What a finished run has found, for use from Python."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from emopipe.cache.store import Reader
from emopipe.core.errors import CacheError
from emopipe.fusion.attention_weights import TIME
from emopipe.fusion.features import ClipFeatures
from emopipe.fusion.features import Features as FusionFeatures
from emopipe.inference.fusion_predictor import FusionPredictor
from emopipe.inference.predictor import Predictor
from emopipe.scoring import predictions
from emopipe.workflow import config as configs


class RunResults:
    """The results of a run; see `load_run`."""

    def __init__(self, folder: Path) -> None:
        """Open `results/<run>`.

        Raises:
            CacheError: The folder is not that of a finished run.
        """
        if not (folder / "metrics.csv").is_file():
            raise CacheError(
                f"{folder} is not the folder of a finished run: it has no metrics.csv. Expected a folder such as "
                "results/demo."
            )
        self.folder, self.name = folder, folder.resolve().name

    @cached_property
    def config(self) -> dict[str, Any]:
        """The config as it was given."""
        return configs.read(self.folder / "config.yaml")

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """One row a model and split: accuracy, UAR and so on (metrics.csv)."""
        return pd.read_csv(self.folder / "metrics.csv")

    @cached_property
    def ledger(self) -> pd.DataFrame:
        """One row a clip and stage: its status and the reason (ledger.csv)."""
        return pd.read_csv(self.folder / "ledger.csv", keep_default_na=False)

    @property
    def models(self) -> list[str]:
        """The models and ensembles that predict."""
        return sorted(path.stem for path in (self.folder / "predictions").glob("*.csv"))

    def predictions(self, model: str = "ensemble") -> pd.DataFrame:
        """Return what a model or ensemble predicts for each clip: clip, split, label, pred, covered and a
        number of each class or dimension (`p_<class>`, `y_<dimension>`).

        Raises:
            KeyError: The run has no such model.
        """
        if model not in self.models:
            raise KeyError(f"{model} is not a model of this run. Its models are: {', '.join(self.models)}")
        return predictions.read(self.folder / "predictions" / f"{model}.csv")

    def model(self, name: str) -> "FeatureModel":
        """Return a model (not an ensemble) that predicts from features.

        Raises:
            KeyError: The run has no such model.
        """
        found = sorted(path.stem for path in (self.folder / "models").glob("*.safetensors"))
        if name not in found:
            raise KeyError(f"{name} is not a trained model of this run. Its trained models are: {', '.join(found)}")
        return FeatureModel(self.folder, name)

    def attention(self, model: str, clip: str) -> pd.DataFrame:
        """Return how much each vector of a clip counts in a model's answer: stream, time in seconds, weight.

        The weights of a stream sum to 1. The clips are those that the run reports.

        Raises:
            CacheError: The run has no such model, or an ensemble has this name.
            KeyError: The clip is not among those that are reported.
        """
        with Reader(self.folder / "attention" / f"{model}.h5") as reader:
            if clip not in reader:
                raise KeyError(f"{clip} is not among the {len(reader.clips)} clips that {model} predicts")
            streams = [name for name in reader.fields if not name.endswith(TIME)]
            parts = [
                pd.DataFrame(
                    {
                        "stream": stream,
                        "time": reader.field(clip, f"{stream}{TIME}"),
                        "weight": reader.field(clip, stream),
                    }
                )
                for stream in streams
            ]
        return pd.concat(parts, ignore_index=True)

    def predictor(self, **options: Any) -> Predictor:
        """Return a predictor of new files by this run's final answer; the options are those of `Predictor`."""
        return Predictor(self.folder, **options)

    def __repr__(self) -> str:
        return f"Run {self.name}: {', '.join(self.models)}\n{self.metrics}"


class FeatureModel:
    """A trained model of a run that predicts from the vectors of its backbones."""

    def __init__(self, folder: Path, name: str) -> None:
        """Open the model `name` of `results/<run>`."""
        self._model = FusionPredictor(folder, name, torch.device("cpu"))
        self.inputs: list[str] = list(self._model.files)
        """The features that it reads: backbones, and `<backbone>@<view>` for views."""

    def predict(
        self, features: Mapping[str, Mapping[str, ClipFeatures]], *, subjects: Mapping[str, str] | None = None
    ) -> pd.DataFrame:
        """Return clip, pred, covered (whether any input has vectors) and a number of each class or dimension.

        Args:
            features: Input -> clip id -> vectors, such as `emopipe.load_features` returns them. A clip that an input
                lacks is predicted from the others.
            subjects: Clip id -> person, for a model with `normalise: subject`. People that are missing are unknown:
                their clips are normalised over all clips of the features.

        Raises:
            KeyError: An input is missing.
            ConfigError: The model normalises by subject, and there are too few clips; or it reads log-probabilities,
                and the features have none.
        """
        if missing := [name for name in self.inputs if name not in features]:
            raise KeyError(f"{', '.join(missing)} are missing. The model reads: {', '.join(self.inputs)}")
        clips = list(dict.fromkeys(clip for name in self.inputs for clip in features[name]))
        people = [(subjects or {}).get(clip, "") for clip in clips]
        table = pd.DataFrame({"clip": clips, "split": "", "label": "", "subject": people})
        stacked = {name: _stacked(features[name], clips) for name in self.inputs}
        return self._model.predict(table, stacked).drop(columns=["split", "label"])


def _stacked(features: Mapping[str, ClipFeatures], clips: list[str]) -> FusionFeatures:
    """Return the vectors of clips that are neither masked nor infinite; a clip that is not there has none."""
    some = next(iter(features.values()))
    logp = None if some.logp is None else some.logp[:0]
    none = ClipFeatures(some.x[:0], some.mask[:0], some.time[:0], logp)
    found = [features.get(clip) for clip in clips]
    stacked = FusionFeatures.from_clips([none if each is None else each for each in found])
    head_classes = getattr(features, "head_classes", stacked.head_classes)
    return replace(stacked, prior=getattr(features, "prior", ()), head_classes=head_classes)


def load_run(folder: str | Path) -> RunResults:
    """Open the results of a run.

    Args:
        folder: Such as results/demo.

    Returns:
        `.config`, `.metrics`, `.ledger`, `.models`, `.predictions(model)`, `.attention(model, clip)`,
        `.model(name)`, which predicts from features, and `.predictor()`, which predicts files.

    Raises:
        CacheError: The folder is not that of a finished run.
    """
    return RunResults(Path(folder))
