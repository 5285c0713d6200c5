"""One head with one expression: skin in its light, the features on it, and the hair in front."""

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

    picture: np.ndarray
    """(HEIGHT, WIDTH, 3) in RGB, float32 in about [0, 1]."""
    cover: np.ndarray
    """How far each pixel hides what is behind it: (HEIGHT, WIDTH, 1) float32 in [0, 1]."""
    landmarks: np.ndarray
    """Left eye, right eye, nose, left and right mouth corner as the viewer sees them: (5, 2) pixels."""


def paint_head(person: Identity, units: Units, stuff: Materials) -> Head:
    """Paint a person's head with an expression."""
    shape = geometry(person, units)
    face = mask((HEIGHT, WIDTH), [outline(person, units.jaw)], blur=1.5)[..., None]
    picture = stuff.behind + face * (stuff.skin * shade(person, units) - stuff.behind)
    paint_features(picture, person, units, shape)
    picture += stuff.fringe_cover * (stuff.fringe - picture)
    return Head(picture, np.maximum(face, stuff.behind_cover), shape.landmarks())
