"""Clips of the same frames, re-encoded, mirrored or cropped a little, by a cosine transform of small frames.

Clips of one scene look alike, though they are different. What differs is the movement. So two prints are compared: of
the mean picture, and of what each frame has beside that mean. Both have to agree.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from emopipe.corpora.audit.alike import Pairs, pairs_above, unit

FRAMES = 8
"""Frames of a clip that are compared, evenly spaced among the cached ones."""
SIDE = 32
"""Pixels of a side of a small frame."""
WAVES = 12
"""Waves of the cosine transform that are kept, in each direction."""
STILL = 0.5
"""Grey levels: a clip whose frames differ less from their mean, on average, has no movement to compare."""
MEAN_THRESHOLD, MOVEMENT_THRESHOLD = 0.93, 0.88
"""The least correlations of both prints; docs/audit.md has what was measured."""
CROPS = (0.0, 0.04, 0.08)
"""Shares of each side that are cut off a clip before it is compared with a whole other one, half at each edge."""


@dataclass(frozen=True)
class PicturePrint:
    """What is compared of the frames of a clip, for the whole frames and for those with less of their edges."""

    mean: np.ndarray
    """(C, W) float32: of the mean picture; C as CROPS."""
    movement: np.ndarray
    """(C, FRAMES, W) float32: of what each frame has beside the mean."""
    is_still: bool
    """Whether the frames do not differ."""


def places(count: int) -> list[int]:
    """Return which of `count` frames are compared: FRAMES places, evenly spaced; [] of none."""
    return np.round(np.linspace(0, count - 1, FRAMES)).astype(int).tolist() if count else []


def picture_print(grey: Sequence[np.ndarray]) -> PicturePrint | None:
    """Return what is compared of a clip's frames at its `places`, each (H, W) uint8; None if they show nothing."""
    if not len(grey):
        return None
    waves = np.stack([[_waves(_cropped(image, crop)) for image in grey] for crop in CROPS])  # (C, FRAMES, W)
    mean = waves.mean(1)
    movement = waves - mean[:, None]
    if np.linalg.norm(mean[0]) / SIDE < STILL:
        return None
    return PicturePrint(mean, movement, float(np.linalg.norm(movement[0], axis=1).mean()) / SIDE < STILL)


def same_pictures(prints: Sequence[PicturePrint | None], *, mirrored: bool = False) -> Pairs:
    """Return the pairs of clips with the same frames, or one with the mirror image of the other's.

    Args:
        prints: What `picture_print` gave for each clip.
        mirrored: Whether one of both is mirrored.
    """
    known = [number for number, found in enumerate(prints) if found is not None]
    if len(known) < 2:
        return {}
    sign = _mirror() if mirrored else np.ones(WAVES * WAVES - 1, np.float32)
    means = [unit(np.stack([prints[n].mean[crop] for n in known])) for crop in range(len(CROPS))]
    moves = [unit(np.stack([prints[n].movement[c].ravel() for n in known])) for c in range(len(CROPS))]
    still = np.array([prints[number].is_still for number in known])

    def compare(rows: slice) -> np.ndarray:
        best = np.full((rows.stop - rows.start, len(known)), -1, np.float32)
        for mean, move in zip(means, moves, strict=True):
            alike = (mean[rows] * sign) @ means[0].T
            moved = (move[rows] * np.tile(sign, FRAMES)) @ moves[0].T
            moved[still[rows][:, None] | still] = -1  # without movement, a clip is not told from another of its scene
            moved[alike < MEAN_THRESHOLD] = -1
            np.maximum(best, moved, out=best)
        return best

    found = pairs_above(len(known), compare, MOVEMENT_THRESHOLD)
    return {(known[a], known[b]): value for (a, b), value in found.items()}


def _cropped(image: np.ndarray, share: float) -> np.ndarray:
    down, across = (round(side * share / 2) for side in image.shape)
    return image[down : image.shape[0] - down, across : image.shape[1] - across]


def _waves(image: np.ndarray) -> np.ndarray:
    """Return the lowest waves of a grey image, (W,) float32, without the constant one."""
    small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    return cv2.dct(small)[:WAVES, :WAVES].ravel()[1:]


def _mirror() -> np.ndarray:
    """Return the factors (W,) that turn the waves of an image into those of its mirror image."""
    return np.tile((-1.0) ** np.arange(WAVES), WAVES)[1:].astype(np.float32)
