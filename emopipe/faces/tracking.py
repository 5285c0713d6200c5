"""Linking the faces in a clip's sampled frames into tracks, and choosing the track of the main face."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from emopipe.faces.detection import Detections

MAX_MISSED = 4
"""A track continues after at most this many sampled frames without its face."""
MAX_DISTANCE = 1.0
"""The largest distance of a face from its expected position, as a multiple of its own size."""
MAX_SIZE_CHANGE = 2.0
"""The largest factor by which a face may grow or shrink."""
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
        for k, j in zip(*linear_sum_assignment(cost), strict=True):
            if cost[k, j] < FORBIDDEN:
                growing[alive[k]].append((t, int(j)))
                matched.add(int(j))
        growing += [[(t, j)] for j in range(len(found)) if j not in matched]
    tracks = []
    for track in growing:
        frame, row = np.array(track, np.int32).T
        tracks.append(Track(frame, row, np.stack([detections[t].box[j] for t, j in track])))
    return tracks


def main_track(tracks: Sequence[Track], frame_size: tuple[int, int]) -> int:
    """Return the track of the clip's main face.

    It is the track with the most sampled frames. Of equally long ones, it is the one with the largest mean of area
    times centrality, where area is the box's share of the frame, and centrality falls from 1 at the centre of the
    frame to 0 at its corners. Of equal ones, it is the first.

    Args:
        tracks: At least one.
        frame_size: Width and height in pixels.

    Returns:
        An index into `tracks`.
    """
    size = np.array(frame_size, np.float64)
    ranks = []
    for track in tracks:
        off_center = np.linalg.norm(_center(track.box) - size / 2, axis=1) / np.linalg.norm(size / 2)
        prominence = float(np.mean(_area(track.box) / size.prod() * np.clip(1 - off_center, 0, None)))
        ranks.append((len(track.frame), prominence))
    return ranks.index(max(ranks))


def _costs(track: list[tuple[int, int]], detections: Sequence[Detections], times: np.ndarray, t: int) -> np.ndarray:
    """Return the cost (N,) of continuing a track with each detection of frame t."""
    box = detections[t].box
    last = detections[track[-1][0]].box[track[-1][1]]
    expected = [last, last + _motion(track, detections, times, t)]
    size = np.sqrt(_area(box) * _area(last[None])) ** 0.5  # (N,) side of the mean face, in pixels
    distances = [np.linalg.norm(_center(box) - _center(one[None]), axis=1) for one in expected]
    distance = np.min(distances, axis=0) / size
    change = np.exp(np.abs(np.log(_area(box) / _area(last[None]))) / 2)
    cost = 1 - np.max([_iou(box, one) for one in expected], axis=0) + distance
    return np.where((distance <= MAX_DISTANCE) & (change <= MAX_SIZE_CHANGE), cost, FORBIDDEN)


def _motion(track: list[tuple[int, int]], detections: Sequence[Detections], times: np.ndarray, t: int) -> np.ndarray:
    """Return how far (4,) the track's box moves until frame t at its last speed; zeros for a single detection."""
    if len(track) < 2:
        return np.zeros(4)
    (before, i), (last, j) = track[-2:]
    step = _center(detections[last].box[[j]])[0] - _center(detections[before].box[[i]])[0]
    return np.tile(step * (times[t] - times[last]) / max(times[last] - times[before], 1e-6), 2)


def _center(box: np.ndarray) -> np.ndarray:
    """Return the centres (N, 2) of boxes (N, 4)."""
    return (box[:, :2] + box[:, 2:]) / 2


def _area(box: np.ndarray) -> np.ndarray:
    """Return the areas (N,) of boxes (N, 4)."""
    return np.prod(box[:, 2:] - box[:, :2], axis=1)


def _iou(box: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the intersection over union (N,) of boxes (N, 4) with one box (4,)."""
    sides = np.minimum(box[:, 2:], other[2:]) - np.maximum(box[:, :2], other[:2])
    shared = np.prod(np.clip(sides, 0, None), axis=1)
    return shared / (_area(box) + _area(other[None]) - shared)
