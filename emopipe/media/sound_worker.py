"""The process that gives a silent video the sound of another file, for `emopipe.media.joining`.

`python -m emopipe.media.sound_worker REQUEST`, a `Request` as JSON. On Linux it can neither use more memory than the
options allow, nor write files that are much longer than those that it reads, nor outlive the process that started it.
"""

import ctypes
import heapq
import itertools
import resource
import signal
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer
from pydantic import Field

from emopipe.core.options import Options
from emopipe.media import files
from emopipe.media.audio_packets import audio_frames, audio_packets
from emopipe.media.decoded import DecodeOptions
from emopipe.media.tracks import choose_audio

COPIED = {"aac", "mp3", "mp3float", "ac3", "eac3", "alac", "opus", "flac"}
"""Codecs that MP4 holds and players know; sound by others becomes AAC."""
AAC_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000)
NO_SOUND = 3
"""The exit code if the file has no sound track that is usable; then nothing is written."""
PRIMING_SECONDS = 0.1
"""Packets so little before the start of a file prepare the decoder for it, and are kept."""
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of <linux/prctl.h>

Timed = tuple[float, int, av.Packet]
"""When a packet is decoded in seconds, the number of its stream, and the packet."""


class Request(Options):
    """What to join."""

    video: str
    """The silent video, as an absolute path."""
    source: str
    """The file whose sound is taken."""
    output: str
    """The MP4 file to write, as an absolute path."""
    options: DecodeOptions
    """They may choose the sound track, and limit memory."""
    start: float = Field(0.0, ge=0)
    """The time in the source at which the video begins, in seconds."""
    end: float | None = None
    """The time in the source at which it ends; None: the end of the source."""
    may_copy: bool = True
    """Whether packets may be copied; otherwise the sound is encoded as AAC."""


def join(asked: Request) -> int:
    """Write the video with the sound; return 0, or NO_SOUND."""
    with files.opened(Path(asked.source)) as file, files.container(file) as source, av.open(asked.video) as silent:
        track, _ = choose_audio(source, file, asked.options)
        if track is None:
            return NO_SOUND
        with av.open(asked.output, "w", format="mp4", options={"movflags": "+faststart"}) as out:
            pictures = silent.streams.video[0]
            shown = out.add_stream_from_template(pictures, opaque=True)
            make = _copied if asked.may_copy and track.codec_context.name in COPIED else _encoded
            sound = make(out, audio_packets(source, track), track, files.start(source) + asked.start, asked)
            for _, _, packet in heapq.merge(_of_video(silent, pictures, shown), sound, key=lambda each: each[:2]):
                out.mux(packet)
    return 0


def _of_video(silent: av.container.InputContainer, given: av.VideoStream, shown: av.VideoStream) -> Iterator[Timed]:
    for packet in silent.demux(given):
        if packet.dts is not None:
            packet.stream = shown
            yield float(packet.dts * given.time_base), 0, packet


def _copied(
    out: OutputContainer, packets: Iterator[av.Packet | str], track: av.AudioStream, origin: float, asked: Request
) -> Iterator[Timed]:
    """Yield the packets of a track, whose times count from `origin`."""
    heard = out.add_stream_from_template(track, opaque=True)
    shift = round(origin / track.time_base)

    def shifted() -> Iterator[Timed]:
        for packet in packets:
            if isinstance(packet, str):
                return
            if packet.pts is None or not packet.size:
                continue
            time = float((packet.pts - shift) * track.time_base)
            if time >= _length(asked):
                return
            if time < (0.0 if asked.start else -PRIMING_SECONDS):
                continue
            packet.pts, packet.dts = packet.pts - shift, packet.pts - shift  # packets of sound are in order
            packet.stream = heard
            yield time, 1, packet

    return shifted()


def _encoded(
    out: OutputContainer, packets: Iterator[av.Packet | str], track: av.AudioStream, origin: float, asked: Request
) -> Iterator[Timed]:
    """Yield the packets of a track as AAC, mono or stereo; frames follow one another without gaps."""
    rate = next((each for each in AAC_RATES if each <= track.rate), AAC_RATES[-1])
    layout = "mono" if track.codec_context.layout.nb_channels == 1 else "stereo"
    heard = out.add_stream("aac", rate=rate, layout=layout)
    heard.bit_rate = 96_000 if layout == "mono" else 160_000
    resampler = av.AudioResampler("fltp", layout, rate, frame_size=1024)

    def frames() -> Iterator[av.AudioFrame]:
        taken: int | None = None
        for frame in (frame for packet in packets if not isinstance(packet, str) for frame in audio_frames(packet)):
            if isinstance(frame, str):
                continue
            time = (frame.time or 0.0) - origin
            if time + frame.samples / frame.sample_rate <= 0:
                continue
            if time >= _length(asked):
                break
            taken = max(0, round(time * rate)) if taken is None else taken
            frame.pts = None
            for block in resampler.resample(frame):
                block.pts, block.time_base = taken, Fraction(1, rate)
                taken += block.samples
                yield block
        for block in resampler.resample(None):
            block.pts, block.time_base = taken, Fraction(1, rate)
            yield block

    def encoded() -> Iterator[Timed]:
        for block in itertools.chain(frames(), [None]):  # None: what the encoder still holds
            for packet in heard.encode(block):
                yield float(packet.dts * packet.time_base), 1, packet

    return encoded()


def _length(asked: Request) -> float:
    return float("inf") if asked.end is None else asked.end - asked.start


def _confine(asked: Request) -> None:
    """Forbid core dumps and long files, limit memory, and end with the parent."""
    sizes = [Path(name).stat().st_size for name in (asked.video, asked.source)]
    longest = 3 * sum(sizes) + (64 << 20)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (longest, longest))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles it, and this process ends with it
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        most = in_use + (asked.options.clip_memory_mb << 20)
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


if __name__ == "__main__":
    request = Request.model_validate_json(sys.argv[1])
    _confine(request)
    sys.exit(join(request))
