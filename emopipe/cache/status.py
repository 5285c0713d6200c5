"""The status of a clip in a stage, and the reason for it. All texts of reasons are in this file.

Files hold reasons as codes with values, such as `[["no_face", {"frames": 12}]]`. Code that shows a reason to a person
calls `text`. So a change of wording changes no cache file, and nothing is computed again.
"""

import json
from collections.abc import Collection
from typing import Any

OK = "ok"
NO_FACE = "no_face"
NO_AUDIO = "no_audio"
NO_VIDEO = "no_video"
UNDECODABLE = "undecodable"
"""The file gives neither frames nor sound, or too little of them."""
UNREADABLE = "unreadable"
"""The system refuses to read the clip's file. The clip is tried again once its file can be read."""
FAILED = "failed"
"""A stage failed on this clip alone. The clip is computed again whenever its job runs again."""
PART = "part"
"""A part of a long file, whose own status is known at its end; never in a file of the cache."""
MISSING = "missing"
"""A stage's files do not hold the clip. This should never happen."""

TRANSIENT = frozenset({UNREADABLE, FAILED})
"""Statuses of rows that no later run reuses."""

TEXTS: dict[str, str] = {
    # the file as a whole
    "empty_file": "The file is empty (0 bytes).",
    "nothing_decodes": "Neither frames nor sound can be decoded.",
    "unreadable": "The file cannot be read: {why}.",
    "broken_stream": "The file is broken: {error}.",
    "not_an_image": "The file is not an image.",
    # frames
    "no_video_stream": "The file has no video stream.",
    "no_video_codec": "No decoder is installed for the codec of the video stream.",
    "no_video_packets": "The video stream has no packets.",
    "no_frame_decodes": "None of {frames} frames can be decoded.",
    "no_frame_size": "The size of the frames is unknown, or is more than {megapixels} megapixels.",
    "damaged_video": "The video is damaged: {error}.",
    "truncated_packets": "The video is truncated: it has {packets} of the {announced} frames that its header states.",
    "truncated_time": "The file is truncated: it ends at {end:.1f} s of the {length:.1f} s that its header states.",
    "no_such_video_track": "None of the {found} video tracks is {track} (video_track).",
    "video_tracks": "Of {found} video tracks, number {taken} is used.",
    "truncated_end": "The file is truncated: it ends within an element of its container. Its length is not stated.",
    "not_frames": "The folder does not hold frames: at least two images whose names differ in their number alone.",
    "missing_frames": "Of {expected} numbers of frames, {missing} are missing.",
    "lost_start": "The video begins between two keyframes: its first {seconds:g} s cannot be decoded.",
    "lost_frames": "The video is damaged: {percent} % of its length can be decoded.",
    "wrong_frame_count": "The header states {announced} frames, but the file has {packets} and is not truncated.",
    "wrong_length": "The header states {length:.1f} s, but the file has {end:.1f} s and is not truncated.",
    "long_gap": "The frames after {begin} s pause for {seconds} s. What follows is not used.",
    # sound
    "no_audio_stream": "The file has no audio stream.",
    "no_audio_codec": "No decoder is installed for the codec of the audio stream.",
    "no_sound_decodes": "No sound can be decoded.",
    "truncated_sound": "The sound is truncated: {percent} % of what its header states are there.",
    "silent": "The sound is digital silence.",
    "damaged_audio": "The sound is damaged: {error}.",
    "no_such_audio_track": "None of the {found} sound tracks is {track} (audio_track).",
    "audio_tracks": "Of {found} sound tracks, number {taken} is used.",
    "channels_cancel": "Channels cancel each other for {seconds:g} s. The louder one is used there.",
    "not_finite": "{samples} of {total} samples are not finite numbers. They are replaced by 0.",
    "not_in_unit_range": (
        "The samples are integers that are stored as floating-point numbers. They are divided by 2^{exponent}."
    ),
    "clipped": "{percent} % of the samples are clipped.",
    "sound_limited": "Only the first {seconds:g} s of the sound are used (max_audio_seconds).",
    # parts of a file
    "part_beyond_end": "The part is {start:g} s to {until}, but the file ends at {length:g} s.",
    "no_frames_in_part": "The video stream has no frames in this part of the file.",
    "no_sound_in_part": "The audio stream has no sound in this part of the file.",
    # the process that decodes
    "too_much_memory": "Decoding needs more than {megabytes} MB (clip_memory_mb).",
    "too_much_time": "Decoding takes more than {seconds:g} s (clip_seconds).",
    "decoder_killed": "The decoder was killed (SIGKILL); perhaps the machine ran out of memory.",
    "decoder_crashed": "The decoder crashed ({signal}).",
    "decoder_exited": "The decoder exited with code {exit_code}.",
    "decoder_silent": "The decoder stopped answering.",
    "decoder_nonsense": "The decoder gave an invalid answer.",
    # faces
    "no_face": "No face was found in {frames} sampled frames.",
    "several_faces": (
        "{tracks} faces were tracked. The one that is used is in {share} % of the frames with faces and has a score of "
        "{score:.2f}; the next one is in {next_share} % and has {next_score:.2f}."
    ),
    # models
    "streams_omitted": "Streams that are not used, because no training clip has their vectors: {streams}.",
    "fusion_replaced": "The fusion is {used} instead of {asked}.",
    "people_unknown": (
        "The sound of {clips} clips is normalised over all clips, because their person is unknown or has fewer than "
        "{fewest} clips."
    ),
    "not_trained": (
        "The model is not trained, because no training clip has vectors of any stream. Its predictions are the class "
        "frequencies."
    ),
    # any stage
    "failed": "The stage failed on this clip: {error}.",
    "missing": "The files of the stage do not hold this clip.",
}
"""Code of a reason -> its sentence, with the reason's values in braces."""


