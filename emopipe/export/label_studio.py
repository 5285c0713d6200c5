"""The format `label-studio`: tasks with predictions, and the labeling interface that shows them, for Label Studio."""

import json
import os
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import numpy as np

from emopipe.core.labels import LabelSpace
from emopipe.core.notice import NOTICE
from emopipe.export import boxes, media_paths
from emopipe.export.clip import Answer, Clip, Faces, Track, Weights, classes_of
from emopipe.export.contents import Contents
from emopipe.export.folders import new_folder, plain
from emopipe.export.timeline import stretches

OPTIONS = ("model", "media")
LOCAL_FILES = "/data/local-files/?d="
"""How Label Studio addresses files below the folder that its setting LOCAL_FILES_DOCUMENT_ROOT names."""
FALLBACK_RATE = 25.0
"""The frame rate of tasks whose file has no known one; they have no boxes."""
MAIN, OTHER = "Main face", "Other face"

Result = dict[str, Any]


def write(run: Path, out: Path, *, model: Sequence[str] = (), media: str | None = None) -> list[str]:
    """Write tasks.json, with one task a clip and one prediction a model, and interface.xml.

    Args:
        run: `results/<run>`.
        out: The folder to make.
        model: The models whose predictions are written; none: the run's answer.
        media: The folder or address of the clips; None: that of local files below the folder of the corpus.

    Returns:
        Remarks for the user.

    Raises:
        CacheError: The run is not finished, or its cache is missing or damaged.
        ConfigError: There is no such model, or the folder is taken.
    """
    peaks: dict[str, None] = {}
    without = 0
    with Contents(run, model, needs_video=True) as contents, new_folder(out) as folder:
        with (folder / "tasks.json").open("w", encoding="utf-8") as file:
            for number, clip in enumerate(contents.clips()):
                file.write("[\n" if number == 0 else ",\n")
                json.dump(task(clip, contents.results.name, media or LOCAL_FILES), file, ensure_ascii=False)
                peaks |= dict.fromkeys(_peak_name(part) for part in clip.attention)
                without += boxes.lacking(clip)
            file.write("\n]\n")
        (folder / "interface.xml").write_text(interface(list(peaks), contents.space), encoding="utf-8")
    remarks = [*contents.remarks, *boxes.remarks(without)]
    if media is None:
        remarks.append(f"Set LOCAL_FILES_DOCUMENT_ROOT of Label Studio to {contents.root}, the folder of the clips.")
    return remarks


def interface(peaks: Sequence[str], space: LabelSpace) -> str:
    """Return the labeling interface as XML for a label space; `peaks` are the labels of the timeline."""
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Header", value=NOTICE, size="6")
    ElementTree.SubElement(view, "Header", value="$clip")
    ElementTree.SubElement(view, "Video", name="video", value="$video", frameRate="$fps")
    ElementTree.SubElement(view, "VideoRectangle", name="box", toName="video")
    faces = ElementTree.SubElement(view, "Labels", name="faces", toName="video")
    ElementTree.SubElement(faces, "Label", value=MAIN, background="#0072B2")
    ElementTree.SubElement(faces, "Label", value=OTHER, background="#999999")
    if peaks:
        timeline = ElementTree.SubElement(view, "TimelineLabels", name="attention", toName="video")
        for name in peaks:
            ElementTree.SubElement(timeline, "Label", value=name)
    _add_answer(view, space)
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode") + "\n"


def _add_answer(view: ElementTree.Element, space: LabelSpace) -> None:
    """Add what a clip is labelled with: one choice, several choices, or a number for each dimension."""
    if space.kind != "dimensions":
        choice = "multiple" if space.kind == "multi" else "single"
        choices = ElementTree.SubElement(view, "Choices", name="emotion", toName="video", choice=choice)
        for name in space.names:
            ElementTree.SubElement(choices, "Choice", value=name)
        return
    ends = {"min": f"{space.low:g}", "max": f"{space.high:g}", "step": "0.01"}
    for number, name in enumerate(space.names):
        ElementTree.SubElement(view, "Header", value=name, size="5")
        ElementTree.SubElement(view, "Number", name=_dimension(number), toName="video", **ends)


