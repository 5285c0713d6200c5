"""Clips whose frames come from one file and whose sound comes from another, as recorders with own microphones write."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from emopipe.cache import status
from emopipe.media.decoded import Media

if TYPE_CHECKING:  # what only names clips, such as the readers of corpora, needs no decoder
    import pandas as pd

    from emopipe.media.sandbox import ClipReader

SOUND_FILE = "sound_file"
"""The column of a clip table with the file of a clip's sound, relative to the corpus; "": the clip's own file."""

_OF_SOUND = {
    "no_audio_stream", "no_audio_codec", "no_sound_decodes", "no_such_audio_track", "truncated_sound", "silent",
    "damaged_audio", "audio_tracks", "channels_cancel", "not_finite", "not_in_unit_range", "clipped", "sound_limited",
}  # fmt: skip
_OF_FRAMES = {
    "no_video_stream", "no_video_codec", "no_video_packets", "no_frame_decodes", "no_frame_size", "no_such_video_track",
    "damaged_video", "video_tracks", "lost_start", "lost_frames", "wrong_frame_count", "missing_frames",
}  # fmt: skip


def sound_files(table: "pd.DataFrame") -> list[str]:
    """Return the file of each clip's sound, relative to the corpus; "" where it is the clip's own."""
    return table[SOUND_FILE].tolist() if SOUND_FILE in table else [""] * len(table)


def with_sound_of(reading: Callable[[], Media], read: "ClipReader", sound: Path | None) -> Callable[[], Media]:
    """Return what decodes a clip.

    Args:
        reading: Decodes the clip's own file.
        read: Decodes the file of its sound.
        sound: That file; None: the sound is that of the clip's own file.
    """
    return reading if sound is None else functools.partial(_both, reading, functools.partial(read, sound))


def _both(reading: Callable[[], Media], sound: Callable[[], Media]) -> Media:
    return joined(reading(), sound())


def joined(frames: Media, sound: Media) -> Media:
    """Return the frames of one decoded file with the sound of another; what is wrong with the rest does not matter."""
    why = status.join(status.without(frames.reason, _OF_SOUND), status.without(sound.reason, _OF_FRAMES))
    if not frames.jpegs and not len(sound.audio):
        return Media(status.UNDECODABLE, why)
    outcome = status.OK if len(sound.audio) else status.NO_AUDIO
    return Media(
        outcome if frames.jpegs else status.NO_VIDEO, why, frames.jpegs, frames.times, sound.audio, sound.audio_start
    )
