"""The recipe of one phase of a backbone's training on labelled stills or speech (`backbones.<name>.schedule`)."""

from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from emopipe.backbones.base import Modality
from emopipe.core.options import Number, Options
from emopipe.training.augment_options import FaceAugmentation, SoundAugmentation
from emopipe.training.options import TrainingOptions


class EarlyStopping(Options):
    """Early stopping on a held-out part of the training samples, on which the network is not trained."""

    hold_out: Number = Field(default=0.05, gt=0, lt=1)
    """Share of the training samples to hold out: of the speakers where all are known, otherwise of every class."""
    patience: int = Field(default=10, ge=1)
    """Training stops after this many epochs without a lower loss on the held-out part. The weights of the best epoch
    are kept."""


class ImitationOptions(Options):
    """A trained audio network whose vectors the network learns to predict; see `emopipe.training.imitation`."""

    kind: str
    """The network: a kind of already trained audio network, such as `hf:<folder or id>`. `emopipe pretrain` looks for
    the folder in the one that --data names first."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Its own options. A path in them is absolute, or relative to the folder in which the command runs."""
    weight: Number = Field(default=1.0, gt=0)
    """Weight of the mean squared error beside the loss of the classes. The error is about 1 before training."""

    def below(self, root: Path) -> "ImitationOptions":
        """Return the network `hf:FOLDER` of a folder below `root`, if there is one; else these options."""
        prefix, _, folder = self.kind.partition(":")
        is_there = prefix == "hf" and bool(folder) and (root / folder).is_dir()
        return self.model_copy(update={"kind": f"hf:{root / folder}"}) if is_there else self


class PhaseOptions(TrainingOptions):
    """The recipe of one phase. The defaults are for a network that starts from random weights."""

    renamed: ClassVar = {"taught": "distill_weight", "fresh": "from_scratch"}

    sources: list[str] = Field(min_length=1)
    """Names of the corpora to train on (keys of `sources`). Their samples are pooled."""
    distill_weight: Number = Field(default=0.0, ge=0, le=1)
    """Weight of the teacher's probabilities in the target (knowledge distillation): softer labels than those of the
    corpus, for corpora with noisy labels. 0 uses no teacher."""
    teacher: Literal["start", "average"] = "start"
    """start: the teacher is the network, with its classifier, that the phase starts from (Furlanello et al., Born-Again
    Networks, arXiv 1805.04770). average: the teacher is the moving average of the network's own weights, and its weight
    in the target rises linearly during the second half of the phase (Tarvainen and Valpola, arXiv 1703.01780; Kim et
    al., arXiv 2006.12000)."""
    from_scratch: bool = False
    """Start from random weights. The weights that the phase would otherwise start from are only the teacher."""
    frozen: bool = False
    """Train the last layers alone: the classifier, and those that the network counts as its last. The others keep their
    weights. As a first phase it lets new last layers fit the others before all are trained (Kumar et al., Fine-Tuning
    can Distort Pretrained Features, ICLR 2022, arXiv 2202.10054). Batch normalisation still follows the samples."""
    stop: EarlyStopping | None = None
    """Early stopping. Default: none; all epochs are run, and no epoch is selected."""

    @model_validator(mode="after")
    def _teacher_is_usable(self) -> Self:
        if self.from_scratch and not (self.distill_weight and self.teacher == "start"):
            raise ValueError(
                "from_scratch is true, but the weights that the phase starts from are not the teacher (distill_weight "
                f"is {self.distill_weight:g}, teacher is {self.teacher}), so they would not be used; set "
                "distill_weight above 0 and teacher to start, or remove from_scratch"
            )
        if self.distill_weight and self.teacher == "average" and not self.ema:
            raise ValueError(
                "teacher is average, but ema is 0, so the average is the network itself; set ema above 0, or set "
                "teacher to start"
            )
        return self

    @field_validator("sources")
    @classmethod
    def _no_duplicates(cls, sources: list[str]) -> list[str]:
        if duplicates := [name for name in sources if sources.count(name) > 1]:
            raise ValueError(f"{duplicates[0]} is listed twice; list it once")
        return sources


class StillsPhase(PhaseOptions):
    """A phase of a face network: training on stills."""

    side: int | None = Field(default=None, ge=16)
    """Side in pixels of the faces in training, for networks that read faces of any size. A smaller side saves time in a
    first phase. Default: the network's own side, which evaluation always uses."""
    augment: FaceAugmentation = Field(default_factory=FaceAugmentation)
    """Augmentation of the faces."""


class SpeechPhase(PhaseOptions):
    """A phase of an audio network: training on speech."""

    seconds: Number = Field(default=2.5, gt=0)
    """Length in seconds of the segments of sound that the network is trained on."""
    augment: SoundAugmentation = Field(default_factory=SoundAugmentation)
    """Augmentation of the sound."""
    imitate: ImitationOptions | None = None
    """Another network to imitate, in training only. Default: none."""


def phase_class(modality: Modality) -> type[StillsPhase] | type[SpeechPhase]:
    """Return the options class of a phase for a network of this modality."""
    return StillsPhase if modality == "face" else SpeechPhase
