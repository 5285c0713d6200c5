"""A page about one clip: one HTML file with its pictures inside and without scripts, from the template beside it."""

import base64
from pathlib import Path
from typing import Any

import numpy as np

from emopipe.core.labels import SEPARATOR
from emopipe.core.notice import NOTICE
from emopipe.core.text import escape_text
from emopipe.media.decoded import encode_jpeg
from emopipe.report.clip import words
from emopipe.report.clip.panels import face_panels, panels_image, sound_panels
from emopipe.report.clip.raters import other_columns, raters
from emopipe.report.clip.story import FACE, ClipStory, Vote
from emopipe.report.clip.strip import Columns, face_of
from emopipe.report.clip.track import chosen_frames, frame_image

TEMPLATE = "page.html.j2"
CROP_SIDE, CROP_QUALITY = 112, 85
"""Side of a face on the page in pixels, and its JPEG quality."""
FACES = 12
"""How many faces the page shows at most."""
OMITTED = ("clip", "digest", "file_digest")
"""Columns of the clip table that the page does not list."""


def page(story: ClipStory, run: str) -> str:
    """Return the page as HTML.

    Args:
        story: The clip.
        run: The name of the run, which the page names.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["safe_text"] = escape_text
    return environment.get_template(TEMPLATE).render(
        clip=story.clip,
        run=run,
        outcome=words.outcome(story),
        row={name: value for name, value in other_columns(story).items() if name not in OMITTED},
        remarks=words.remarks(story),
        stages=story.stages,
        media={preset: words.media(found) for preset, found in story.media.items()},
        faces={preset: words.face(track) for preset, track in story.faces.items()},
        frames=_frames(story),
        crops=_crops(story),
        track=_uri(panels_image(face_panels(story)), "png"),
        sound=_uri(panels_image(sound_panels(story)), "png"),
        headings=[(name, name in story.label.split(SEPARATOR)) for name in story.space.names],
        votes=[_vote(vote, story.label) for vote in story.votes],
        raters=[_vote(vote, "") for vote in raters(story)],
        given=_given(story),
        names_answers=story.space.kind != "dimensions",
        wrong="not exact" if story.space.kind == "multi" else "wrong",
        predictions_note=words.predictions(story),
        attention=[(one.model, one.stream, words.attention(one)) for one in story.attention],
        notice=NOTICE,
    )


def _uri(content: bytes | None, kind: str) -> str:
    """Return a picture as an address that holds it; "" for None."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}" if content else ""


def _frames(story: ClipStory) -> list[dict[str, Any]]:
    """Return some frames with the boxes of faces."""
    if story.shown_frames is None:
        return []
    media, found = story.shown_frames[1], []
    for number in chosen_frames(media):
        says = "" if _has_face(story, number) is None else (", a face" if _has_face(story, number) else ", no face")
        found.append({"src": _uri(frame_image(story, number), "jpeg"), "caption": f"{media.time[number]:.2f} s{says}"})
    return found


def _has_face(story: ClipStory, number: int) -> bool | None:
    """Return whether a shown frame has the main face; None if faces were not searched in these frames."""
    if story.shown_faces is None or story.shown_frames is None:
        return None
    track = story.shown_faces[1]
    return bool(track.mask[number]) if np.array_equal(track.time, story.shown_frames[1].time) else None


def _crops(story: ClipStory) -> list[dict[str, Any]]:
    """Return some crops of the main face with the attention around them, 0 to 2 times the mean as 0 to 100 %."""
    if story.shown_faces is None or not story.shown_faces[1].crops:
        return []
    preset, track = story.shown_faces
    columns = Columns(track, story.attention_of(FACE, preset), FACES)
    found = []
    for place, (number, time) in enumerate(zip(columns.shown, columns.time, strict=True)):
        ratio = float(columns.mean[place]) if len(columns.mean) else None
        found.append(
            {
                "src": _uri(encode_jpeg(face_of(track.crops[number], CROP_SIDE), CROP_QUALITY), "jpeg"),
                "time": f"{time:.2f} s",
                "ratio": None if ratio is None else f"{ratio:.1f}",
                "height": 0 if ratio is None else min(100, round(50 * ratio)),
            }
        )
    return found


def _vote(vote: Vote, label: str) -> dict[str, Any]:
    """Return a row of the table of predictions; cells have a text, a share for their shade, and are framed or not."""
    is_share = vote.space.kind != "dimensions"
    predicted = vote.pred.split(SEPARATOR)
    return {
        "model": vote.model,
        "pred": vote.pred,
        "correct": vote.is_correct(label),
        "seeds": words.seeds(vote),
        "cells": [
            (f"{100 * value:.0f} %" if is_share else f"{value:.2f}", value if is_share else 0.0, name in predicted)
            for name, value in zip(vote.space.names, vote.values.tolist(), strict=True)
        ],
    }


def _given(story: ClipStory) -> list[str]:
    """Return the values of the label, of dimensions; none without a label, and where the headings show it."""
    if story.space.kind != "dimensions" or not story.label:
        return []
    return [f"{value:.2f}" for value in story.space.vector(story.label)]
