"""The config: the schema of every key, then the checks.

The classes below are the schema: pydantic checks types and ranges by them, and `emopipe config-keys` lists them.
`parse` then walks down the config once, block by block. It checks what pydantic cannot: the options of each kind, by
the class of that kind, and names that refer to other blocks.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, Field

from emopipe import corpora, stills
from emopipe.backbones import registry as backbones
from emopipe.backbones.seeds import network_name
from emopipe.backbones.shared_classes import can_answer
from emopipe.core import yaml_file
from emopipe.core.errors import ConfigError
from emopipe.core.label_block import LabelsBlock
from emopipe.core.labels import CLASSES, LabelSpace
from emopipe.core.options import Number, Options
from emopipe.core.validation import Faults, all_known, checked, known
from emopipe.corpora.classes import OwnClasses, ordered
from emopipe.corpora.labelling import Labelling, in_run
from emopipe.extraction.views import VIEWS
from emopipe.faces import detectors
from emopipe.fusion.checks import BASELINES, ENSEMBLE, check_ensembles, check_model, check_protocol
from emopipe.fusion.options import EnsembleOptions, FusionOptions, Protocol
from emopipe.media.decoded import DecodeOptions
from emopipe.report.options import Comparison, ReportOptions, check_comparisons
from emopipe.report.paper import Row as PaperRow
from emopipe.training.options import PretrainOptions
from emopipe.training.sources import SourceBlock, check_schedule
from emopipe.weights.entries import DETECTOR
from emopipe.weights.naming import resolve as resolve_weights
from emopipe.weights.naming import with_path
from emopipe.workflow import first_available, label_kinds

LONGEST_NAME = 100
"""File systems allow 255 bytes, and emopipe adds to names."""
OWN_ENDINGS = re.compile(r"\.(?:step\d+|seed\d+|h5|damaged)$")
"""Endings of files beside those that carry a name: `face.step1` may be a backbone, or a phase of `face`."""


def _check_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name, re.ASCII):
        raise ValueError(
            f"the name {name!r} would become part of file names. Use only letters (A to Z, a to z), digits, _, - and "
            "., and begin with a letter or a digit"
        )
    if len(name) > LONGEST_NAME:
        raise ValueError(f"the name has {len(name)} characters, but at most {LONGEST_NAME} are allowed. Shorten it")
    if found := OWN_ENDINGS.search(name):
        raise ValueError(
            f"the name {name!r} ends in {found[0]}, as other files of emopipe do. Use another name, such as "
            f"{name.replace('.', '_')}"
        )
    return name


Name = Annotated[str, AfterValidator(_check_name)]
"""A name that becomes part of paths and a wildcard of Snakemake: the run, the corpus, and everything that has a name
of the user's choice."""

# -- the schema ------------------------------------------------------------------------------------------------


class CorpusBlock(Options):
    """The clips."""

    name: Name
    """Name of the cache: `cache/<name>/`. Each corpus needs its own name."""
    kind: str
    """How the corpus is stored on disk; `emopipe kinds` lists the kinds."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of this kind of corpus, listed below. Default: none."""
    duplicates: Literal["refuse", "keep", "first", "exclude"] = "refuse"
    """What happens if files that decode have the same content, but are clips of different splits or labels. refuse: the
    run stops before it starts, and lists them. first: the first clip of each content, by its id, is used. exclude: none
    of them is used. keep: all are used, and scores may be too good."""


class FacesBlock(Options):
    """A preset of face detection."""

    detector: str
    """The face detector; `emopipe kinds` lists the kinds."""
    decode: Name | None = None
    """The decode preset whose frames the detector reads. Default: the only one; required if there are several."""
    jpeg_quality: int = Field(default=95, ge=1, le=100)
    """JPEG quality of the aligned crops in the cache."""
    every: int = Field(default=1, ge=1)
    """Search every n-th frame, and interpolate faces in the frames between, which takes less time. Frames between are
    searched where a face comes, leaves or moves far."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of this detector, listed below. Its `weights` are a file or a name that `emopipe weights list` shows.
    Default: none."""


