"""The format `fiftyone`: the folder that FiftyOne reads as `fiftyone.types.FiftyOneVideoLabelsDataset`.

Its files are written without FiftyOne: manifest.json, which pairs clips with labels, and one JSON of labels a clip, in
the form of ETA's VideoLabels.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from emopipe.core.labels import VOTES
from emopipe.core.notice import NOTICE
from emopipe.export import boxes, media_paths
from emopipe.export.clip import Clip, Faces
from emopipe.export.contents import Contents
from emopipe.export.field_names import FieldNames, cleaned
from emopipe.export.folders import FileIndex, new_folder, plain

OPTIONS = ("model", "media")
TYPE = "fiftyone.types.FiftyOneVideoLabelsDataset"
LABELS = "labels"
"""The folder of the labels."""
TEXTS, NUMBERS = ("clip", "split", "label", "subject", "status", "reason"), ("start", "end")
"""Fields of a clip."""


def write(run: Path, out: Path, *, model: Sequence[str] = (), media: str | None = None) -> list[str]:
    """Write manifest.json, labels/<clip>.json, and files.csv, which says what the labels of a clip are called.

    Args:
        run: `results/<run>`.
        out: The folder to make.
        model: The models whose predictions are written; none: the run's answer.
        media: The folder of the clips; None: their place relative to `out`.

    Returns:
        Remarks for the user.

    Raises:
        CacheError: The run is not finished, or its cache is missing or damaged.
        ConfigError: There is no such model, or the folder is taken.
    """
    without, frames = 0, FieldNames()
    with Contents(run, model, needs_video=True) as contents, new_folder(out) as folder, FileIndex(folder) as index:
        (folder / LABELS).mkdir()
        fields = _fields(contents)
        with (folder / "manifest.json").open("w", encoding="utf-8") as manifest:
            manifest.write(f'{{"type": "{TYPE}", "description": {json.dumps(NOTICE)}, "index": [')
            for number, clip in enumerate(contents.clips()):
                name = f"{LABELS}/{index.add(clip, '.json')}"
                near = media_paths.relative(contents.root, clip.path, out)
                place = near if media is None else media_paths.below(media, clip.path)
                manifest.write(",\n" if number else "\n")
                json.dump({"data": place, "labels": name}, manifest, ensure_ascii=False)
                (folder / name).write_text(
                    json.dumps(labels(clip, fields, frames), ensure_ascii=False), encoding="utf-8"
                )
                without += boxes.lacking(clip)
            manifest.write("\n]}\n")
    said = [
        f"{name} is the field {field} in FiftyOne: {cleaned(name)} is another one."
        for name, field in (fields.renamed | frames.renamed).items()
    ]
    return [*contents.remarks, *boxes.remarks(without), *said]


def _fields(contents: Contents) -> FieldNames:
    """Return the names of fields of clips, which are the same for all clips."""
    fields = FieldNames([*TEXTS, *NUMBERS])
    space = contents.space
    names = space.vote_columns if space.kind == "votes" else []
    names += [f"label_{name}" for name in space.names if space.kind == "dimensions"]
    for model in contents.models:
        names += [model, f"{model}_source", *(f"{model}_{column}" for column in space.columns)]
    for name in names:
        fields.of(name)
    return fields


def labels(clip: Clip, fields: FieldNames, frame_fields: FieldNames) -> dict[str, Any]:
    """Return the labels of a clip: attributes of the whole clip, and the faces of frames, whose numbers begin at 1."""
    frames: dict[int, list[dict[str, Any]]] = {}
    for faces in clip.faces:
        for number, found in _objects(clip, faces, frame_fields.of(f"faces_{faces.preset}")):
            frames.setdefault(number, []).append(found)
    by_frame = {
        str(number): {"frame_number": number, "objects": {"objects": found}} for number, found in sorted(frames.items())
    }
    return {"attrs": {"attrs": list(_attributes(clip, fields))}, "frames": by_frame}


def _attributes(clip: Clip, fields: FieldNames) -> Iterator[dict[str, Any]]:
    has_text = clip.space.kind != "dimensions"
    for name in TEXTS:
        value = plain(getattr(clip, name if name != "clip" else "id"))
        if value and (name != "label" or has_text):
            yield _attribute("Categorical", name, value)
    numbers = {name: getattr(clip, name) for name in NUMBERS}
    numbers |= {fields.of(f"label_{name}"): number for name, number in clip.numbers.items()}
    numbers |= {fields.of(f"{VOTES}{name}"): share for name, share in clip.votes.items()}
    for name, value in numbers.items():
        if value is not None:
            yield _attribute("Numeric", name, value)
    for answer in clip.answers:
        if has_text:
            confidence = {} if answer.confidence is None else {"confidence": answer.confidence}
            yield _attribute("Categorical", fields.of(answer.model), answer.pred) | confidence
        yield _attribute("Categorical", fields.of(f"{answer.model}_source"), answer.source)
        for column, value in answer.numbers.items():
            yield _attribute("Numeric", fields.of(f"{answer.model}_{column}"), value)


def _attribute(kind: str, name: str, value: str | float) -> dict[str, Any]:
    return {"type": f"eta.core.data.{kind}Attribute", "name": name, "value": value}


def _objects(clip: Clip, faces: Faces, field: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number of a frame and a face in it, for the sampled frames alone; boxes are shares of the frame."""
    for track in faces.tracks:
        for row, (number, _, (x1, y1, x2, y2)) in enumerate(boxes.numbered(clip, faces, track)):
            yield (
                number,
                {
                    "type": "eta.core.objects.DetectedObject",
                    "name": field,
                    "label": "main face" if track.is_main else "other face",
                    "bounding_box": {"top_left": {"x": x1, "y": y1}, "bottom_right": {"x": x2, "y": y2}},
                    "confidence": round(float(track.score[row]), 6),
                    "index": track.number,
                    "frame_number": number,
                },
            )
