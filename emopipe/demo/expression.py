"""Facial expressions: action units for each emotion, and how they rise and fall over a clip."""

from dataclasses import dataclass, fields, replace

import numpy as np

from emopipe.demo.acting import Mix


@dataclass(frozen=True)
class Units:
    """Action units at one moment, each from 0 (at rest) to about 1 (the strongest that is drawn)."""

    inner_brow: float = 0.0
    outer_brow: float = 0.0
    brow_lower: float = 0.0
    lid_raise: float = 0.0
    lid_tight: float = 0.0
    lid_droop: float = 0.0
    cheek: float = 0.0
    nose_wrinkle: float = 0.0
    upper_lip: float = 0.0
    corner_up: float = 0.0
    corner_down: float = 0.0
    chin: float = 0.0
    stretch: float = 0.0
    press: float = 0.0
    part: float = 0.0
    jaw: float = 0.0
    gaze_down: float = 0.0
    gaze_side: float = 0.0


EMOTIONS: dict[str, Units] = {
    "Angry": Units(brow_lower=1.0, lid_raise=0.4, lid_tight=0.8, press=0.9, corner_down=0.3, nose_wrinkle=0.2),
    "Disgust": Units(
        brow_lower=0.5, lid_tight=0.6, cheek=0.4, nose_wrinkle=1.0, upper_lip=1.0, corner_down=0.5, part=0.3
    ),
    "Fear": Units(inner_brow=0.9, outer_brow=0.5, brow_lower=0.4, lid_raise=1.0, stretch=1.0, part=0.6, jaw=0.25),
    "Happy": Units(cheek=0.9, lid_tight=0.25, corner_up=1.0, stretch=0.25, part=0.7),
    "Neutral": Units(),
    "Sad": Units(inner_brow=0.9, brow_lower=0.25, lid_droop=0.6, corner_down=1.0, chin=0.7, gaze_down=0.7),
    "Surprise": Units(inner_brow=1.0, outer_brow=1.0, lid_raise=0.8, jaw=0.9, part=0.4),
}


def acted(mix: Mix, random: np.random.Generator) -> Units:
    """Return the units at the apex of a clip: a mix of emotions, with a small random variation of each unit."""
    slack = {f.name: random.normal(0, 0.08) for f in fields(Units)}
    shares = {f.name: random.uniform(0.75, 1.2) for f in fields(Units)}
    units = {}
    for name in slack:
        mixed = sum(share * getattr(EMOTIONS[emotion], name) for emotion, share in mix.items())
        units[name] = float(np.clip(slack[name] + shares[name] * mixed, 0, 1.2))
    units["gaze_side"] = float(random.normal(0, 0.35))
    return Units(**units)


def at_strength(units: Units, strength: float) -> Units:
    """Return the same expression at another strength, where 0 is a face at rest."""
    return Units(**{f.name: strength * getattr(units, f.name) for f in fields(Units)})


def with_speech(units: Units, loudness: float) -> Units:
    """Return the expression while speaking: the louder (0 to 1), the wider the mouth is open."""
    # Pressed lips must part to speak.
    return replace(
        units,
        part=units.part + 0.9 * loudness,
        jaw=units.jaw + 0.22 * loudness,
        press=units.press * (1 - loudness),
    )


def envelope(frames: int, random: np.random.Generator) -> np.ndarray:
    """Return the strength of the expression over a clip (onset, apex, offset): (frames,) in [0, 1], never at rest."""
    knots = [0, random.uniform(0.15, 0.35), random.uniform(0.6, 0.85), 1]
    levels = [random.uniform(0.2, 0.6), 1, random.uniform(0.9, 1), random.uniform(0.4, 0.8)]
    return np.interp(np.linspace(0, 1, frames), knots, levels)