class BackboneBlock(Options):
    """A preset of a feature extractor."""

    renamed: ClassVar = {"chain": "schedule"}

    kind: str
    """The network; `emopipe kinds` lists the kinds. Of a kind that is listed as `timm:<name>`, the name of the network
    follows the colon."""
    faces: Name | None = None
    """For a face network: the faces preset. Default: the only one; required if there are several."""
    decode: Name | None = None
    """For an audio network: the decode preset. Default: the only one; required if there are several."""
    weights: str | None = None
    """Weights to extract with or to start training from: a file (safetensors, or a state dict of torch), or a name that
    `emopipe weights list` shows. Default: none; the network is then trained from random weights."""
    batch: int = Field(default=128, ge=1)
    """Faces that the network processes at once."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """The numbers that the network computes with when it extracts features. bfloat16 is less exact; GPUs have units
    for it. For networks of torch alone."""
    optional: bool = False
    """What happens if the weights are missing. true: models that need them are skipped, and the tables say so. false:
    the run stops before it starts."""
    views: list[str] = Field(default_factory=list)
    """Augmented views to cache, for models with `augment: true`. Faces: flip. Sound: slow, fast, low, high, noise.
    Default: none."""
    schedule: list[dict[str, Any]] = Field(default_factory=list)
    """Phases of training on labelled stills or speech of other corpora (`sources`), in order. The first phase starts
    from `weights`, if they are given."""
    classes: OwnClasses | None = None
    """The classes that the schedule trains, two or more. Models use those that `labels` have, too. Default: the classes
    of `labels`, if the seven have two or more of them; else the seven."""
    pretrain: PretrainOptions | None = None
    """Train the network on the corpus' own training clips, after its schedule and before it extracts features."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of this kind of network, listed below. Default: none."""


class ModelBlock(FusionOptions):
    """A model over cached features: with one stream it reads a single modality, with several it fuses them."""

    streams: list[Name] = Field(min_length=1)
    """The backbones whose features the model reads, at least one; or names of `first_available`."""
    paper: PaperRow | None = None
    """The setting of the paper that this model reproduces. Tables show the paper's accuracy next to ours on AFEW (see
    `paper_figures`). Default: none."""


class EnsembleBlock(EnsembleOptions):
    """A combination of several models."""

    paper: PaperRow | None = None
    """The setting of the paper that this ensemble reproduces, as for models. Default: none."""


