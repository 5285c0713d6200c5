"""What an export says about one clip of a finished run."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from emopipe.core.labels import BASIC7, LabelSpace
from emopipe.fusion.features import ClipFeatures
from emopipe.inference.answer_display import named

REPORTED, OUT_OF_FOLD = "reported", "out_of_fold"
"""Where a prediction comes from: the run reports it, or models that were trained without the clip made it."""


@dataclass(frozen=True)
class Answer:
    """What one model or ensemble predicts for a clip."""

    model: str
    source: str
    """REPORTED or OUT_OF_FOLD."""
    pred: str
    """The answer as a label: the most probable class, for example."""
    values: Mapping[str, float]
    """Class -> probability, or dimension -> value, in the order of the label space."""
    covered: bool
    """Whether the clip has anything that the model reads. If not, the answer is the class frequencies."""
    space: LabelSpace = BASIC7

    @property
    def confidence(self) -> float | None:
        """The probability of the most probable class; None if an answer is not one class."""
        return self.values[self.pred] if self.space.has_one_class else None

    @property
    def numbers(self) -> Mapping[str, float]:
        """Column (`p_<class>` or `y_<dimension>`) -> number."""
        return dict(zip(self.space.columns, self.values.values(), strict=True))


@dataclass(frozen=True, eq=False)
class Track:
    """One face over time: n detections, in the order of time."""

    number: int
    """The number of the track in its clip and preset."""
    is_main: bool
    """Whether it is the face that the networks read."""
    frame: np.ndarray
    """(n,) int: the sampled frame, from 0."""
    time: np.ndarray
    """(n,) seconds from the start of the clip."""
    box: np.ndarray
    """(n, 4) x1, y1, x2, y2 in pixels of the sampled frame."""
    landmarks: np.ndarray
    """(n, 5, 2) in pixels: left eye, right eye, nose, left and right corner of the mouth, as they are in the image."""
    score: np.ndarray
    """(n,) the detector's score."""


@dataclass(frozen=True, eq=False)
class Faces:
    """The faces that one preset found in a clip."""

    preset: str
    time: np.ndarray
    """(T,) seconds: all sampled frames, those without a face too."""
    mask: np.ndarray
    """(T,) bool: whether the main face was found."""
    tracks: list[Track]
    frame_size: tuple[int, int] | None
    """Width and height of the sampled frames, in whose pixels boxes are; None if it is not known."""

    def shares(self, box: np.ndarray) -> np.ndarray | None:
        """Return boxes (n, 4) as shares (n, 4) of the width and height, within 0 and 1; None if these are unknown."""
        if self.frame_size is None:
            return None
        return np.clip(box / np.array([*self.frame_size, *self.frame_size], float), 0.0, 1.0)


@dataclass(frozen=True, eq=False)
class Weights:
    """How much each vector of a stream counts in a model's answer."""

    model: str
    stream: str
    time: np.ndarray
    """(n,) seconds from the start of the clip."""
    weight: np.ndarray
    """(n,); they sum to 1."""


@dataclass(frozen=True)
class Video:
    """What the header of a clip's file says."""

    rate: float | None
    """Frames a second, on average; None if the file has no video."""
    frames: int
    """How many frames the file has; 0 if its header does not say."""
    seconds: float | None
    """How long the file is; None if its header does not say."""
    origin: float = 0.0
    """The time of the first frame, in seconds from the start of the file: sound may begin before it."""

    def frame(self, time: float) -> int:
        """Return the number of the frame nearest to a time of the file, in seconds; the first one is 1."""
        number = round((time - self.origin) * self.rate) + 1 if self.rate else 1
        return max(1, min(number, self.frames) if self.frames else number)


@dataclass(frozen=True, eq=False)
class Clip:
    """One clip."""

    id: str
    path: str
    """Its file, below the folder of the corpus."""
    start: float | None
    """Where the clip begins in its file, in seconds; None: the clip is the whole file."""
    end: float | None
    """Where it ends; None: at the end of the file."""
    split: str
    label: str
    """As in the clip table; "" if it is unknown."""
    subject: str
    """"" if it is unknown."""
    status: str
    """`ok`, or the first other status in the order of the stages."""
    reason: str
    """All that the stages say about the clip; "" if they say nothing."""
    answers: list[Answer] = field(default_factory=list)
    faces: list[Faces] = field(default_factory=list)
    attention: list[Weights] = field(default_factory=list)
    features: Mapping[str, ClipFeatures] = field(default_factory=dict)
    """Backbone -> its vectors; empty if they are not wanted."""
    votes: Mapping[str, float] = field(default_factory=dict)
    """Class -> the share of raters' votes; empty if the clip has none, or if the run does not use them."""
    space: LabelSpace = BASIC7
    """The label space of the run."""
    video: Video | None = None
    """None if it is not wanted, or if the file cannot be read now."""

    @property
    def classes(self) -> list[str] | None:
        """The classes of the label; None if it is unknown, or if it has numbers."""
        return classes_of(self.label, self.space)

    @property
    def numbers(self) -> dict[str, float | None]:
        """Dimension -> the number of the label, or None if it is unknown; empty for classes."""
        if self.space.kind != "dimensions":
            return {}
        known = self.space.vector(self.label).tolist() if self.label else [None] * len(self.space)
        return dict(zip(self.space.names, known, strict=True))

    @property
    def seconds(self) -> float | None:
        """How long the clip is; None if nothing says it."""
        begin = self.start or 0.0
        stop = self.end if self.end is not None else self.video and self.video.seconds
        if stop is not None and stop > begin:
            return stop - begin
        times = [each.time for each in (*self.faces, *self.attention) if len(each.time)]
        return max(float(time[-1]) for time in times) if times else None


def classes_of(label: str, space: LabelSpace) -> list[str] | None:
    """Return the classes of a label or an answer; None if it is unknown, or if it has numbers."""
    return named(label, space) if label and space.kind != "dimensions" else None
