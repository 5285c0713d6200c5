"""Options of models over cached features: architecture, training, protocol and ensembles."""

import itertools
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from emopipe.backbones.base import Modality
from emopipe.core.options import Number, Options
from emopipe.scoring.pooling import Mean

Attention = Literal["mean", "self", "relation", "patch", "transformer", "multihead"]
Fusion = Literal[
    "concat", "fbp", "adaptive_fbp", "gated", "gmu", "late", "crossmodal", "product", "product_untrained",
    "mean_of_heads",
]  # fmt: skip
POOLS = ("product", "product_untrained", "mean_of_heads")
"""Fusions of the networks' own heads, without a network of their own."""
FrameInput = Literal["vectors", "logp", "evidence"]
Statistic = Literal["mean", "spread", "maximum", "confidence", "entropy"]


MOST_DECAY_OF_SGD = 0.1
"""With sgd, a larger weight decay is refused: it was meant for adamw, where it has another meaning."""


class EarlyStopping(Options):
    """Keep the network of the epoch that has the lowest loss on clips that it is not trained on."""

    watch: Literal["inner", "val"] = "inner"
    """Clips whose loss is watched. inner: one fold of the training clips, by subject where known. val: the val split;
    tables of results then state that val was used for selection."""
    folds: int = Field(default=5, ge=2)
    """Number of folds that the training clips are divided into; one of them is the inner fold."""
    patience: int = Field(default=15, ge=1)
    """Number of epochs without a lower loss after which training stops."""


class LearningRateSteps(Options):
    """Lower the learning rate in steps: lr * factor ** (epoch // every), with epochs counted from 0."""

    every: int = Field(ge=1)
    """Number of epochs between two steps (FAN's code: 60)."""
    factor: Number = Field(gt=0, lt=1)
    """Factor by which a step multiplies the learning rate (FAN's code: 0.2)."""


