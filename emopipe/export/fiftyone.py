"""The format `fiftyone`: the folder that FiftyOne reads as `fiftyone.types.FiftyOneVideoLabelsDataset`.

Its files are written without FiftyOne: manifest.json, which pairs clips with labels, and one JSON of labels a clip, in
the form of ETA's VideoLabels.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from emopipe.core.notice import NOTICE
from emopipe.export import boxes, media_paths
from emopipe.export.clip import Clip, Faces
from emopipe.export.contents import Contents
from emopipe.export.folders import FileIndex, new_folder, plain

OPTIONS = ("model", "media")
TYPE = "fiftyone.types.FiftyOneVideoLabelsDataset"
LABELS = "labels"
"""The folder of the labels."""


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
    without = 0
    with Contents(run, model, needs_video=True) as contents, new_folder(out) as folder, FileIndex(folder) as index:
        (folder / LABELS).mkdir()
        with (folder / "manifest.json").open("w", encoding="utf-8") as manifest:
            manifest.write(f'{{"type": "{TYPE}", "description": {json.dumps(NOTICE)}, "index": [')
            for number, clip in enumerate(contents.clips()):
                name = f"{LABELS}/{index.add(clip, '.json')}"
                near = media_paths.relative(contents.root, clip.path, out)
                place = near if media is None else media_paths.below(media, clip.path)
                manifest.write(",\n" if number else "\n")
                json.dump({"data": place, "labels": name}, manifest, ensure_ascii=False)
                (folder / name).write_text(json.dumps(labels(clip), ensure_ascii=False), encoding="utf-8")
                without += boxes.lacking(clip)
            manifest.write("\n]}\n")
    return [*contents.remarks, *boxes.remarks(without)]


def labels(clip: Clip) -> dict[str, Any]:
    """Return the labels of a clip: attributes of the whole clip, and the faces of frames, whose numbers begin at 1."""
    frames: dict[int, list[dict[str, Any]]] = {}
    for faces in clip.faces:
        for number, found in _objects(clip, faces):
            frames.setdefault(number, []).append(found)
    by_frame = {
        str(number): {"frame_number": number, "objects": {"objects": found}} for number, found in sorted(frames.items())
    }
    return {"attrs": {"attrs": list(_attributes(clip))}, "frames": by_frame}


def _attributes(clip: Clip) -> Iterator[dict[str, Any]]:
    texts = {name: plain(getattr(clip, name)) for name in ("split", "label", "subject", "status", "reason")}
    for name, value in ({"clip": clip.id} | texts).items():
        if value:
            yield _attribute("Categorical", name, value)
    for name in ("start", "end"):
        if (value := getattr(clip, name)) is not None:
            yield _attribute("Numeric", name, value)
    for answer in clip.answers:
        model = _field(answer.model)
        yield _attribute("Categorical", model, answer.pred) | {"confidence": answer.probabilities[answer.pred]}
        yield _attribute("Categorical", f"{model}_source", answer.source)
        for name, p in answer.probabilities.items():
            yield _attribute("Numeric", f"{model}_p_{name}", p)


def _field(name: str) -> str:
    """Return a name as FiftyOne allows it for fields: letters, digits and underscores."""
    return re.sub(r"[^A-Za-z0-9_]", "_", name)


def _attribute(kind: str, name: str, value: str | float) -> dict[str, Any]:
    return {"type": f"eta.core.data.{kind}Attribute", "name": name, "value": value}


def _objects(clip: Clip, faces: Faces) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number of a frame and a face in it, for the sampled frames alone; boxes are shares of the frame."""
    for track in faces.tracks:
        for row, (number, _, (x1, y1, x2, y2)) in enumerate(boxes.numbered(clip, faces, track)):
            yield (
                number,
                {
                    "type": "eta.core.objects.DetectedObject",
                    "name": _field(f"faces_{faces.preset}"),
                    "label": "main face" if track.is_main else "other face",
                    "bounding_box": {"top_left": {"x": x1, "y": y1}, "bottom_right": {"x": x2, "y": y2}},
                    "confidence": round(float(track.score[row]), 6),
                    "index": track.number,
                    "frame_number": number,
                },
            )
