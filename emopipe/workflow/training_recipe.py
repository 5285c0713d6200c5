"""The recipe of one phase of a backbone's training, as plain data: options, content of the corpora, code, and start."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from emopipe import corpora, stills
from emopipe.backbones import registry as backbones
from emopipe.backbones.base import Modality
from emopipe.core.atomic import sha256
from emopipe.core.errors import ConfigError, CorpusError
from emopipe.core.fingerprint import closure
from emopipe.core.labels import CLASSES
from emopipe.core.libraries import major_minor, versions
from emopipe.core.options import Options
from emopipe.core.validation import checked, known
from emopipe.corpora.labelling import in_classes
from emopipe.faces import detectors
from emopipe.training.phase_options import ImitationOptions, PhaseOptions, SpeechPhase, StillsPhase, phase_class
from emopipe.training.sources import SourceBlock, check_source, options_class
from emopipe.weights.entries import DETECTOR
from emopipe.weights.naming import refuse_missing, with_path
from emopipe.workflow.digests import Digests

Recipe = dict[str, Any]


def phase_recipe(
    kind: str,
    options: Options,
    phase: Mapping[str, Any],
    sources: Mapping[str, SourceBlock],
    *,
    where: str,
    start: str,
    half: bool,
    root: Path = Path(),
    digests: Digests | None = None,
    classes: Sequence[str] = CLASSES,
) -> Recipe:
    """Return the recipe of one phase.

    Args:
        kind: The kind of backbone.
        options: The backbone's checked options.
        phase: The phase's keys and values as in the config.
        sources: All corpora that a phase may name.
        where: The phase's own key, which leads its keys in messages.
        start: The digest of the weights that the phase starts from; empty for random weights.
        half: Whether the weights are saved in half precision.
        root: The folder that the paths of the corpora are relative to.
        digests: Digests that are known already. Default: none.
        classes: The network's classes. Recipes of the seven do not name them.

    Raises:
        ConfigError: A key is unknown, a value is wrong, a corpus is not one of `sources`, or its kind is unknown.
        CorpusError: The path of a corpus does not exist.
        WeightsError: The weights of a corpus' detector are missing.
    """
    # 1. Check the phase, and the corpora that it names.
    modality, spec = backbones.modality(kind), backbones.spec(kind, options)
    checked_phase: PhaseOptions = checked(phase_class(modality), phase, where)
    side = checked_phase.side if isinstance(checked_phase, StillsPhase) else None
    if side is not None and not spec.any_side and side != spec.input.size:
        raise ConfigError(
            f"{where}.side is {side}, but this network reads only faces of {spec.input.size} pixels. Remove it."
        )
    for name in checked_phase.sources:
        known(f"{where}.sources", name, sources)
        check_source(name, sources[name], modality, classes)
    named = {name: sources[name] for name in checked_phase.sources}
    digests = digests or Digests()

    # 2. List the modules that are looked up by name, which fingerprints do not follow.
    kinds = stills if modality == "face" else corpora
    modules = [backbones.module_name(kind), *(kinds.module_name(block.kind) for block in named.values())]
    modules += [detectors.module_name(block.detect) for block in named.values() if block.detect]
    modules += ["emopipe.corpora.table:check"] if modality == "audio" else []  # it sorts the utterances

    # 3. Fingerprint their code, and name the libraries that it uses.
    used = closure("emopipe.stages.chain:run", *modules)
    library, _, version = backbones.version(kind, options).partition(" ")
    own = {library: major_minor(version)} if library else {}
    imitated = {}
    if isinstance(checked_phase, SpeechPhase) and checked_phase.imitate:
        imitated = {"imitated": _imitated_recipe(f"{where}.imitate", checked_phase.imitate.below(root), digests)}
    own_sources = {name: _source_recipe(name, block, modality, root, digests, classes) for name, block in named.items()}
    return {
        "stage": "chain",
        "kind": kind,
        "options": options.model_dump(),
        "phase": checked_phase.model_dump(),
        "sources": own_sources,
        "start": start,
        "half": half,
        "code": used.fingerprint,
        "libraries": {**versions(used.imports, used.plugin_imports), **own},
        **({} if tuple(classes) == CLASSES else {"classes": list(classes)}),
        **imitated,
    }


def _imitated_recipe(where: str, block: ImitationOptions, digests: Digests) -> Recipe:
    """Return what identifies a network to imitate: its code, its files' checksums and the package it is part of."""
    kind, own, row = backbones.resolve(where, block.kind, block.options)
    if row.modality != "audio" or row.trainable:
        kinds = ", ".join(backbones.list_kinds("audio", trainable=False))
        raise ConfigError(
            f"{where}.kind is {block.kind}, but the network to imitate is an already trained audio network. Choose one "
            f"of the kinds {kinds}."
        )
    options = checked(backbones.options_class(kind), own, f"{where}.options")
    return {
        "code": closure(backbones.module_name(kind)).fingerprint,
        "nets": [digests.file(path) for path in backbones.net_files(kind, options)],
        "package": backbones.version(kind, options),
    }


def _source_recipe(
    name: str, block: SourceBlock, modality: Modality, root: Path, digests: Digests, classes: Sequence[str]
) -> Recipe:
    """Return what identifies a corpus: its options, its content, and the checksums of its detector's weights."""
    options = options_class(block.kind, modality).model_validate(block.options, context=in_classes(classes))
    plain = block.model_dump(exclude={"path"}) | {"options": options.model_dump()}
    nets = []
    if block.detect is not None:
        detector = _detector_options(name, block, digests)
        plain["detector"] = detector.model_dump()
        nets = [digests.file(path) for path in detectors.net_files(block.detect, detector)]
    path = root / Path(block.path).expanduser()
    found = {"options": plain, "content": digests.corpus(path), "nets": nets}
    beside = options.also_read(path) if modality == "face" else []
    found |= {"beside": [digests.corpus(other) for other in beside]} if beside else {}
    return {**found, **_omit_recipe(name, block, root)}


def _omit_recipe(name: str, block: SourceBlock, root: Path) -> Recipe:
    """Return the checksum of a source's list of stills to omit; {} if it has none."""
    path = block.model_copy(update={"path": str(root / Path(block.path).expanduser())}).omit_file
    if path is None:
        return {}
    if not path.is_file():
        raise CorpusError(
            f"sources.{name}.omit is {block.omit}, but {path} does not exist. Put the list beside the corpus, or "
            "remove omit."
        )
    return {"omit": sha256(path)}


def _detector_options(name: str, block: SourceBlock, digests: Digests) -> Options:
    """Return the checked options of a corpus' detector, with the path of its weights in place of their name."""
    where = f"sources.{name}.detector"
    options = with_path(block.detector, f"{DETECTOR}{block.detect}", f"{where}.weights")
    if path := options.get("weights"):
        refuse_missing(path, f"{where}.weights")
        digests.file(Path(path))
    return checked(detectors.options_class(block.detect), options, where)
