"""What a prediction shows to whoever watches it: the frames, faces and sound of each clip, while it is answered."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from emopipe.cache.clip_rows import ClipRows
from emopipe.inference.model import Model, Trace
from emopipe.media.decoded import AUDIO_RATE


@dataclass(frozen=True)
class Seen:
    """A file, or a window of it, that was answered. Times are in seconds since the start of the file."""

    file: str
    """The input, as it was given."""
    start: float
    """When it begins."""
    end: float
    """When it ends."""
    jpegs: list[np.ndarray]
    """T sampled frames as JPEG bytes, (n,) uint8 each."""
    times: np.ndarray
    """(T,)."""
    boxes: np.ndarray
    """(T, 4) float32 x1, y1, x2, y2 of the main face in pixels of the sampled frames; NaN where none was found."""
    audio: np.ndarray
    """(samples,) 16-bit mono at `AUDIO_RATE`; may be empty."""
    audio_start: float
    """When the sound begins."""
    traces: Mapping[str, Trace]
    """Stream -> trace."""


Watch = Callable[[Seen], None]
"""Takes what was seen. Windows of a file come in their order, and overlap."""


def seen(
    file: str,
    span: tuple[float, float] | None,
    clip: str,
    model: Model,
    media: Mapping[str, ClipRows],
    faces: Mapping[str, ClipRows],
    traces: Mapping[str, Trace],
) -> Seen:
    """Return what there is of a clip; nothing is copied but boxes and times.

    Args:
        file: The input.
        span: Start and end of a window, in seconds since the start of the file; None: the clip is the whole file.
        clip: Its id in the rows.
        model: The model, of whose presets of faces the first is shown.
        media: Decode preset -> the clips.
        faces: Preset of faces -> the clips.
        traces: Stream -> trace, with times since the start of the clip.
    """
    preset, rows = next(iter(model.faces), None), media[shown_preset(model)]
    sizes, times, audio = (rows.field(clip, name) for name in ("jpeg_size", "time", "audio"))
    audio_start = float(rows.field(clip, "audio_start")[0]) if len(audio) else 0.0
    boxes = faces[preset].field(clip, "box") if preset else np.empty((0, 4), np.float32)
    boxes = boxes if len(boxes) else np.full((len(times), 4), np.nan, np.float32)
    start, end = span or (0.0, max(_end(times), audio_start + len(audio) / AUDIO_RATE))
    return Seen(
        file,
        start,
        end,
        np.split(rows.field(clip, "jpeg"), np.cumsum(sizes)[:-1]) if len(sizes) else [],
        times + start,
        boxes,
        audio,
        audio_start + start,
        {name: Trace(trace.time + start, trace.weight, trace.probabilities) for name, trace in traces.items()},
    )


def shown_preset(model: Model) -> str:
    """Return the decode preset whose frames are shown: that of the first preset of faces, else the first."""
    return next((block.decode for block in model.faces.values()), next(iter(model.decode)))


def _end(times: np.ndarray) -> float:
    """Return when the last of some frames ends."""
    return float(times[-1] + np.median(np.diff(times))) if len(times) > 1 else float(times.sum())
