"""A run's models with their ensemble, as a model of new clips: what finished runs and bundles have in common."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from emopipe.backbones import crossfit, registry
from emopipe.backbones.classifier import Head, read_head
from emopipe.backbones.head_in_file import classes_in_file
from emopipe.backbones.seeds import backbone_of
from emopipe.backbones.shared_classes import answered, can_answer, in_space, lacks
from emopipe.cache.clip_rows import ClipRows
from emopipe.core.labels import BASIC7, CLASSES, LabelSpace
from emopipe.fusion.combination import Ensemble
from emopipe.fusion.features import LOGP, ClipFeatures, Features
from emopipe.inference.fusion_predictor import FusionPredictor
from emopipe.inference.model import Answers, FacePreset, Stream, Trace
from emopipe.media.decoded import DecodeOptions


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

    @property
    def space(self) -> LabelSpace:
        """The label space of the run."""
        return next(iter(self.models.values())).space

    def answer(self, clips: list[str], vectors: Mapping[str, ClipRows]) -> Answers:
        """Return the ensemble's values, and as parts those of each model."""
        table, features = _unlabelled(clips), self._features(clips, vectors)
        found = {name: model.predict(table, features) for name, model in self.models.items()}
        final = found[self.members[0]]
        if self.ensemble:
            final = self.ensemble.predict([found[name] for name in self.members])
        parts = {name: self._numbers(made) for name, made in found.items()}
        return Answers(*self._numbers(final), parts)

    def _numbers(self, made: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Return the values (N, K) of a table of predictions, and which clips (N,) are covered."""
        return made[self.space.columns].to_numpy(float), made["covered"].to_numpy(bool)

    @property
    def about_traces(self) -> str:
        """What the traces are: attention, for streams that a network of the answer reads, else what heads say."""
        names = self._attentive
        if not names:
            return (
                "The models of this run have no attention: each frame with a face counts alike, and so does each "
                "stretch of sound. The bars are the probability of the answered class by the network of a stream alone."
            )
        models = f"the model {names[0]}" if len(names) == 1 else f"the models {', '.join(names)}, each counted alike"
        said = (
            f"Attention of {models}: how much a vector counts within its stream. 1 (the dotted line) is an equal "
            "share. It does not show why an answer was given."
        )
        if not self.space.has_one_class:  # heads do not answer in such a label space
            return said
        return (
            f"{said} Of a stream that none of them reads, the bars are the probability of the answered class by the "
            "stream's own network."
        )

    @property
    def _attentive(self) -> list[str]:
        """The networks that the answer uses; pools of heads are none."""
        used = self.members
        if self.ensemble:
            used = [used[number] for number in self.ensemble.combination.used]
        return [name for name in used if self.models[name].has_attention]

    def traces(self, clips: list[str], vectors: Mapping[str, ClipRows]) -> list[dict[str, Trace]]:
        """Return the attention over each clip's vectors, the mean over the networks that the answer uses.

        Of streams that no network reads, the probabilities by their own heads.
        """
        table, features = _unlabelled(clips), self._features(clips, vectors)
        of_models = [self.models[name].attention(table, features) for name in self._attentive]
        found = []
        for number in range(len(clips)):
            one = {}
            for stream in (name for name in self.streams if backbone_of(name) == name):  # of several seeds, the first
                begin, length = (int(x[number]) for x in (features[stream].start, features[stream].length))
                part = slice(begin, begin + length)
                weights = [model[number][stream] for model in of_models if len(model[number].get(stream, ()))]
                if length and weights:
                    one[stream] = Trace(features[stream].time[part].numpy(), np.mean(weights, 0) * length)
                elif length and (p := self._said_by_head(stream, features[stream], part)) is not None:
                    one[stream] = Trace(features[stream].time[part].numpy(), probabilities=p)
            found.append(one)
        return found

    def _said_by_head(self, stream: str, features: Features, part: slice) -> np.ndarray | None:
        """Return the probabilities (n, K) of vectors by the network's own head; NaN for classes that it does not know.

        Returns:
            None if it has no head, or if the head cannot answer in the label space of the run.
        """
        classes = self.heads[stream].classes if stream in self.heads else CLASSES
        if features.logp is None or not can_answer(classes, self.space):
            return None
        p = np.exp(in_space(features.logp[part].numpy(), classes, self.space))
        p[:, [self.space.names.index(name) for name in lacks(classes, self.space)]] = np.nan
        return p

    def _features(self, clips: list[str], vectors: Mapping[str, ClipRows]) -> dict[str, Features]:
        """Return file of features -> the vectors of clips, as the models read them."""
        return {
            file: features_of(rows, clips, self.heads.get(file.partition("@")[0])) for file, rows in vectors.items()
        }

    @functools.cached_property
    def heads(self) -> dict[str, Head]:
        """Stream -> its head, whose classes and their shares in its training files of features have.

        With the seven classes in the run and in all heads, only models that read the heads' evidence need them: without
        one, no file is read.
        """
        needs_prior = any(model.reads_evidence for model in self.models.values())
        if self.space == BASIC7 and not needs_prior and not any(map(_has_other_classes, self.streams.values())):
            return {}
        heads = {name: _head(stream, self.space) for name, stream in self.streams.items()}
        return {name: head for name, head in heads.items() if head}


def _has_other_classes(stream: Stream) -> bool:
    """Return whether a network's head answers for other classes than the seven, by the metadata of its weights."""
    if not stream.weights or not registry.trainable(stream.kind):
        return False
    return answered(classes_in_file(stream.weights) or CLASSES) != CLASSES


def _head(stream: Stream, space: LabelSpace) -> Head | None:
    """Return the emotion head of a stream's network, as it is used in a label space; None if it has none."""
    if stream.pretrained:
        return crossfit.load(stream.pretrained).head(crossfit.ALL, space.names)
    return read_head(stream.weights, space.names) if stream.weights and registry.trainable(stream.kind) else None


def _unlabelled(clips: list[str]) -> pd.DataFrame:
    """Return the table of clips of which nothing is known."""
    return pd.DataFrame({"clip": clips, "split": "test", "label": "", "subject": ""})


def features_of(rows: ClipRows, clips: list[str], head: Head | None = None) -> Features:
    """Return the vectors of clips that are neither masked nor infinite, as `emopipe.fusion.features.load` does."""
    names = [*("x", "mask", "time"), *([LOGP] if LOGP in rows.fields else [])]
    found = Features.from_clips([ClipFeatures(*(rows.field(clip, name) for name in names)) for clip in clips])
    return replace(found, prior=tuple(head.prior.tolist()), head_classes=head.classes) if head else found