class Config(Options):
    """A whole run."""

    run: Name
    """Name of the run; its results are in `results/<run>/`."""
    corpus_root: str | None = None
    """The folder of the corpus. Required, except for the demo corpus."""
    corpus: CorpusBlock
    """The corpus: its name, kind and options."""
    labels: LabelsBlock = Field(default_factory=LabelsBlock)
    """What clips are labelled with: a named set of classes (basic7, ferplus8, affectnet8, iemocap4, iemocap6, mer6,
    cremad6, mafw11), a list of your own classes, or a block. Default: basic7, the seven classes of AFEW."""
    shards: int | None = Field(default=None, ge=1, le=99_999)
    """Number of parts that the corpus is split into; one job works on one part. Default: one for each of Snakemake's
    --cores, with at least 8 clips in each part on average, but as many as are needed for about 512 clips or fewer in
    each (a power of two). An existing cache keeps its number until the corpus has grown tenfold. If the number changes,
    nothing is computed again."""
    threads: int = Field(default=2, ge=1)
    """CPU threads of a job that runs networks, at most; never more than Snakemake's --cores. On one machine without a
    GPU, shards share the cores, so jobs of faces and features may have fewer."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where networks run. auto: on the GPU if there is one, else on the CPU. cuda: on the GPU, or the run fails."""
    keep_media: bool = True
    """Whether to keep sampled frames and sound in the cache. false needs less disk, but if a clip is added, clips that
    were decoded before are decoded again."""
    on_failure: Literal["keep_going", "stop"] = "keep_going"
    """What happens if a clip's file cannot be read, or if a stage fails on a clip. keep_going: the ledger records it,
    the run continues, and the clip is retried once its file can be read; only if all clips of a job fail, and these are
    8 or more, the job fails. stop: the job fails."""
    min_coverage: Number = Field(default=0.0, ge=0, le=1)
    """Share of clips that need features, for every backbone. Below it, the run lists the other clips and stops before
    it trains models. 0: never stop."""
    library_changes: Literal["recompute", "keep"] = "recompute"
    """What happens to files that another version of a library made (PyAV, OpenCV, torch, ...; major.minor). recompute
    makes them again, and all that was made from them. keep keeps them. Either way the run logs what differs."""
    decode: dict[Name, DecodeOptions] = Field(min_length=1)
    """Presets of frame sampling, by name; at least one."""
    faces: dict[Name, FacesBlock] = Field(default_factory=dict)
    """Presets of face detection, by name. Required if there is a face network."""
    sources: dict[Name, SourceBlock] = Field(default_factory=dict)
    """Corpora of labelled stills or speech that the schedules of backbones train on."""
    backbones: dict[Name, BackboneBlock] = Field(min_length=1)
    """Presets of feature extractors, by name; at least one."""
    first_available: dict[Name, Annotated[list[Name], Field(min_length=1)]] = Field(default_factory=dict)
    """Names that models may use as streams: each stands for the first backbone of its list whose weights exist. All
    but the last one have to be optional. Tables say which one it is. Default: none."""
    models: dict[Name, ModelBlock] = Field(default_factory=dict)
    """Models, by name. The name begins with `face_` or `audio_` for one modality, with `fused_` for both. Default:
    none; the run then stops after the features."""
    baselines: bool = True
    """Whether to add three models to compare with, if the models use two or more networks that have an emotion head:
    `heads_product` (their log-linear pool, with a fitted exponent for each network and a fitted prior),
    `heads_product_untrained` and `heads_mean`. Fused models and ensembles are compared with `heads_product`. They are
    members of ensembles that name them, or that name nobody and do not have the method mean."""
    protocol: Protocol = Field(default_factory=Protocol)
    """The clips that models are trained on, and the clips that they predict."""
    ensemble: EnsembleBlock = Field(default_factory=EnsembleBlock)
    """The main ensemble: its predictions are the run's final ones. Default: the mean of all models' probabilities."""
    ensembles: dict[Name, EnsembleBlock] = Field(default_factory=dict)
    """More ensembles, by name, to compare with it. The name begins with `ensemble_`. Default: none."""
    paper_figures: bool = False
    """Whether tables show the paper's accuracies. Set it to true only if the corpus is AFEW 7.0 itself, and not another
    corpus in the same folders."""
    comparisons: list[Comparison] = Field(default_factory=list)
    """Pairs of models to compare. Default: none. In any case, each fused model is compared with the best model of one
    modality, and each ensemble with the best single model."""

    report: ReportOptions = Field(default_factory=ReportOptions)
    """The page of the run, report.html."""

    @property
    def label_space(self) -> LabelSpace:
        """What clips are labelled with."""
        return self.labels.space

    @property
    def labelling(self) -> Labelling:
        """The label space, and what the class names of the corpus count as.

        Raises:
            ConfigError: `labels.map` has faults.
        """
        return Labelling.of(self.labels)

    @property
    def corpus_options(self) -> Options:
        """The options of the corpus, which know the label space."""
        options = corpora.options_class(self.corpus.kind)
        return options.model_validate(self.corpus.options, context=in_run(self.labelling))

    @property
    def every_ensemble(self) -> dict[str, EnsembleBlock]:
        """All ensembles by name; the main ensemble is called `ensemble`."""
        return {ENSEMBLE: self.ensemble, **self.ensembles}

    @property
    def possible_baselines(self) -> list[str]:
        """The baselines that the run may have; which networks have a head is not known yet."""
        return list(BASELINES) if self.baselines and self.label_space.has_one_class else []


