"""Reads the sound of a clip as 16 kHz mono, by PyAV; only the resampled samples are kept in memory."""

from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np
from av.container import InputContainer

from emopipe.cache.status import reason
from emopipe.media import files
from emopipe.media.decoded import AUDIO_RATE, DecodeOptions


@dataclass
class SoundBlocks:
    """The sound of a file as blocks (n,) int16 at AUDIO_RATE, decoded while they are iterated over.

    Iterate once; `start` and `fault` are known when the blocks are.
    """

    file: int
    """An open file."""
    options: DecodeOptions
    start: float | None = None
    """The time of the first sample in seconds; None if the file does not say."""
    fault: str = ""
    """A reason, or ""."""

    def __iter__(self) -> Iterator[np.ndarray]:
        most, taken = int(self.options.max_audio_seconds * AUDIO_RATE), 0
        with files.container(self.file) as container:
            stream = next(iter(container.streams.audio), None)
            if stream is None or stream.codec_context is None:
                self.fault = reason("no_audio_stream") if stream is None else reason("no_audio_codec")
                return
            resampler = av.AudioResampler(format="s16", layout="mono", rate=AUDIO_RATE)
            for frame in _audio_frames(container, stream):
                if isinstance(frame, str):
                    self.fault = frame
                    continue
                if self.start is None and frame.time is not None:
                    self.start = frame.time - files.start(container)
                frame.pts = None  # gaps and overlaps in the stamps are not filled or cut
                for block in _samples(resampler, frame):
                    taken += len(block)
                    yield block
                if taken >= most:
                    self.fault = reason("sound_limited", seconds=self.options.max_audio_seconds)
                    break
            if taken:
                yield from _samples(resampler, None)


def read_audio(file: int, options: DecodeOptions) -> tuple[np.ndarray, float, str]:
    """Return the sound of an open file: samples (n,) int16, the time of the first one, and a reason or ""."""
    sound = SoundBlocks(file, options)
    blocks = list(sound)
    samples = np.concatenate(blocks)[: int(options.max_audio_seconds * AUDIO_RATE)] if blocks else np.empty(0, np.int16)
    if not samples.any():
        return np.empty(0, np.int16), 0.0, sound.fault or reason("silent" if blocks else "no_sound_decodes")
    return samples, sound.start or 0.0, sound.fault


def _samples(resampler: av.AudioResampler, frame: av.AudioFrame | None) -> Iterator[np.ndarray]:
    """Yield the samples (n,) int16 that the resampler has after a frame; None: after the last one."""
    return (block.to_ndarray()[0] for block in resampler.resample(frame))


def _audio_frames(container: InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame | str]:
    """Yield decoded frames, and a reason for each damaged packet; an error of the demuxer ends them."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.EOFError):
            return
        except MemoryError:
            raise
        except av.FFmpegError as error:
            yield reason("damaged_audio", error=files.describe(error))
            return
        try:
            yield from packet.decode()
        except av.EOFError:
            return
        except MemoryError:
            raise
        except av.FFmpegError as error:
            yield reason("damaged_audio", error=files.describe(error))
