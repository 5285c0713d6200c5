"""Reads the sound of a clip as 16 kHz mono, by PyAV; only the resampled samples are kept in memory."""

import itertools
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import av
import numpy as np
from av.container import InputContainer

from emopipe.cache.status import join, reason
from emopipe.media import files
from emopipe.media.audio_packets import audio_frames, audio_packets
from emopipe.media.decoded import AUDIO_RATE, DecodeOptions
from emopipe.media.mono import MonoConverter, shape_of
from emopipe.media.ogg import next_link
from emopipe.media.samples import Magnitudes, SampleChecks
from emopipe.media.tracks import choose_audio

BATCH = 8
"""Frames whose samples are checked at a time."""


@dataclass
class SoundBlocks:
    """The sound of a file as blocks (n,) int16 at AUDIO_RATE, decoded while they are iterated over.

    Iterate once; `start` is known with the first block, `fault` and `notes` after the last one. A stream that breaks
    ends the blocks, and its error becomes the fault.
    """

    file: int
    """An open file."""
    options: DecodeOptions
    start: float | None = None
    """The time of the first sample in seconds; None if the file does not say."""
    fault: str = ""
    """Why there is no sound, or no more of it, as a reason; or ""."""
    notes: str = ""
    """What else is to be known of the sound, as reasons; or ""."""

    def __iter__(self) -> Iterator[np.ndarray]:
        try:
            with files.container(self.file) as container:
                stream, why = choose_audio(container, self.file, self.options)
                if stream is None:
                    self.fault = why
                    return
                self.notes = why
                yield from self._blocks(container, stream)
        except MemoryError:
            raise
        except Exception as error:
            self.fault = reason("broken_stream", error=files.describe(error))

    def why(self, *, has_samples: bool, is_heard: bool) -> str:
        """Return the reason to give for the sound as a whole; "" if it is in order."""
        silence = "" if is_heard else reason("silent" if has_samples else "no_sound_decodes")
        return join(self.fault or silence, self.notes)

    def _blocks(self, container: InputContainer, stream: av.AudioStream) -> Iterator[np.ndarray]:
        """Yield the blocks of a stream, whose frames may change their shape at any time."""
        most, taken = int(self.options.max_audio_seconds * AUDIO_RATE), 0
        checks = SampleChecks(_exponent(self.file, stream, self.options))
        converters: list[MonoConverter] = []
        for block in _converted(self._frames(container, stream), checks, converters):
            taken += len(block)
            yield block
            if taken > most:
                self.notes = join(self.notes, reason("sound_limited", seconds=self.options.max_audio_seconds))
                break
        cancelled = sum(converter.cancelled_seconds for converter in converters)
        cancels = reason("channels_cancel", seconds=round(cancelled, 2)) if cancelled else ""
        self.notes = join(self.notes, checks.reasons, cancels)

    def _frames(self, container: InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame]:
        """Yield the frames of a stream without their time stamps; the last fault among them is kept."""
        try:
            for frame in _audio_frames(self.file, container, stream):
                if isinstance(frame, str):
                    self.fault = frame
                    continue
                if self.start is None and frame.time is not None:
                    self.start = frame.time - files.start(container)
                frame.pts = None  # gaps and overlaps in the stamps are not filled or cut
                yield frame
        except MemoryError:
            raise
        except Exception as error:  # a broken stream can raise any; what was read before it is kept
            self.fault = reason("broken_stream", error=files.describe(error))


def read_audio(file: int, options: DecodeOptions) -> tuple[np.ndarray, float, str]:
    """Return the sound of an open file: samples (n,) int16, the time of the first one, and a reason or ""."""
    sound = SoundBlocks(file, options)
    blocks = list(sound)
    samples = np.concatenate(blocks)[: int(options.max_audio_seconds * AUDIO_RATE)] if blocks else np.empty(0, np.int16)
    is_heard = bool(samples.any())
    why = sound.why(has_samples=bool(blocks), is_heard=is_heard)
    return (samples, sound.start or 0.0, why) if is_heard else (np.empty(0, np.int16), 0.0, why)


def _converted(
    frames: Iterator[av.AudioFrame], checks: SampleChecks, converters: list[MonoConverter]
) -> Iterator[np.ndarray]:
    """Yield frames as blocks (n,) int16 of mono. Each stretch of one shape has its own converter, which is appended."""
    for _, stretch in itertools.groupby(frames, shape_of):
        converter: MonoConverter | None = None
        while batch := list(itertools.islice(stretch, BATCH)):
            if converter is None:
                converter = MonoConverter(batch[0])
                converters.append(converter)
            for frame in checks.checked(batch):
                yield from converter.convert(frame)
        if converter is not None:
            yield from converter.end()


def _audio_frames(file: int, container: InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame | str]:
    """Yield decoded frames, and a reason for each damaged packet; an error of the demuxer ends them.

    At the next link of a chained Ogg file, they continue: the demuxer fails if it has another shape than the first.
    """
    number = container.streams.audio.index(stream)
    fault, place = yield from _frames_of_link(container, stream)
    while fault and container.format.name == "ogg" and (link := next_link(file, place)) is not None:
        place = link
        with files.container(file, skip_initial_bytes=str(link)) as rest:
            for follower in rest.streams.audio[number : number + 1]:
                fault, end = yield from _frames_of_link(rest, follower)
                place = max(link, end)
    if fault:
        yield fault


def _frames_of_link(
    container: InputContainer, stream: av.AudioStream
) -> Generator[av.AudioFrame | str, None, tuple[str, int]]:
    """Yield frames and the faults of packets; return the fault of the demuxer, and where it was in the file."""
    place = 0
    for packet in audio_packets(container, stream):
        if isinstance(packet, str):
            return packet, place
        place = max(place, packet.pos or 0)
        yield from audio_frames(packet)
    return "", place


def _exponent(file: int, stream: av.AudioStream, options: DecodeOptions) -> int:
    """Return the exponent of the power of two that is full scale (`Magnitudes.exponent`).

    Only numbers that are stored as they are can have another scale than -1..1. These are read twice.
    """
    context = stream.codec_context
    if not (context.codec.lossless and context.format is not None and context.format.name.startswith(("flt", "dbl"))):
        return 0
    magnitudes, seconds = Magnitudes(), 0.0
    with files.aside(file) as container:
        for frame in _audio_frames(file, container, container.streams[stream.index]):
            if not isinstance(frame, str):
                magnitudes.add(frame.to_ndarray())
                seconds += frame.samples / (frame.sample_rate or 1)
            if seconds >= options.max_audio_seconds:
                break
    return magnitudes.exponent