# -- reading and checking --------------------------------------------------------------------------------------


def read(path: Path) -> dict[str, Any]:
    """Return the keys and values of a config file, unchecked.

    Raises:
        ConfigError: The file cannot be read, or it is not YAML with keys and values.
    """
    raw = yaml_file.read(path)
    if not isinstance(raw, dict):
        raise ConfigError(
            f"The config {path} contains a value of type {type(raw).__name__}. Expected keys and values. See "
            "`emopipe config-keys` for all keys."
        )
    return raw


def parse(raw: Mapping[str, Any]) -> Config:
    """Check a config and return it, with the default presets filled in and the names of weights replaced by paths.

    Raises:
        EmopipeError: The config has faults. The message has one line for each: of types, ranges and unknown keys; or,
            if there are none of these, of kinds, of their options, and of names that refer to other blocks.
    """
    config, faults = checked(Config, raw), Faults()
    _check_corpus(config, faults)
    faces = _resolved(config.faces, lambda name, block: _resolve_faces(config, name, block), faults)
    nets = _resolved(config.backbones, lambda name, block: _resolve_backbone(config, name, block, faults), faults)
    for name, source in config.sources.items():
        with faults.collected():
            known(f"sources.{name}.kind", source.kind, [*stills.list_kinds(), *corpora.list_kinds()])
    optional = {name: block.optional for name, block in config.backbones.items()}
    for name, preferred in config.first_available.items():
        with faults.collected():
            modalities = {backbone: modality(block) for backbone, block in nets.items()}
            first_available.check_name(name, preferred, optional, modalities)
    for name, block in config.models.items():
        with faults.collected():
            _check_model(config, name, block, nets)
    _check_ensembles(config, faults)
    with faults.collected():
        names = [*config.models, *config.possible_baselines, *config.every_ensemble]
        check_comparisons(config.comparisons, names)
    label_kinds.check(
        config.label_space,
        faults,
        pretrained=[name for name, block in config.backbones.items() if block.pretrain],
        models=config.models,
        ensembles=config.every_ensemble,
        paper_figures=config.paper_figures,
    )
    faults.raise_all()
    return config.model_copy(update={"faces": faces, "backbones": _by_seed(nets)})


def parse_again(raw: Mapping[str, Any]) -> Config:
    """Return a config that `parse` has checked before, for a job that needs its keys alone.

    The options of each kind are not checked again, which would import all networks. Default presets are not filled in.
    """
    return checked(Config, raw)


def modality(block: BackboneBlock) -> str:
    """Return what the network reads: `face` or `audio`."""
    return backbones.modality(block.kind)


Block = TypeVar("Block", bound=Options)


def _resolved(blocks: Mapping[str, Block], resolve: Callable[[str, Block], Block], faults: Faults) -> dict[str, Block]:
    """Return the resolved blocks, without those that have faults."""
    found = {}
    for name, block in blocks.items():
        with faults.collected():
            found[name] = resolve(name, block)
    return found


def _check_corpus(config: Config, faults: Faults) -> None:
    with faults.collected():
        known("corpus.kind", config.corpus.kind, corpora.list_kinds())
        kind, context = corpora.options_class(config.corpus.kind), in_run(config.labelling)
        checked(kind, config.corpus.options, "corpus.options", context=context)
    with faults.collected():
        if config.corpus.kind != "demo" and not config.corpus_root:
            raise ConfigError(
                "corpus_root is not set. Set it to the corpus' folder: `--config corpus_root=/data/AFEW`."
            )


