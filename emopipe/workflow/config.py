"""The one schema of the config: every key with its type, default and description; wrong ones are told by name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import yaml
from pydantic import Field, StringConstraints

from emopipe import corpora
from emopipe.backbones import registry as backbones
from emopipe.core.errors import ConfigError
from emopipe.core.options import Number, Options
from emopipe.core.validation import checked, known, with_new_names
from emopipe.extraction.views import VIEWS
from emopipe.faces import detectors
from emopipe.fusion.options import EnsembleOptions, FusionOptions, Protocol
from emopipe.media.decoded import DecodeOptions
from emopipe.report.options import BEST_MODALITY, BEST_SINGLE, Comparison
from emopipe.report.paper import Row as PaperRow
from emopipe.training.options import PretrainOptions
from emopipe.training.phase_options import phase_class
from emopipe.training.sources import SourceBlock, check_source
from emopipe.weights.entries import DETECTOR
from emopipe.weights.naming import resolve as resolve_weights

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
"""A name that becomes part of a path."""


class CorpusBlock(Options):
    """Which clips."""

    name: Name
    """The cache's name: `cache/<name>/`. One name stands for one corpus."""
    kind: str
    """The adapter: afew, ravdess, cremad, emodb, folder, table or demo."""
    options: dict[str, Any] = Field(default_factory=dict)
    """The adapter's own options."""


class FacesBlock(Options):
    """A preset of face detection."""

    detector: str
    """mtcnn, centerface, scrfd or yunet."""
    decode: Name | None = None
    """The decode preset whose frames are searched; may be left out where there is only one."""
    jpeg_quality: int = Field(default=95, ge=1, le=100)
    """Quality at which aligned crops are kept."""
    options: dict[str, Any] = Field(default_factory=dict)
    """The detector's own options."""


class BackboneBlock(Options):
    """A preset of a feature extractor."""

    renamed: ClassVar = {"chain": "schedule"}

    kind: str
    """The network: ir50, ir_se50, resnet18, densenet121, vgg16, vggface, expression, onnx, timm:<timm's name>,
    audio_alexnet, speech, hf:<folder or Hugging Face id> or opensmile."""
    faces: Name | None = None
    """For a face network, the faces preset; may be left out where there is only one."""
    decode: Name | None = None
    """For an audio network, the decode preset; may be left out where there is only one."""
    weights: str | None = None
    """Weights to start from or to extract with: a file (safetensors or a state dict), or a name that `emopipe weights
    list` shows."""
    batch: int = Field(default=128, ge=1)
    """Faces that go through the network at once."""
    optional: bool = False
    """true: where the weights are missing, models that need them are left out, and the tables say so in their rows."""
    views: list[str] = Field(default_factory=list)
    """Augmented views to cache for models that `augment`: flip for faces; slow, fast, low, high, noise for sound."""
    schedule: list[dict[str, Any]] = Field(default_factory=list)
    """Phases of training on labelled stills or speech of other corpora (`sources`), in order. The first phase starts
    from `weights`, if they are given."""
    pretrain: PretrainOptions | None = None
    """Train the network on the corpus' own training clips, after its schedule and before it extracts features."""
    options: dict[str, Any] = Field(default_factory=dict)
    """The network's own options."""


class ModelBlock(FusionOptions):
    """A model over cached features: one stream is a single modality, several are fused."""

    streams: list[Name] = Field(min_length=1)
    """Backbones whose features the model reads."""
    paper: PaperRow | None = None
    """The paper's setting that this model stands for; its figure stands beside ours on AFEW."""


class EnsembleBlock(EnsembleOptions):
    """Several models combined."""

    paper: PaperRow | None = None
    """The paper's setting that this ensemble stands for."""


