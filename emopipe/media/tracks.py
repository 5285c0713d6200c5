"""Which track of a file is used, if it has several.

Of sound: one that is not silent; of these the one that the container flags as the default, else the one with the most
channels, else the first. Of video: no still picture; of the others the default, else the one with the most pixels,
else the first. Containers differ in what they flag. In MP4 and MOV, default is what is enabled, which may be several
tracks; in Matroska, each track is default unless the file denies it; transport streams and AVI flag none. If several
are flagged, the next rule decides among these.
"""

from collections.abc import Sequence
from typing import TypeVar

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition

from emopipe.cache.status import reason
from emopipe.media import files
from emopipe.media.audio_packets import audio_frames, audio_packets, keep
from emopipe.media.decoded import DecodeOptions

Track = TypeVar("Track", av.AudioStream, av.VideoStream)

AUDIBLE = 1e-4
"""Tracks whose peak is below this (-80 dBFS) count as silent if another one is louder."""
NOTHING = 0.5 / 32768
"""Samples below this are 0 when they are rounded to 16 bits."""

_STILLS = Disposition.timed_thumbnails | Disposition.still_image
# Languages that ISO 639-2 spells in two ways: the bibliographic code -> the terminological one.
_SPELLINGS = {
    "alb": "sqi", "arm": "hye", "baq": "eus", "bur": "mya", "chi": "zho", "cze": "ces", "dut": "nld",
    "fre": "fra", "geo": "kat", "ger": "deu", "gre": "ell", "ice": "isl", "mac": "mkd", "mao": "mri",
    "may": "msa", "per": "fas", "rum": "ron", "slo": "slk", "tib": "bod", "wel": "cym",
}  # fmt: skip


def choose_audio(container: InputContainer, file: int, options: DecodeOptions) -> tuple[av.AudioStream | None, str]:
    """Return the sound track to use, or None; and why there is none, or which of several it is, as a reason or "".

    Args:
        container: The open container.
        file: Its file. Where several tracks come into question, they are decoded until one is known to be the one.
        options: `audio_track` restricts the choice; only the first `max_audio_seconds` are looked at.
    """
    tracks = container.streams.audio
    if not tracks:
        return None, reason("no_audio_stream")
    wanted = _wanted(tracks, options.audio_track)
    if not wanted:
        return None, reason("no_such_audio_track", track=str(options.audio_track), found=len(tracks))
    usable = sorted((track for track in wanted if track.codec_context is not None), key=_audio_rank)
    if not usable:
        return None, reason("no_audio_codec")
    track = usable[0] if len(usable) == 1 else _first_heard(file, usable, options.max_audio_seconds)
    number = tracks.index(track) + 1
    return track, reason("audio_tracks", found=len(tracks), taken=number) if len(tracks) > 1 else ""


def choose_video(container: InputContainer, file: int, options: DecodeOptions) -> tuple[av.VideoStream | None, str]:
    """Return the video track to use, or None; and why there is none, or which of several it is, as a reason or "".

    Args:
        container: The open container. Cover pictures, which no player shows as a video, are not counted as tracks.
        file: Its file. Where several tracks come into question, their first packets are counted.
        options: `video_track` restricts the choice.
    """
    tracks = [track for track in container.streams.video if not track.disposition & Disposition.attached_pic]
    if not tracks:
        return None, reason("no_video_stream")
    wanted = _wanted(tracks, options.video_track)
    if not wanted:
        return None, reason("no_such_video_track", track=str(options.video_track), found=len(tracks))
    usable = sorted((track for track in wanted if track.codec_context is not None), key=_video_rank)
    if not usable:
        return None, reason("no_video_codec")
    track = usable[0] if len(usable) == 1 else _first_moving(file, usable)
    number = tracks.index(track) + 1
    return track, reason("video_tracks", found=len(tracks), taken=number) if len(tracks) > 1 else ""


def _wanted(tracks: Sequence[Track], track: int | str | None) -> list[Track]:
    """Return the tracks that an option asks for: by number, counted from 1, or by language."""
    if track is None:
        return list(tracks)
    if isinstance(track, int):
        return list(tracks[track - 1 : track])
    return [each for each in tracks if _spelling(track) in map(_spelling, _languages(each))]


def _languages(track: Track) -> list[str]:
    """Return the languages of a track: none, one, or several, which transport streams separate by commas."""
    return [each.strip().partition("-")[0] for each in (track.language or "").split(",")]


def _spelling(language: str) -> str:
    """Return the terminological code of ISO 639-2 for either code of a language.

    >>> _spelling("GER"), _spelling("deu"), _spelling("eng")
    ('deu', 'deu', 'eng')
    """
    return _SPELLINGS.get(language.lower(), language.lower())


def _audio_rank(track: av.AudioStream) -> tuple[bool, int, int]:
    layout = track.codec_context.layout
    keep(layout)
    return not track.disposition & Disposition.default, -layout.nb_channels, track.index


def _video_rank(track: av.VideoStream) -> tuple[bool, bool, int, int]:
    is_default = bool(track.disposition & Disposition.default)
    return bool(track.disposition & _STILLS), not is_default, -track.width * track.height, track.index


def _first_heard(file: int, ranked: Sequence[av.AudioStream], seconds: float) -> av.AudioStream:
    """Return the first track that is not silent in its first `seconds`.

    All are decoded side by side, in one pass, each until it is heard or a better one is.
    """
    peaks = dict.fromkeys((track.index for track in ranked), 0.0)
    lengths = dict.fromkeys(peaks, 0.0)
    unknown = list(peaks)  # in the order of their rank
    with files.aside(file) as container:
        for packet in audio_packets(container, *(container.streams[index] for index in peaks)):
            if isinstance(packet, str) or packet.stream_index not in unknown:
                continue
            for frame in audio_frames(packet):
                if not isinstance(frame, str):
                    peaks[packet.stream_index] = max(peaks[packet.stream_index], _peak(frame))
                    lengths[packet.stream_index] += frame.samples / (frame.sample_rate or 1)
            if peaks[packet.stream_index] >= AUDIBLE:
                unknown = unknown[: unknown.index(packet.stream_index)]
            elif lengths[packet.stream_index] >= seconds:
                unknown.remove(packet.stream_index)
            if not unknown:
                break
    return max(ranked, key=lambda track: (peaks[track.index] >= AUDIBLE, peaks[track.index] >= NOTHING))


def _peak(frame: av.AudioFrame) -> float:
    """Return the largest magnitude of a frame's samples, as a share of full scale; 0 for those that are not finite."""
    x = frame.to_ndarray()
    if x.dtype.kind == "f":
        return float(np.abs(x[np.isfinite(x)]).max(initial=0.0))
    info = np.iinfo(x.dtype)
    middle = (int(info.max) + int(info.min) + 1) // 2
    return max(int(x.max(initial=middle)) - middle, middle - int(x.min(initial=middle))) / (int(info.max) - middle + 1)


def _first_moving(file: int, ranked: Sequence[av.VideoStream]) -> av.VideoStream:
    """Return the first track with more than one packet, for others are still pictures; else the first with any."""
    counts = dict.fromkeys((track.index for track in ranked), 0)
    with files.aside(file) as container, files.until_damage():
        for packet in container.demux([container.streams[index] for index in counts]):
            counts[packet.stream_index] += packet.size > 0
            if min(counts.values()) > 1:
                break
    return max(ranked, key=lambda track: min(counts[track.index], 2))
