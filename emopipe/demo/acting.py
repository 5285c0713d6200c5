"""How clearly each clip shows its emotion. Face and voice are unclear independently, so that fusion helps."""

from dataclasses import dataclass

import numpy as np

from emopipe.core.labels import CLASSES
from emopipe.demo.plan import ClipPlan

Mix = dict[str, float]
"""Emotion -> its share in the acting; the rest up to 1 is neutral."""


@dataclass(frozen=True)
class Ambiguity:
    """How often a modality misleads, and how strong its emotion is otherwise."""

    masked: float
    """Probability that the emotion is hardly visible or audible."""
    mixed: float
    """Probability that another emotion is as strong as the labelled one."""
    weakest: float
    """The lowest intensity in a clip that is neither masked nor mixed; the highest is 1."""


FACE = Ambiguity(masked=0.14, mixed=0.16, weakest=0.45)
VOICE = Ambiguity(masked=0.12, mixed=0.14, weakest=0.55)


def face_mix(plan: ClipPlan) -> Mix:
    """Return the emotions that the face in this clip shows."""
    return _mix(plan, FACE, stream(plan, "face mix"))


def voice_mix(plan: ClipPlan) -> Mix:
    """Return the emotions in the voice of this clip, drawn independently of those of the face."""
    return _mix(plan, VOICE, stream(plan, "voice mix"))


def stream(plan: ClipPlan, name: str) -> np.random.Generator:
    """Return the clip's random generator for one purpose; a new purpose does not change the numbers of the others."""
    return np.random.default_rng([plan.seed, *name.encode()])


def _mix(plan: ClipPlan, ambiguity: Ambiguity, random: np.random.Generator) -> Mix:
    kind = random.random()
    intensity = float(random.uniform(ambiguity.weakest, 1))
    other = str(random.choice([c for c in CLASSES if c != plan.label]))
    if kind < ambiguity.masked:
        return {plan.label: 0.25 * intensity, other: 0.15 * intensity}
    if kind < ambiguity.masked + ambiguity.mixed:
        return {plan.label: 0.5 * intensity, other: 0.5 * intensity}
    return {plan.label: intensity}
