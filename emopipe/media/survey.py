"""How much of a file's streams is there, by its packets, its header and its structure. Nothing is decoded.

Three counts measure different things. A header states frames or seconds, and may be wrong. Packets are not frames: a
packet may hold one field of a frame, a hidden frame or a layer. The structure says whether the file was cut. So a
header is believed only where the structure does not show that everything that was written is there.
"""

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import av
import numpy as np
from av.container import InputContainer

from emopipe.cache.status import reason
from emopipe.media import files, structure
from emopipe.media.sparse import Starts

USABLE_FROM = 0.5
"""A stream is used if at least this share of its length is in the file and decodes."""
MISSING_SHARE, MISSING_SECONDS = 0.02, 0.05
"""The structure is looked at if a stream ends so much before what its header states; headers are a little inexact."""
WRONG_SHARE, WRONG_SECONDS = 0.1, 0.5
"""The length in the header of a whole file is reported as wrong if it differs by more than this share and seconds."""

ChooseVideo = Callable[[InputContainer], tuple[av.VideoStream | None, str]]
"""Returns the video stream to use, and which of several it is, or why there is none, as a reason; or ""."""


@dataclass(frozen=True)
class Stock:
    """How much of a stream is in the file."""

    share: float = 1.0
    """The share of its announced length; 1 if nothing is missing, or if nobody can say."""
    note: str = ""
    """A reason if something is missing or the header is wrong, or ""."""

    @property
    def is_usable(self) -> bool:
        """Whether the stream is long enough to be used."""
        return self.share >= USABLE_FROM


@dataclass(frozen=True)
class Survey:
    """What the packets of a file say."""

    times: np.ndarray = field(default_factory=lambda: np.empty(0))
    """(packets,) sorted presentation times of the video's packets, in seconds since `origin`."""
    in_order: np.ndarray = field(default_factory=lambda: np.empty(0))
    """(packets,) these times in the order of the file; empty if a packet states no time, or is not shown."""
    starts: array = field(default_factory=lambda: array("q"))
    """Numbers of the packets with IDR pictures; none unless the codec is H.264."""
    lead: int = 0
    """How many packets of the video stand before its first keyframe. They do not decode, or to no real pictures."""
    decodable: np.ndarray = field(default_factory=lambda: np.empty(0))
    """(frames,) the sorted times from that keyframe on."""
    origin: float = 0.0
    """The container's start time in seconds."""
    stream: int | None = None
    """The index of the video stream; None if there is none to use."""
    which: str = ""
    """Which of several video streams it is, or why there is none, as a reason; or ""."""
    video: Stock = Stock()
    sound: Stock = Stock()
    fault: str = ""
    """The reason why the file cannot be opened, or ""."""


def survey(file: int, choose_video: ChooseVideo) -> Survey:
    """Read all packets of a file.

    Args:
        file: An open file.
        choose_video: Chooses the video stream.

    Raises:
        MemoryError: There is too little memory.
    """
    try:
        with files.container(file) as container:
            return _survey(_Opened(file, container, choose_video))
    except MemoryError:
        raise
    except Exception as error:  # a broken file can raise any
        return Survey(fault=reason("broken_stream", error=files.describe(error)))


def frame_rate(stream: av.VideoStream) -> float:
    """Return the frames per second that the header states or ffmpeg guesses; 25 if neither is known."""
    return float(stream.average_rate or stream.guessed_rate or 25)


class _Opened:
    """An open file, its container, and the streams that are used."""

    def __init__(self, file: int, container: InputContainer, choose_video: ChooseVideo) -> None:
        self.file, self.container = file, container
        (self.video, self.which), self.sound = choose_video(container), list(container.streams.audio)
        self.format, self.origin = container.format.name, files.start(container)

    @property
    def counts_packets(self) -> bool:
        """Whether headers of the format count the packets of each stream."""
        return self.format.startswith(("mov", "avi"))

    @property
    def is_fragmented(self) -> bool:
        """Whether it is an MP4 file whose header counts nothing."""
        return self.format.startswith("mov") and not any(s.frames for s in self.container.streams)

    @cached_property
    def is_whole(self) -> bool | None:
        """Whether the structure shows that nothing of the file is missing; None if it says nothing."""
        return structure.is_whole(self.file, self.format)

    @cached_property
    def seconds_stated(self) -> float | None:
        """The length that the header states."""
        if self.format.startswith("mov"):
            return (self.container.duration or 0) / av.time_base or None
        return structure.seconds_stated(self.file, self.format)


class _Tally:
    """Counts the packets of a stream."""

    def __init__(self) -> None:
        self.packets, self.end = 0, 0

    def add(self, packet: av.Packet) -> int | None:
        """Take a packet and return its time, in units of the stream. AVI repeats a frame by an empty one: it counts."""
        stamp = packet.pts
        if stamp is None:
            stamp = packet.dts
        self.packets += 1
        if stamp is not None and (end := stamp + (packet.duration or 0)) > self.end:
            self.end = end
        return stamp

    def end_seconds(self, stream: av.stream.Stream) -> float:
        """Return when the last packet ends."""
        return float(self.end * stream.time_base) if stream.time_base else 0.0


