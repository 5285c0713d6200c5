"""The faces of one clip: every detection, and the main face's crops."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from emopipe.cache.status import reason
from emopipe.faces.alignment import canonical_crop
from emopipe.faces.detection import Detections
from emopipe.faces.tracking import Track, link, main_track


@dataclass(frozen=True, eq=False)
class ClipFaces:
    """The main face in each of a clip's T sampled frames, and all M faces found in any; in pixels."""

    mask: np.ndarray
    """(T,) bool: the main face was found."""
    box: np.ndarray
    """(T, 4) float32 x1, y1, x2, y2; NaN where it was not found."""
    landmarks: np.ndarray
    """(T, 5, 2) float32, in the order of `Detections.landmarks`; NaN where it was not found."""
    score: np.ndarray
    """(T,) float32; NaN where it was not found."""
    track: np.ndarray
    """(T,) int32: the main track's id; -1 where it was not found."""
    crops: list[np.ndarray]
    """One (256, 256, 3) uint8 BGR canonical crop for each frame with the main face, in order."""
    n_tracks: int
    """How many faces were followed through the clip."""
    all_frame: np.ndarray
    """(M,) int32, not decreasing: the sampled frame of each detection."""
    all_box: np.ndarray
    """(M, 4) float32."""
    all_landmarks: np.ndarray
    """(M, 5, 2) float32."""
    all_score: np.ndarray
    """(M,) float32."""
    all_track: np.ndarray
    """(M,) int32: the track of each detection."""

    @property
    def note(self) -> str:
        """What the ledger should say of the choice of face; empty where there was none to make."""
        return reason("several_faces", tracks=self.n_tracks) if self.n_tracks > 1 else ""


def find_faces(
    frames: Sequence[np.ndarray], times: np.ndarray, detect: Callable[[np.ndarray], Detections]
) -> ClipFaces:
    """Detect, link and align the faces of one clip.

    Args:
        frames: T sampled frames, (H, W, 3) uint8 BGR, of one size.
        times: (T,) seconds, increasing.
        detect: a detector.

    Returns:
        The clip's faces; a clip without any has an empty mask, which is no error.
    """
    return assemble(frames, times, [detect(frame) for frame in frames])


def assemble(frames: Sequence[np.ndarray], times: np.ndarray, detections: Sequence[Detections]) -> ClipFaces:
    """Link and align faces that were detected before, frame by frame and in any order.

    Args:
        frames: T sampled frames, (H, W, 3) uint8 BGR, of one size.
        times: (T,) seconds, increasing.
        detections: those of each frame.

    Raises:
        ValueError: frames, times and detections are not equally many.
    """
    if not len(frames) == len(times) == len(detections):
        raise ValueError(
            f"A clip's frames, times and detections must be equally many, "
            f"not {len(frames)}, {len(times)} and {len(detections)}."
        )
    tracks = link(detections, times)
    main = main_track(tracks, (frames[0].shape[1], frames[0].shape[0])) if tracks else -1
    counts = [len(found) for found in detections]
    start = np.concatenate([[0], np.cumsum(counts)]).astype(int)  # frame t's rows begin at start[t]
    all_box, all_landmarks, all_score = _flat(detections)
    all_track = _track_of_each(tracks, start)
    picked = np.flatnonzero(all_track == main)
    all_frame = np.repeat(np.arange(len(frames), dtype=np.int32), counts)
    seen = all_frame[picked]
    return ClipFaces(
        mask=np.isin(np.arange(len(frames)), seen),
        box=_spread(all_box[picked], seen, len(frames)),
        landmarks=_spread(all_landmarks[picked], seen, len(frames)),
        score=_spread(all_score[picked], seen, len(frames)),
        track=np.where(np.isin(np.arange(len(frames)), seen), main, -1).astype(np.int32),
        crops=[canonical_crop(frames[t], all_landmarks[i]) for t, i in zip(seen, picked, strict=True)],
        n_tracks=len(tracks),
        all_frame=all_frame,
        all_box=all_box,
        all_landmarks=all_landmarks,
        all_score=all_score,
        all_track=all_track,
    )


def _flat(detections: Sequence[Detections]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All boxes (M, 4), landmarks (M, 5, 2) and scores (M,), frame after frame."""
    return (
        np.concatenate([np.zeros((0, 4), np.float32), *(found.box for found in detections)]),
        np.concatenate([np.zeros((0, 5, 2), np.float32), *(found.landmarks for found in detections)]),
        np.concatenate([np.zeros(0, np.float32), *(found.score for found in detections)]),
    )


def _track_of_each(tracks: Sequence[Track], start: np.ndarray) -> np.ndarray:
    """(M,) int32: the track of each detection, where frame t's detections begin at row start[t]."""
    track_of = np.full(start[-1], -1, np.int32)
    for i, track in enumerate(tracks):
        track_of[start[track.frame] + track.row] = i
    return track_of


def _spread(values: np.ndarray, frame: np.ndarray, n_frames: int) -> np.ndarray:
    """(T, ...) the values (n, ...) at their frames, NaN elsewhere."""
    out = np.full((n_frames, *values.shape[1:]), np.nan, np.float32)
    out[frame] = values
    return out
