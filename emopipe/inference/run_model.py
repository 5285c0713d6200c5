"""A run's models with their ensemble, as a model of new clips: what finished runs and bundles have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from emopipe.cache.clip_rows import ClipRows
from emopipe.fusion.combination import Ensemble
from emopipe.fusion.features import LOGP, ClipFeatures, Features
from emopipe.inference.fusion_predictor import FusionPredictor
from emopipe.inference.model import Answers, FacePreset, Stream
from emopipe.media.decoded import DecodeOptions
from emopipe.scoring import predictions


@dataclass(eq=False)
class RunModel:
    """The models of a run, and its answer: that of its ensemble, or else of its only model."""

    name: str
    """The run's name."""
    models: Mapping[str, FusionPredictor]
    """The models that predict new clips."""
    members: Sequence[str]
    """Those of them that make the answer, in the order in which the ensemble takes them; without one, a single one."""
    ensemble: Ensemble | None
    """What combines the members."""
    streams: Mapping[str, Stream]
    """The backbones that the models read."""
    faces: Mapping[str, FacePreset]
    """The presets of faces that the backbones read."""
    decode: Mapping[str, DecodeOptions]
    """The presets of decoding that faces and backbones read."""

    def answer(self, clips: list[str], vectors: Mapping[str, ClipRows]) -> Answers:
        """Return the ensemble's probabilities, and as parts those of each model."""
        table = pd.DataFrame({"clip": clips, "split": "test", "label": "", "subject": ""})
        features = {file: features_of(rows, clips) for file, rows in vectors.items()}
        found = {name: model.predict(table, features) for name, model in self.models.items()}
        final = found[self.members[0]]
        if self.ensemble:
            final = self.ensemble.predict([found[name] for name in self.members])
        parts = {name: (_probs(made), made["covered"].to_numpy(bool)) for name, made in found.items()}
        return Answers(_probs(final), final["covered"].to_numpy(bool), parts)


def features_of(rows: ClipRows, clips: list[str]) -> Features:
    """Return the vectors of clips that are neither masked nor infinite, as `emopipe.fusion.features.load` does."""
    names = [*("x", "mask", "time"), *([LOGP] if LOGP in rows.fields else [])]
    return Features.from_clips([ClipFeatures(*(rows.field(clip, name) for name in names)) for clip in clips])


def _probs(table: pd.DataFrame) -> np.ndarray:
    """Return the probabilities (N, K) of a table of predictions."""
    return table[predictions.PROBABILITIES].to_numpy(float)
