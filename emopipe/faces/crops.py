"""A clip's cached crops, cut to what a network takes in."""

import numpy as np

from emopipe.backbones.base import FaceInput
from emopipe.faces.alignment import derive
from emopipe.media import decode_jpegs
from emopipe.store import Reader


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
    cut = [derive(crop, margin * geometry.side_units, side, geometry.down) for crop in crops]
    return np.stack(cut) if cut else np.empty((0, side, side, 3), np.uint8)
