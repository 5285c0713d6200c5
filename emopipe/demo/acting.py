"""How clearly each clip shows its emotion: face and voice are unclear independently, so that fusion helps."""

from dataclasses import dataclass

import numpy as np

from emopipe.core.labels import CLASSES
from emopipe.demo.plan import ClipPlan

Mix = dict[str, float]
"""How much of each emotion is acted; what is missing to 1 is neutral."""


@dataclass(frozen=True)
class Unclear:
    """How often one channel misleads, and how strong it is when it does not."""

    masked: float
    """Probability that hardly anything of the emotion shows."""
    mixed: float
    """Probability that another emotion shows as much as the labelled one."""
    weakest: float
    """The lowest intensity of a clip that is neither masked nor mixed; the highest is 1."""


FACE = Unclear(masked=0.14, mixed=0.16, weakest=0.45)
VOICE = Unclear(masked=0.12, mixed=0.14, weakest=0.55)


def face_mix(plan: ClipPlan) -> Mix:
    """The emotions that the face of this clip shows."""
    return _mix(plan, FACE, stream(plan, "face mix"))


def voice_mix(plan: ClipPlan) -> Mix:
    """The emotions that the voice of this clip carries; drawn independently of the face's."""
    return _mix(plan, VOICE, stream(plan, "voice mix"))


def stream(plan: ClipPlan, name: str) -> np.random.Generator:
    """The clip's random numbers for one purpose; a further purpose leaves the others' numbers alone."""
    return np.random.default_rng([plan.seed, *name.encode()])


def _mix(plan: ClipPlan, unclear: Unclear, random: np.random.Generator) -> Mix:
    kind = random.random()
    intensity = float(random.uniform(unclear.weakest, 1))
    other = str(random.choice([c for c in CLASSES if c != plan.label]))
    if kind < unclear.masked:
        return {plan.label: 0.25 * intensity, other: 0.15 * intensity}
    if kind < unclear.masked + unclear.mixed:
        return {plan.label: 0.5 * intensity, other: 0.5 * intensity}
    return {plan.label: intensity}
