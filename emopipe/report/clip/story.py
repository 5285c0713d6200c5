"""What is known of one clip of a finished run, as plain data; `emopipe.report.clip.gathering` reads it from files."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from emopipe.core.labels import BASIC7, SEPARATOR, LabelSpace
from emopipe.media.decoded import AUDIO_RATE
from emopipe.report.answer import ENSEMBLE, answer_of

FACE, AUDIO = "face", "audio"
"""Modalities of streams."""

Part = TypeVar("Part")


@dataclass(frozen=True)
class Stage:
    """What became of the clip in one stage."""

    stage: str
    """Such as `decode` or `features/expression`."""
    status: str
    """Such as `ok` or `no_face`, see `emopipe.cache.status`."""
    reason: str
    """One sentence or several; "" if there is nothing to say."""


@dataclass(frozen=True)
class Media:
    """What decoding gave."""

    time: np.ndarray
    """(T,) seconds: the sampled frames."""
    frames: Sequence[bytes]
    """T frames as JPEG; none if they were omitted or the cache does not hold them."""
    audio: np.ndarray
    """(samples,) int16 mono at 16 kHz."""
    audio_start: float
    """Time of the first sample, in seconds."""

    @property
    def sound_seconds(self) -> float:
        """How long the sound is, in seconds."""
        return len(self.audio) / AUDIO_RATE

    @property
    def end(self) -> float:
        """The last time of which something is known, in seconds; the file may be a little longer."""
        sound_end = self.audio_start + self.sound_seconds if len(self.audio) else 0.0
        return max(float(self.time[-1]) if len(self.time) else 0.0, sound_end)


@dataclass(frozen=True)
class Track:
    """The main face over the T sampled frames, in n of which it was found."""

    time: np.ndarray
    """(T,) seconds."""
    mask: np.ndarray
    """(T,) bool: whether it was found."""
    box: np.ndarray
    """(T, 4) float32 x1, y1, x2, y2 in pixels; NaN where it was not found."""
    landmarks: np.ndarray
    """(T, 5, 2) float32 in pixels: eyes, nose, corners of the mouth; NaN where it was not found."""
    score: np.ndarray
    """(T,) float32: the detector's score; NaN where it was not found."""
    crops: Sequence[bytes]
    """n aligned crops as JPEG; none if they were omitted or the cache does not hold them."""
    all_frame: np.ndarray
    """(D,) the number of the frame of each detection, of other faces too."""
    all_box: np.ndarray
    """(D, 4) float32: the boxes of all detections, in pixels."""
    tracks: int
    """How many faces were tracked."""

    @property
    def found(self) -> int:
        """In how many frames the main face was found."""
        return int(self.mask.sum())

    @property
    def found_time(self) -> np.ndarray:
        """The times of these frames, (n,) seconds."""
        return self.time[self.mask]


@dataclass(frozen=True)
class Vote:
    """What one model or ensemble predicts for the clip."""

    model: str
    """Its name."""
    pred: str
    """Its answer as a text, such as the class that it predicts."""
    values: np.ndarray
    """(K,) the numbers of the answer, in the order of the label space: probabilities, or values of dimensions."""
    covered: bool
    """Whether the model has any vector of the clip. If not, the answer is the mean of the training clips' labels."""
    out_of_fold: bool
    """Whether the clip is a training clip, predicted by networks that were trained without its fold."""
    fold: str
    """The number of this fold; "" if there is none."""
    seeds: Mapping[str, np.ndarray]
    """Seed -> the numbers (K,) of this seed alone; empty if the run does not record them."""
    space: LabelSpace = BASIC7
    """The label space of the run."""

    @property
    def is_ensemble(self) -> bool:
        """Whether it combines models."""
        return self.model.startswith(ENSEMBLE)

    def p(self, label: str) -> float:
        """Return the probability of a class; that of the predicted class for "" or an unknown label.

        Of a tie of votes, it is the sum over its classes.
        """
        known = [name for name in label.split(SEPARATOR) if name in self.space.names] or self.pred.split(SEPARATOR)
        return float(sum(self.values[self.space.names.index(name)] for name in known))

    def fit(self, label: str) -> float:
        """Return how well the answer fits a label; of two answers, the better one has the larger value.

        For one class, it is `p`. Else it is 0 minus the mean distance of the numbers from those of the label; without a
        label, it is 0.
        """
        if self.space.has_one_class:
            return self.p(label)
        return -float(np.abs(self.values - self.space.vector(label)).mean()) if label else 0.0

    def is_correct(self, label: str) -> bool | None:
        """Return whether the answer is the label, of several classes all of them.

        None without a label, for a tie of votes, and for dimensions, whose answers are close or not.
        """
        if self.space.kind == "dimensions" or (self.space.has_one_class and label not in self.space.names):
            return None
        return self.pred == label if label else None