class FusionOptions(Options):
    """Options of a model: attention over each stream's vectors, then fusion of the streams."""

    face_attention: Attention = "transformer"
    """How the vectors of a face stream are pooled to one. mean: their mean. self, relation: FAN's attentions. patch:
    attention over patches (Zhang et al.). transformer: this project's reading of the paper's attention, whose details
    the paper does not give: the inner product of each reduced vector with one trained vector, and a softmax.
    multihead: a transformer encoder with the vectors' times in seconds as positions."""
    audio_attention: Attention = "transformer"
    """How the vectors of an audio stream are pooled to one; same values as for face_attention."""
    fusion: Fusion = "concat"
    """How streams are fused. concat: concatenation. fbp: factorized bilinear pooling of face and audio. adaptive_fbp:
    fbp with weights for each clip. gated: one scalar gate a stream. gmu: gated multimodal unit (Arevalo et al.), with a
    gate for each unit and stream. late: mean of the streams' answers. crossmodal: a cross-modal transformer with
    the vectors' times in seconds as positions. A model with one stream needs no fusion. Three fusions combine what the
    streams' own emotion heads say, and use none of the options below except augment and frames_pool. product: the
    log-linear pool, with a fitted exponent for each stream and a fitted prior. product_untrained: the same with all
    exponents 1 and the prior of the training clips. mean_of_heads: the mean of the streams' probabilities."""
    face_inputs: list[FrameInput] = Field(default=["vectors"], min_length=1)
    """What a model reads of a face stream. vectors: the backbone's vector of each frame. logp: the log-probabilities
    that the backbone's own emotion head gives for each frame, beside the vectors or alone. evidence: what the head says
    of the whole clip is added to the logits, as in product: its log-probabilities minus those of its prior, weighted by
    one trained exponent. A stream of which only the evidence is read takes no part in attention and fusion. logp and
    evidence need backbones with a head: those that emopipe trained, by weights, schedule or pretrain."""
    audio_inputs: list[FrameInput] = Field(default=["vectors"], min_length=1)
    """What a model reads of an audio stream; same values as for face_inputs. With [evidence], a model has hardly any
    parameter that it could fit to the few voices of the training clips."""
    statistics: list[Statistic] = Field(default=[])
    """Statistics over all frames or patches of a clip, joined to the stream's pooled vector. mean, spread (standard
    deviation) and maximum of the inputs; confidence: mean of the largest probability; entropy: mean entropy of the
    probabilities. The last two need backbones with a head, as logp does. Default: none."""
    normalise: Literal["none", "subject"] = "none"
    """How vectors of audio streams are normalised before all else. subject: to mean 0 and spread 1 over all clips of a
    person. This is transductive: it uses unlabelled clips of the people who are tested, and tables of results say so.
    Clips of unknown people, and of people with fewer than 5 clips, are normalised over all clips of the corpus. Such a
    model cannot predict single new files."""
    frames_pool: Literal["mean_p", "mean_logp"] = "mean_p"
    """How product, product_untrained, mean_of_heads and evidence pool the frames of a face stream. mean_p: the mean of
    the frames' probabilities. mean_logp: the mean of their logarithms, which the fitted exponent weights. For sound, it
    is always the head on the mean vector, as the head was trained."""
    hidden: int = Field(default=64, ge=1)
    """Dimension that the attention reduces vectors to (transformer, multihead, crossmodal), or of its hidden layer
    (patch)."""
    heads: int = Field(default=4, ge=1)
    """Number of heads of multihead and crossmodal attention."""
    out: int = Field(default=64, ge=1)
    """Number of outputs o of bilinear pooling; number of units of gated and gmu fusion."""
    factor: int = Field(default=4, ge=1)
    """Number of factors k of bilinear pooling."""
    signed_sqrt: bool = True
    """Whether bilinear pooling takes the signed square root, as MFB does."""
    dropout: Number = Field(default=0.3, ge=0, lt=1)
    """Rate of dropout on pooled vectors, on the bilinear product and inside transformer blocks."""
    attention_dropout: Number = Field(default=0.0, ge=0, lt=1)
    """Rate of dropout on the vectors from which self and relation attention compute their weights; what they pool is
    not affected (FAN's code: 0.5, beside a dropout of 0.6)."""
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
    """balanced: weight a clip's loss by the inverse frequency of its class among the training clips, or of the classes
    that share its votes. Of several classes (labels.kind: multi), the clips with a class count as much as those without
    it."""
    epochs: int = Field(default=60, ge=1)
    """Number of passes over the training clips. Without early stopping, the number is fixed, so that no reported split
    affects it."""
    early_stopping: EarlyStopping | None = None
    """Options of early stopping; default: no early stopping."""
    batch: int = Field(default=64, ge=2)
    """Number of clips in a training step. A network that is trained without a fold takes as many steps as one that is
    trained on all clips, with fewer clips in each."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """adamw; or sgd with momentum, as in FAN's code, whose weight decay is added to the gradient."""
    momentum: Number | None = Field(default=None, ge=0, lt=1)
    """Momentum of sgd. Default: 0.9."""
    lr: Number = Field(default=1e-3, gt=0)
    """Peak learning rate. The rate rises linearly in the first tenth of the steps, then follows a cosine to zero,
    unless lr_steps is set."""
    lr_steps: LearningRateSteps | None = None
    """Lower the learning rate in steps instead, without a warm-up. Default: warm-up and cosine."""
    weight_decay: Number = Field(default=0.5, ge=0, lt=1)
    """adamw: share by which a matrix would shrink over a whole training of `epochs` epochs if it had no gradients,
    whatever lr and the number of steps: 0.5 is 50 %. Each step has the same share of the decay as of the learning
    rates. Values to search: 0, 0.5, 0.9, 0.99. sgd: the weight of the L2 penalty, as in torch. Biases, normalization
    layers and other vectors have no weight decay."""
    label_smoothing: Number = Field(default=0.1, ge=0, lt=1)
    """Share of the target probability that is spread over all classes. Of several classes (labels.kind: multi), it is
    the share by which each target moves to 1/2. Dimensions are not smoothed."""
    seeds: list[Annotated[int, Field(ge=0, lt=2**31)]] = Field(default=[0, 1, 2, 3, 4], min_length=1)
    """Seeds of all that is random in training: initial weights, the order of the clips, the views and vectors that are
    sampled of a clip, dropout, modality dropout and mixup. One network is trained for each seed, and the model's
    probabilities are the mean over these networks."""
    search: dict[str, list[Any]] = Field(default_factory=dict)
    """Values to try for lr, weight_decay, dropout, modality_dropout, label_smoothing and mixup. All combinations are
    trained, and the one with the lowest out-of-fold loss becomes the model. The loss is the cross-entropy; of
    dimensions, the squared error."""

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"{seeds} contains a seed twice. Each seed gives one network, so all have to differ")
        return seeds

    @field_validator("face_inputs", "audio_inputs", "statistics")
    @classmethod
    def _named_once(cls, names: list[str]) -> list[str]:
        if len(set(names)) < len(names):
            raise ValueError(f"{names} names an entry twice. Name each one once")
        return names

    @model_validator(mode="after")
    def _heads_divide_hidden(self) -> "FusionOptions":
        if encodes_time(self) and self.hidden % self.heads:
            raise ValueError(
                f"heads is {self.heads}, which does not divide hidden, {self.hidden}. Choose hidden as a multiple of "
                "heads"
            )
        return self

    @model_validator(mode="after")
    def _options_have_an_effect(self) -> "FusionOptions":
        if self.momentum is not None and self.optimizer != "sgd":
            raise ValueError(f"momentum is set, but the optimizer is {self.optimizer}. Remove it, or use sgd")
        used = {self.face_attention, self.audio_attention}
        if self.attention_dropout and not used & {"self", "relation"}:
            raise ValueError(
                f"attention_dropout is {self.attention_dropout:g}, but neither face_attention ({self.face_attention}) "
                f"nor audio_attention ({self.audio_attention}) is self or relation. Remove it, or use one of these"
            )
        return self

    @model_validator(mode="after")
    def _decay_fits_optimizer(self) -> "FusionOptions":
        if self.optimizer == "sgd" and self.weight_decay > MOST_DECAY_OF_SGD:
            raise ValueError(
                f"weight_decay is {self.weight_decay:g}, which suits adamw. With sgd it is the weight of the L2 "
                f"penalty, at most {MOST_DECAY_OF_SGD:g}. Set weight_decay, for example to 0.0001"
            )
        return self

    @model_validator(mode="after")
    def _search_is_valid(self) -> "FusionOptions":
        for name, values in self.search.items():
            if name not in SEARCHABLE:
                raise ValueError(f"search.{name} cannot be searched. Options that can: {', '.join(SEARCHABLE)}")
            if not values:
                raise ValueError(f"search.{name} is empty. List the values to try, or remove the key")
        if self.search and self.fusion in POOLS:
            raise ValueError(f"fusion is {self.fusion}, which has no option to search. Remove search")
        if self.search:
            candidates(self)  # validates each value like the option itself
        return self


