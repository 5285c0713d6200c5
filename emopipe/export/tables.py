"""The tables that `csv` and `parquet` hold: their columns, and the rows of one clip."""

from collections.abc import Iterator, Mapping
from typing import Any

from emopipe.core.labels import BASIC7, LabelSpace
from emopipe.export.clip import Clip, classes_of
from emopipe.export.folders import plain

Row = dict[str, Any]

POINTS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
"""The landmarks of a face; left and right are those of the image."""
_LANDMARKS = [f"{point}_{axis}" for point in POINTS for axis in "xy"]
PIXELS = frozenset(("x1", "y1", "x2", "y2", *_LANDMARKS))
"""Columns in pixels of the sampled frame."""

_TRACKS: Mapping[str, type] = {
    **dict.fromkeys(("clip", "faces"), str),
    "track": int,
    "main": bool,
    "frame": int,
    **dict.fromkeys(("time", "x1", "y1", "x2", "y2", "score", *_LANDMARKS), float),
    **dict.fromkeys(("frame_width", "frame_height"), int),
}
_ATTENTION: Mapping[str, type] = {
    **dict.fromkeys(("clip", "model", "stream"), str),
    **dict.fromkeys(("time", "weight"), float),
}


def columns(space: LabelSpace = BASIC7) -> dict[str, dict[str, type]]:
    """Return table -> its columns and their types; a cell may also be None.

    A label or an answer that may have several classes is a list. Numbers of a label are in `label_<dimension>`, shares
    of raters' votes in `votes_<class>`.
    """
    answer = list if space.kind == "multi" else str
    label = {"label": answer, **{f"label_{name}": float for name in space.names if space.kind == "dimensions"}}
    return {
        "clips": {
            **dict.fromkeys(("clip", "path"), str),
            **dict.fromkeys(("start", "end"), float),
            "split": str,
            **label,
            **{column: float for column in space.vote_columns if space.kind == "votes"},
            **dict.fromkeys(("subject", "status", "reason"), str),
        },
        "predictions": {
            **dict.fromkeys(("clip", "split"), str),
            **label,
            **dict.fromkeys(("model", "source"), str),
            "pred": answer,
            **dict.fromkeys(space.columns, float),
            "covered": bool,
        },
        "tracks": dict(_TRACKS),
        "attention": dict(_ATTENTION),
    }


def rows(clip: Clip) -> Iterator[tuple[str, Row]]:
    """Yield (table, row) of all tables but those of features, in the order of `columns`."""
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
        **_label(clip),
        **_votes(clip),
        "subject": plain(clip.subject) or None,
        "status": clip.status,
        "reason": plain(clip.reason) or None,
    }


def _label(clip: Clip) -> Row:
    label = clip.classes if clip.space.kind == "multi" else clip.label or None
    return {"label": label, **{f"label_{name}": number for name, number in clip.numbers.items()}}


def _votes(clip: Clip) -> Row:
    names = zip(clip.space.vote_columns, clip.space.names, strict=True)
    return {column: clip.votes.get(name) for column, name in names if clip.space.kind == "votes"}


def _predictions(clip: Clip) -> Iterator[Row]:
    for answer in clip.answers:
        yield {
            "clip": clip.id,
            "split": clip.split,
            **_label(clip),
            "model": answer.model,
            "source": answer.source,
            "pred": classes_of(answer.pred, answer.space) if answer.space.kind == "multi" else answer.pred,
            **answer.numbers,
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