class Config(Options):
    """A whole run."""

    run: Name
    """The run's name: `results/<run>/`."""
    corpus_root: str | None = None
    """The folder that holds the corpus; not needed for the demo."""
    corpus: CorpusBlock
    """Which clips: the corpus' name, kind and options."""
    shards: int | None = Field(default=None, ge=1, le=99_999)
    """Into how many parts the corpus is split; a part is what one job works on. Left out: the least power of two, 8 at
    least, by which a part has about 512 clips or fewer; a cache that exists keeps its number though the corpus grows,
    because another number computes everything again."""
    threads: int = Field(default=2, ge=1)
    """Threads of a job that runs networks (never more than --cores)."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto takes the GPU where there is one; cuda without a usable GPU is an error."""
    keep_media: bool = True
    """false deletes sampled frames and sound once nothing needs them: less disk, but a new clip decodes all again."""
    on_failure: Literal["keep_going", "stop"] = "keep_going"
    """What a clip does whose file cannot be read, or on which a stage breaks down: with keep_going it becomes a row of
    the ledger (and is tried again once it can be read), with stop it ends its job."""
    min_coverage: Number = Field(default=0.0, ge=0, le=1)
    """The share of clips that every backbone must have features of. Where there are fewer, the run stops before it
    trains models, with the list of the clips that lack them; 0 never stops."""
    library_changes: Literal["recompute", "keep"] = "recompute"
    """What happens to files that another version of a library made (PyAV, OpenCV, torch, ...; major.minor). recompute
    makes them again, and all that was made from them. keep keeps them. Either way the run logs what differs."""
    decode: dict[Name, DecodeOptions] = Field(min_length=1)
    """Presets of frame sampling."""
    faces: dict[Name, FacesBlock] = Field(default_factory=dict)
    """Presets of face detection."""
    sources: dict[Name, SourceBlock] = Field(default_factory=dict)
    """Corpora of labelled stills or speech that the schedules of backbones train on."""
    backbones: dict[Name, BackboneBlock] = Field(min_length=1)
    """Presets of feature extractors."""
    models: dict[Name, ModelBlock] = Field(default_factory=dict)
    """Models: `face_*` and `audio_*` read one modality, `fused_*` several."""
    protocol: Protocol = Field(default_factory=Protocol)
    """Which clips models learn from and which they predict."""
    ensemble: EnsembleBlock = Field(default_factory=EnsembleBlock)
    """How models' probabilities become the run's answer."""
    ensembles: dict[Name, EnsembleBlock] = Field(default_factory=dict)
    """More ways to combine them, for comparison; their names begin with `ensemble_`."""
    paper_figures: bool = False
    """true where the corpus is AFEW 7.0 itself, not another in its folders: the paper's figures stand beside ours."""
    comparisons: list[Comparison] = Field(default_factory=list)
    """Pairs of models whose difference the tables give; fused models and ensembles are compared anyway."""

    @property
    def every_ensemble(self) -> dict[str, EnsembleBlock]:
        """The run's answer, called `ensemble`, and the others."""
        return {"ensemble": self.ensemble, **self.ensembles}


