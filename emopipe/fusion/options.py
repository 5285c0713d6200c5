"""How models over cached features are built and trained, and on which clips."""

import itertools
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from emopipe.core.options import Number, Options

Attention = Literal["mean", "self", "relation", "patch", "transformer", "multihead"]
Fusion = Literal["concat", "fbp", "adaptive_fbp", "gated", "late", "crossmodal"]


class EarlyStopping(Options):
    """Which epoch's network is kept: the one with the least loss on clips that it does not learn from."""

    watch: Literal["inner", "val"] = "inner"
    """inner: one fold of the training clips, by subject where known; val: the reported split, which tables then say."""
    folds: int = Field(default=5, ge=2)
    """The inner fold is one of so many."""
    patience: int = Field(default=15, ge=1)
    """Epochs without a lower loss after which training stops."""


class FusionOptions(Options):
    """A model: attention over each stream's vectors, then fusion of the streams."""

    face_attention: Attention = "transformer"
    """How a face stream's vectors become one: their mean, FAN's self or relation attention, the audio companion's
    (patch), the paper's transformer attention, or a transformer encoder (multihead)."""
    audio_attention: Attention = "transformer"
    """The same for an audio stream."""
    fusion: Fusion = "concat"
    """How streams are joined: concatenation, factorized bilinear pooling of face and audio, the same with adaptive
    weights, gated units, late fusion of scores, or cross-modal attention. One stream needs none of them."""
    hidden: int = Field(default=64, ge=1)
    """Dimension to which a stream's vectors are reduced, where the attention reduces them."""
    heads: int = Field(default=4, ge=1)
    """Heads of multihead and crossmodal attention."""
    out: int = Field(default=64, ge=1)
    """Outputs o of bilinear pooling; units of gated fusion."""
    factor: int = Field(default=4, ge=1)
    """Factors k of bilinear pooling."""
    signed_sqrt: bool = True
    """Whether bilinear pooling takes the signed square root, as MFB does."""
    dropout: Number = Field(default=0.3, ge=0, lt=1)
    """Dropout on pooled vectors, on the bilinear product and inside transformer blocks."""
    modality_dropout: Number = Field(default=0.1, ge=0, lt=1)
    """Chance that training hides a modality of a clip that has both: so the model can do without it."""
    augment: bool = False
    """Learn from the streams' cached views (`backbones.<name>.views`) too, and average predictions over them."""
    frames: int | None = Field(default=None, ge=1)
    """Vectors of a clip that a step learns from, drawn anew each time (FAN takes 3); none: all, or 64 of more."""
    sampling: Literal["segments", "random"] = "segments"
    """How they are drawn: one from each equal part of the clip, as FAN does, or from anywhere."""
    mixup: Number = Field(default=0.0, ge=0)
    """alpha of the Beta distribution by which the vectors of two clips are mixed; 0 mixes none."""
    class_weights: Literal["none", "balanced"] = "none"
    """balanced weighs a clip's loss by the inverse of its class' frequency among the training clips."""
    epochs: int = Field(default=60, ge=1)
    """Passes over the training clips; without early stopping a fixed number, so that no reported split chooses it."""
    early_stopping: EarlyStopping | None = None
    """Whether to stop early, and on what."""
    batch: int = Field(default=64, ge=2)
    """Clips a step; a fold of the training clips takes as many steps as all of them, each with fewer clips."""
    lr: Number = Field(default=1e-3, gt=0)
    """Peak learning rate of AdamW: a linear rise over the first tenth of the steps, then a cosine to zero."""
    weight_decay: Number = Field(default=0.05, ge=0)
    """AdamW's weight decay."""
    label_smoothing: Number = Field(default=0.1, ge=0, lt=1)
    """Share of the target that is spread over all classes."""
    seeds: list[Annotated[int, Field(ge=0, lt=2**31)]] = Field(default=[0, 1, 2, 3, 4], min_length=1)
    """One network a seed, which varies initial weights, dropout, hidden modalities and mixup; a model's probabilities
    are the mean of theirs."""
    search: dict[str, list[Any]] = Field(default_factory=dict)
    """Values to try of some of lr, weight_decay, dropout, modality_dropout, label_smoothing and mixup: all
    combinations are trained together, and the one with the least out-of-fold loss is the model."""

    @field_validator("seeds")
    @classmethod
    def _all_different(cls, seeds: list[int]) -> list[int]:
        """The same seed twice is the same network twice."""
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"{seeds} names a seed twice")
        return seeds

    @model_validator(mode="after")
    def _heads_divide(self) -> "FusionOptions":
        """Transformer blocks share their dimension out evenly."""
        headed = "multihead" in (self.face_attention, self.audio_attention) or self.fusion == "crossmodal"
        if headed and self.hidden % self.heads:
            raise ValueError(f"heads is {self.heads}, which does not divide hidden, {self.hidden}")
        return self

    @model_validator(mode="after")
    def _search_is_of_numbers(self) -> "FusionOptions":
        """Candidates have one shape, so that they train together."""
        for name, values in self.search.items():
            if name not in SEARCHED:
                raise ValueError(f"search.{name} cannot be searched; known: {', '.join(SEARCHED)}")
            if not values:
                raise ValueError(f"search.{name} is empty; give values to try, or leave it out")
        if self.search:
            candidates(self)  # each value is checked as the option itself would be
        return self


SEARCHED = ("lr", "weight_decay", "dropout", "modality_dropout", "label_smoothing", "mixup")
"""Options that a network's shape does not depend on."""


def candidates(options: FusionOptions) -> list[FusionOptions]:
    """All combinations of the values to try; the options themselves where there are none."""
    names = sorted(options.search)
    base = options.model_dump(include=set(FusionOptions.model_fields) - {"search"})
    grid = itertools.product(*(options.search[name] for name in names))
    return [FusionOptions.model_validate({**base, **dict(zip(names, values, strict=True))}) for values in grid]


class Protocol(Options):
    """Which clips are learned from, and which are predicted."""

    kind: Literal["given", "kfold", "final"] = "given"
    """given: learn from train, predict val and test. kfold: every labelled clip is predicted by models that learned
    from the other folds. final: learn from train and val, predict test, for a submission."""
    folds: int = Field(default=5, ge=2)
    """Folds by which out-of-fold predictions of the clips that are learned from are made."""
    by: Literal["auto", "subject", "class"] = "auto"
    """Folds by subject, or stratified by class; auto: by subject where there are enough and all are known."""
    seed: int = 0
    """Deals clips into folds."""


class EnsembleOptions(Options):
    """How models' probabilities become one answer."""

    method: Literal["mean", "weighted", "greedy", "stacking"] = "mean"
    """mean; weighted: a mixture whose weights are most likely; greedy: members are added, with replacement, while
    that lowers the loss (Caruana et al., ICML 2004); stacking: logistic regression on the members' log probabilities.
    All but mean are fitted on out-of-fold predictions of the clips learned from."""
    members: list[str] | None = Field(default=None, min_length=1)
    """Models to combine; left out, all of them."""
    top: int | None = Field(default=None, ge=1)
    """Take only so many of them, those with the best out-of-fold accuracy."""
    calibrate: bool = False
    """Scale each member's and the answer's logits by a temperature fitted out of fold (Guo et al., ICML 2017)."""
