"""openSMILE's acoustic features: the sets eGeMAPS v02 and ComParE 2016, computed by audEERING's package.

Method: low-level descriptors every 10 ms; functionals are their statistics over a segment of the clip.
Source: Eyben, Wöllmer, Schuller, openSMILE, ACM Multimedia 2010; Eyben et al., The Geneva Minimalistic Acoustic
Parameter Set, IEEE Transactions on Affective Computing 7(2), 2016; Schuller et al., The INTERSPEECH 2016 Computational
Paralinguistics Challenge.
Input: (N, samples) at 16 kHz.
Output: (N, T', 88 or 6373) functionals, or (N, T', 25 or 65) descriptors.
Licence: openSMILE is for non-commercial use and research only.
"""

from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from emopipe.backbones import optional_packages
from emopipe.backbones.base import Spec, WaveInput
from emopipe.backbones.torch_types import Tensor
from emopipe.core.errors import WeightsError
from emopipe.core.options import Number, Options

RATE = 16_000
DIMS = {
    ("eGeMAPSv02", "functionals"): 88,
    ("eGeMAPSv02", "lld"): 25,
    ("ComParE_2016", "functionals"): 6373,
    ("ComParE_2016", "lld"): 65,
}
"""(set, level) -> length of the vectors."""
SHORTEST = 960
"""Samples of the longest frame, 60 ms. openSMILE has no output for shorter waves."""
HOP = 160
"""Samples from one descriptor to the next."""
MIDDLE = 320
"""Samples from a descriptor's start to its time: between the middles of its frames of 20 ms and of 60 ms."""

_LOUDEST = 32767 / 32768  # openSMILE converts to 16 bits, where louder samples would change their sign


class BackboneOptions(Options):
    """Which feature set, and over which segments of a clip."""

    features: Literal["eGeMAPSv02", "ComParE_2016"] = "eGeMAPSv02"
    """The feature set: 88 functionals of 25 descriptors, or 6373 functionals of 65 descriptors."""
    level: Literal["functionals", "lld"] = "functionals"
    """Functionals over segments of the clip, or low-level descriptors (lld) every 10 ms."""
    seconds: Number | None = Field(None, ge=0.06)
    """Length of a segment in seconds, for functionals. Default: the whole clip is one segment."""
    hop: Number | None = Field(None, ge=0.01)
    """Seconds from the start of one segment to the next. Default: `seconds`, so that segments do not overlap."""

    @model_validator(mode="after")
    def _segments_are_of_functionals(self) -> Self:
        if self.level == "lld" and self.seconds is not None:
            raise ValueError("seconds is the length of the segments of functionals, but level is lld. Remove seconds")
        if self.hop is not None and self.seconds is None:
            raise ValueError("hop is set, but the whole clip is one segment. Set seconds too, or remove hop")
        if self.hop is not None and self.hop > self.seconds:
            raise ValueError(
                f"hop is {self.hop:g}, more than seconds, {self.seconds:g}, so segments would omit sound. Decrease hop"
            )
        return self


def spec(options: BackboneOptions) -> Spec:
    """Return the specification: the wave at 16 kHz in, the feature set's values out."""
    return Spec(
        modality="audio",
        input=WaveInput(RATE),
        dim=DIMS[options.features, options.level],
        licence="audEERING Research License (openSMILE): non-commercial use and research only",
        citation="Eyben et al., openSMILE, ACM Multimedia 2010; "
        + ("Eyben et al., GeMAPS, 2016" if options.features == "eGeMAPSv02" else "Schuller et al., ComParE 2016"),
    )


def build(options: BackboneOptions, device: str = "cpu", threads: int = 1) -> "OpenSmile":
    """Set up openSMILE. It runs on the CPU in one thread; `device` and `threads` are ignored.

    Raises:
        WeightsError: The package opensmile is not installed, or its feature set has another length.
    """
    return OpenSmile(options)


def net_files(options: BackboneOptions) -> list[Path]:
    """Return no files: the package contains the feature sets, and `version` identifies them."""
    return []


def version(options: BackboneOptions) -> str:
    """Return the package's name and version.

    Raises:
        WeightsError: The package opensmile is not installed.
    """
    return optional_packages.version("opensmile")


class OpenSmile:
    """openSMILE for one feature set. Call it with waves."""

    device = "cpu"

    def __init__(self, options: BackboneOptions) -> None:
        """Set up openSMILE, and check the number of features."""
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
                f"{version(options)} has {self._smile.num_features} {options.level} of {options.features}, expected "
                f"{expected}. Install a version of opensmile with {expected}."
            )

    def __call__(self, waves: np.ndarray) -> np.ndarray:
        """Compute the vectors of waves of one length. Waves of less than 60 ms are padded with silence.

        Args:
            waves: (N, samples) float32 in [-1, 1] at 16 kHz, samples >= 1.

        Returns:
            (N, T', D) float32.
        """
        samples = waves.shape[1]
        segments = [(0, samples)] if self._options.level == "lld" else self._segments(samples)
        found = []
        for wave in np.clip(waves, -1, _LOUDEST):
            padded = [np.pad(wave[start:end], (0, max(0, SHORTEST - (end - start)))) for start, end in segments]
            found.append(np.concatenate([self._smile(segment, RATE)[0].T for segment in padded]))  # (T', D)
        return np.stack(found)

    def patch_times(self, samples: int) -> Tensor:
        """Return the time of each vector of so many samples, (T',) seconds: a segment's or descriptor's middle."""
        import torch

        if self._options.level == "functionals":
            middle = [(start + end) / 2 for start, end in self._segments(samples)]
            return torch.tensor(middle, dtype=torch.float64) / RATE
        count = (max(samples, SHORTEST) - SHORTEST) // HOP + 2  # openSMILE has one more than whole frames
        return (torch.arange(count, dtype=torch.float64) * HOP + MIDDLE).clamp(max=samples - 1) / RATE

    def _segments(self, samples: int) -> list[tuple[int, int]]:
        """Return (start, end) of each segment in samples. The last one ends with the clip, so no sound is omitted."""
        seconds = self._options.seconds
        length = samples if seconds is None else round(seconds * RATE)
        if samples <= length:
            return [(0, samples)]
        starts = list(range(0, samples - length + 1, round((self._options.hop or seconds) * RATE)))
        if starts[-1] + length < samples:
            starts.append(samples - length)
        return [(start, start + length) for start in starts]
