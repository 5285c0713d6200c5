"""How models over cached features are built, trained and combined."""

from typing import Literal

from pydantic import Field, field_validator

from emopipe.options import Number, Options


class FusionOptions(Options):
    """A model: attention over each stream's vectors, then fusion of the streams."""

    attention: Literal["transformer", "mean"] = "transformer"
    """How a stream's vectors become one: the paper's transformer attention, or their mean."""
    fusion: Literal["concat", "fbp"] = "concat"
    """How modalities are joined: concatenation, or factorized bilinear pooling. One modality needs neither."""
    hidden: int = Field(default=64, ge=1)
    """Dimension to which a stream's vectors are reduced."""
    out: int = Field(default=64, ge=1)
    """Outputs o of factorized bilinear pooling."""
    factor: int = Field(default=4, ge=1)
    """Factors k of factorized bilinear pooling."""
    dropout: Number = Field(default=0.3, ge=0, lt=1)
    """Dropout on pooled vectors, and on the bilinear product."""
    modality_dropout: Number = Field(default=0.1, ge=0, lt=1)
    """Chance that training hides a modality of a clip that has several: so the model can do without it."""
    epochs: int = Field(default=60, ge=1)
    """Passes over the training clips; a fixed number, so that no reported split chooses it."""
    batch: int = Field(default=64, ge=2)
    """Clips a step."""
    lr: Number = Field(default=1e-3, gt=0)
    """Peak learning rate of AdamW under a one-cycle cosine schedule."""
    weight_decay: Number = Field(default=0.05, ge=0)
    """AdamW's weight decay."""
    label_smoothing: Number = Field(default=0.1, ge=0, lt=1)
    """Share of the target that is spread over all classes."""
    seeds: list[int] = Field(default=[0, 1, 2, 3, 4], min_length=1)
    """One network a seed; a model's probabilities are the mean of theirs."""

    @field_validator("seeds")
    @classmethod
    def _all_different(cls, seeds: list[int]) -> list[int]:
        """The same seed twice is the same network twice."""
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"{seeds} names a seed twice")
        return seeds


class EnsembleOptions(Options):
    """The run's final answer: the mean of its members' probabilities."""

    members: list[str] | None = Field(default=None, min_length=1)
    """Models whose probabilities are averaged; left out, all of them."""
