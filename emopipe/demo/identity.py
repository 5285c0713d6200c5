"""The identity of a subject: colours, proportions and voice."""

from dataclasses import dataclass

import numpy as np

from emopipe.demo.plan import ClipPlan

Color = tuple[float, float, float]
"""Red, green and blue in [0, 1]."""

SKINS: tuple[Color, ...] = (
    (0.93, 0.76, 0.66),
    (0.87, 0.68, 0.55),
    (0.78, 0.57, 0.43),
    (0.66, 0.46, 0.34),
    (0.52, 0.35, 0.26),
    (0.95, 0.80, 0.72),
    (0.83, 0.64, 0.49),
)
HAIRS: tuple[Color, ...] = (
    (0.10, 0.08, 0.07),
    (0.22, 0.14, 0.09),
    (0.36, 0.23, 0.13),
    (0.60, 0.45, 0.26),
    (0.45, 0.43, 0.42),
)
IRISES: tuple[Color, ...] = ((0.25, 0.15, 0.09), (0.33, 0.24, 0.12), (0.30, 0.40, 0.30), (0.35, 0.48, 0.60))
FEMALE_VOICES = ("Female1", "Female2", "Female3", "Female4", "Female5")
MALE_VOICES = ("Male1", "Male2", "Male3", "Male4", "Male5", "Male6", "Male7")


@dataclass(frozen=True)
class Identity:
    """A subject; lengths are factors around 1, angles and offsets are in units of the drawing."""

    skin: Color
    hair: Color
    iris: Color
    long_hair: bool
    beard: bool
    glasses: bool
    width: float
    height: float
    jaw: float
    eye: float
    spacing: float
    nose: float
    mouth: float
    lips: float
    brow: float
    resting_brow: float
    """How low the brows are at rest, in pixels of the head."""
    resting_corner: float
    """How low the mouth corners are at rest, in pixels of the head."""
    light: tuple[float, float, float]
    """The direction of the lamp: right, down, towards the viewer; of unit length."""
    warmth: float
    voice: str
    """The eSpeak voice variant."""
    pitch: float
    """A factor on the variant's own pitch."""


def identity(plan: ClipPlan) -> Identity:
    """Return the subject of a clip, the same in all clips of this subject."""
    number = int(plan.subject[1:])
    random = np.random.default_rng(plan.subject_seed)
    female = number % 2 == 0
    voices = FEMALE_VOICES if female else MALE_VOICES
    light = np.array([random.uniform(-0.6, 0.6), random.uniform(-0.55, -0.2), 0.85])
    return Identity(
        # These depend on the number, not on chance, so that a small corpus has some of each.
        skin=_jitter(SKINS[number % len(SKINS)], random),
        hair=_jitter(HAIRS[number % len(HAIRS)], random),
        iris=IRISES[int(random.integers(len(IRISES)))],
        long_hair=female,
        beard=number % 4 == 3,
        glasses=bool(random.random() < 0.22),
        width=random.uniform(0.94, 1.06),
        height=random.uniform(0.96, 1.05),
        jaw=random.uniform(2.0, 2.6),
        eye=random.uniform(0.9, 1.12),
        spacing=random.uniform(0.96, 1.05),
        nose=random.uniform(0.9, 1.12),
        mouth=random.uniform(0.92, 1.1),
        lips=random.uniform(0.8, 1.25),
        brow=random.uniform(0.8, 1.3),
        resting_brow=random.uniform(-3, 3),
        resting_corner=random.uniform(-2, 2),
        light=tuple(light / np.linalg.norm(light)),
        warmth=random.uniform(-0.04, 0.06),
        voice=voices[number // 2 % len(voices)],
        pitch=random.uniform(0.88, 1.14),
    )


def _jitter(color: Color, random: np.random.Generator) -> Color:
    varied = np.array(color) * random.uniform(0.93, 1.05) + random.normal(0, 0.01, 3)
    red, green, blue = np.clip(varied, 0, 1)
    return float(red), float(green), float(blue)
