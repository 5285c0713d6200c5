"""Decodes one clip in this process, which a hostile file can hang or crash: see `emopipe.media.sandbox`."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from emopipe.cache import status
from emopipe.media import files
from emopipe.media.audio import read_audio
from emopipe.media.decoded import DecodeOptions, Media
from emopipe.media.survey import Survey
from emopipe.media.video import read_video, surveyed

Read = TypeVar("Read", bound=tuple)

TRUNCATED = {"truncated_packets", "truncated_time", "truncated_sound", "truncated_end"}
DAMAGED = TRUNCATED | {"lost_start", "lost_frames", "damaged_video", "damaged_audio"}


def read_clip(path: Path, options: DecodeOptions) -> Media:
    """Decode one clip. Faults of its content become its status and reason.

    Use `emopipe.media.sandbox.ClipReader` for clips that you do not trust.

    Raises:
        MediaError: The system refuses to read the file (it vanished, its disk is offline, permission is denied). This
            may be temporary and is not a property of the clip, so it is never cached.
        MemoryError: The clip needs more memory than there is.
    """
    with files.opened(path) as file:
        media = _read(file, options)
        if media.status == status.UNDECODABLE or DAMAGED & {*status.codes(media.reason)}:
            files.refuse_failing_disk(file, path)
    return media


def _read(file: int, options: DecodeOptions) -> Media:
    if not os.fstat(file).st_size:
        return Media(status.UNDECODABLE, status.reason("empty_file"))
    survey = surveyed(file, options)
    jpegs, times, video_fault = _attempt(read_video, file, options, survey, nothing=([], np.empty(0)))
    audio, audio_start, audio_fault = np.empty(0, np.int16), 0.0, ""
    if survey.sound.is_usable:
        audio, audio_start, audio_fault = _attempt(read_audio, file, options, nothing=(audio, audio_start))
    audio_fault = sound_fault(survey, audio_fault)
    outcome, why = verdict(bool(jpegs), video_fault, len(audio) > 0, audio_fault)
    if outcome == status.UNDECODABLE:
        return Media(outcome, why)
    return Media(outcome, why, jpegs, times, audio, audio_start)


def sound_fault(survey: Survey, fault: str) -> str:
    """Return the fault of the sound, after what the file's packets say about it; a wrong header is not the sound's."""
    is_cut = TRUNCATED & {*status.codes(survey.sound.note)}
    return status.join(survey.sound.note if is_cut else "", fault)


def verdict(has_frames: bool, video_fault: str, has_sound: bool, audio_fault: str) -> tuple[str, str]:
    """Return the status of a file and the reason for it, from what its streams gave and their faults."""
    if not has_frames and not has_sound:
        why = status.join(video_fault, audio_fault)
        is_cut = TRUNCATED & {*status.codes(why)}
        return status.UNDECODABLE, why if is_cut else status.join(status.reason("nothing_decodes"), why)
    if not has_frames:
        return status.NO_VIDEO, status.join(video_fault, audio_fault)
    if not has_sound:
        return status.NO_AUDIO, status.join(audio_fault, video_fault)
    return status.OK, status.join(video_fault, audio_fault)


def _attempt(read: Callable[..., Read], *args: int | DecodeOptions | Survey, nothing: tuple) -> Read:
    """Read one stream. A broken file can raise any exception; the other stream may still be whole."""
    try:
        return read(*args)
    except MemoryError:
        raise
    except Exception as error:
        if isinstance(error, cv2.error) and error.code == cv2.Error.StsNoMem:
            raise MemoryError from error
        return (*nothing, status.reason("broken_stream", error=files.describe(error)))  # type: ignore[return-value]
