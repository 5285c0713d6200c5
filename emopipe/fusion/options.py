"""Options of models over cached features: architecture, training, protocol and ensembles."""

import itertools
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from emopipe.core.options import Number, Options

Attention = Literal["mean", "self", "relation", "patch", "transformer", "multihead"]
Fusion = Literal["concat", "fbp", "adaptive_fbp", "gated", "late", "crossmodal"]


class EarlyStopping(Options):
    """Keep the network of the epoch that has the lowest loss on clips that it is not trained on."""

    watch: Literal["inner", "val"] = "inner"
    """Clips whose loss is watched. inner: one fold of the training clips, by subject where known. val: the val split;
    tables of results then state that val was used for selection."""
    folds: int = Field(default=5, ge=2)
    """Number of folds that the training clips are divided into; one of them is the inner fold."""
    patience: int = Field(default=15, ge=1)
    """Number of epochs without a lower loss after which training stops."""


class FusionOptions(Options):
    """Options of a model: attention over each stream's vectors, then fusion of the streams."""

    face_attention: Attention = "transformer"
    """How the vectors of a face stream are pooled to one. mean: their mean. self, relation: FAN's attentions. patch:
    attention over patches (Zhang et al.). transformer: the paper's attention. multihead: a transformer encoder."""
    audio_attention: Attention = "transformer"
    """How the vectors of an audio stream are pooled to one; same values as for face_attention."""
    fusion: Fusion = "concat"
    """How streams are fused. concat: concatenation. fbp: factorized bilinear pooling of face and audio. adaptive_fbp:
    fbp with weights for each clip. gated: gated units. late: mean of the streams' probabilities. crossmodal: a
    cross-modal transformer. A model with one stream needs no fusion."""
    hidden: int = Field(default=64, ge=1)
    """Dimension that the attention reduces vectors to (transformer, multihead, crossmodal), or of its hidden layer
    (patch)."""
    heads: int = Field(default=4, ge=1)
    """Number of heads of multihead and crossmodal attention."""
    out: int = Field(default=64, ge=1)
    """Number of outputs o of bilinear pooling; number of units of gated fusion."""
    factor: int = Field(default=4, ge=1)
    """Number of factors k of bilinear pooling."""
    signed_sqrt: bool = True
    """Whether bilinear pooling takes the signed square root, as MFB does."""
    dropout: Number = Field(default=0.3, ge=0, lt=1)
    """Rate of dropout on pooled vectors, on the bilinear product and inside transformer blocks."""
    modality_dropout: Number = Field(default=0.1, ge=0, lt=1)
    """Probability that a training step removes one modality of a clip that has both. The model then learns to predict
    clips that lack a modality."""
    augment: bool = False
    """Whether to train on the streams' augmented views (`backbones.<name>.views`) as well, and to average predictions
    over all views."""
    frames: int | None = Field(default=None, ge=1)
    """Number of vectors of a clip that a training step samples (FAN uses 3); default: all, but at most 64."""
    sampling: Literal["segments", "random"] = "segments"
    """How these vectors are sampled. segments: one from each of equally long segments of the clip, as in FAN. random:
    from the whole clip."""
    mixup: Number = Field(default=0.0, ge=0)
    """alpha of the Beta distribution for mixup of two clips' vectors; 0: no mixup."""
    class_weights: Literal["none", "balanced"] = "none"
    """balanced: weight a clip's loss by the inverse frequency of its class among the training clips."""
    epochs: int = Field(default=60, ge=1)
    """Number of passes over the training clips. Without early stopping, the number is fixed, so that no reported split
    affects it."""
    early_stopping: EarlyStopping | None = None
    """Options of early stopping; default: no early stopping."""
    batch: int = Field(default=64, ge=2)
    """Number of clips in a training step. A network that is trained without a fold takes as many steps as one that is
    trained on all clips, with fewer clips in each."""
    lr: Number = Field(default=1e-3, gt=0)
    """Peak learning rate of AdamW. The rate rises linearly in the first tenth of the steps, then follows a cosine to
    zero."""
    weight_decay: Number = Field(default=0.05, ge=0)
    """Weight decay of AdamW for matrices. Biases, normalization layers and other vectors have no weight decay."""
    label_smoothing: Number = Field(default=0.1, ge=0, lt=1)
    """Share of the target probability that is spread over all classes."""
    seeds: list[Annotated[int, Field(ge=0, lt=2**31)]] = Field(default=[0, 1, 2, 3, 4], min_length=1)
    """Seeds of initial weights, dropout, modality dropout and mixup. One network is trained for each seed, and the
    model's probabilities are the mean over these networks."""
    search: dict[str, list[Any]] = Field(default_factory=dict)
    """Values to try for lr, weight_decay, dropout, modality_dropout, label_smoothing and mixup. All combinations are
    trained, and the one with the lowest out-of-fold loss becomes the model."""

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"{seeds} contains a seed twice. Each seed gives one network, so all have to differ")
        return seeds

    @model_validator(mode="after")
    def _heads_divide_hidden(self) -> "FusionOptions":
        uses_heads = "multihead" in (self.face_attention, self.audio_attention) or self.fusion == "crossmodal"
        if uses_heads and self.hidden % self.heads:
            raise ValueError(
                f"heads is {self.heads}, which does not divide hidden, {self.hidden}. Choose hidden as a multiple of "
                "heads"
            )
        return self

    @model_validator(mode="after")
    def _search_is_valid(self) -> "FusionOptions":
        for name, values in self.search.items():
            if name not in SEARCHABLE:
                raise ValueError(f"search.{name} cannot be searched. Options that can: {', '.join(SEARCHABLE)}")
            if not values:
                raise ValueError(f"search.{name} is empty. List the values to try, or remove the key")
        if self.search:
            candidates(self)  # validates each value like the option itself
        return self