class _VideoTally(_Tally):
    """Counts the packets of the video stream, and keeps the times of those that hold frames."""

    def __init__(self, stream: av.VideoStream | None) -> None:
        super().__init__()
        self._rate = 25.0 if stream is None else frame_rate(stream)
        self._starts = Starts(stream) if stream is not None and stream.codec_context is not None else None
        self._times = array("d")
        self.starts = array("q")
        """Numbers of the packets with IDR pictures."""
        self.is_plain = True
        """Whether each packet so far holds a frame that is shown, and its time."""
        self.lead: int | None = None
        """How many packets stand before the first keyframe; None if none is marked as one."""
        self.lead_times = 0
        """How many of these have a time."""

    def add(self, packet: av.Packet) -> int | None:
        """Take a packet, and return its time in units of the stream."""
        if self.lead is None and packet.is_keyframe:
            self.lead, self.lead_times = self.packets, len(self._times)
        if self._starts and packet in self._starts:
            self.starts.append(self.packets)
        stamp = super().add(packet)
        is_shown = packet.size > 0 and not packet.is_discard
        has_picture = self._starts is None or not self._starts.lacks_picture(packet)
        self.is_plain = self.is_plain and is_shown and packet.pts is not None and has_picture
        if is_shown:  # packets hidden by an edit list are decoded, but not shown
            self._times.append(len(self._times) / self._rate if stamp is None else float(stamp * packet.time_base))
        return stamp

    @property
    def times(self) -> np.ndarray:
        """(packets,) seconds, in the order of the packets."""
        return np.array(self._times)


def _survey(opened: _Opened) -> Survey:
    video = _VideoTally(opened.video)
    tallies = {stream.index: _Tally() for stream in opened.sound}
    if opened.video is not None:
        tallies[opened.video.index] = video
    _count(opened, tallies)
    times = video.times - opened.origin
    decodable = times[video.lead_times :]
    if video.lead_times and len(decodable):  # frames that follow a keyframe and are shown before it need what was lost
        decodable = decodable[decodable >= decodable[0]]
    by_packets = (_video_by_packets(opened, video), _sound_by_packets(opened, tallies))
    by_time = _stock_by_time(opened, tallies) if None in by_packets else Stock()
    return Survey(
        np.sort(times),
        times if video.is_plain else np.empty(0),
        video.starts,
        video.lead or 0 if len(decodable) else 0,
        np.sort(decodable if len(decodable) else times),
        opened.origin,
        None if opened.video is None else opened.video.index,
        opened.which,
        by_packets[0] or by_time,
        by_packets[1] or by_time if opened.sound else Stock(),
    )


def _count(opened: _Opened, tallies: dict[int, _Tally]) -> None:
    """Read the packets. A demuxing error ends them: what comes before it may still decode."""
    streams = [stream for stream in opened.container.streams if stream.index in tallies]
    with files.until_damage():
        for packet in opened.container.demux(streams) if streams else ():
            if packet.size or packet.dts is not None:  # the last packets, which end the streams, have neither
                tallies[packet.stream_index].add(packet)


def _video_by_packets(opened: _Opened, tally: _VideoTally) -> Stock | None:
    """Compare the packets of the video with those that its header counts; None if it counts none."""
    announced = opened.video.frames if opened.video is not None and opened.counts_packets else 0
    if not announced:
        return None
    packets = tally.packets
    if opened.format.startswith("avi"):  # its clock counts frames, also those that are repeated without a packet
        packets = max(packets, tally.end)
    if packets + 1 < announced:  # ffmpeg's own AVIs announce one frame too many
        packets = max(packets, _unedited_packets(opened))
    is_cut = packets + 1 < announced and not opened.is_whole
    if is_cut:
        return Stock(packets / announced, reason("truncated_packets", packets=packets, announced=announced))
    is_wrong = abs(packets - announced) > max(1, WRONG_SHARE * max(packets, announced))
    return Stock(1.0, reason("wrong_frame_count", packets=packets, announced=announced) if is_wrong else "")


def _unedited_packets(opened: _Opened) -> int:
    """Return the number of the video's packets when the edit list, which trims MP4 files, is ignored."""
    with files.container(opened.file, ignore_editlist="1") as container:
        index, tally = opened.video.index, _Tally()
        _count(_Opened(opened.file, container, lambda opened: (opened.streams[index], "")), {index: tally})
    return tally.packets


def _sound_by_packets(opened: _Opened, tallies: dict[int, _Tally]) -> Stock | None:
    """Compare the sound with what its header counts, over all streams of sound; None if it counts nothing."""
    counted = [stream for stream in opened.sound if stream.frames]
    if not counted or not opened.counts_packets:
        return None
    if opened.format.startswith("avi"):  # it counts samples or packets, which are the units of the stream's time
        parts = [(tallies[s.index].end_seconds(s), float(s.frames * s.time_base)) for s in counted]
    else:
        parts = [(tallies[s.index].packets, s.frames) for s in counted]
    there, announced = (sum(each) for each in zip(*parts, strict=True))
    if not announced or there / announced > 1 - MISSING_SHARE or opened.is_whole:
        return Stock()
    share = there / announced
    return Stock(share, reason("truncated_sound", percent=round(100 * share)))


def _stock_by_time(opened: _Opened, tallies: dict[int, _Tally]) -> Stock:
    """Compare the time of the last packet of all streams with the length that the header states."""
    stated = opened.seconds_stated
    if stated is None:
        return Stock(1.0, reason("truncated_end") if opened.is_whole is False else "")
    ends = [tallies[s.index].end_seconds(s) for s in opened.container.streams if s.index in tallies]
    end = max(ends, default=0.0) - opened.origin
    length = stated - opened.origin if stated > opened.origin > 0 else stated  # some count from 0
    values = {"end": round(end, 1), "length": round(length, 1)}
    if length - end > MISSING_SECONDS and not opened.is_whole:
        return Stock(max(0.0, end) / length, reason("truncated_time", **values))
    if opened.is_fragmented and opened.is_whole is False:  # what is stated is the sum of the fragments that are there
        return Stock(1.0, reason("truncated_end"))
    excess = max(length - end, end - stated)
    is_wrong = excess > WRONG_SECONDS and excess > WRONG_SHARE * max(length, end)
    return Stock(1.0, reason("wrong_length", **values) if is_wrong else "")
