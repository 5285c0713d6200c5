"""What is known of a clip as plain data for JSON: no pictures, no sound, and no number that JSON does not have."""

import math
from typing import Any

import numpy as np

from emopipe.core.labels import LabelSpace, in_recipe
from emopipe.report.clip.raters import raters
from emopipe.report.clip.story import ClipStory, Media, Track, Vote


def facts(story: ClipStory) -> dict[str, Any]:
    """Return what is known of a clip as values that JSON has; times are in seconds, boxes in pixels."""
    return {
        "clip": story.clip,
        "row": dict(story.row),
        **in_recipe(story.space),
        "stages": [{"stage": one.stage, "status": one.status, "reason": one.reason} for one in story.stages],
        "media": {preset: _media(media) for preset, media in story.media.items()},
        "faces": {preset: _track(track) for preset, track in story.faces.items()},
        "votes": [_vote(vote, story.label) for vote in story.votes],
        **(
            {"raters": found}
            if (found := {one.model: _by_name(one.values, one.space) for one in raters(story)})
            else {}
        ),
        "attention": [
            {
                "model": one.model,
                "stream": one.stream,
                "modality": one.modality,
                "time": _numbers(one.time),
                "weight": _numbers(one.weight),
            }
            for one in story.attention
        ],
        "notes": list(story.notes),
    }


def _media(media: Media) -> dict[str, Any]:
    return {"time": _numbers(media.time), "sound_start": media.audio_start, "sound_seconds": media.sound_seconds}


def _track(track: Track) -> dict[str, Any]:
    return {
        "sampled": len(track.time),
        "found": track.found,
        "tracks": track.tracks,
        "time": _numbers(track.time),
        "box": _numbers(track.box),
        "score": _numbers(track.score),
    }


def _vote(vote: Vote, label: str) -> dict[str, Any]:
    numbers = "values" if vote.space.kind == "dimensions" else "probabilities"
    return {
        "model": vote.model,
        "pred": vote.pred,
        "correct": vote.is_correct(label),
        numbers: _by_name(vote.values, vote.space),
        "covered": vote.covered,
        "out_of_fold": vote.out_of_fold,
        "fold": vote.fold or None,
        "seeds": {seed: _by_name(values, vote.space) for seed, values in vote.seeds.items()},
    }


def _by_name(values: np.ndarray, space: LabelSpace) -> dict[str, float]:
    return dict(zip(space.names, values.tolist(), strict=True))


def _numbers(values: np.ndarray) -> list[Any]:
    """Return an array as nested lists, rounded to 6 digits; NaN becomes None."""
    if values.ndim > 1:
        return [_numbers(row) for row in values]
    return [round(value, 6) if math.isfinite(value) else None for value in values.astype(float).tolist()]
