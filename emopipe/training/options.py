"""Options that all training of backbones shares, and those of training on the corpus' own training clips."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from emopipe.core.options import Number, Options


class TrainingOptions(Options):
    """What the trainer does, whatever the samples are."""

    epochs: int = Field(default=60, ge=1)
    """Passes over the training samples."""
    batch: int = Field(default=128, ge=2)
    """Samples per optimizer step."""
    optimiser: Literal["sgd", "adamw"] = "sgd"
    """SGD with Nesterov momentum 0.9, or AdamW."""
    lr: Number = Field(default=0.1, gt=0)
    """Peak learning rate: it rises linearly during the warm-up and then falls along a cosine to 0."""
    warmup: Number = Field(default=0.05, ge=0, lt=1)
    """Share of the optimizer steps that belong to the warm-up."""
    weight_decay: Number = Field(default=5e-4, ge=0)
    """Weight decay of matrices and filters. Biases and normalisation layers have no weight decay."""
    label_smoothing: Number = Field(default=0.1, ge=0, lt=1)
    """Share of the target that is spread evenly over all classes."""
    mixup: Number = Field(default=0.2, ge=0)
    """Both parameters of the Beta distribution of mixup (Zhang et al., arXiv 1710.09412). 0 turns mixup off."""
    balance: Number = Field(default=0.0, ge=0, le=1)
    """Classes are sampled by their frequency to the power of 1 - balance: 0 keeps their frequencies, 1 makes them
    equal."""
    ema: Number = Field(default=0.999, ge=0, lt=1)
    """Decay of the exponential moving average (EMA) of the weights. Training returns the average; 0 returns the last
    weights."""
    dropout: Number = Field(default=0.3, ge=0, lt=1)
    """Dropout before the classifier."""
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    """Precision of the forward pass in training. Weights are kept in float32. auto: bfloat16 on a GPU, float32 on the
    CPU, because most CPUs have no instructions for bfloat16 and take several times as long."""
    validate_every: int = Field(default=1, ge=1)
    """Epochs between two evaluations on the val split. They are reported only; they do not influence the training."""
    seed: int = 0
    """Seed of the initial weights, the order of the samples and the augmentation."""


class PretrainOptions(TrainingOptions):
    """Out-of-fold training on the training clips of the corpus.

    One network is trained on all training clips and extracts the features of the other splits. For each fold, one more
    network is trained without that fold and extracts its features. So fusion is never trained on features of clips that
    the network was trained on, which would be too optimistic.
    """

    folds: int = Field(default=3, ge=2)
    """Number of folds of the training clips. They are cut as those of fusion are (`protocol`, its seed included): with
    as many folds they are the same, and people whom fusion keeps together are in one fold here too."""
    epochs: int = Field(default=15, ge=1)
    """Passes over the faces or sounds of the training clips."""
    batch: int = Field(default=64, ge=2)
    """Faces or segments of sound per optimizer step."""
    optimiser: Literal["sgd", "adamw"] = "adamw"
    """SGD with Nesterov momentum 0.9, or AdamW."""
    lr: Number = Field(default=2e-3, gt=0)
    """Peak learning rate: it rises linearly during the warm-up and then falls along a cosine to 0."""
    warmup: Number = Field(default=0.3, ge=0, lt=1)
    """Share of the optimizer steps that belong to the warm-up."""
    weight_decay: Number = Field(default=0.05, ge=0)
    """Weight decay of matrices and filters. Biases and normalisation layers have no weight decay."""
    mixup: Number = Field(default=0.0, ge=0)
    """Both parameters of the Beta distribution of mixup (Zhang et al., arXiv 1710.09412). 0 turns mixup off."""
    ema: Number = Field(default=0.0, ge=0, lt=1)
    """Decay of the exponential moving average (EMA) of the weights. Training returns the average; 0 returns the last
    weights, which are better after few steps, as small corpora have them."""
    validate_every: int = Field(default=10, ge=1)
    """Epochs between two evaluations of a fold's network on the fold. They are reported only."""
    seconds: Number = Field(default=2.5, gt=0)
    """Length in seconds of the segments of sound that an audio network is trained on."""
    seeds: list[Annotated[int, Field(ge=0)]] | None = Field(default=None, min_length=2)
    """Several seeds in place of `seed`: all networks are trained once for each, which takes as many times as long. A
    model's first seed reads the features of the first, its second seed those of the second, and so on in turn, so that
    the spread over a model's seeds includes that of the backbone. Default: `seed` alone."""

    @model_validator(mode="after")
    def _seeds_are_clear(self) -> "PretrainOptions":
        if self.seeds is None:
            return self
        if "seed" in self.model_fields_set:
            raise ValueError("both seed and seeds are set. Remove seed, and list all seeds in seeds")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds is {self.seeds}, which contains a seed twice. Each seed gives networks of its own")
        return self
