"""The model `shipped`: this project's networks and the product of their heads; it needs no training and no network."""

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Annotated

import numpy as np
import yaml
from pydantic import Field

from emopipe.backbones import registry
from emopipe.cache.clip_rows import ClipRows
from emopipe.core.labels import BASIC7, CLASSES, PROBABILITY_FLOOR, LabelSpace
from emopipe.core.options import Number, Options
from emopipe.fusion.product import Heads, over_frames, over_views, product
from emopipe.inference import asked_labels
from emopipe.inference.model import Answers, FacePreset, Stream, Trace
from emopipe.media.decoded import DecodeOptions
from emopipe.weights.checksums import verify
from emopipe.weights.entries import package_registry
from emopipe.weights.naming import named
from emopipe.weights.paths import path_of


class _FaceBlock(Options):
    detector: str
    decode: str
    jpeg_quality: int


class _StreamBlock(Options):
    kind: str
    weights: str
    preset: str
    batch: int
    views: list[str]
    prior: list[Annotated[Number, Field(gt=0)]] = Field(min_length=len(CLASSES), max_length=len(CLASSES))
    exponent: Number = Field(gt=0)


class _Description(Options):
    decode: dict[str, DecodeOptions]
    faces: dict[str, _FaceBlock]
    streams: dict[str, _StreamBlock]
    prior: str


class Shipped:
    """The shipped networks; see `shipped.yaml` for their settings and `shipped.md` for their scores."""

    name = "shipped"
    about_traces = (
        "This model has no attention: each frame with a face counts alike, and so does each stretch of sound. The bars "
        "are the probability of the answered class at that time by the network of the face, or of the voice, alone."
    )

    def __init__(self, space: LabelSpace = BASIC7) -> None:
        """Open the description.

        Args:
            space: What to answer in, see `asked_labels`; the networks answer by the classes that they share with it.

        Raises:
            WeightsError: A file of weights is not what was shipped.
        """
        about = _Description.model_validate(
            yaml.safe_load(resources.files("emopipe.inference").joinpath("shipped.yaml").read_text(encoding="utf-8"))
        )
        self.space = space
        self.decode = about.decode
        self.faces = {
            name: FacePreset(block.detector, {}, None, block.decode, block.jpeg_quality)
            for name, block in about.faces.items()
        }
        self.exponents = {name: block.exponent for name, block in about.streams.items()}
        self.priors = {name: np.array(block.prior) / sum(block.prior) for name, block in about.streams.items()}
        self.prior = self.priors[about.prior]
        self.streams = {name: _open(block) for name, block in about.streams.items()}

    def answer(self, clips: list[str], vectors: Mapping[str, ClipRows]) -> Answers:
        """Return the product of the heads, and as parts the probabilities of each stream."""
        parts = {name: self._stream_probs(name, clips, vectors) for name in self.streams}
        p = pool(
            [p for p, _ in parts.values()],
            [found for _, found in parts.values()],
            [*self.exponents.values()],
            [*self.priors.values()],
            self.prior,
        )
        asked = {name: (asked_labels.in_space(own, self.space), found) for name, (own, found) in parts.items()}
        return Answers(asked_labels.in_space(p, self.space), np.any([found for _, found in parts.values()], 0), asked)

    def traces(self, clips: list[str], vectors: Mapping[str, ClipRows]) -> list[dict[str, Trace]]:
        """Return what the network of each stream says of each vector of clips: the mean over the stream's views."""
        return [
            {name: trace for name in self.streams if len((trace := self._trace(name, clip, vectors)).time)}
            for clip in clips
        ]

    def _trace(self, name: str, clip: str, vectors: Mapping[str, ClipRows]) -> Trace:
        of_views = [vectors[f"{name}@{view}" if view else name] for view in self.streams[name].views]
        mask = of_views[0].field(clip, "mask")
        p = np.mean([np.exp(rows.field(clip, "logp")[mask].astype(float)) for rows in of_views], 0)
        p = asked_labels.in_space(p / p.sum(1, keepdims=True), self.space)
        p[:, asked_labels.unknown(self.space)] = np.nan
        return Trace(of_views[0].field(clip, "time")[mask], probabilities=p)

    def _stream_probs(
        self, name: str, clips: list[str], vectors: Mapping[str, ClipRows]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return a stream's probabilities (N, K) for clips, and for which (N,) it has vectors.

        Of faces: the mean over frames and views. Of sound: those of the mean vector.
        """
        stream = self.streams[name]
        pool = "mean_p" if stream.modality == "face" else "mean_logp"
        of_views, lengths = [], []
        for view in stream.views:
            rows = vectors[f"{name}@{view}" if view else name]
            logp = [rows.field(clip, "logp")[rows.field(clip, "mask")] for clip in clips]  # (T, K) each
            lengths.append(np.array([len(frames) for frames in logp]))
            of_views.append(over_frames(np.concatenate([np.empty((0, len(CLASSES))), *logp]), lengths[-1], pool))
        return np.exp(over_views(of_views)), lengths[0] > 0


def pool(
    probs: Sequence[np.ndarray],
    found: Sequence[np.ndarray],
    exponents: Sequence[float],
    priors: Sequence[np.ndarray],
    prior: np.ndarray,
) -> np.ndarray:
    """Return the log-linear pool of S streams (Genest and Zidek, Statistical Science 1(1), 1986), each prior once.

        p ~ prior * prod_s (p_s / prior_s) ** exponent_s

    Args:
        probs: S arrays (N, K).
        found: S arrays (N,) bool: whether the stream has vectors of a clip; other streams are omitted.
        exponents: S numbers; 1 each is the product of streams that are independent, given the class.
        priors: S arrays (K,): the shares of the classes in what a stream's network was trained on.
        prior: (K,) the shares of the classes that the answer assumes.

    Returns:
        (N, K). The probabilities of a stream that is alone stay as they are; without any stream, all are equal.
    """
    # 1. all streams
    logp = np.log(np.clip(probs, PROBABILITY_FLOOR, None))
    pooled = product(Heads(logp, np.asarray(found), np.asarray(priors)), np.asarray(exponents), prior)
    # 2. clips with one stream, or none
    count = np.sum(found, 0)
    pooled[count == 0] = 1 / probs[0].shape[1]
    for p, present in zip(probs, found, strict=True):
        pooled[present & (count == 1)] = p[present & (count == 1)]
    return pooled


def _open(block: _StreamBlock) -> Stream:
    """Return a stream; its weights are checked."""
    entries = package_registry()
    entry = named(block.weights, entries)
    path = path_of(entry, entries)
    verify(path, entries)
    spec = registry.spec(block.kind, registry.options_class(block.kind).model_validate(entry.defaults))
    views = tuple(block.views)
    return Stream(block.kind, entry.defaults, spec.modality, str(path), None, block.preset, block.batch, views=views)