SEARCHABLE = ("lr", "weight_decay", "dropout", "modality_dropout", "label_smoothing", "mixup")
"""Options that do not change a network's shape, so that all candidates can be trained together."""


def encodes_time(options: FusionOptions) -> bool:
    """Return whether a model has transformer blocks, which read the times of vectors."""
    return "multihead" in (options.face_attention, options.audio_attention) or options.fusion == "crossmodal"


def needs_head(options: FusionOptions, modality: Modality) -> bool:
    """Return whether a model reads what the emotion heads of its face or audio backbones give."""
    reads_logp = not {"logp", "evidence"}.isdisjoint(frame_inputs(options, modality))
    reads_confidence = not {"confidence", "entropy"}.isdisjoint(options.statistics)
    return reads_logp or reads_confidence or options.fusion in POOLS


def frame_inputs(options: FusionOptions, modality: Modality) -> list[FrameInput]:
    """Return what a model reads of each frame or patch of its face or audio streams."""
    return options.face_inputs if modality == "face" else options.audio_inputs


def joins(options: FusionOptions, modality: Modality) -> bool:
    """Return whether streams of a modality take part in attention and fusion: more than their evidence is read."""
    return frame_inputs(options, modality) != ["evidence"]


def frames_pool(options: FusionOptions, modality: Modality) -> str:
    """Return how what a head says of frames or patches is pooled. That of an audio network was trained on the mean."""
    return options.frames_pool if modality == "face" else "mean_logp"