@dataclass(frozen=True)
class Attention:
    """How much each vector of one stream counts in a model's answer."""

    model: str
    """The model."""
    stream: str
    """The backbone."""
    modality: str
    """`face` or `audio`; "" if the file does not say so."""
    preset: str
    """The preset of faces (of decode, for sound) that the backbone reads; "" if unknown."""
    time: np.ndarray
    """(T,) seconds."""
    weight: np.ndarray
    """(T,) float32, of the sum 1."""

    @property
    def peak(self) -> tuple[float, float, float]:
        """The time of the largest weight in seconds, this weight, and how many times the mean weight it is."""
        top = int(self.weight.argmax())
        return float(self.time[top]), float(self.weight[top]), float(self.weight[top] * len(self.weight))


@dataclass(frozen=True)
class ClipStory:
    """All that is known of one clip."""

    clip: str
    """Its id."""
    row: Mapping[str, str]
    """Its row of the clip table: path, split, label, subject and more."""
    stages: Sequence[Stage] = ()
    """What became of it in each stage, in the order of the stages."""
    media: Mapping[str, Media] = field(default_factory=dict)
    """Preset of decode -> frames and sound; without presets whose files the cache does not hold."""
    faces: Mapping[str, Track] = field(default_factory=dict)
    """Preset of faces -> the main face; without presets whose files the cache does not hold."""
    votes: Sequence[Vote] = ()
    """What each model predicts: the run's answer first, then by how well the answer fits the label."""
    attention: Sequence[Attention] = ()
    """The attention of each model and stream that has vectors of the clip."""
    notes: Sequence[str] = ()
    """What could not be found, and why: one sentence or several each."""
    space: LabelSpace = BASIC7
    """The label space of the run."""

    @property
    def label(self) -> str:
        """The label; "" if it is unknown."""
        return self.row.get("label", "")

    @property
    def split(self) -> str:
        """The split, such as `train`."""
        return self.row.get("split", "")

    @property
    def end(self) -> float:
        """The last time of which something is known, in seconds; 0 if nothing is known."""
        ends = [media.end for media in self.media.values()]
        ends += [float(track.time[-1]) for track in self.faces.values() if len(track.time)]
        return max(ends, default=0.0)

    @property
    def answer(self) -> Vote | None:
        """The run's answer: that of its ensemble, or else of its only model; None if there is none."""
        by_name = {vote.model: vote for vote in self.votes}
        return by_name.get(answer_of(by_name) or "")

    @property
    def shown_faces(self) -> tuple[str, Track] | None:
        """The preset of faces to show, and its main face: the first with a face, else the first; None without any."""
        return _first(self.faces, lambda track: track.found > 0)

    @property
    def shown_sound(self) -> tuple[str, Media] | None:
        """The preset of decode with the sound to show; None without any sound."""
        found = _first(self.media, lambda media: len(media.audio) > 0)
        return found if found and len(found[1].audio) else None

    @property
    def shown_frames(self) -> tuple[str, Media] | None:
        """The preset of decode with the frames that belong to the shown faces; None without any frames."""
        track = self.shown_faces
        same = {n: m for n, m in self.media.items() if m.frames and track and np.array_equal(m.time, track[1].time)}
        return _first(same or {name: media for name, media in self.media.items() if media.frames}, lambda media: True)

    def attention_of(self, modality: str, preset: str = "") -> list[Attention]:
        """Return the attention over the vectors of a modality; of a preset alone, where presets are known."""
        return [one for one in self.attention if one.modality == modality and preset in ("", one.preset or preset)]


def _first(found: Mapping[str, Part], wanted: Callable[[Part], bool]) -> tuple[str, Part] | None:
    """Return the first wanted item, else the first one."""
    return next((item for item in found.items() if wanted(item[1])), None) or next(iter(found.items()), None)
