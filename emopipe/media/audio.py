"""Reads the sound of a clip as 16 kHz mono, by PyAV; only the resampled samples are kept in memory."""

from collections.abc import Iterator

import av
import numpy as np
from av.container import InputContainer

from emopipe.cache.status import reason
from emopipe.media import files
from emopipe.media.decoded import AUDIO_RATE, DecodeOptions


def read_audio(file: int, options: DecodeOptions) -> tuple[np.ndarray, float, str]:
    """Return the sound of an open file: samples (n,) int16, the time of the first one, and a reason or ""."""
    most = int(options.max_audio_seconds * AUDIO_RATE)
    with files.container(file) as container:
        stream = next(iter(container.streams.audio), None)
        if stream is None:
            return np.empty(0, np.int16), 0.0, reason("no_audio_stream")
        if stream.codec_context is None:
            return np.empty(0, np.int16), 0.0, reason("no_audio_codec")
        resampler = av.AudioResampler(format="s16", layout="mono", rate=AUDIO_RATE)
        blocks: list[np.ndarray] = []
        start, fault, taken = None, "", 0
        for frame in _audio_frames(container, stream):
            if isinstance(frame, str):
                fault = frame
                continue
            if start is None and frame.time is not None:
                start = frame.time - files.start(container)
            frame.pts = None  # gaps and overlaps in the stamps are not filled or cut
            new = [block.to_ndarray()[0] for block in resampler.resample(frame)]
            blocks += new
            taken += sum(map(len, new))
            if taken >= most:
                fault = reason("sound_limited", seconds=options.max_audio_seconds)
                break
        blocks += [block.to_ndarray()[0] for block in resampler.resample(None)] if blocks else []
    samples = np.concatenate(blocks)[:most] if blocks else np.empty(0, np.int16)
    if not samples.any():
        return np.empty(0, np.int16), 0.0, fault or reason("silent" if blocks else "no_sound_decodes")
    return samples, start or 0.0, fault


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