def read(path: Path) -> dict[str, Any]:
    """A config file's keys and values, unchecked. Raises ConfigError where it is no YAML of keys and values."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"The config {path} cannot be read: {error}") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"The config {path} holds {type(raw).__name__}, expected keys and values.")
    return raw


def parse(raw: Mapping[str, Any]) -> Config:
    """Check a config that is already read. Raises ConfigError, one sentence a fault."""
    return _resolve(checked(Config, raw))


def _resolve(config: Config) -> Config:
    """Check what one block says of another, and fill in presets that need no naming."""
    known("corpus.kind", config.corpus.kind, corpora.KINDS)
    checked(corpora.options_class(config.corpus.kind), config.corpus.options, "corpus.options")
    if config.corpus.kind != "demo" and not config.corpus_root:
        raise ConfigError("corpus_root is not set: name the corpus' folder, e.g. --config corpus_root=/data/AFEW")
    faces = {name: _resolve_faces(config, name, block) for name, block in config.faces.items()}
    nets = {name: _resolve_backbone(config, name, block) for name, block in config.backbones.items()}
    for name, block in config.models.items():
        _check_model(name, block, nets)
        _check_fusion(name, block, config, nets)
    _check_ensembles(config)
    return config.model_copy(update={"faces": faces, "backbones": nets})


def modality(block: BackboneBlock) -> str:
    """`face` or `audio`: what the network reads."""
    return backbones.modality(block.kind)


def _resolve_faces(config: Config, name: str, block: FacesBlock) -> FacesBlock:
    where = f"faces.{name}"
    known(f"{where}.detector", block.detector, detectors.KINDS)
    options = _with_weights(f"{where}.options.weights", f"{DETECTOR}{block.detector}", block.options)
    checked(detectors.options_class(block.detector), options, f"{where}.options")
    decode = _preset(f"{where}.decode", block.decode, config.decode, "decode")
    return block.model_copy(update={"options": options, "decode": decode})


def _with_weights(where: str, kind: str, options: dict[str, Any]) -> dict[str, Any]:
    """Options whose weights are a path: of weights named by the registry, whose own options then are the defaults."""
    given = options.get("weights")
    if not isinstance(given, str) or not given:
        return options
    chosen = resolve_weights(given, kind, where)
    return {**chosen.defaults, **options, "weights": chosen.path}


def _named_weights(where: str, block: BackboneBlock) -> BackboneBlock:
    """The same for a backbone, which names its weights beside its options or, where it comes trained, among them."""
    if block.weights:
        chosen = resolve_weights(block.weights, block.kind, f"{where}.weights")
        block = block.model_copy(update={"weights": chosen.path, "options": {**chosen.defaults, **block.options}})
    options = _with_weights(f"{where}.options.weights", block.kind, block.options)
    return block.model_copy(update={"options": options})


def _resolve_backbone(config: Config, name: str, block: BackboneBlock) -> BackboneBlock:
    where = f"backbones.{name}"
    known(f"{where}.kind", block.kind.partition(":")[0], backbones.KINDS)
    kind, options = backbones.unfolded(block.kind, block.options)
    options = with_new_names(backbones.options_class(kind), options, f"{where}.options")
    block = _named_weights(where, block.model_copy(update={"kind": kind, "options": options}))
    checked(backbones.options_class(block.kind), block.options, f"{where}.options")
    for key in ("pretrain", "schedule"):
        if getattr(block, key) and not backbones.trainable(block.kind):
            raise ConfigError(f"{where}.{key} is set, but a network of kind {block.kind} cannot be trained; remove it.")
    block = block.model_copy(update={"schedule": _checked_schedule(where, block, config)})
    if block.weights and not backbones.trainable(block.kind):
        raise ConfigError(
            f"{where}.weights is set, but a network of kind {block.kind} comes trained; which it is stands in its kind "
            f"and {where}.options; remove it."
        )
    if backbones.trainable(block.kind) and not (block.pretrain or block.schedule or block.weights):
        raise ConfigError(
            f"{where} has neither weights nor pretrain nor schedule, so its features would be those of a random "
            "network. Name weights, or add pretrain: {} to train it on the corpus' own training clips."
        )
    for view in block.views:
        known(f"{where}.views", view, VIEWS[modality(block)])
    if modality(block) == "face":
        if block.decode:
            raise ConfigError(f"{where}.decode is set, but a face network reads a faces preset; set {where}.faces.")
        return block.model_copy(update={"faces": _preset(f"{where}.faces", block.faces, config.faces, "faces")})
    if block.faces:
        raise ConfigError(f"{where}.faces is set, but an audio network reads a decode preset; set {where}.decode.")
    return block.model_copy(update={"decode": _preset(f"{where}.decode", block.decode, config.decode, "decode")})


def _checked_schedule(where: str, block: BackboneBlock, config: Config) -> list[dict[str, Any]]:
    """Check every phase; return the keys that are set, by their new names."""
    phases = []
    for number, raw in enumerate(block.schedule):
        phase = checked(phase_class(modality(block)), raw, f"{where}.schedule.{number}")
        for name in phase.sources:
            known(f"{where}.schedule.{number}.sources", name, config.sources)
            check_source(name, config.sources[name], modality(block))
        phases.append(phase.model_dump(exclude_unset=True))
    return phases


def _check_model(name: str, block: ModelBlock, nets: Mapping[str, BackboneBlock]) -> None:
    for stream in block.streams:
        known(f"models.{name}.streams", stream, nets)
    if len(set(block.streams)) < len(block.streams):
        raise ConfigError(f"models.{name}.streams names a backbone twice: {', '.join(block.streams)}.")
    modalities = {modality(nets[stream]) for stream in block.streams}
    expected = "fused" if len(modalities) > 1 else next(iter(modalities))
    if not name.startswith(f"{expected}_"):
        streams = ", ".join(block.streams)
        raise ConfigError(
            f"models.{name} reads {' and '.join(sorted(modalities))} ({streams}): its name should begin with "
            f"{expected}_, so that tables can tell modalities apart."
        )


def _check_ensembles(config: Config) -> None:
    for name in config.ensembles:
        if not name.startswith("ensemble_"):
            raise ConfigError(
                f"ensembles.{name}: an ensemble's name should begin with ensemble_; call it ensemble_{name}."
            )
    for name, block in config.every_ensemble.items():
        where = name if name == "ensemble" else f"ensembles.{name}"
        for member in block.members or ():
            known(f"{where}.members", member, config.models)
    names = [*config.models, *config.every_ensemble]
    for number, comparison in enumerate(config.comparisons):
        known(f"comparisons.{number}.model", comparison.model, names)
        known(f"comparisons.{number}.against", comparison.against, [*names, BEST_MODALITY, BEST_SINGLE])


def _check_fusion(name: str, block: ModelBlock, config: Config, nets: Mapping[str, BackboneBlock]) -> None:
    modalities = {modality(nets[stream]) for stream in block.streams}
    if block.fusion in ("fbp", "adaptive_fbp") and len(modalities) < 2:
        raise ConfigError(
            f"models.{name}.fusion is {block.fusion}, which joins face and audio, but all streams are "
            f"{next(iter(modalities))}; use concat, gated, late or crossmodal, or add a stream."
        )
    if block.fusion in ("gated", "late", "crossmodal") and len(block.streams) < 2:
        raise ConfigError(
            f"models.{name}.fusion is {block.fusion}, which joins streams, but there is one; leave it out."
        )
    if block.augment and not any(nets[stream].views for stream in block.streams):
        raise ConfigError(
            f"models.{name}.augment is true, but none of its backbones has views; set "
            f"backbones.{block.streams[0]}.views."
        )
    early = block.early_stopping
    if early and early.watch == "val" and config.protocol.kind != "given":
        raise ConfigError(
            f"models.{name}.early_stopping.watch is val, but protocol.kind is {config.protocol.kind}, which learns "
            "from val; use watch: inner."
        )


def _preset(where: str, given: str | None, presets: Mapping[str, Any], block: str) -> str:
    if given is not None:
        known(where, given, presets)
        return given
    if len(presets) != 1:
        found = ", ".join(presets) or "none"
        raise ConfigError(f"{where} is not set and there is no single {block} preset to take (found: {found}); set it.")
    return next(iter(presets))
