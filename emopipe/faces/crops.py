"""The aligned face that a network takes as input, and a clip's cached crops in this form."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from emopipe.cache.clip_rows import ClipRows
from emopipe.faces.alignment import derive
from emopipe.media.decoded import decode_jpegs

Colour = Literal["rgb", "bgr", "gray"]

_GRAY_FROM_BGR = np.array([0.114, 0.587, 0.299], np.float32)  # ITU-R BT.601, the weights of OpenCV and Pillow


@dataclass(frozen=True)
class FaceInput:
    """The aligned square that a face network takes as input.

    `emopipe.faces.alignment.derive` crops it (crop_units, size, center_offset_y) from the canonical crop. Channels and
    normalisation are applied here, so that training and inference cannot differ in them.
    """

    crop_units: float
    """Side of the square in ArcFace's template units: 112.0 for its own crop, 145.6 for 30 % more."""
    size: int
    """Side of the square in pixels."""
    colour: Colour
    """Order of the channels, or one grey channel."""
    mean: tuple[float, ...]
    """Subtracted from each channel, whose values are 0 to 255."""
    std: tuple[float, ...]
    """Each channel is divided by it, after the mean is subtracted."""
    center_offset_y: float = 0.0
    """How many template units the centre of the square is below that of ArcFace's template."""

    def __post_init__(self) -> None:
        """Refuse means and deviations that do not fit the channels."""
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError(
                f"mean has {len(self.mean)} and std {len(self.std)} values, but colour '{self.colour}' has "
                f"{self.channels} channels. Give one value for each channel"
            )
        if min(self.std) <= 0:
            raise ValueError(f"std is {self.std}. Each value must be positive")

    @property
    def channels(self) -> int:
        """1 for grey, else 3."""
        return 1 if self.colour == "gray" else 3

    def prepare(self, crops: np.ndarray) -> np.ndarray:
        """Return crops as the network takes them: with its channels, normalised.

        Args:
            crops: (N, size, size, 3) uint8, BGR, N may be 0.

        Returns:
            (N, channels, size, size) float32, contiguous.

        Raises:
            ValueError: The crops have another shape or type.
        """
        expected = (self.size, self.size, 3)
        if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != expected:
            raise ValueError(
                f"The crops have the shape {crops.shape} and the type {crops.dtype}. Expected (N, {self.size}, "
                f"{self.size}, 3) uint8 in BGR, as from emopipe.faces.alignment.derive."
            )
        pixels = self.convert_channels(crops).reshape(*crops.shape[:3], self.channels)  # (N, size, size, channels)
        scaled = (pixels.astype(np.float32) - np.float32(self.mean)) / np.float32(self.std)
        return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))  # (N, channels, size, size)

    def convert_channels(self, crops: np.ndarray) -> np.ndarray:
        """Return crops (N, side, side, 3) uint8 BGR with the network's channels, uint8; (N, side, side) for grey."""
        if self.colour == "gray":
            return np.rint(crops.astype(np.float32) @ _GRAY_FROM_BGR).astype(np.uint8)
        return crops if self.colour == "bgr" else np.ascontiguousarray(crops[..., ::-1])


def read_crops(faces: ClipRows, clip: str, geometry: FaceInput, *, margin: float = 1.0) -> np.ndarray:
    """Return the crops of a clip's main face, one for each frame in which it was found.

    Args:
        faces: A shard of the faces stage.
        clip: The clip's id.
        geometry: The network's input.
        margin: The side of the crops as a multiple of the network's; more than 1 leaves room for augmentation.

    Returns:
        (N, side, side, 3) uint8 BGR, with side = round(margin * geometry.size).

    Raises:
        ValueError: A crop cannot be decoded.
        DamagedCacheError: The file does not hold what was written.
    """
    side = round(margin * geometry.size)
    crops = decode_jpegs(faces.field(clip, "crop"), faces.field(clip, "crop_size"))
    cut = [derive(crop, margin * geometry.crop_units, side, geometry.center_offset_y) for crop in crops]
    return np.stack(cut) if cut else np.empty((0, side, side, 3), np.uint8)
