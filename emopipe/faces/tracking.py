"""Linking the faces in a clip's sampled frames into tracks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from emopipe.faces.detection import Detections

MAX_MISSED = 4
"""A track continues after at most this many sampled frames without its face."""
MAX_DISTANCE = 1.0
"""The largest distance of a face from its expected position, as a multiple of its own size."""
MAX_SIZE_CHANGE = 2.0
"""The largest factor by which a face may grow or shrink."""
SAME_FACE = 0.85
"""The least likeness of two tracks that are one face; see `join`."""
FOUND = ("box", "landmarks", "score")
"""What a track has of each of its detections."""
FORBIDDEN = 1e6
"""The cost of a forbidden pair of a track and a detection."""


@dataclass(frozen=True, eq=False)
class Track:
    """One face in a clip: n >= 1 detections in order of time."""

    frame: np.ndarray
    """(n,) int32, increasing: the sampled frames in which the face was found."""
    row: np.ndarray
    """(n,) int32: the row of the face in each frame's detections."""
    box: np.ndarray
    """(n, 4) float32: its boxes, x1, y1, x2, y2 in pixels."""
    landmarks: np.ndarray
    """(n, 5, 2) float32, in the order of `Detections.landmarks`."""
    score: np.ndarray
    """(n,) float32: the detector's scores."""


def link(detections: Sequence[Detections], times: np.ndarray) -> list[Track]:
    """Link the detections of a clip's frames into tracks; each detection is in exactly one.

    In each frame, tracks and detections are paired with the least sum of costs (Hungarian method). The cost of a pair
    is 1 - IoU plus the distance of the centres divided by the face's size. Both are computed for the face's last
    position and for the position that its last motion predicts, and the better one counts: sampled frames are far
    apart in time, so faces move far between them, and only their motion distinguishes two faces that cross. Pairs
    beyond MAX_DISTANCE or MAX_SIZE_CHANGE are never made. Identity is not compared: after a cut, a face in the same
    place continues the track.

    Args:
        detections: Those of each of the T sampled frames.
        times: (T,) seconds, increasing.

    Returns:
        The tracks, in order of their first detection.
    """
    growing: list[list[tuple[int, int]]] = []
    for t, found in enumerate(detections):
        alive = [i for i, track in enumerate(growing) if t - track[-1][0] <= MAX_MISSED + 1]
        cost = np.full((len(alive), len(found)), FORBIDDEN)
        for k, i in enumerate(alive):
            cost[k] = _costs(growing[i], detections, times, t)
        matched = set()
        for k, j in _assigned(cost):
            if cost[k, j] < FORBIDDEN:
                growing[alive[k]].append((t, int(j)))
                matched.add(int(j))
        growing += [[(t, j)] for j in range(len(found)) if j not in matched]
    tracks = []
    for track in growing:
        frame, row = np.array(track, np.int32).T
        columns = (np.stack([getattr(detections[t], name)[j] for t, j in track]) for name in FOUND)
        tracks.append(Track(frame, row, *columns))
    return tracks


def join(tracks: Sequence[Track], alike: Callable[[int, int], float]) -> list[list[int]]:
    """Say which tracks are one face that left for longer than MAX_MISSED frames and returned.

    A track continues the earlier face that it is most alike, if that face is gone before it begins and the likeness is
    at least SAME_FACE.

    Args:
        tracks: In order of their first detection.
        alike: Two tracks -> the likeness of their faces, up to 1.

    Returns:
        The tracks of each face, in order of time; the faces in order of their first detection.
    """
    faces: list[list[int]] = []
    for i, track in enumerate(tracks):
        gone = [face for face in faces if tracks[face[-1]].frame[-1] < track.frame[0]]
        near = [max(alike(k, i) for k in face) for face in gone]
        if near and max(near) >= SAME_FACE:
            gone[near.index(max(near))].append(i)
        else:
            faces.append([i])
    return faces


def joined(parts: Sequence[Track]) -> Track:
    """Return the parts of one face, in order of time, as one track."""
    return Track(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("frame", "row", *FOUND)))


def _costs(track: list[tuple[int, int]], detections: Sequence[Detections], times: np.ndarray, t: int) -> np.ndarray:
    """Return the cost (N,) of continuing a track with each detection of frame t."""
    box = detections[t].box
    last = detections[track[-1][0]].box[track[-1][1]]
    expected = [last, last + _motion(track, detections, times, t)]
    size = np.sqrt(_area(box) * _area(last[None])) ** 0.5  # (N,) side of the mean face, in pixels
    distances = [np.linalg.norm(_center(box) - _center(one[None]), axis=1) for one in expected]
    distance = np.min(distances, axis=0) / size
    change = np.exp(np.abs(np.log(_area(box) / _area(last[None]))) / 2)
    cost = 1 - np.max([overlaps(box, one) for one in expected], axis=0) + distance
    return np.where((distance <= MAX_DISTANCE) & (change <= MAX_SIZE_CHANGE), cost, FORBIDDEN)


def _motion(track: list[tuple[int, int]], detections: Sequence[Detections], times: np.ndarray, t: int) -> np.ndarray:
    """Return how far (4,) the track's box moves until frame t at its last speed; zeros for a single detection."""
    if len(track) < 2:
        return np.zeros(4)
    (before, i), (last, j) = track[-2:]
    step = _center(detections[last].box[[j]])[0] - _center(detections[before].box[[i]])[0]
    return np.tile(step * (times[t] - times[last]) / max(times[last] - times[before], 1e-6), 2)


def _assigned(cost: np.ndarray) -> list[tuple[int, int]]:
    """Return the pairs of a row and a column whose costs (N, M) have the lowest sum."""
    if not cost.size:
        return []
    if len(cost) == 1:
        return [(0, int(cost[0].argmin()))]
    from scipy.optimize import linear_sum_assignment  # slow to import; clips with one face do not need it

    return [(int(k), int(j)) for k, j in zip(*linear_sum_assignment(cost), strict=True)]


def _center(box: np.ndarray) -> np.ndarray:
    """Return the centres (N, 2) of boxes (N, 4)."""
    return (box[:, :2] + box[:, 2:]) / 2


def _area(box: np.ndarray) -> np.ndarray:
    """Return the areas (N,) of boxes (N, 4)."""
    return np.prod(box[:, 2:] - box[:, :2], axis=1)


def overlaps(box: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the intersection over union (N,) of boxes (N, 4) with one box (4,)."""
    sides = np.minimum(box[:, 2:], other[2:]) - np.maximum(box[:, :2], other[:2])
    shared = np.prod(np.clip(sides, 0, None), axis=1)
    return shared / (_area(box) + _area(other[None]) - shared)