def _check_ensembles(config: Config, faults: Faults) -> None:
    if ENSEMBLE in config.ensembles:
        with faults.collected():
            raise ConfigError(
                f"ensembles.{ENSEMBLE} has the name of the main ensemble, whose options are the key {ENSEMBLE}. "
                f"Expected a name such as {ENSEMBLE}_small. Rename it, or write its options below the key {ENSEMBLE}."
            )
    for name, block in config.every_ensemble.items():
        with faults.collected():
            check_ensembles({name: block}, [*config.models, *config.possible_baselines])


def _check_model(config: Config, name: str, block: ModelBlock, nets: Mapping[str, BackboneBlock]) -> None:
    """Check a model against the backbones that it may read; if one of them has faults itself, only their names."""
    all_known(f"models.{name}.streams", block.streams, [*config.backbones, *config.first_available])
    for chosen in first_available.choices(block.streams, config.first_available):
        _check_streams(f"models.{name}", block, chosen)
        if set(chosen) <= set(nets):
            streams = {stream: modality(nets[stream]) for stream in chosen}
            check_model(name, block, streams, [view for stream in chosen for view in nets[stream].views])
            for stream in chosen:
                _check_seeds(f"models.{name}", block, stream, nets[stream])
    check_protocol(f"models.{name}", block, config.protocol)


def _check_seeds(where: str, model: ModelBlock, stream: str, block: BackboneBlock) -> None:
    """Refuse a model with fewer seeds than one of its backbones has: it would not read all features of the backbone."""
    needed = len(block.pretrain.seeds or ()) if block.pretrain else 0
    if len(model.seeds) < needed:
        raise ConfigError(
            f"{where}.seeds has {len(model.seeds)} of the at least {needed} seeds that it needs, because "
            f"backbones.{stream}.pretrain.seeds has {needed}, and each of them is read by a seed of the model. Add "
            "seeds to the model, or remove seeds of the backbone."
        )


def _by_seed(blocks: Mapping[str, BackboneBlock]) -> dict[str, BackboneBlock]:
    """Return a block for each network: a backbone with several seeds becomes as many (`emopipe.backbones.seeds`)."""
    found = {}
    for name, block in blocks.items():
        seeds = block.pretrain.seeds if block.pretrain else None
        found[name] = block
        for number, seed in enumerate(seeds or ()):
            pretrain = block.pretrain.model_copy(update={"seed": seed, "seeds": None})
            network = network_name(name, seed) if number else name
            found[network] = block.model_copy(update={"pretrain": pretrain})
    return found


def _resolve_faces(config: Config, name: str, block: FacesBlock) -> FacesBlock:
    where = f"faces.{name}"
    known(f"{where}.detector", block.detector, detectors.list_kinds())
    options = with_path(block.options, f"{DETECTOR}{block.detector}", f"{where}.options.weights")
    checked(detectors.options_class(block.detector), options, f"{where}.options")
    decode = _preset(f"{where}.decode", block.decode, config.decode, "decode")
    return block.model_copy(update={"options": options, "decode": decode})