def reason(code: str, /, **values: str | int | float) -> str:
    """Return a reason as cache files hold it.

    Raises:
        KeyError: The code has no text.

    >>> reason("no_face", frames=12)
    '[["no_face", {"frames": 12}]]'
    """
    if code not in TEXTS:
        raise KeyError(f"The reason {code!r} has no text; add it to TEXTS in emopipe/cache/status.py.")
    return json.dumps([[code, values]])


def join(*reasons: str) -> str:
    """Return several reasons as one, each once; empty ones are omitted.

    >>> text(join(reason("no_audio_stream"), "", reason("no_audio_stream"), reason("empty_file")))
    'The file has no audio stream. The file is empty (0 bytes).'
    """
    parts: list[Any] = []
    for each in filter(None, reasons):
        parts += [part for part in json.loads(each) if part not in parts]
    return json.dumps(parts) if parts else ""


def codes(reason: str) -> list[str]:
    """Return the codes of a reason; an empty list for a sentence, which older files hold.

    >>> codes(reason("no_face", frames=12)), codes("any sentence")
    (['no_face'], [])
    """
    return [code for code, _ in _parts(reason) or []]


def without(reason: str, omitted: Collection[str]) -> str:
    """Return a reason without the parts that have one of these codes; a sentence stays as it is.

    >>> text(without(join(reason("no_audio_stream"), reason("empty_file")), {"no_audio_stream"}))
    'The file is empty (0 bytes).'
    """
    parts = _parts(reason)
    if parts is None:
        return reason
    kept = [[code, values] for code, values in parts if code not in omitted]
    return json.dumps(kept) if kept else ""


def text(reason: str) -> str:
    """Return the sentences of a reason; a reason that is a sentence already, as older files hold it, stays as it is.

    >>> text('[["no_face", {"frames": 12}]]')
    'No face was found in 12 sampled frames.'
    >>> text('[["of_a_plugin", {"x": 1}]]')
    'of_a_plugin (x: 1)'
    """
    parts = _parts(reason)
    return reason if parts is None else " ".join(_sentence(code, values) for code, values in parts)


def _parts(reason: str) -> list[tuple[str, dict[str, Any]]] | None:
    """Return the codes and values of a reason; None for a sentence."""
    try:
        parts = json.loads(reason)
        return [(str(code), dict(values)) for code, values in parts]
    except (ValueError, TypeError):
        return None


def _sentence(code: str, values: dict[str, Any]) -> str:
    try:
        return TEXTS[code].format(**values)
    except (KeyError, IndexError, ValueError):  # another version, or a plug-in, wrote it
        return code + (f" ({', '.join(f'{name}: {value}' for name, value in values.items())})" if values else "")
