"""What a model of new clips consists of: how clips are read, its streams, and how vectors become an answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from emopipe.cache.clip_rows import ClipRows
from emopipe.core.labels import LabelSpace
from emopipe.media.decoded import DecodeOptions


@dataclass(frozen=True)
class FacePreset:
    """How faces are found in the frames of a decode preset."""

    detector: str
    """The kind of detector."""
    options: Mapping[str, Any]
    """Its options, without its file of weights."""
    weights: str | None
    """Its file of weights; None if a package has them."""
    decode: str
    """The decode preset whose frames are searched."""
    jpeg_quality: int
    """The quality at which crops are stored."""
    every: int = 1
    """Every n-th frame is searched, see `emopipe.faces.between`."""


@dataclass(frozen=True)
class Stream:
    """A backbone and what it reads."""

    kind: str
    """The kind of backbone."""
    options: Mapping[str, Any]
    """Its options."""
    modality: str
    """face or audio."""
    weights: str | None
    """A file of weights, or None."""
    pretrained: Path | None
    """The file of the pretrain stage, or None."""
    preset: str
    """The preset that it reads: of faces, or of decode for audio."""
    batch: int
    """How many faces the network takes at once."""
    precision: str = "float32"
    """What it computes with: float32 or bfloat16."""
    views: tuple[str, ...] = ("",)
    """The views whose vectors the model reads; "", the clip itself, is always among them."""


@dataclass(frozen=True)
class Answers:
    """The answers of a model for N clips."""

    values: np.ndarray
    """(N, K) float64: the probabilities of classes, or the values of dimensions."""
    answered: np.ndarray
    """(N,) bool: whether any stream has vectors."""
    parts: Mapping[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    """Stream, or model of a run -> its own values (N, K), and for which clips (N,) it has them."""


@dataclass(frozen=True)
class Trace:
    """What the n vectors of one stream have to do with the answer for one clip, over the clip's time."""

    time: np.ndarray
    """(n,) seconds since the start of the clip."""
    weight: np.ndarray | None = None
    """(n,) how much each vector counts by the model's attention, where 1 is an equal share; None: see `probabilities`.
    """
    probabilities: np.ndarray | None = None
    """(n, K) what the stream's own network says of each vector; NaN for classes that it does not know. None if
    `weight` is given."""


class Model(Protocol):
    """A model."""

    name: str
    """Its name in reports."""
    space: LabelSpace
    """Its label space."""
    decode: Mapping[str, DecodeOptions]
    """The decode presets that its streams read."""
    faces: Mapping[str, FacePreset]
    """The presets of faces that its streams read."""
    streams: Mapping[str, Stream]
    """Its streams."""

    def answer(self, clips: list[str], vectors: Mapping[str, ClipRows]) -> Answers:
        """Return the answers for clips from the rows of the features stage, by stream or `<stream>@<view>`."""
        ...

    def traces(self, clips: list[str], vectors: Mapping[str, ClipRows]) -> list[dict[str, Trace]]:
        """Return for each clip stream -> trace; streams without vectors of the clip, or with neither, are omitted."""
        ...

    @property
    def about_traces(self) -> str:
        """What the traces are, in plain sentences for a caption."""
        ...


def by_name(values: np.ndarray, space: LabelSpace) -> dict[str, float]:
    """Return the numbers (K,) of an answer by class or dimension; probabilities of one class sum to 1."""
    values = values / values.sum() if space.has_one_class else values
    return dict(zip(space.names, values.tolist(), strict=True))
