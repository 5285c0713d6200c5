"""The format `elan`: one .eaf a clip, which ELAN shows as tiers below the video."""

import mimetypes
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emopipe import __version__
from emopipe.cache.status import OK
from emopipe.core.notice import NOTICE
from emopipe.export import media_paths, optional
from emopipe.export.clip import REPORTED, Clip
from emopipe.export.contents import Contents
from emopipe.export.folders import FileIndex, new_folder, plain
from emopipe.export.timeline import present, stretches
from emopipe.inference.answer_display import named

OPTIONS = ("model", "media")
UNKNOWN_SECONDS = 1.0
"""How long the annotations of a clip are if its length is not known."""

Annotation = tuple[str, float, float, str]
"""Tier, begin and end in seconds of the clip, value."""


def write(run: Path, out: Path, *, model: Sequence[str] = (), media: str | None = None) -> list[str]:
    """Write a folder with one .eaf for each clip, and files.csv, which says what the file of a clip is called.

    Args:
        run: `results/<run>`.
        out: The folder to make.
        model: The models whose predictions and attention are written; none: the run's answer.
        media: The folder or address of the clips; None: their place relative to `out`.

    Returns:
        Remarks for the user.

    Raises:
        CacheError: The run is not finished, or its cache is missing or damaged.
        ConfigError: pympi is not installed, there is no such model, or the folder is taken.
    """
    pympi = optional.load("pympi", package="pympi-ling", extra="elan")
    counts: Counter[str] = Counter()
    with Contents(run, model, needs_video=True) as contents, new_folder(out) as folder, FileIndex(folder) as index:
        for clip in contents.clips():
            eaf = pympi.Elan.Eaf(author=f"emopipe {__version__}")
            eaf.remove_tier("default")
            eaf.add_property("notice", NOTICE)
            eaf.add_property("run", plain(contents.results.name))
            eaf.add_property("clip", clip.id)
            _link(eaf, clip, contents.root, out, media)
            for annotation in annotations(clip):
                _annotate(eaf, clip, annotation)
            eaf.to_file(str(folder / index.add(clip, ".eaf")))
            counts["unknown"] += clip.seconds is None
    remark = f"The length of {counts['unknown']} clips is not known. Their annotations are {UNKNOWN_SECONDS:g} s long."
    return [*contents.remarks, *([remark] if counts["unknown"] else [])]


def annotations(clip: Clip) -> Iterator[Annotation]:
    """Yield the annotations of a clip: of the whole clip, of the main face, and the weights of attention."""
    seconds = clip.seconds or UNKNOWN_SECONDS
    if clip.label:
        yield "label", 0.0, seconds, _numbers(clip.numbers) or clip.label
    if clip.votes:
        yield "votes", 0.0, seconds, _numbers(clip.votes)
    for answer in clip.answers:
        remark = "" if answer.source == REPORTED else " (out of fold)"
        said = {name: answer.values[name] for name in named(answer.pred, answer.space)}
        yield f"prediction {answer.model}", 0.0, seconds, f"{_numbers(said) or answer.pred}{remark}"
    if clip.status != OK or clip.reason:
        yield "status", 0.0, seconds, clip.reason or clip.status
    for faces in clip.faces:
        for begin, end in present(faces.time, faces.mask, seconds):
            yield f"face {faces.preset}", begin, end, "face"
    for part in clip.attention:
        peak = int(np.argmax(part.weight)) if len(part.weight) else -1
        for number, (begin, end) in enumerate(stretches(part.time, seconds).tolist()):
            value = f"{part.weight[number]:.3f}{' peak' if number == peak else ''}"
            yield f"attention {part.model} {part.stream}", begin, end, value


def _numbers(values: Mapping[str, float]) -> str:
    """Return names with their numbers, as the value of an annotation; "" if there are none."""
    return "; ".join(f"{name} {value:.3f}" for name, value in values.items())


def _annotate(eaf: Any, clip: Clip, annotation: Annotation) -> None:
    """Add an annotation, in milliseconds of the file, and its tier if it is the first one there."""
    tier, begin, end, value = annotation
    if tier not in eaf.get_tier_names():
        eaf.add_tier(tier)
    first = round(1000 * ((clip.start or 0.0) + begin))
    last = round(1000 * ((clip.start or 0.0) + end))
    if last > first:  # two samples may share a millisecond, and ELAN has no annotation without length
        eaf.add_annotation(tier, first, last, plain(value))


def _link(eaf: Any, clip: Clip, root: Path, out: Path, media: str | None) -> None:
    """Link the file of the clip."""
    mime = mimetypes.guess_type(clip.path)[0] or "unknown"
    near = media_paths.relative(root, clip.path, out)
    eaf.add_linked_file(near if media is None else media_paths.below(media, clip.path), relpath=near, mimetype=mime)
