"""openSMILE's hand-made descriptors of the voice, the sets eGeMAPS v02 and ComParE 2016, by audEERING's package.

Eyben, Wöllmer, Schuller: openSMILE, ACM Multimedia 2010; Eyben et al., The Geneva Minimalistic Acoustic Parameter Set,
IEEE Transactions on Affective Computing 7(2), 2016; Schuller et al., The INTERSPEECH 2016 Computational Paralinguistics
Challenge. Descriptors are computed every 10 ms; functionals are their statistics over a stretch of sound.
"""

from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch
from pydantic import Field, model_validator

from emopipe.backbones import optional_packages
from emopipe.backbones.base import Spec, WaveInput
from emopipe.core.errors import WeightsError
from emopipe.core.options import Number, Options

RATE = 16_000
DIMS = {
    ("eGeMAPSv02", "functionals"): 88,
    ("eGeMAPSv02", "lld"): 25,
    ("ComParE_2016", "functionals"): 6373,
    ("ComParE_2016", "lld"): 65,
}
"""Numbers that a set gives a stretch of sound, or a moment."""
SHORTEST = 960
"""Samples of the longest frame, 60 ms; openSMILE computes nothing of less."""
HOP = 160
"""Samples from one descriptor to the next."""
MIDDLE = 320
"""Samples from a descriptor's start to its time: between the middles of the frames, 20 or 60 ms, that start there."""

_LOUDEST = 32767 / 32768  # openSMILE reads 16 bits, and what is louder would come out as the opposite


class BackboneOptions(Options):
    """Which set, and over which stretches of a clip."""

    features: Literal["eGeMAPSv02", "ComParE_2016"] = "eGeMAPSv02"
    """The set: 88 functionals of 25 descriptors, or 6373 of 65."""
    level: Literal["functionals", "lld"] = "functionals"
    """Statistics over stretches of the clip, or the descriptors themselves, every 10 ms."""
    seconds: Number | None = Field(None, ge=0.06)
    """Length of a stretch, for functionals; the clip whole, as one vector, where left out."""
    hop: Number | None = Field(None, ge=0.01)
    """Seconds from one stretch to the next; `seconds`, so that they do not overlap, where left out."""

    @model_validator(mode="after")
    def _stretches_are_of_functionals(self) -> Self:
        if self.level == "lld" and self.seconds is not None:
            raise ValueError("seconds is the length of functionals' stretches, but level is lld; leave seconds out.")
        if self.hop is not None and self.seconds is None:
            raise ValueError("hop is set, but the clip is one stretch; set seconds too, or leave hop out.")
        if self.hop is not None and self.hop > self.seconds:
            raise ValueError(f"hop {self.hop:g} is over seconds {self.seconds:g}: sound between would be left out.")
        return self


def spec(options: BackboneOptions) -> Spec:
    """The wave in, the set's numbers out."""
    return Spec(
        modality="audio",
        input=WaveInput(RATE),
        dim=DIMS[options.features, options.level],
        licence="audEERING Research License (openSMILE): non-commercial use and research only",
        citation="Eyben et al., openSMILE, ACM Multimedia 2010; "
        + ("Eyben et al., GeMAPS, 2016" if options.features == "eGeMAPSv02" else "Schuller et al., ComParE 2016"),
    )


def build(options: BackboneOptions, device: str = "cpu", threads: int = 1) -> "OpenSmile":
    """openSMILE, which runs on the CPU, in one thread, whatever `device` and `threads` say.

    Raises:
        WeightsError: The package opensmile is not installed, or its set is another.
    """
    return OpenSmile(options)


def net_files(options: BackboneOptions) -> list[Path]:
    """None: the sets are the package's, so `version` stands for them."""
    return []


def version(options: BackboneOptions) -> str:
    """The package and its version.

    Raises:
        WeightsError: The package opensmile is not installed.
    """
    return optional_packages.version("opensmile")


class OpenSmile:
    """openSMILE set up for one set; call it with waves."""

    device = "cpu"

    def __init__(self, options: BackboneOptions) -> None:
        """Set it up, and check that the set has as many numbers as are told of it."""
        opensmile = optional_packages.load("opensmile")
        levels = opensmile.FeatureLevel
        self._options = options
        self._smile = opensmile.Smile(
            feature_set=opensmile.FeatureSet[options.features],
            feature_level=levels.Functionals if options.level == "functionals" else levels.LowLevelDescriptors,
        )
        expected = DIMS[options.features, options.level]
        if self._smile.num_features != expected:
            raise WeightsError(
                f"{version(options)} gives {self._smile.num_features} numbers as {options.level} of "
                f"{options.features}, expected {expected}; install the version of opensmile that does."
            )

    def __call__(self, waves: np.ndarray) -> np.ndarray:
        """(N, samples) float32 in [-1, 1] at 16 kHz -> (N, T', D) float32; samples >= 1.

        A wave of less than 60 ms is filled up with silence.
        """
        return np.stack([self._vectors(np.clip(wave, -1, _LOUDEST)) for wave in waves])

    def patch_times(self, samples: int) -> torch.Tensor:
        """When the vectors of so many samples are: stretches' middles, or descriptors' times; (T',) seconds."""
        if self._options.level == "functionals":
            middle = [(start + end) / 2 for start, end in self._stretches(samples)]
            return torch.tensor(middle, dtype=torch.float64) / RATE
        count = (max(samples, SHORTEST) - SHORTEST) // HOP + 2  # openSMILE ends on one more than whole frames
        return (torch.arange(count, dtype=torch.float64) * HOP + MIDDLE).clamp(max=samples - 1) / RATE

    def _stretches(self, samples: int) -> list[tuple[int, int]]:
        """(start, end) of each stretch in samples; the last one ends with the clip, so that no sound is left out."""
        seconds = self._options.seconds
        length = samples if seconds is None else round(seconds * RATE)
        if samples <= length:
            return [(0, samples)]
        starts = list(range(0, samples - length + 1, round((self._options.hop or seconds) * RATE)))
        if starts[-1] + length < samples:
            starts.append(samples - length)
        return [(start, start + length) for start in starts]

    def _vectors(self, wave: np.ndarray) -> np.ndarray:
        """(samples,) -> (T', D)."""
        if self._options.level == "lld":
            return self._computed(wave).T
        return np.concatenate([self._computed(wave[start:end]).T for start, end in self._stretches(len(wave))])

    def _computed(self, wave: np.ndarray) -> np.ndarray:
        """(n,) -> (D, frames), or (D, 1) for functionals."""
        return self._smile(np.pad(wave, (0, max(0, SHORTEST - len(wave)))), RATE)[0]
