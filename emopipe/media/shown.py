"""The pixels of a decoded frame as players show them: upright, not mirrored, with square pixels."""

import bisect
import threading
from collections.abc import Callable
from dataclasses import dataclass

import av
import cv2
import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from av.video.reformatter import VideoReformatter

from emopipe.media.decoded import DecodeOptions, encode_jpeg

_OWN = threading.local()


@dataclass(frozen=True)
class Display:
    """How stored pixels become shown ones: first they get their width, then the frame is turned or mirrored."""

    aspect: float = 1.0
    """The width of a stored pixel over its height."""
    matrix: np.ndarray | None = None
    """(2, 2): a stored place (x, y) times it is the shown place; its scale has no meaning. None: the frame is upright.
    """


def to_jpeg(frame: av.VideoFrame, display: Display, options: DecodeOptions) -> bytes:
    """Return a frame as JPEG.

    Args:
        frame: A decoded frame, as it is stored.
        display: How it is shown.
        options: The longest side, and the quality.

    Raises:
        MemoryError: There is too little memory.
        ValueError: The frame's format cannot be converted.
    """
    try:
        return _to_jpeg(frame, display, options)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError from error
        raise


def _to_jpeg(frame: av.VideoFrame, display: Display, options: DecodeOptions) -> bytes:
    width = frame.width * display.aspect
    scale = min(1.0, options.max_side / max(width, frame.height))
    size = max(1, round(width * scale)), max(1, round(frame.height * scale))
    image = _converter().reformat(frame, format="bgr24", threads=1).to_ndarray()
    if size != (frame.width, frame.height):
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    if display.matrix is not None:
        image = oriented(image, display.matrix)
    return encode_jpeg(image, options.jpeg_quality)


def _converter() -> VideoReformatter:
    """Return what converts frames of this thread. It prepares tables once for all frames of one size and format."""
    if not hasattr(_OWN, "converter"):
        _OWN.converter = VideoReformatter()
    return _OWN.converter


def _matrix(frame: av.VideoFrame) -> np.ndarray | None:
    """Return the display matrix of a frame, which comes from the container or from a message in the stream."""
    try:
        found = frame.side_data.get(SideDataType.DISPLAYMATRIX)
    except ValueError:  # the frame has side data of a kind that PyAV does not know; it still gives the angle
        angle = np.deg2rad(-frame.rotation)
        return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    if found is None:
        return None
    a, b, _, c, d, *_ = np.frombuffer(bytes(found), np.int32, 9).astype(float)
    return np.array([[a, b], [c, d]])


def oriented(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Turn and mirror an image by quarter turns, the nearest to what a matrix says.

    Args:
        image: (H, W, 3).
        matrix: (2, 2), see `Display`; if it has a row of zeros, the image stays as it is.

    Returns:
        (H, W, 3), or (W, H, 3) if x and y change places.

    >>> image = np.arange(6).reshape(2, 3, 1)
    >>> oriented(image, np.array([[-1, 0], [0, 1]]))[..., 0].tolist()
    [[2, 1, 0], [5, 4, 3]]
    >>> oriented(image, np.array([[0, 1], [-1, 0]]))[..., 0].tolist()
    [[3, 0], [4, 1], [5, 2]]
    """
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    if not lengths.all():
        return image
    (a, b), (c, d) = matrix / lengths  # where the stored x axis and the stored y axis point to
    if abs(a) + abs(d) >= abs(b) + abs(c):
        x_sign, y_sign = a, d
    else:
        image, x_sign, y_sign = image.swapaxes(0, 1), c, b
    if x_sign < 0:
        image = image[:, ::-1]
    return np.ascontiguousarray(image[::-1] if y_sign < 0 else image)


class Displays:
    """How the frames of a stream are shown, which may change in the middle.

    A ratio of pixels that the container states holds for all frames, as in players. Else each frame has that of the
    decoder at the packet from which the frame comes: decoders give frames later than they read packets. A message in
    the stream that turns a frame holds up to the next keyframe.
    """

    def __init__(self, stream: av.VideoStream, states_aspect: Callable[[], bool]) -> None:
        """Look at a stream that has not been decoded yet.

        Args:
            stream: The stream.
            states_aspect: Returns whether the container states the ratio; asked if the two ratios that are known agree.
        """
        shown, coded = stream.sample_aspect_ratio, stream.codec_context.sample_aspect_ratio
        self._is_fixed = bool(shown) and (shown != coded or (shown != 1 and states_aspect()))
        self._packets, self._ratios = [0], [shown]
        self._context, self._latest = stream.codec_context, coded
        self._matrix: np.ndarray | None = None

    def note(self, packet: int) -> None:
        """Look at the decoder after a packet of this number."""
        ratio = self._context.sample_aspect_ratio
        if ratio != self._latest and not self._is_fixed:
            self._latest = ratio
            self._packets.append(packet)
            self._ratios.append(ratio)

    def of(self, frame: av.VideoFrame, packet: int | None) -> Display:
        """Return how a frame is shown that comes from a packet; None: from the last one. Frames come in their order."""
        place = len(self._packets) if packet is None else bisect.bisect_right(self._packets, packet)
        matrix = _matrix(frame)
        if matrix is not None or frame.key_frame:
            self._matrix = matrix
        return Display(float(self._ratios[place - 1] or 1), self._matrix)
