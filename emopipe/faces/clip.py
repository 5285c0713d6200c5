"""The faces of one clip: all detections, and the crops of the main face."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from emopipe.cache.status import reason
from emopipe.faces.alignment import canonical_crop
from emopipe.faces.detection import Detections
from emopipe.faces.looks import combined, likeness, measure
from emopipe.faces.main_face import Ranking, rank
from emopipe.faces.tracking import Track, join, joined, link


@dataclass(frozen=True, eq=False)
class ClipFaces:
    """The main face in each of a clip's T sampled frames, and all M detections in these; coordinates are pixels."""

    mask: np.ndarray
    """(T,) bool: whether the main face was found."""
    box: np.ndarray
    """(T, 4) float32 x1, y1, x2, y2; NaN if it was not found."""
    landmarks: np.ndarray
    """(T, 5, 2) float32, in the order of `Detections.landmarks`; NaN if it was not found."""
    score: np.ndarray
    """(T,) float32; NaN if it was not found."""
    track: np.ndarray
    """(T,) int32: the main track's id; -1 if it was not found."""
    crops: list[np.ndarray]
    """A canonical crop (256, 256, 3) uint8 BGR for each frame with the main face, in order."""
    n_tracks: int
    """How many face tracks the clip has."""
    ranking: Ranking | None
    """The scores of the tracks; None unless there are several."""
    all_frame: np.ndarray
    """(M,) int32, sorted: the sampled frame of each detection."""
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
        """The reason for the ledger if one of several faces was chosen; else empty."""
        if self.ranking is None:
            return ""
        best, next_best = self.ranking.order[:2].tolist()
        share, score = 100 * self.ranking.terms["length"], self.ranking.score
        return reason(
            "several_faces",
            tracks=self.n_tracks,
            share=round(share[best]),
            score=round(float(score[best]), 2),
            next_share=round(share[next_best]),
            next_score=round(float(score[next_best]), 2),
        )


def find_faces(
    frames: Sequence[np.ndarray], times: np.ndarray, detect: Callable[[np.ndarray], Detections]
) -> ClipFaces:
    """Detect, link and align the faces of one clip.

    Args:
        frames: T sampled frames, (H, W, 3) uint8 BGR, of one size.
        times: (T,) seconds, increasing.
        detect: A detector.

    Returns:
        The clip's faces. A clip without faces has an empty mask, which is not an error.
    """
    return assemble(frames, times, [detect(frame) for frame in frames])


def assemble(frames: Sequence[np.ndarray], times: np.ndarray, detections: Sequence[Detections]) -> ClipFaces:
    """Link and align faces that have been detected before.

    Args:
        frames: T sampled frames, (H, W, 3) uint8 BGR, of one size.
        times: (T,) seconds, increasing.
        detections: Those of each frame.

    Raises:
        ValueError: The numbers of frames, times and detections differ.
    """
    if not len(frames) == len(times) == len(detections):
        raise ValueError(
            f"A clip has {len(frames)} frames, {len(times)} times and {len(detections)} detections. Expected equal "
            "numbers."
        )
    # 1. Tracks, and the main one.
    tracks, ranking = _ranked(frames, link(detections, times))
    main = int(ranking.order[0]) if ranking else 0
    # 2. All M detections in one table, frame after frame; rows of frame t begin at start[t].
    counts = [len(found) for found in detections]
    start = np.concatenate([[0], np.cumsum(counts)]).astype(int)
    all_frame = np.repeat(np.arange(len(frames), dtype=np.int32), counts)
    all_box = np.concatenate([np.zeros((0, 4), np.float32), *(found.box for found in detections)])
    all_landmarks = np.concatenate([np.zeros((0, 5, 2), np.float32), *(found.landmarks for found in detections)])
    all_score = np.concatenate([np.zeros(0, np.float32), *(found.score for found in detections)])
    all_track = np.full(start[-1], -1, np.int32)
    for i, track in enumerate(tracks):
        all_track[start[track.frame] + track.row] = i
    # 3. The main face, at the frames in which it was found.
    picked = np.flatnonzero(all_track == main)
    seen = all_frame[picked]
    mask = np.isin(np.arange(len(frames)), seen)
    return ClipFaces(
        mask=mask,
        box=_at_frames(all_box[picked], seen, len(frames)),
        landmarks=_at_frames(all_landmarks[picked], seen, len(frames)),
        score=_at_frames(all_score[picked], seen, len(frames)),
        track=np.where(mask, main, -1).astype(np.int32),
        crops=[canonical_crop(frames[t], all_landmarks[i]) for t, i in zip(seen, picked, strict=True)],
        n_tracks=len(tracks),
        ranking=ranking,
        all_frame=all_frame,
        all_box=all_box,
        all_landmarks=all_landmarks,
        all_score=all_score,
        all_track=all_track,
    )


def _ranked(frames: Sequence[np.ndarray], tracks: list[Track]) -> tuple[list[Track], Ranking | None]:
    """Return the tracks, those of one face joined, and their ranking if there are several."""
    if len(tracks) < 2:
        return tracks, None
    looks = measure(frames, tracks)
    faces = join(tracks, lambda i, k: likeness(looks[i], looks[k]))
    if len(faces) < len(tracks):
        tracks = [joined([tracks[i] for i in face]) for face in faces]
        looks = [combined([looks[i] for i in face]) for face in faces]
    height, width = frames[0].shape[:2]
    return tracks, rank(tracks, looks, (width, height)) if len(tracks) > 1 else None


def _at_frames(values: np.ndarray, frame: np.ndarray, n_frames: int) -> np.ndarray:
    """Return (T, ...) with the values (n, ...) at their frames, and NaN elsewhere."""
    out = np.full((n_frames, *values.shape[1:]), np.nan, np.float32)
    out[frame] = values
    return out
