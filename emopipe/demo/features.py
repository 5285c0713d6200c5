"""The features of a face: eyes, brows, mouth, nose, wrinkles, beard and glasses."""

import numpy as np

from emopipe.demo.brush import ellipse, fill, line, moved
from emopipe.demo.expression import Units
from emopipe.demo.geometry import CENTER_X, EYES_Y, Eye, Geometry, Mouth, U
from emopipe.demo.identity import Identity


def paint_features(image: np.ndarray, person: Identity, units: Units, shape: Geometry) -> None:
    """Paint all features on a shaded head (h, w, 3) in RGB, in place."""
    skin = np.array(person.skin)
    if person.beard:
        _paint_beard(image, person, shape.mouth)
    _paint_wrinkles(image, skin, units, shape)
    _paint_nose(image, skin, person, shape.nose)
    _paint_mouth(image, skin, shape.mouth)
    for eye in shape.eyes:
        _paint_eye(image, skin, person, eye)
    for brow in shape.brows:
        _paint_brow(image, person, brow)
    if person.glasses:
        _paint_glasses(image, shape)


def _paint_eye(image: np.ndarray, skin: np.ndarray, person: Identity, eye: Eye) -> None:
    opening = np.concatenate([eye.upper, eye.lower[::-1]])
    fill(image, ellipse(eye.center, 25, 13), 0.62 * skin, blur=5, opacity=0.45)
    crease = moved(eye.upper, 0, -6)
    line(image, crease, 0.45 * skin, width=2, blur=1.2, opacity=0.55)
    line(image, moved(eye.lower, 0, 5), 0.6 * skin, width=3, blur=2, opacity=0.4)
    before = image[_around(eye)].copy()
    ball = image[_around(eye)]
    corner = np.array([_around(eye)[1].start, _around(eye)[0].start])
    ball[:] = np.array([0.84, 0.81, 0.79])
    _paint_iris(ball, person, np.array(eye.iris) - corner, eye.radius)
    # The lid's shadow on the ball.
    line(ball, eye.upper - corner + [0, 1], (0.25, 0.2, 0.2), width=4, blur=1.6, opacity=0.5)
    painted = before.copy()
    fill(painted, opening - corner, ball, blur=0.7)
    ball[:] = painted
    lash = np.array([0.09, 0.06, 0.05])
    line(image, eye.upper, lash, width=3, blur=0.7, opacity=0.9)
    line(image, eye.lower, 0.4 * skin, width=1, blur=0.7, opacity=0.55)


def _around(eye: Eye) -> tuple[slice, slice]:
    x, y = round(eye.center[0]), round(eye.center[1])
    return slice(y - 24, y + 24), slice(x - 32, x + 32)


def _paint_iris(ball: np.ndarray, person: Identity, center: np.ndarray, radius: float) -> None:
    iris = np.array(person.iris)
    x, y = center
    fill(ball, ellipse((x, y), radius, radius), 0.35 * iris, blur=0.7)
    fill(ball, ellipse((x, y + 0.5), 0.8 * radius, 0.8 * radius), iris, blur=1)
    fill(ball, ellipse((x, y), 0.42 * radius, 0.42 * radius), (0.03, 0.03, 0.03), blur=0.6)
    fill(ball, ellipse((x + 4 * person.light[0], y - 3), 1.7, 1.7), (1, 1, 1), blur=0.6, opacity=0.9)


def _paint_brow(image: np.ndarray, person: Identity, brow: np.ndarray) -> None:
    t = (U + 1) / 2
    thickness = person.brow * 4.6 * (1 - 0.8 * t**2)[:, None] * [0, 1]
    polygon = np.concatenate([brow - thickness, (brow + 0.7 * thickness)[::-1]])
    color = 0.75 * np.array(person.hair) + 0.05 * np.array(person.skin)
    fill(image, polygon, color, blur=2.2, opacity=0.7)
    fill(image, polygon, color, blur=0.9, opacity=0.6)


def _paint_nose(image: np.ndarray, skin: np.ndarray, person: Identity, tip: tuple[float, float]) -> None:
    x, y = tip
    dark = 0.33 * skin
    fill(image, ellipse((x, y + 13), 17 * person.nose, 4), 0.5 * skin, blur=3, opacity=0.6)
    for side in (-1, 1):
        fill(image, ellipse((x + 8 * side, y + 8), 4.2, 2.4, 0.35 * side), dark, blur=1.1, opacity=0.85)
        wing = np.array([[14, -5], [17.5, 1], [17, 7], [12, 10]]) * [side * person.nose, 1] + [x, y]
        line(image, wing, 0.5 * skin, width=2, blur=1.5, opacity=0.6)


