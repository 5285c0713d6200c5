"""The scene: background, shoulders, and the motion of the head."""

import cv2
import numpy as np

from emopipe.demo.brush import ellipse, fill, moved
from emopipe.demo.face import Head
from emopipe.demo.geometry import CENTER_X, EYES_Y

FRAME_WIDTH, FRAME_HEIGHT = 320, 240
FRAME_RATE = 15
HEAD_SCALE = 0.5
PIVOT = (CENTER_X, EYES_Y + 60)
"""The head rotates about its middle."""


def room(random: np.random.Generator) -> np.ndarray:
    """Return the wall behind the head, with blurred objects: (FRAME_HEIGHT, FRAME_WIDTH, 3) in RGB, float32."""
    y, x = np.mgrid[0 : 1 : FRAME_HEIGHT * 1j, 0 : 1 : FRAME_WIDTH * 1j].astype(np.float32)
    slope = 1 + random.uniform(-0.4, 0.4) * (x - 0.5) + random.uniform(-0.3, 0.3) * (y - 0.5)
    image = np.float32(_dull_color(random)) * np.float32(slope)[..., None]
    for _ in range(5):
        corner, size = random.uniform([0, 0], [320, 200]), random.uniform([15, 20], [70, 110])
        box = corner + np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * size
        fill(image, box, _dull_color(random), blur=random.uniform(3, 8), opacity=0.5)
    return image


def add_shoulders(image: np.ndarray, pose: np.ndarray, random: np.random.Generator) -> None:
    """Paint a shirt below a head with a pose (2, 3), in place."""
    x, y = pose @ [CENTER_X, EYES_Y + 195, 1]
    cloth = _dull_color(random)
    right = np.array([[0, 6], [33, 0], [88, 18], [112, 60], [120, 200]])
    shirt = np.concatenate([right, right[::-1] * [-1, 1]])
    fill(image, moved(shirt, x, y), cloth, blur=2)
    fill(image, ellipse((x, y + 60), 70, 35), 0.75 * cloth, blur=14, opacity=0.6)


def _dull_color(random: np.random.Generator) -> np.ndarray:
    return random.uniform(0.15, 0.8) * np.clip(random.normal(1, 0.15, 3), 0.6, 1.25)


def poses(frames: int, random: np.random.Generator) -> np.ndarray:
    """Return the matrices (frames, 2, 3) from the head's canvas to each frame; the head sways and rolls."""
    time = np.arange(frames) / FRAME_RATE
    place = random.uniform([138, 112], [182, 130])
    size, tilt = HEAD_SCALE * random.uniform(0.92, 1.1), random.normal(0, 4)

    def sway(amount: float) -> np.ndarray:
        return amount * np.sin(2 * np.pi * (random.uniform(0.2, 0.7) * time + random.random()))

    across, down, roll, near = sway(5), sway(3), tilt + sway(3), size * (1 + sway(0.03))
    placed = []
    for i in range(frames):
        pose = cv2.getRotationMatrix2D(PIVOT, float(roll[i]), float(near[i]))
        pose[:, 2] += moved(place, across[i], down[i]) - PIVOT
        placed.append(pose)
    return np.array(placed)


def compose(behind: np.ndarray, head: Head, pose: np.ndarray) -> np.ndarray:
    """Return the head in front of its background: (FRAME_HEIGHT, FRAME_WIDTH, 3) float32."""
    layers = np.concatenate([head.image, head.cover], axis=2)
    seen = cv2.warpAffine(layers, pose, (FRAME_WIDTH, FRAME_HEIGHT), flags=cv2.INTER_LINEAR)
    return behind + seen[..., 3:] * (seen[..., :3] - behind)
