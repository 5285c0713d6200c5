"""Which packets of an H.264 video need not be decoded, if few of its frames are wanted.

The decoder gets every packet, because it alone notices damage. But it decodes no pixels of a frame that no wanted frame
needs: one that no other frame refers to, or one that stands after the last wanted frame before an IDR picture. Nothing
after an IDR picture refers to what stands before it. Keyframes of other kinds do not promise that (open GOP).

Other codecs are decoded as a whole. HEVC skips in the same way, but where damage hides a part of a picture, its decoder
shows what was in memory before, so the pixels there depend on the frames that were skipped.
"""

import re
from collections.abc import Iterator, Sequence

import av
import numpy as np

DECODE, UNLESS_REFERRED_TO, NOTHING = "DEFAULT", "NONREF", "ALL"
"""Values of ffmpeg's option `skip_frame`: which frames the decoder skips."""

_START_CODE = re.compile(b"\0\0\1")
_PICTURES, _IDR = range(1, 6), 5  # kinds of NAL units


class Starts:
    """Recognises packets of a stream with IDR pictures."""

    def __init__(self, stream: av.VideoStream) -> None:
        """Look at the stream's header."""
        header = stream.codec_context.extradata or b""
        self._is_known = stream.codec_context.name == "h264"
        self._size_bytes = (header[4] & 3) + 1 if header[:1] == b"\1" and len(header) > 4 else 0
        """How long the sizes of NAL units are; 0: they follow start codes."""

    def __contains__(self, packet: av.Packet) -> bool:
        """Return whether the first picture of a packet is an IDR picture."""
        if not (self._is_known and packet.is_keyframe):
            return False
        return next((kind == _IDR for kind in self._kinds(bytes(packet)) if kind in _PICTURES), False)

    def lacks_picture(self, packet: av.Packet) -> bool:
        """Return whether a packet of a known codec holds no picture, which a decoder that skips does not report."""
        return self._is_known and not any(kind in _PICTURES for kind in self._kinds(bytes(packet)))

    def _kinds(self, packet: bytes) -> Iterator[int]:
        """Yield the kind of each NAL unit."""
        if not self._size_bytes:
            yield from (packet[found.end()] & 31 for found in _START_CODE.finditer(packet[:-1]))
            return
        at = 0
        while (begin := at + self._size_bytes) < len(packet):
            yield packet[begin] & 31
            at = begin + int.from_bytes(packet[at:begin], "big")


def skips(times: np.ndarray, starts: Sequence[int], targets: np.ndarray) -> list[str] | None:
    """Return what the decoder may skip of each packet; None if all has to be decoded.

    Args:
        times: (packets,) the time of the frame in each packet, in the order of the file.
        starts: Numbers of the packets with IDR pictures. Without any, nothing is skipped.
        targets: (T,) sorted times of the frames that are wanted.

    Returns:
        A value of `skip_frame` for each packet.
    """
    wanted = np.isin(times, targets)
    is_clear = len(np.unique(times)) == len(times) and np.count_nonzero(wanted) == len(targets)
    if not len(starts) or not is_clear or wanted.all():
        return None
    begins, needed, plan = {*starts}, False, []
    for number in range(len(times) - 1, -1, -1):
        needed = needed or bool(wanted[number])
        plan.append(DECODE if wanted[number] else UNLESS_REFERRED_TO if needed else NOTHING)
        needed = needed and number not in begins
    return plan[::-1]
