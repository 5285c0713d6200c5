"""What is kept of a file to show its prediction over time: little, whatever its length."""

from collections import defaultdict

import numpy as np

from emopipe.inference.boxes import Boxes
from emopipe.inference.model import Trace
from emopipe.inference.sound_picture import SoundPicture
from emopipe.inference.thumbnails import Thumbnails
from emopipe.inference.watching import Seen
from emopipe.media.decoded import decode_jpeg

OVERLAP = "Where windows overlap, the bars are means over them."
"""What holds for the traces of any model."""
MOST_POINTS = 240
"""A trace is shown as the means of at most so many equal parts of the file."""


class Recording:
    """The pictures, faces, sound and traces of one file."""

    def __init__(self, about_traces: str = "") -> None:
        """Begin a file; `about_traces` are plain sentences about what its traces are."""
        self.thumbnails, self.boxes, self.sound = Thumbnails(), Boxes(), SoundPicture()
        self.about_traces = f"{about_traces} {OVERLAP}".strip()
        """A caption for the traces."""
        self.end = 0.0
        """When the file ends, in seconds."""
        self._traces: dict[str, list[Trace]] = defaultdict(list)
        self._searched = -1.0

    def add(self, seen: Seen) -> None:
        """Take a window of the file, or the whole file."""
        self.end = max(self.end, seen.end)
        middle = (seen.start + seen.end) / 2
        for jpeg, time, box in zip(seen.jpegs, seen.times.tolist(), seen.boxes, strict=True):
            if time > self._searched:  # windows overlap: most frames were in the window before
                image = decode_jpeg(jpeg)
                self.thumbnails.add(time, image)
                self._searched, self._size = time, image.shape[1::-1]
            self.boxes.add(time, box / np.tile(self._size, 2), abs(time - middle))
        self.sound.add(seen.audio, seen.audio_start)
        for stream, trace in seen.traces.items():
            self._traces[stream].append(trace)

    @property
    def streams(self) -> list[str]:
        """The streams that have traces."""
        return list(self._traces)

    def is_attention(self, stream: str) -> bool:
        """Whether the trace of a stream is attention, where 1 is an equal share; otherwise it holds probabilities."""
        return self._traces[stream][0].weight is not None

    def trace(self, stream: str, number: int) -> tuple[np.ndarray, np.ndarray, float]:
        """Return the trace of a stream over the file, averaged over the windows that overlap.

        Args:
            stream: One of `streams`.
            number: The class whose probability is returned if the trace is not attention.

        Returns:
            Middles (n,) of parts of the file in seconds, values (n,), and the length of a part.
        """
        parts = self._traces[stream]
        times = np.concatenate([part.time for part in parts])
        values = np.concatenate(
            [part.probabilities[:, number] if part.weight is None else part.weight for part in parts]
        )
        steps = [np.diff(part.time) for part in parts if len(part.time) > 1]
        # Frames without a face have no vector, so that most steps may be longer than the time between two frames.
        spacing = float(np.quantile(np.concatenate(steps), 0.1)) if steps else self.end
        width = max(spacing, self.end / MOST_POINTS, 1e-3)
        place, where = np.unique(np.rint((times - times.min()) / width).astype(int), return_inverse=True)
        return times.min() + place * width, np.bincount(where, values) / np.bincount(where), width


class Recorder:
    """A watch that keeps a recording for each file, until it is taken."""

    def __init__(self, about_traces: str) -> None:
        """Take what the recordings say about their traces."""
        self._about_traces = about_traces
        self._recordings: dict[str, Recording] = {}

    def __call__(self, seen: Seen) -> None:
        """Add to the recording of a file."""
        if seen.file not in self._recordings:
            self._recordings[seen.file] = Recording(self._about_traces)
        self._recordings[seen.file].add(seen)

    def take(self, file: str) -> Recording:
        """Return the recording of a file, and forget it; an empty one if nothing of the file was seen."""
        return self._recordings.pop(file, Recording(self._about_traces))
