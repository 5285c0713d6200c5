"""How much faces and sounds are varied while a network learns; 0 leaves a variation out."""

from typing import Self

from pydantic import Field, model_validator

from emopipe.core.options import Number, Options


class FaceAugmentation(Options):
    """Variations of faces, each drawn evenly from its span; see `emopipe.training.augment_image`."""

    mirror: bool = True
    """Half of the faces are mirrored, left for right."""
    turn: Number = Field(default=12.0, ge=0, le=180)
    """Degrees to either side."""
    zoom: Number = Field(default=0.1, ge=0, lt=1)
    """Share by which the face's size varies up and down."""
    shift: Number = Field(default=0.08, ge=0, lt=1)
    """Share of half the side by which the face moves, along and across."""
    contrast: Number = Field(default=0.3, ge=0, lt=1)
    """Share by which contrast varies up and down."""
    brightness: Number = Field(default=25.0, ge=0)
    """Grey levels, of 255, to either side."""
    colour: Number = Field(default=0.3, ge=0, lt=1)
    """Share by which saturation varies up and down; grey faces have none."""
    blur: Number = Field(default=0.25, ge=0, le=1)
    """Share of the faces that are blurred."""
    erase: Number = Field(default=0.25, ge=0, le=1)
    """Share of the faces of which a rectangle is erased (Zhong et al., Random Erasing, arXiv 1708.04896)."""
    erase_side: Number = Field(default=0.4, ge=0.15, le=1)
    """Longest side of that rectangle, as a share of the face's side; the shortest is 0.15. Its centre is anywhere."""


class SoundAugmentation(Options):
    """Variations of sounds; see `emopipe.training.augment_audio`."""

    speed: Number = Field(default=0.15, ge=0, lt=1)
    """Share by which speed, and pitch with it, varies up and down."""
    noise: Number = Field(default=0.5, ge=0, le=1)
    """Share of the sounds to which white noise is added."""
    quietest_db: Number = Field(default=40.0)
    """The quietest noise lies so many decibels under the sound."""
    loudest_db: Number = Field(default=10.0)
    """The loudest noise lies so many decibels under the sound."""
    bands: int = Field(default=2, ge=0)
    """Bands of frequencies that are hidden (Park et al., SpecAugment, arXiv 1904.08779)."""
    band: Number = Field(default=0.15, ge=0, le=1)
    """Widest of them, as a share of all frequencies."""
    moments: int = Field(default=2, ge=0)
    """Moments that are hidden."""
    moment: Number = Field(default=0.1, ge=0, le=1)
    """Longest of them, as a share of the stretch."""

    @model_validator(mode="after")
    def _noise_in_order(self) -> Self:
        if self.quietest_db < self.loudest_db:
            raise ValueError(
                f"quietest_db {self.quietest_db:g} has to be no less than loudest_db {self.loudest_db:g}, as both "
                "count decibels under the sound; swap them"
            )
        return self