def _paint_mouth(image: np.ndarray, skin: np.ndarray, mouth: Mouth) -> None:
    lip = np.clip(skin * [0.86, 0.58, 0.58] + [0.02, 0, 0.02], 0, 1)
    inside = np.concatenate([mouth.upper_inner, mouth.lower_inner[::-1]])
    upper = np.concatenate([mouth.upper_outer, mouth.upper_inner[::-1]])
    lower = np.concatenate([mouth.lower_inner, mouth.lower_outer[::-1]])
    line(image, moved(mouth.lower_outer, 0, 4), 0.6 * skin, width=5, blur=3, opacity=0.45)
    fill(image, upper, 0.8 * lip, blur=1.2, opacity=0.85)
    fill(image, lower, 1.02 * lip, blur=1.2, opacity=0.85)
    gleam = 0.6 * mouth.lower_inner[8:17] + 0.4 * mouth.lower_outer[8:17]
    line(image, gleam, np.minimum(1.35 * lip, 1), width=3, blur=2, opacity=0.5)
    fill(image, inside, (0.13, 0.04, 0.04), blur=0.8)
    _paint_teeth(image, mouth)
    line(image, mouth.upper_inner, 0.3 * lip, width=2, blur=0.9, opacity=0.8)
    for corner in mouth.upper_outer[[0, -1]]:
        fill(image, ellipse(tuple(corner), 4, 3), 0.4 * skin, blur=2, opacity=0.6)


def _paint_teeth(image: np.ndarray, mouth: Mouth) -> None:
    """Paint the upper teeth, as far as the mouth is open, and the tongue if it is wide open."""
    opening = mouth.lower_inner - mouth.upper_inner
    seen = np.minimum(0.75 * opening[3:-3, 1:], 9) * [0, 1]
    teeth = np.concatenate([mouth.upper_inner[3:-3], (mouth.upper_inner[3:-3] + seen)[::-1]])
    fill(image, teeth, (0.86, 0.83, 0.78), blur=0.9, opacity=0.9)
    depth = float(opening[len(opening) // 2, 1])
    if depth > 16:
        x, y = mouth.lower_inner[len(opening) // 2]
        fill(image, ellipse((x, y - 2), 16, 0.22 * depth), (0.55, 0.24, 0.24), blur=2.5, opacity=0.8)


def _paint_wrinkles(image: np.ndarray, skin: np.ndarray, units: Units, shape: Geometry) -> None:
    dark = 0.5 * skin
    raised = 0.5 * (units.inner_brow + units.outer_brow)
    for row in (-52, -62, -72):
        across = np.stack([CENTER_X + 48 * U, EYES_Y + row + 4 * U**2 - 5 * units.inner_brow], axis=1)
        line(image, across, dark, width=2, blur=1.3, opacity=min(0.4 * raised, 1))
    for side in (-1, 1):
        frown = np.array([[7, -32], [6, -22], [8, -14]]) * [side, 1] + [CENTER_X, EYES_Y]
        line(image, frown, dark, width=2, blur=1.3, opacity=min(0.55 * units.brow_lower, 1))
        scrunch = np.array([[5, 8], [12, 12], [15, 19]]) * [side, 1] + [CENTER_X, EYES_Y]
        line(image, scrunch, dark, width=2, blur=1.2, opacity=min(0.6 * units.nose_wrinkle, 1))
        corner = shape.mouth.upper_outer[0 if side < 0 else -1]
        nostril = np.array([CENTER_X + 19 * side, shape.nose[1] - 2])
        fold = np.stack([nostril, *moved([[13 * side, -22], [11 * side, 2]], *corner)])
        depth = 0.12 + 0.4 * units.corner_up + 0.45 * units.nose_wrinkle + 0.25 * units.upper_lip
        line(image, fold, dark, width=3, blur=2, opacity=min(depth, 0.8))
        for foot in (-4, 2, 8):
            ray = np.array([[68, -2 + 0.3 * foot], [80, -3 + 1.5 * foot]]) * [side, 1] + [CENTER_X, EYES_Y]
            line(image, ray, dark, width=1, blur=1, opacity=min(0.5 * units.cheek, 1))


def _paint_beard(image: np.ndarray, person: Identity, mouth: Mouth) -> None:
    center = mouth.lower_inner[len(U) // 2]
    around = np.array(
        [[-80, -45], [-66, -20], [-40, -14], [-20, -24], [0, -20], [20, -24], [40, -14], [66, -20], [80, -45],
         [78, 10], [50, 46], [0, 62], [-50, 46], [-78, 10]]
    )  # fmt: skip
    fill(image, around * [person.width, 1] + center, 0.9 * np.array(person.hair), blur=8, opacity=0.62)


def _paint_glasses(image: np.ndarray, shape: Geometry) -> None:
    rim = (0.1, 0.09, 0.09)
    for eye in shape.eyes:
        ring = ellipse((eye.center[0] + 2 * eye.side, eye.center[1] + 3), 31, 24)
        line(image, np.concatenate([ring, ring[:1]]), rim, width=2, blur=0.7, opacity=0.85)
        temple = moved([[33 * eye.side, -2], [50 * eye.side, -5]], eye.center[0], EYES_Y)
        line(image, temple, rim, width=2, blur=0.7, opacity=0.8)
    bridge = np.array([[CENTER_X - 10, EYES_Y], [CENTER_X, EYES_Y - 3], [CENTER_X + 10, EYES_Y]])
    line(image, bridge, rim, width=2, blur=0.7, opacity=0.85)
