"""A head with one expression: the lit skin, the features on it, and the hair in front."""

from dataclasses import dataclass

import numpy as np

from emopipe.demo.brush import mask
from emopipe.demo.expression import Units
from emopipe.demo.features import paint_features
from emopipe.demo.geometry import HEIGHT, WIDTH, geometry, outline
from emopipe.demo.identity import Identity
from emopipe.demo.materials import Materials
from emopipe.demo.shading import shade


@dataclass(frozen=True)
class Head:
    """A painted head."""

    image: np.ndarray
    """(HEIGHT, WIDTH, 3) in RGB, float32 in about [0, 1]."""
    cover: np.ndarray
    """The opacity of each pixel: (HEIGHT, WIDTH, 1) float32 in [0, 1]."""
    landmarks: np.ndarray
    """Left eye, right eye, nose, left and right mouth corner from the viewer's side: (5, 2) pixels."""


def paint_head(person: Identity, units: Units, materials: Materials) -> Head:
    """Paint a person's head with an expression."""
    shape = geometry(person, units)
    face = mask((HEIGHT, WIDTH), [outline(person, units.jaw)], blur=1.5)[..., None]
    image = materials.behind + face * (materials.skin * shade(person, units) - materials.behind)
    paint_features(image, person, units, shape)
    image += materials.fringe_cover * (materials.fringe - image)
    return Head(image, np.maximum(face, materials.behind_cover), shape.landmarks())