def _dimension(number: int) -> str:
    """Return the name of the control of a dimension."""
    return f"dimension_{number + 1}"


def task(clip: Clip, run: str, media: str) -> dict[str, Any]:
    """Return the task of a clip: what Label Studio shows, and a prediction for each model.

    Args:
        clip: The clip.
        run: The name of the run, which becomes part of the version of the model.
        media: The folder or address of the clips.
    """
    rate = clip.video.rate if clip.video else None
    data = {
        "video": media_paths.below(media, quote(os.fsencode(clip.path))),
        "fps": rate or FALLBACK_RATE,
        "clip": clip.id,
        **{name: plain(getattr(clip, name)) for name in ("split", "label", "subject", "status", "reason")},
        **{name: getattr(clip, name) for name in ("start", "end") if getattr(clip, name) is not None},
        **({"votes": dict(clip.votes)} if clip.votes else {}),
    }
    shared = [*_tracks(clip), *_peaks(clip)]
    made = [
        {
            "model_version": f"{run}/{answer.model}",
            **_score(answer),
            "result": [*_answer(answer), *shared],
        }
        for answer in clip.answers
    ]
    return {"data": data, "predictions": made}


def _score(answer: Answer) -> dict[str, float]:
    """Return the probability of an answer that is one class; other answers have no score."""
    return {} if answer.confidence is None else {"score": answer.confidence}


def _answer(answer: Answer) -> Iterator[Result]:
    """Yield the classes of an answer, if there are any, or the number of each dimension."""
    if answer.space.kind == "dimensions":
        for number, value in enumerate(answer.values.values()):
            name = _dimension(number)
            yield _result(name, name, "number", {"number": value})
    elif classes := classes_of(answer.pred, answer.space):
        yield _result("emotion", "emotion", "choices", {"choices": classes}) | _score(answer)


def _result(identity: str, control: str, kind: str, value: dict[str, Any]) -> Result:
    return {"id": identity, "from_name": control, "to_name": "video", "type": kind, "value": value}


def _tracks(clip: Clip) -> Iterator[Result]:
    """Yield the tracks of faces, as boxes in percent that Label Studio interpolates between the sampled frames."""
    for faces in clip.faces:
        for track in faces.tracks if boxes.are_known(clip, faces) else ():
            value = {
                "framesCount": clip.video.frames,
                "duration": clip.video.seconds or clip.video.frames / clip.video.rate,
                "sequence": _sequence(clip, faces, track),
                "labels": [MAIN if track.is_main else OTHER],
            }
            yield _result(f"{faces.preset}-{track.number}", "box", "videorectangle", value)


def _sequence(clip: Clip, faces: Faces, track: Track) -> list[dict[str, Any]]:
    """Return the boxes of a track; after one that is not enabled, nothing is shown until the next one."""
    follows = [after == before + 1 for before, after in pairwise(track.frame.tolist())] + [False]
    found: dict[int, dict[str, Any]] = {}
    for (number, time, (x1, y1, x2, y2)), enabled in zip(boxes.numbered(clip, faces, track), follows, strict=True):
        sides = {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}
        percent = {name: round(100 * side, 4) for name, side in sides.items()}
        found[number] = {"frame": number, "time": round(time, 6), "enabled": enabled, "rotation": 0, **percent}
    return list(found.values())


def _peak_name(part: Weights) -> str:
    return f"{part.model}: {part.stream}"


def _peaks(clip: Clip) -> Iterator[Result]:
    """Yield the stretch of the vector that counts most, for each stream of each model with attention."""
    if clip.video is None or not clip.video.frames:
        return
    for part in clip.attention:
        if not len(part.weight):
            continue
        edges = stretches(part.time, clip.seconds or 0.0)[int(np.argmax(part.weight))] + (clip.start or 0.0)
        first, last = (clip.video.frame(edge) for edge in edges.tolist())
        ranges = [{"start": first, "end": max(first, last)}]
        name = _peak_name(part)
        yield _result(f"peak {name}", "attention", "timelinelabels", {"ranges": ranges, "timelinelabels": [name]})