def _resolve_backbone(config: Config, name: str, block: BackboneBlock, faults: Faults) -> BackboneBlock:
    """Return a backbone's block with the paths of its weights and its presets. Each part is checked once.

    Faults of parts that do not depend on each other are all collected.
    """
    where = f"backbones.{name}"
    # 1. the kind and the names of its options (emopipe.backbones)
    kind, options, row = backbones.resolve(where, block.kind, block.options)
    # 2. the weights: a key of the block or, if the network is already trained, one of its options (emopipe.weights)
    weights, schedule, preset = block.weights, list(block.schedule), {}
    with faults.collected():
        if weights:
            chosen = resolve_weights(weights, kind, f"{where}.weights")
            weights, options = chosen.path, {**chosen.defaults, **options}
        options = with_path(options, kind, f"{where}.options.weights")
        checked(backbones.options_class(kind), options, f"{where}.options")
    # 3. the training (emopipe.training)
    with faults.collected():
        if not row.trainable:
            _refuse_training(where, block, kind)
            if block.precision != "float32":
                raise ConfigError(
                    f"{where}.precision is {block.precision}, but networks of the kind {kind} are not run by torch, so "
                    "their precision is that of their file. Remove the key."
                )
        elif not (block.pretrain or block.schedule or weights):
            raise ConfigError(
                f"{where} has neither weights nor pretrain nor schedule, so its features would be those of a random "
                "network. Name weights, or add pretrain: {} to train it on the corpus' own training clips."
            )
    classes = block.classes or default_classes(config.label_space)
    with faults.collected():
        if block.classes and tuple(block.classes) != CLASSES and not block.schedule:
            raise ConfigError(
                f"{where}.classes is set, but only a schedule trains the classes of this key, and there is none; "
                "pretrain trains those of labels. Remove classes, or add a schedule."
            )
        schedule = check_schedule(where, block.schedule, row.modality, config.sources, classes)
    # 4. views, and the preset that it reads
    with faults.collected():
        all_known(f"{where}.views", block.views, VIEWS[row.modality])
    with faults.collected():
        preset = _input_preset(where, block, row.modality, config)
    update = {"kind": kind, "options": options, "weights": weights, "schedule": schedule, **preset}
    return block.model_copy(update={**update, "classes": classes})


def default_classes(space: LabelSpace) -> list[str]:
    """Return the classes that a schedule trains, unless it names others: those of the label space, or the seven.

    Corpora to train on show the seven, as a rule. So a network can learn the classes of the space only if they share
    enough of them.
    """
    return ordered(space.names) if can_answer(CLASSES, space) else list(CLASSES)


def _refuse_training(where: str, block: BackboneBlock, kind: str) -> None:
    """Refuse keys that have no meaning for an already trained network."""
    for key in ("pretrain", "schedule"):
        if getattr(block, key):
            raise ConfigError(f"{where}.{key} is set, but a network of kind {kind} cannot be trained. Remove it.")
    if block.weights:
        raise ConfigError(
            f"{where}.weights is set, but a network of kind {kind} is already trained: its kind and {where}.options "
            "name it. Remove weights."
        )


def _input_preset(where: str, block: BackboneBlock, modality: str, config: Config) -> dict[str, str]:
    """Return the key and the name of the preset that a backbone reads: of faces, or of decode for an audio network."""
    if modality == "face":
        if block.decode:
            raise ConfigError(
                f"{where}.decode is set, but a face network reads a faces preset. Set {where}.faces instead."
            )
        return {"faces": _preset(f"{where}.faces", block.faces, config.faces, "faces")}
    if block.faces:
        raise ConfigError(
            f"{where}.faces is set, but an audio network reads a decode preset. Set {where}.decode instead."
        )
    return {"decode": _preset(f"{where}.decode", block.decode, config.decode, "decode")}


def _check_streams(where: str, block: ModelBlock, chosen: Sequence[str]) -> None:
    """Refuse a model that reads, or may read, one backbone as two streams."""
    if len(set(block.streams)) < len(block.streams):
        raise ConfigError(f"{where}.streams names a backbone twice: {', '.join(block.streams)}. Name each one once.")
    if len(set(chosen)) < len(chosen):
        raise ConfigError(
            f"{where}.streams ({', '.join(block.streams)}) may stand for {', '.join(chosen)}, which has a backbone "
            "twice. Remove the backbone from the model's streams or from first_available."
        )


def _preset(where: str, given: str | None, presets: Mapping[str, Any], block: str) -> str:
    """Return the name of a preset: the given one, or the only one there is."""
    if given is not None:
        known(where, given, presets)
        return given
    if len(presets) != 1:
        found = ", ".join(presets) or "none"
        raise ConfigError(
            f"{where} is not set. It may be omitted only if there is one {block} preset, but found: {found}. Set it."
        )
    return next(iter(presets))