SEARCHABLE = ("lr", "weight_decay", "dropout", "modality_dropout", "label_smoothing", "mixup")
"""Options that do not change a network's shape, so that all candidates can be trained together."""


def candidates(options: FusionOptions) -> list[FusionOptions]:
    """Return one set of options for each combination of `options.search`; without a search, the options themselves."""
    names = sorted(options.search)
    base = options.model_dump(include=set(FusionOptions.model_fields) - {"search"})
    grid = itertools.product(*(options.search[name] for name in names))
    return [FusionOptions.model_validate({**base, **dict(zip(names, values, strict=True))}) for values in grid]


def effective_options(options: FusionOptions, modalities: Mapping[str, str]) -> FusionOptions:
    """Return the options for the usable streams; fusion is concat if they do not suffice for the requested fusion."""
    needs_two_modalities = options.fusion in ("fbp", "adaptive_fbp")
    if len(modalities) == 1 or (needs_two_modalities and len(set(modalities.values())) == 1):
        return options.model_copy(update={"fusion": "concat"})
    return options


class Protocol(Options):
    """Which clips models are trained on, and which they predict."""

    kind: Literal["given", "kfold", "final"] = "given"
    """given: train on train, predict val and test. kfold: predict every labelled clip by models that are trained on
    the other folds. final: train on train and val, predict test, for a submission."""
    folds: int = Field(default=5, ge=2)
    """Number of folds of the training clips, for their out-of-fold predictions."""
    by: str = Field(default="auto", min_length=1)
    """How clips are assigned to folds. subject: clips of one subject stay in one fold. class: stratified by class.
    auto: by subject if all subjects are known and there are enough of them, otherwise by class. Any other name is a
    column of the clip table, such as sentence: clips with the same value stay in one fold."""
    seed: int = 0
    """Seed of the assignment of clips to folds."""

    @property
    def learned(self) -> tuple[str, ...]:
        """The splits that models are trained on and do not report; none in a cross-validation."""
        return {"given": ("train",), "kfold": (), "final": ("train", "val")}[self.kind]


class EnsembleOptions(Options):
    """How the probabilities of several models are combined."""

    method: Literal["mean", "weighted", "greedy", "stacking"] = "mean"
    """mean: unweighted mean. weighted: mean with the weights of highest likelihood. greedy: members are added one by
    one, with replacement, while the loss falls (Caruana et al., ICML 2004). stacking: logistic regression on the
    members' log probabilities. All except mean are fitted on out-of-fold predictions of the training clips."""
    members: list[str] | None = Field(default=None, min_length=1)
    """Models to combine; default: all models."""
    top: int | None = Field(default=None, ge=1)
    """Number of members to use, those with the highest out-of-fold accuracy; default: all members."""
    calibrate: bool = False
    """Whether to divide the logits of each member and of the ensemble by a temperature that is fitted out of fold (Guo
    et al., ICML 2017)."""
