"""Faces in some frames by detection, and in those between by interpolation, which takes a fraction of the time.

Two frames with some frames between them are compared. If each face of one has its place in the other, those between
are interpolated; if none of the two has a face, those between have none. In all other cases a face came, left or moved
far, and the frames between are searched as well.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from emopipe.faces.detection import Detections
from emopipe.faces.tracking import overlaps

SAME_PLACE = 0.5
"""The least intersection over union of the boxes of a face in two frames between which it is interpolated."""


def find_every(
    times: np.ndarray, every: int, detect: Callable[[Sequence[int]], Sequence[Detections]]
) -> list[Detections]:
    """Return the faces of T frames, of which every n-th and the last are searched, and others if faces change places.

    Args:
        times: (T,) seconds, increasing.
        every: n; 1 searches all frames.
        detect: Finds the faces of the frames with these numbers.
    """
    searched = sorted({*range(0, len(times), every), *range(len(times))[-1:]})
    found = dict(zip(searched, detect(searched), strict=True))
    missing: list[int] = []
    for first, last in pairwise(searched):
        between = range(first + 1, last)
        partner = _partners(found[first], found[last])
        if partner is None:
            missing += between
            continue
        for t in between:
            share = (times[t] - times[first]) / (times[last] - times[first])
            found[t] = _mixed(found[first], found[last], partner, share)
    found.update(zip(missing, detect(missing) if missing else (), strict=True))
    return [found[t] for t in range(len(times))]


def _partners(one: Detections, other: Detections) -> np.ndarray | None:
    """Return for each face of one frame (N,) the row in the other; None unless each has its place there."""
    if len(one) != len(other):
        return None
    if not len(one):
        return np.zeros(0, int)
    shared = np.stack([overlaps(other.box, box) for box in one.box])  # (N, N) intersection over union
    best = shared.argmax(1)
    is_one_to_one = (shared.argmax(0)[best] == np.arange(len(one))).all()
    return best if is_one_to_one and (shared.max(1) >= SAME_PLACE).all() else None


def _mixed(one: Detections, other: Detections, partner: np.ndarray, share: float) -> Detections:
    """Return the faces between two frames; `share` is 0 at the first and 1 at the other."""
    names = ("box", "landmarks", "score")
    mixed = [
        ((1 - share) * getattr(one, name) + share * getattr(other, name)[partner]).astype(np.float32) for name in names
    ]
    order = np.argsort(-mixed[2], kind="stable")
    return Detections(*(values[order] for values in mixed))
