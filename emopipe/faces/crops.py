"""The aligned face that a network takes in, and a clip's cached crops, cut to it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from emopipe.cache.store import Reader
from emopipe.faces.alignment import derive
from emopipe.media.decoded import decode_jpegs

Colour = Literal["rgb", "bgr", "gray"]

_GRAY_FROM_BGR = np.array([0.114, 0.587, 0.299], np.float32)  # ITU-R BT.601, as OpenCV and Pillow weigh them


@dataclass(frozen=True)
class FaceInput:
    """The aligned square that a face network takes in.

    The geometry (crop_units, size) is cut from the canonical crop by `emopipe.faces.alignment.derive`;
    colour and normalisation are done here, so training and use cannot differ in them.
    """

    crop_units: float
    """Side of the square in ArcFace's template units: 112.0 for its own crop, 145.6 for 30 % more."""
    size: int
    """Side of the square in pixels."""
    colour: Colour
    """Order of the channels, or one grey channel."""
    mean: tuple[float, ...]
    """Subtracted per channel, of values 0 to 255."""
    std: tuple[float, ...]
    """Divided by per channel, of values 0 to 255."""
    center_offset_y: float = 0.0
    """How far the square's centre lies below that of ArcFace's template, in its units."""

    def __post_init__(self) -> None:
        """Refuse means and deviations that do not fit the channels."""
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError(
                f"mean has {len(self.mean)} and std {len(self.std)} values, but colour '{self.colour}' has "
                f"{self.channels} channels; give one value a channel."
            )
        if min(self.std) <= 0:
            raise ValueError(f"std is {self.std}; every value has to be positive.")

    @property
    def channels(self) -> int:
        """1 for grey, else 3."""
        return 1 if self.colour == "gray" else 3

    def prepare(self, crops: np.ndarray) -> np.ndarray:
        """Colour and normalisation.

        Args:
            crops: (N, size, size, 3) uint8, BGR, N may be 0.

        Returns:
            (N, channels, size, size) float32, contiguous.

        Raises:
            ValueError: The crops are of another shape or type.
        """
        expected = (self.size, self.size, 3)
        if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != expected:
            raise ValueError(
                f"Crops of shape {crops.shape} and type {crops.dtype} were given; expected (N, {self.size}, "
                f"{self.size}, 3) uint8 in BGR, as emopipe.faces.alignment.derive cuts them."
            )
        pixels = self.colours(crops).reshape(*crops.shape[:3], self.channels)  # (N, size, size, channels)
        scaled = (pixels.astype(np.float32) - np.float32(self.mean)) / np.float32(self.std)
        return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))  # (N, channels, size, size)

    def colours(self, crops: np.ndarray) -> np.ndarray:
        """Crops (N, side, side, 3) uint8 BGR in the network's colours, still uint8; (N, side, side) for grey."""
        if self.colour == "gray":
            return np.rint(crops.astype(np.float32) @ _GRAY_FROM_BGR).astype(np.uint8)
        return crops if self.colour == "bgr" else np.ascontiguousarray(crops[..., ::-1])


def read_crops(faces: Reader, clip: str, geometry: FaceInput, *, margin: float = 1.0) -> np.ndarray:
    """The main face of a clip as (N, side, side, 3) uint8 BGR, one for each frame in which it was found.

    Args:
        faces: A shard of the faces stage.
        clip: The clip's id.
        geometry: What the network takes in; side is `round(margin * geometry.size)`.
        margin: More than 1 keeps that much more around the face, as room for augmentation.
    """
    side = round(margin * geometry.size)
    crops = decode_jpegs(faces.field(clip, "crop"), faces.field(clip, "crop_size"))
    cut = [derive(crop, margin * geometry.crop_units, side, geometry.center_offset_y) for crop in crops]
    return np.stack(cut) if cut else np.empty((0, side, side, 3), np.uint8)
