"""How a backbone is trained on labelled stills or speech from elsewhere: one step of its chain."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from emopipe.backbones.base import Modality
from emopipe.core.options import Number, Options
from emopipe.training.augment_options import FaceAugmentation, SoundAugmentation


class Stop(Options):
    """Early stopping on a part of the training samples that no gradient sees."""

    hold_out: Number = Field(default=0.05, gt=0, lt=1)
    """Share of the training samples, of every class; where speakers are known, of the speakers."""
    patience: int = Field(default=10, ge=1)
    """Epochs without a lower loss on the held-out part after which training ends; the best epoch's weights stay."""


class StepOptions(Options):
    """The recipe of one step; defaults are for a network that starts from nothing."""

    sources: list[str] = Field(min_length=1)
    """Names of the corpora to learn from (`sources`), taken together."""
    epochs: int = Field(default=60, ge=1)
    """Passes over the training samples."""
    batch: int = Field(default=128, ge=2)
    """Samples a gradient."""
    optimiser: Literal["sgd", "adamw"] = "sgd"
    """SGD with Nesterov's momentum 0.9, or AdamW."""
    lr: Number = Field(default=0.1, gt=0)
    """Highest learning rate: it rises in the warm-up and falls along a cosine to 0."""
    warmup: Number = Field(default=0.05, ge=0, lt=1)
    """Share of the steps in which the learning rate rises."""
    weight_decay: Number = Field(default=5e-4, ge=0)
    """Weight decay of matrices and filters; biases and normalisations have none."""
    label_smoothing: Number = Field(default=0.1, ge=0, lt=1)
    """Share of the target that is spread over all classes."""
    mixup: Number = Field(default=0.2, ge=0)
    """Both of Beta's parameters when two samples are mixed (Zhang et al., arXiv 1710.09412); 0 mixes none."""
    balance: Number = Field(default=0.0, ge=0, le=1)
    """Classes are drawn by their frequency to the power of 1 - balance: 0 as they come, 1 all as often."""
    ema: Number = Field(default=0.999, ge=0, lt=1)
    """Decay of the moving average of the weights, which is what training gives; 0 takes the last weights."""
    dropout: Number = Field(default=0.3, ge=0, lt=1)
    """Dropout before the classifier."""
    taught: Number = Field(default=0.0, ge=0, le=1)
    """Share of the target that a teacher gives: softer labels than the corpus' own, where these are noisy."""
    teacher: Literal["start", "average"] = "start"
    """Who teaches: the network that the step starts from, as it was then, with its classifier (Furlanello et al.,
    Born-Again Networks, arXiv 1805.04770); or the moving average of the network's own weights, with a share that rises
    along a line through the second half of the step (Tarvainen and Valpola, arXiv 1703.01780; Kim et al., arXiv
    2006.12000)."""
    fresh: bool = False
    """Begin from random weights all the same: what the step starts from only teaches."""
    precision: Literal["bfloat16", "float32"] = "bfloat16"
    """Of the products in the network while it learns; weights are kept in float32."""
    stop: Stop | None = None
    """Early stopping; left out, all epochs are run and nothing is chosen."""
    validate_every: int = Field(default=1, ge=1)
    """Epochs between two looks at the val split, which choose nothing."""
    seed: int = 0
    """Seed of initial weights, order and augmentation."""

    @model_validator(mode="after")
    def _teaches(self) -> Self:
        if self.fresh and not (self.taught and self.teacher == "start"):
            raise ValueError(
                "fresh is true, but what the step starts from does not teach (taught is "
                f"{self.taught:g}, teacher {self.teacher}): then nothing is made of it"
            )
        if self.taught and self.teacher == "average" and not self.ema:
            raise ValueError("teacher is average, but ema is 0: then the average is the network itself")
        return self

    @field_validator("sources")
    @classmethod
    def _each_once(cls, sources: list[str]) -> list[str]:
        if twice := [name for name in sources if sources.count(name) > 1]:
            raise ValueError(f"{twice[0]} is named twice; name it once")
        return sources


class StillsStep(StepOptions):
    """A step of a face network: on stills."""

    side: int | None = Field(default=None, ge=16)
    """Side in pixels at which faces are shown while the network learns, where it reads any: smaller ones take less
    time, which a first step can do with. Left out, the network's own, as which faces are looked at in between."""
    augment: FaceAugmentation = Field(default_factory=FaceAugmentation)
    """How faces are varied."""


class SpeechStep(StepOptions):
    """A step of an audio network: on speech."""

    seconds: Number = Field(default=2.5, gt=0)
    """Length of the stretches of sound that are learned from."""
    augment: SoundAugmentation = Field(default_factory=SoundAugmentation)
    """How sounds are varied."""


def step_class(modality: Modality) -> type[StillsStep] | type[SpeechStep]:
    """The class of a step's options for a network of this modality."""
    return StillsStep if modality == "face" else SpeechStep
