"""Which of a clip's faces is the main one: a score of its length, size, place, sharpness, view and motion.

The score of a face is a weighted sum of six terms in 0..1 (`WEIGHTS`), times a factor for motion. The factor falls to
`STILL` for a face that does not move, such as a portrait on the wall, while another face does. Motion is a factor and
not a term, because a print may be better in every other respect.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emopipe.faces.looks import Look
from emopipe.faces.tracking import Track

WEIGHTS = {"length": 0.30, "size": 0.20, "centrality": 0.15, "view": 0.15, "sharpness": 0.15, "detector": 0.05}
"""The share of each term in the score; their sum is 1."""
STILL = 0.5
"""The factor of a face that does not move at all while another one does."""
ENOUGH = 0.25
"""A living face makes still ones lose all that they can lose if it is in this share of the frames."""
CHANGE_OF_PRINT, CHANGE_OF_FACE = 0.05, 0.10
"""Changes (`Look.change`) up to the first are those of a print; from the second on, they are those of a living face."""
UNKNOWN_MOTION = 0.5
"""The motion of a face that is seen too rarely to know it."""
SMALLEST = 8.0
"""The term of size is 0 for a face whose side is this many times smaller than that of the largest face."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """The scores of a clip's k >= 1 faces, in the order of the tracks."""

    terms: dict[str, np.ndarray]
    """Each term of `WEIGHTS`, and `motion` -> (k,) in 0..1."""
    score: np.ndarray
    """(k,) in 0..1, rounded to 0.001."""
    order: np.ndarray
    """(k,) int: the tracks from the best score to the worst; of equal ones, the one that begins first is first."""


def rank(tracks: Sequence[Track], looks: Sequence[Look], frame_size: tuple[int, int]) -> Ranking:
    """Rank a clip's faces by how likely each is the main one.

    The terms are:

    - length: in how many of the frames that show any face this one was found.
    - size: 1 for the largest face, falling with the logarithm of the box's side to 0 at an eighth of it. Only what is
      within the frame counts.
    - centrality: 1 at the centre of the frame, 0 at its corners.
    - view: the share of the box within the frame, times 1 for a face seen from the front, falling to 0 for a profile.
    - sharpness and detector (its score): relative to the best face.

    Args:
        tracks: k >= 1 faces.
        looks: How each looks.
        frame_size: Width and height in pixels.

    Returns:
        The ranking. Equal inputs give equal rankings.
    """
    size = np.array(frame_size, np.float64)
    n_frames = len(np.unique(np.concatenate([track.frame for track in tracks])))
    inside = [_inside(track.box, size) for track in tracks]
    side = np.array([np.median(np.sqrt(area)) for area in inside])
    whole = [area / np.maximum(_area(track.box), 1e-6) for area, track in zip(inside, tracks, strict=True)]
    terms = {
        "length": np.array([len(track.frame) / n_frames for track in tracks]),
        "size": np.clip(1 + np.log(np.maximum(_relative(side), 1e-6)) / np.log(SMALLEST), 0, 1),
        "centrality": np.array([np.mean(_centrality(track.box, size)) for track in tracks]),
        "view": np.array([np.mean(w * _frontality(t.landmarks)) for w, t in zip(whole, tracks, strict=True)]),
        "sharpness": _relative(np.array([np.median(look.sharpness) for look in looks])),
        "detector": _relative(np.array([np.mean(track.score) for track in tracks])),
        "motion": np.array([_motion(look.change) for look in looks]),
    }
    total = np.sum([weight * terms[name] for name, weight in WEIGHTS.items()], axis=0)
    known = np.array([len(look.change) > 0 for look in looks])
    living = known * terms["motion"] * np.minimum(1, terms["length"] / ENOUGH)
    another = np.array([np.delete(living, i).max(initial=0) for i in range(len(tracks))])  # whether another face lives
    score = np.round(total * (1 - (1 - STILL) * (1 - terms["motion"]) * another), 3)
    return Ranking(terms, score, np.argsort(-score, kind="stable"))


def _motion(change: np.ndarray) -> float:
    """Return 0 for a print to 1 for a living face: its change, which a quarter of the frames exceed."""
    if not len(change):
        return UNKNOWN_MOTION
    upper = float(np.quantile(change, 0.75))
    return float(np.clip((upper - CHANGE_OF_PRINT) / (CHANGE_OF_FACE - CHANGE_OF_PRINT), 0, 1))


def _relative(values: np.ndarray) -> np.ndarray:
    """Return values (k,) divided by the largest one; ones if it is 0."""
    return values / values.max() if values.max() > 0 else np.ones_like(values)


def _area(box: np.ndarray) -> np.ndarray:
    """Return the areas (n,) of boxes (n, 4)."""
    return np.prod(box[:, 2:] - box[:, :2], axis=1, dtype=np.float64)


def _inside(box: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return how much (n,) of the area of boxes (n, 4) is within the frame."""
    corners = np.clip(box.reshape(-1, 2, 2), 0, size)
    return _area(corners.reshape(-1, 4))


def _centrality(box: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return (n,) 1 for boxes (n, 4) at the centre of the frame, falling to 0 at its corners."""
    off_center = np.linalg.norm((box[:, :2] + box[:, 2:]) / 2 - size / 2, axis=1) / np.linalg.norm(size / 2)
    return np.clip(1 - off_center, 0, None)


def _frontality(landmarks: np.ndarray) -> np.ndarray:
    """Return (n,) 1 if the nose of landmarks (n, 5, 2) is midway between the eyes, falling to 0 if it is below one."""
    left, right, nose = landmarks[:, 0].astype(np.float64), landmarks[:, 1], landmarks[:, 2]
    along = right - left
    place = np.sum((nose - left) * along, axis=1) / np.maximum(np.sum(along**2, axis=1), 1e-6)  # 0 left, 1 right eye
    return np.clip(1 - np.abs(2 * place - 1), 0, 1)