def candidates(options: FusionOptions) -> list[FusionOptions]:
    """Return one set of options for each combination of `options.search`; without a search, the options themselves."""
    names = sorted(options.search)
    base = options.model_dump(include=set(FusionOptions.model_fields) - {"search"})
    grid = itertools.product(*(options.search[name] for name in names))
    return [FusionOptions.model_validate({**base, **dict(zip(names, values, strict=True))}) for values in grid]


def effective_options(options: FusionOptions, modalities: Mapping[str, str]) -> FusionOptions:
    """Return the options for the usable streams; fusion is concat if they do not suffice for the requested fusion."""
    needs_two_modalities = options.fusion in ("fbp", "adaptive_fbp")
    modalities = {stream: modality for stream, modality in modalities.items() if joins(options, modality)}
    if len(modalities) <= 1 or (needs_two_modalities and len(set(modalities.values())) == 1):
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
    """How members are weighted. mean: equally. weighted: by the weights of highest likelihood. greedy: members are
    added one by one, with replacement, while the loss falls (Caruana et al., ICML 2004). stacking: logistic regression
    on the members' log probabilities. All except mean are fitted on out-of-fold predictions of the training clips."""
    mean: Mean = "arithmetic"
    """Which weighted mean of the members' probabilities is taken. arithmetic: the sum of w p. geometric: the product of
    p ^ w, divided by its sum over the classes (a log-linear pool); a member that is sure counts for more. Stacking
    takes neither."""
    bags: int | None = Field(default=None, ge=2)
    """For greedy: number of random halves of the members on each of which the selection is repeated; the weights are
    the mean over them (bagged selection, section 2.4 of the paper, which takes 20). It makes a selection from ten or
    more members less likely to fit noise. Default: one selection from all members."""
    sorted_start: bool = False
    """For greedy: whether selection begins with the members of lowest loss, as many of them as together have the lowest
    loss (section 2.3 of the paper). false: it begins with none."""
    seed: int = Field(default=0, ge=0)
    """Seed of the random halves."""
    members: list[str] | None = Field(default=None, min_length=1)
    """Models to combine; default: all models."""
    top: int | None = Field(default=None, ge=1)
    """Number of members to use, those with the best out-of-fold score (accuracy, macro AP or CCC). Default: all."""
    calibrate: bool = False
    """Whether to divide the logits of each member and of the ensemble by a temperature that is fitted out of fold (Guo
    et al., ICML 2017)."""

    @model_validator(mode="after")
    def _keys_fit_the_method(self) -> "EnsembleOptions":
        if self.method != "greedy" and (self.bags is not None or self.sorted_start):
            key = "bags" if self.bags is not None else "sorted_start"
            raise ValueError(
                f"{key} is set, but method is {self.method}. Only greedy selects members. Set method to greedy, or "
                f"remove {key}"
            )
        if self.method == "stacking" and self.mean == "geometric":
            raise ValueError(
                "mean is geometric, but method is stacking, which takes no mean. Use the method mean, weighted or "
                "greedy, or remove mean"
            )
        return self

    @property
    def description(self) -> str:
        """The method in words, for tables."""
        parts = [self.method]
        parts += [f"{self.bags} bags"] if self.bags is not None else []
        parts += ["sorted start"] if self.sorted_start else []
        parts += ["geometric"] if self.mean == "geometric" else []
        return ", ".join(parts)
