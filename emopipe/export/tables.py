"""The tables that `csv` and `parquet` hold: their columns, and the rows of one clip."""

from collections.abc import Iterator, Mapping
from typing import Any

from emopipe.core.labels import CLASSES
from emopipe.export.clip import Clip
from emopipe.export.folders import plain

Row = dict[str, Any]

POINTS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
"""The landmarks of a face; left and right are those of the image."""
_LANDMARKS = [f"{point}_{axis}" for point in POINTS for axis in "xy"]
PIXELS = frozenset(("x1", "y1", "x2", "y2", *_LANDMARKS))
"""Columns in pixels of the sampled frame."""

COLUMNS: Mapping[str, Mapping[str, type]] = {
    "clips": {
        **dict.fromkeys(("clip", "path"), str),
        **dict.fromkeys(("start", "end"), float),
        **dict.fromkeys(("split", "label", "subject", "status", "reason"), str),
    },
    "predictions": {
        **dict.fromkeys(("clip", "split", "label", "model", "source", "pred"), str),
        **{f"p_{name}": float for name in CLASSES},
        "covered": bool,
    },
    "tracks": {
        **dict.fromkeys(("clip", "faces"), str),
        "track": int,
        "main": bool,
        "frame": int,
        **dict.fromkeys(("time", "x1", "y1", "x2", "y2", "score", *_LANDMARKS), float),
        **dict.fromkeys(("frame_width", "frame_height"), int),
    },
    "attention": {**dict.fromkeys(("clip", "model", "stream"), str), **dict.fromkeys(("time", "weight"), float)},
}
"""Table -> its columns and their types; a cell may also be None."""


def rows(clip: Clip) -> Iterator[tuple[str, Row]]:
    """Yield (table, row) of all tables but those of features, in the order of COLUMNS."""
    yield "clips", _about(clip)
    yield from (("predictions", row) for row in _predictions(clip))
    yield from (("tracks", row) for row in _tracks(clip))
    yield from (("attention", row) for row in _attention(clip))


def _about(clip: Clip) -> Row:
    return {
        "clip": clip.id,
        "path": plain(clip.path),
        "start": clip.start,
        "end": clip.end,
        "split": clip.split,
        "label": clip.label or None,
        "subject": plain(clip.subject) or None,
        "status": clip.status,
        "reason": plain(clip.reason) or None,
    }


def _predictions(clip: Clip) -> Iterator[Row]:
    for answer in clip.answers:
        yield {
            "clip": clip.id,
            "split": clip.split,
            "label": clip.label or None,
            "model": answer.model,
            "source": answer.source,
            "pred": answer.pred,
            **{f"p_{name}": value for name, value in answer.probabilities.items()},
            "covered": answer.covered,
        }


def _tracks(clip: Clip) -> Iterator[Row]:
    for faces in clip.faces:
        width, height = faces.frame_size or (None, None)
        for track in faces.tracks:
            points = track.landmarks.reshape(-1, 10).tolist()
            found = zip(
                track.frame.tolist(), track.time.tolist(), track.box.tolist(), track.score.tolist(), points, strict=True
            )
            for frame, time, box, score, landmarks in found:
                yield {
                    "clip": clip.id,
                    "faces": faces.preset,
                    "track": track.number,
                    "main": track.is_main,
                    "frame": frame,
                    "time": time,
                    **dict(zip(("x1", "y1", "x2", "y2"), box, strict=True)),
                    "score": score,
                    **dict(zip(_LANDMARKS, landmarks, strict=True)),
                    "frame_width": width,
                    "frame_height": height,
                }


def _attention(clip: Clip) -> Iterator[Row]:
    for part in clip.attention:
        for time, weight in zip(part.time.tolist(), part.weight.tolist(), strict=True):
            yield {"clip": clip.id, "model": part.model, "stream": part.stream, "time": time, "weight": weight}


def vectors(clip: Clip) -> Iterator[tuple[str, float, Any]]:
    """Yield (backbone, seconds, vector (D,) float32) of all vectors of a clip; masked ones are omitted."""
    for name, found in clip.features.items():
        for time, vector in zip(found.time[found.mask].tolist(), found.x[found.mask], strict=True):
            yield name, time, vector
