"""Linking the faces found in a clip's sampled frames into tracks, and choosing the track of the main face."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from emopipe.faces.detection import Detections

MOST_MISSED = 4
"""A face may be lost for this many sampled frames and be taken up again."""
FARTHEST = 1.0
"""A face may have moved by this many times its own size, beyond what its motion foretells."""
LARGEST_CHANGE = 2.0
"""A face may have grown or shrunk by this factor."""
FORBIDDEN = 1e6


@dataclass(frozen=True, eq=False)
class Track:
    """One face through a clip: n >= 1 detections in order of time."""

    frame: np.ndarray
    """(n,) int32, increasing: the sampled frames in which the face was found."""
    row: np.ndarray
    """(n,) int32: which of that frame's detections it is."""
    box: np.ndarray
    """(n, 4) float32: its boxes there, x1, y1, x2, y2 in pixels."""


def link(detections: Sequence[Detections], times: np.ndarray) -> list[Track]:
    """Link the detections of a clip's frames into tracks; each detection is in exactly one.

    Frame by frame, tracks and detections are paired so that the sum of costs is least (Hungarian method).
    A pair costs 1 - IoU plus the distance of the centres over the face's size, taken where the face was
    last seen or where its last motion would have brought it, whichever is less: frames are sampled
    sparsely, so faces move far in between, and two that cross each other are told apart by their motion
    alone. Pairs beyond FARTHEST or LARGEST_CHANGE are never made. Nothing looks at who a face is: after a
    cut, a face in the same place carries on the track.

    Args:
        detections: those of each of the T sampled frames.
        times: (T,) seconds, increasing.

    Returns:
        The tracks, in order of their first detection.
    """
    growing: list[list[tuple[int, int]]] = []
    for t, found in enumerate(detections):
        alive = [i for i, track in enumerate(growing) if t - track[-1][0] <= MOST_MISSED + 1]
        cost = np.full((len(alive), len(found)), FORBIDDEN)
        for k, i in enumerate(alive):
            cost[k] = _costs(growing[i], detections, times, t)
        matched = set()
        for k, j in zip(*linear_sum_assignment(cost), strict=True):
            if cost[k, j] < FORBIDDEN:
                growing[alive[k]].append((t, int(j)))
                matched.add(int(j))
        growing += [[(t, j)] for j in range(len(found)) if j not in matched]
    return [_finished(track, detections) for track in growing]


def main_track(tracks: Sequence[Track], frame_size: tuple[int, int]) -> int:
    """Which track is the clip's main face.

    The rule: the track found in the most sampled frames; among equally long ones, the one with the largest
    mean of area times centrality, where area is the box's share of the frame and centrality falls from 1
    at the frame's centre to 0 at its corners; among equal ones still, the first.

    Args:
        tracks: at least one.
        frame_size: width and height in pixels.

    Returns:
        An index into `tracks`.
    """
    ranks = [(len(track.frame), _prominence(track.box, frame_size)) for track in tracks]
    return ranks.index(max(ranks))


def _costs(track: list[tuple[int, int]], detections: Sequence[Detections], times: np.ndarray, t: int) -> np.ndarray:
    """(N,) cost of taking each of frame t's detections for the track's next one."""
    box = detections[t].box
    last = detections[track[-1][0]].box[track[-1][1]]
    places = [last, last + _motion(track, detections, times, t)]
    size = np.sqrt(_area(box) * _area(last[None])) ** 0.5  # (N,) side of the mean face, in pixels
    apart = [np.linalg.norm(_centre(box) - _centre(place[None]), axis=1) for place in places]
    distance = np.min(apart, axis=0) / size
    change = np.exp(np.abs(np.log(_area(box) / _area(last[None]))) / 2)
    cost = 1 - np.max([_iou(box, place) for place in places], axis=0) + distance
    return np.where((distance <= FARTHEST) & (change <= LARGEST_CHANGE), cost, FORBIDDEN)


def _motion(track: list[tuple[int, int]], detections: Sequence[Detections], times: np.ndarray, t: int) -> np.ndarray:
    """(4,) how far the track's box would have moved by frame t at its last speed; zeros if it has none."""
    if len(track) < 2:
        return np.zeros(4)
    (before, i), (last, j) = track[-2:]
    step = _centre(detections[last].box[[j]])[0] - _centre(detections[before].box[[i]])[0]
    return np.tile(step * (times[t] - times[last]) / max(times[last] - times[before], 1e-6), 2)


def _finished(track: list[tuple[int, int]], detections: Sequence[Detections]) -> Track:
    frame, row = np.array(track, np.int32).T
    return Track(frame, row, np.stack([detections[t].box[j] for t, j in track]))


def _prominence(box: np.ndarray, frame_size: tuple[int, int]) -> float:
    """The mean over (n, 4) boxes of their share of the frame times their centrality."""
    size = np.array(frame_size, np.float64)
    off_centre = np.linalg.norm(_centre(box) - size / 2, axis=1) / np.linalg.norm(size / 2)
    return float(np.mean(_area(box) / size.prod() * np.clip(1 - off_centre, 0, None)))


def _centre(box: np.ndarray) -> np.ndarray:
    """(N, 2) centres of (N, 4) boxes."""
    return (box[:, :2] + box[:, 2:]) / 2


def _area(box: np.ndarray) -> np.ndarray:
    """(N,) areas of (N, 4) boxes."""
    return np.prod(box[:, 2:] - box[:, :2], axis=1)


def _iou(box: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(N,) shared area of (N, 4) boxes with one (4,) box, over their union's."""
    sides = np.minimum(box[:, 2:], other[2:]) - np.maximum(box[:, :2], other[:2])
    shared = np.prod(np.clip(sides, 0, None), axis=1)
    return shared / (_area(box) + _area(other[None]) - shared)
