"""The strength of the augmentation of faces and sounds in training. 0 turns an augmentation off."""

from typing import ClassVar, Self

from pydantic import Field, model_validator

from emopipe.core.options import Number, Options


class FaceAugmentation(Options):
    """Augmentation of faces. Every value is drawn uniformly from its range; see `emopipe.training.augment_image`."""

    renamed: ClassVar = {"turn": "rotation", "zoom": "scale", "shift": "translate", "colour": "saturation"}

    mirror: bool = True
    """Mirror each face, left to right, with probability 0.5."""
    rotation: Number = Field(default=12.0, ge=0, le=180)
    """Largest rotation in degrees, in either direction."""
    scale: Number = Field(default=0.1, ge=0, lt=1)
    """Largest change of the face's size, as a share of it, up or down."""
    translate: Number = Field(default=0.08, ge=0, lt=1)
    """Largest horizontal and vertical translation, as a share of half the side."""
    contrast: Number = Field(default=0.3, ge=0, lt=1)
    """Largest change of the contrast, as a share of it, up or down."""
    brightness: Number = Field(default=25.0, ge=0)
    """Largest change of the brightness in grey levels (of 255), up or down."""
    saturation: Number = Field(default=0.3, ge=0, lt=1)
    """Largest change of the saturation, as a share of it, up or down. Grey faces are not changed."""
    blur: Number = Field(default=0.25, ge=0, le=1)
    """Share of the faces that are blurred."""
    erase: Number = Field(default=0.25, ge=0, le=1)
    """Share of the faces in which a rectangle is erased (Zhong et al., Random Erasing, arXiv 1708.04896)."""
    erase_side: Number = Field(default=0.4, ge=0.15, le=1)
    """Longest side of the erased rectangle, as a share of the face's side. The shortest is 0.15. The centre of the
    rectangle is anywhere in the face."""
    yaw: Number = Field(default=0.0, ge=0, le=1)
    """Share of the faces that are turned to the side, as half profiles; see `emopipe.training.half_profile`."""
    yaw_angle: Number = Field(default=35.0, gt=0, le=45)
    """Largest angle in degrees by which they are turned, in either direction."""
    strong_blur: Number = Field(default=0.0, ge=0, le=1)
    """Share of the faces that are blurred strongly: one half of them by a Gaussian, the other half along a line of any
    direction, as motion does."""
    strong_blur_width: Number = Field(default=0.04, gt=0, le=0.2)
    """Largest standard deviation of the strong blur, as a share of the face's side. The smallest is 0.01."""
    low_light: Number = Field(default=0.0, ge=0, le=1)
    """Share of the faces that are shown in low light, with the noise of a sensor."""
    low_light_level: Number = Field(default=0.25, gt=0, le=1)
    """Least light, as a share of that of the picture. The most is 1."""
    low_light_gamma: Number = Field(default=1.5, ge=1, le=4)
    """Largest gamma, which darkens shadows more than lights. The smallest is 1."""
    low_light_noise: Number = Field(default=16.0, ge=0, le=255)
    """Largest standard deviation of the noise at white, in grey levels (of 255). The smallest is 0."""
    small: Number = Field(default=0.0, ge=0, le=1)
    """Share of the faces that are shown as if they had been small in the frame: scaled down and up again."""
    small_side: Number = Field(default=0.3, gt=0, le=1)
    """Side of the smallest of these, as a share of the face's side. The largest is 1."""
    jpeg: Number = Field(default=0.0, ge=0, le=1)
    """Share of the faces that are compressed as JPEG; see `emopipe.training.jpeg_blocks`."""
    jpeg_quality: Number = Field(default=10.0, ge=1, le=100)
    """Lowest quality of JPEG. The highest is 75, or this one if it is higher."""


class SoundAugmentation(Options):
    """Augmentation of sounds; see `emopipe.training.augment_audio`."""

    renamed: ClassVar = {"bands": "freq_masks", "moments": "time_masks"}

    speed: Number = Field(default=0.15, ge=0, lt=1)
    """Largest change of the speed, as a share of it, up or down. The pitch changes with the speed."""
    pitch: Number = Field(default=0.0, ge=0, lt=1)
    """Largest change of the pitch and of the formants, as a share of them, up or down. The speed does not change. It
    stretches the spectrogram's frequency axis (Jaitly and Hinton, Vocal Tract Length Perturbation, ICML 2013)."""
    room: Number = Field(default=0.0, ge=0, le=1)
    """Share of the sounds that reverberate as in a room."""
    noise: Number = Field(default=0.5, ge=0, le=1)
    """Share of the sounds to which noise is added."""
    noise_slope: Number = Field(default=0.0, ge=0)
    """Largest slope of the noise's spectrum in dB per octave, up or down. 0 is white noise; pink noise has -3, and
    brown noise -6."""
    quietest_db: Number = Field(default=40.0)
    """Highest signal-to-noise ratio in dB: the level of the quietest noise below the sound."""
    loudest_db: Number = Field(default=10.0)
    """Lowest signal-to-noise ratio in dB: the level of the loudest noise below the sound."""
    equaliser_db: Number = Field(default=0.0, ge=0)
    """Largest gain in dB, up or down, of a smooth random filter, as microphones and loudspeakers differ."""
    band_limit: Number = Field(default=0.0, ge=0, le=1)
    """Share of the sounds that keep only a band of their frequencies, as telephones and lossy codecs do."""
    level_db: Number = Field(default=0.0, ge=0)
    """Largest change of the level in dB, up or down. A spectrogram with `level: clip` does not depend on the level, so
    this matters only with `level: full_scale`."""
    freq_masks: int = Field(default=2, ge=0)
    """Number of frequency masks (Park et al., SpecAugment, arXiv 1904.08779)."""
    band: Number = Field(default=0.15, ge=0, le=1)
    """Largest width of a frequency mask, as a share of all frequencies."""
    time_masks: int = Field(default=2, ge=0)
    """Number of time masks."""
    moment: Number = Field(default=0.1, ge=0, le=1)
    """Largest width of a time mask, as a share of the segment's length."""

    @model_validator(mode="after")
    def _noise_range_is_ordered(self) -> Self:
        if self.quietest_db < self.loudest_db:
            raise ValueError(
                f"quietest_db is {self.quietest_db:g} and loudest_db is {self.loudest_db:g}, but quietest_db has to be "
                "at least loudest_db, because both count decibels below the sound; swap them"
            )
        return self
