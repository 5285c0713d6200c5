"""The parts of a head that stay the same in a clip, painted once: hair, ears, neck, and skin without light."""

from dataclasses import dataclass

import cv2
import numpy as np

from emopipe.demo.brush import ellipse, fill, mask
from emopipe.demo.geometry import CENTER_X, EYES_Y, HEIGHT, WIDTH
from emopipe.demo.hair import ears, fringe, hair_behind, neck
from emopipe.demo.identity import Identity

_SIZE = HEIGHT, WIDTH


@dataclass(frozen=True)
class Materials:
    """Images (HEIGHT, WIDTH, 3) in RGB and their opacities (HEIGHT, WIDTH, 1), float32 in about [0, 1]."""

    skin: np.ndarray
    behind: np.ndarray
    behind_cover: np.ndarray
    fringe: np.ndarray
    fringe_cover: np.ndarray


def materials(person: Identity, random: np.random.Generator) -> Materials:
    """Return all of a person's head except the face, with grain from `random`."""
    hair = _hair(person, random)
    head_of_hair = mask(_SIZE, [hair_behind(person)], blur=2.5)
    throat = mask(_SIZE, [neck(person)], blur=2)
    lobes = mask(_SIZE, ears(person), blur=1.5)
    behind = 0.45 * hair
    for cover, brightness in ((throat, 0.6), (lobes, 0.78)):
        behind += cover[..., None] * (brightness * np.float32(person.skin) - behind)
    # The neck fades out over the collar.
    throat[-46:] *= np.linspace(1, 0, 46, dtype=np.float32)[:, None]
    return Materials(
        skin=_skin(person, random),
        behind=behind,
        behind_cover=np.maximum.reduce([head_of_hair, throat, lobes])[..., None],
        fringe=0.85 * hair,
        fringe_cover=mask(_SIZE, [fringe(person)], blur=2.5)[..., None],
    )


def _skin(person: Identity, random: np.random.Generator) -> np.ndarray:
    image = np.empty((*_SIZE, 3), np.float32)
    image[:] = person.skin
    flush = np.clip(np.array(person.skin) * [1.0, 0.8, 0.8], 0, 1)
    for x, y, wide in ((-52, 45, 24), (52, 45, 24), (0, 50, 16), (0, 145, 22)):
        fill(image, ellipse((CENTER_X + x, EYES_Y + y), wide, 0.8 * wide), flush, blur=12, opacity=0.6)
    grain = 0.015 * _grain(random, 1.0, 1.0) + 0.015 * _grain(random, 6.0, 6.0)
    return image * (1 + grain)[..., None]


def _hair(person: Identity, random: np.random.Generator) -> np.ndarray:
    # Strands are vertical, so the noise is blurred strongly along y and weakly along x.
    strands = 0.17 * _grain(random, 1.5, 14.0) + 0.13 * _grain(random, 7.0, 20.0)
    y, x = np.ogrid[0:HEIGHT, 0:WIDTH]
    sheen = 0.3 * np.exp(-(((y - EYES_Y + 105) / 30) ** 2))
    away = 0.45 * np.minimum(np.abs(x - CENTER_X) / 115, 1) ** 3  # the sides are turned away from the lamp
    light = np.maximum(1 + strands + sheen - away, 0.3).astype(np.float32)
    return np.float32(person.hair) * light[..., None]


def _grain(random: np.random.Generator, along_x: float, along_y: float) -> np.ndarray:
    """Return smooth noise of unit variance: (HEIGHT, WIDTH) float32."""
    noise = random.standard_normal(_SIZE, np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), sigmaX=along_x, sigmaY=along_y)
    return noise / noise.std()
