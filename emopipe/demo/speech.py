"""The sound of a clip: a sentence with the prosody of its emotion, in a noisy room."""

import json
import os
import subprocess
import sys
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
from scipy.signal import lfilter

from emopipe.demo import espeak
from emopipe.demo.acting import Mix, stream, voice_mix
from emopipe.demo.identity import identity
from emopipe.demo.plan import ClipPlan

SAMPLE_RATE = 22050
LONGEST_S = 2.4
SENTENCES = (
    "The window is open now.",
    "They are waiting outside.",
    "I put it on the table.",
    "She called me this morning.",
    "We leave in an hour.",
    "The letter came today.",
    "He is at the door again.",
    "It was under the chair.",
)


@dataclass(frozen=True)
class Prosody:
    """The prosody of a sentence; all values are factors on the subject's own voice."""

    pitch: float = 1.0
    pitch_range: float = 1.0
    rate: float = 1.0
    loudness: float = 1.0
    effort: float = 1.0
    """A factor on the upper frequencies: a tense voice is bright, a relaxed one is dull."""


EMOTIONS: dict[str, Prosody] = {
    "Angry": Prosody(pitch=1.12, pitch_range=1.5, rate=1.15, loudness=1.9, effort=2.0),
    "Disgust": Prosody(pitch=0.86, pitch_range=1.0, rate=0.85, loudness=0.95, effort=1.2),
    "Fear": Prosody(pitch=1.35, pitch_range=0.75, rate=1.3, loudness=0.8, effort=1.0),
    "Happy": Prosody(pitch=1.22, pitch_range=1.6, rate=1.18, loudness=1.5, effort=1.6),
    "Neutral": Prosody(pitch_range=0.8),
    "Sad": Prosody(pitch=0.88, pitch_range=0.4, rate=0.75, loudness=0.5, effort=0.5),
    "Surprise": Prosody(pitch=1.45, pitch_range=1.9, rate=0.9, loudness=1.1, effort=0.8),
}
JITTER = Prosody(pitch=0.05, pitch_range=0.2, rate=0.06, loudness=0.2, effort=0.2)
"""Standard deviations of the logarithms of the factors between clips."""


def speak(plan: ClipPlan) -> tuple[np.ndarray, np.ndarray]:
    """Return the speech of a clip without and with the noise of the room: two of (samples,) float32 at SAMPLE_RATE."""
    random = stream(plan, "voice")
    prosody = _prosody(voice_mix(plan), random)
    person = identity(plan)
    text = SENTENCES[int(random.integers(len(SENTENCES)))]
    spoken = _espeak(
        text,
        voice=person.voice,
        pitch=float(np.clip(person.pitch * prosody.pitch, 0.5, 2)),
        pitch_range=float(np.clip(prosody.pitch_range, 0, 2)),
        rate=round(185 * prosody.rate),
    )
    before, after = random.uniform(0.05, 0.2, 2)
    voice = np.pad(_with_effort(spoken, prosody), [round(before * SAMPLE_RATE), round(after * SAMPLE_RATE)])
    voice = voice[: round(LONGEST_S * SAMPLE_RATE)].astype(np.float32)
    return voice, np.clip(voice + _room(voice, random), -1, 1).astype(np.float32)


def _prosody(mix: Mix, random: np.random.Generator) -> Prosody:
    """Return the mix of the emotions' prosodies with jitter, on logarithms because all values are factors."""
    neutral = np.log(astuple(EMOTIONS["Neutral"]))
    shares = [share * (np.log(astuple(EMOTIONS[emotion])) - neutral) for emotion, share in mix.items()]
    jitter = random.normal(0, astuple(JITTER))
    return Prosody(*np.exp(neutral + np.sum(shares, axis=0) + jitter).tolist())


def _espeak(text: str, *, voice: str, pitch: float, pitch_range: float, rate: int) -> np.ndarray:
    wanted = {"text": text, "voice": voice, "pitch": pitch, "pitch_range": pitch_range, "rate": rate}
    spoken = subprocess.run(
        # -P: the modules beside espeak.py must not shadow what it imports.
        [sys.executable, "-P", str(Path(espeak.__file__))],
        input=json.dumps({**wanted, "sample_rate": SAMPLE_RATE}).encode(),
        stdout=subprocess.PIPE,
        check=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    return np.frombuffer(spoken.stdout, "<f4")


def _with_effort(spoken: np.ndarray, prosody: Prosody) -> np.ndarray:
    """Return the sound with its part above about 1 kHz scaled by the effort, at the loudness of the prosody."""
    smoothing = np.exp(-2 * np.pi * 1000 / SAMPLE_RATE)
    low = lfilter([1 - smoothing], [1, -smoothing], spoken)
    shaped = low + prosody.effort * (spoken - low)
    level = np.sqrt(np.mean(shaped**2))
    return shaped * (0.07 * prosody.loudness / level)


def _room(voice: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return noise 5 to 25 dB below the speech, between white noise and low rumble: (samples,)."""
    memory = random.uniform(0.3, 0.97)
    noise = lfilter([1], [1, -memory], random.standard_normal(len(voice)))
    level = np.sqrt(np.mean(voice**2)) * 10 ** (-random.uniform(5, 25) / 20)
    return noise * (level / np.sqrt(np.mean(noise**2)))
