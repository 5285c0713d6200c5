"""The geometry of a head: curves and points in pixels of the head's own canvas."""

from dataclasses import dataclass

import numpy as np

from emopipe.demo.expression import Units
from emopipe.demo.identity import Identity

WIDTH, HEIGHT = 344, 448
CENTER_X, EYES_Y = 172.0, 200.0
HALF_IOD = 42.0
"""Half of the distance between the eyes. Frames show the head at a smaller scale."""

U = np.linspace(-1, 1, 25)
"""The parameter of curves, from the viewer's left to right."""


@dataclass(frozen=True)
class Eye:
    """An eye: its lids as curves (25, 2), its iris, and its side of the nose (-1 is left)."""

    side: int
    center: tuple[float, float]
    upper: np.ndarray
    lower: np.ndarray
    iris: tuple[float, float]
    radius: float


@dataclass(frozen=True)
class Mouth:
    """The lips as curves (25, 2) from corner to corner."""

    upper_outer: np.ndarray
    upper_inner: np.ndarray
    lower_inner: np.ndarray
    lower_outer: np.ndarray


@dataclass(frozen=True)
class Geometry:
    """All curves at one moment."""

    eyes: tuple[Eye, Eye]
    brows: tuple[np.ndarray, np.ndarray]
    mouth: Mouth
    nose: tuple[float, float]

    def landmarks(self) -> np.ndarray:
        """Return left eye, right eye, nose tip, left and right mouth corner from the viewer's side: (5, 2) pixels."""
        corners = self.mouth.upper_outer[[0, -1]]
        return np.array([self.eyes[0].center, self.eyes[1].center, self.nose, *corners])


def geometry(person: Identity, units: Units) -> Geometry:
    """Return the curves of a face with an expression."""
    return Geometry(
        eyes=(_eye(person, units, -1), _eye(person, units, 1)),
        brows=(_brow(person, units, -1), _brow(person, units, 1)),
        mouth=_mouth(person, units),
        nose=(CENTER_X, EYES_Y + 48 * person.nose - 2 * units.nose_wrinkle),
    )


def outline(person: Identity, jaw: float) -> np.ndarray:
    """Return the edge of the face: (120, 2), clockwise from the viewer's right; an open jaw moves the chin down."""
    angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    x, y = np.cos(angle), np.sin(angle)
    below = y > 0
    # A superellipse below the eyes: its exponent gives how square the jaw is.
    squareness = np.where(below, 2 / person.jaw, 1.0)
    half_width = 93 * person.width
    height = np.where(below, (138 + 13 * jaw) * person.height, 138.0)
    shape = np.sign(x) * np.abs(x) ** squareness * half_width, np.sign(y) * np.abs(y) ** squareness * height
    return np.stack([CENTER_X + shape[0], EYES_Y + shape[1]], axis=1)


def _eye(person: Identity, units: Units, side: int) -> Eye:
    half = 20.5 * person.eye
    x, y = CENTER_X + side * HALF_IOD * person.spacing, EYES_Y
    opening = 1 + 0.55 * units.lid_raise - 0.4 * units.lid_tight - 0.5 * units.lid_droop - 0.2 * units.cheek
    up = 8.5 * person.eye * max(opening, 0.12)
    down = 5.5 * person.eye * max(1 - 0.5 * units.cheek - 0.35 * units.lid_tight, 0.2)
    tilt = -1.5 * side * U  # the outer corner sits a little higher
    upper = np.stack([x + half * U, y + tilt - up * (1 - np.abs(U) ** 2.4)], axis=1)
    lower = np.stack([x + half * U, y + tilt + down * (1 - np.abs(U) ** 2.0)], axis=1)
    iris = (x + 5 * units.gaze_side, y - 0.12 * up + 4.5 * units.gaze_down)
    return Eye(side, (x, y), upper, lower, iris, 8.3 * person.eye)


def _brow(person: Identity, units: Units, side: int) -> np.ndarray:
    """Return the middle line of a brow: (25, 2) from the inner to the outer end."""
    low = person.resting_brow + 8.5 * units.brow_lower + 3 * units.nose_wrinkle
    inner = (17 - 5 * units.brow_lower, -22 + low - 13 * units.inner_brow)
    middle = (40, -31 + 0.75 * low - 7 * units.inner_brow - 8 * units.outer_brow)
    outer = (67, -19 + 0.4 * low - 10 * units.outer_brow)
    t = (U + 1) / 2
    weights = np.stack([(1 - t) ** 2, 2 * t * (1 - t), t**2], axis=1)
    points = weights @ np.array([inner, middle, outer])
    return points * [side, 1] + [CENTER_X, EYES_Y]


def _mouth(person: Identity, units: Units) -> Mouth:
    wide = 1 + 0.28 * units.corner_up + 0.2 * units.stretch - 0.1 * units.press - 0.2 * units.jaw
    half = 34 * person.mouth * wide
    y = EYES_Y + 84 * person.height - 3 * units.chin - 2 * units.upper_lip
    corner = person.resting_corner - 11 * units.corner_up + 10 * units.corner_down + 3 * units.stretch
    corner += 8 * units.jaw
    bend = corner * np.abs(U) ** 1.8
    gap = 1 - np.abs(U) ** 2.2
    raised = (6 * units.upper_lip + 2.5 * units.part) * gap
    dropped = (5 * units.part + 27 * units.jaw) * gap
    thin = (1 - 0.55 * min(units.press, 1)) * person.lips
    bow = 1 - 0.18 * np.exp(-((U / 0.16) ** 2))  # Cupid's bow
    upper = 9 * thin * (1 - 0.25 * units.upper_lip) * bow * (1 - U**2) ** 0.75
    lower = 12 * thin * (1 - U**2) ** 0.7
    x = CENTER_X + half * U

    def curve(offset: np.ndarray) -> np.ndarray:
        return np.stack([x, y + bend + offset], axis=1)

    return Mouth(curve(-raised - upper), curve(-raised), curve(dropped), curve(dropped + lower))
