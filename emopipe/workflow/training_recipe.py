"""What one step of a chain is to make, as a plain recipe: options, corpora by content, code, what it starts from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emopipe import corpora, stills
from emopipe.backbones import registry as backbones
from emopipe.backbones.base import Modality, Spec
from emopipe.core.atomic import sha256
from emopipe.core.errors import ConfigError
from emopipe.core.fingerprint import code_fingerprint
from emopipe.core.options import Options
from emopipe.core.validation import checked, known
from emopipe.faces import detectors
from emopipe.training.sources import SourceBlock, check_source, content, options_class
from emopipe.training.step_options import StepOptions, StillsStep, step_class
from emopipe.weights.checksums import verify
from emopipe.weights.entries import DETECTOR
from emopipe.weights.naming import refuse_missing, resolve

Recipe = dict[str, Any]


def step_recipe(
    kind: str,
    options: Options,
    step: Mapping[str, Any],
    sources: Mapping[str, SourceBlock],
    *,
    where: str,
    start: str,
    half: bool,
    root: Path = Path(),
) -> Recipe:
    """The recipe of one step.

    Args:
        kind: The network.
        options: Its checked options.
        step: The step as a config holds it.
        sources: All corpora that a step may name.
        where: What leads the step's keys in messages.
        start: The digest of what it starts from; empty where it starts from nothing.
        half: Whether its weights are kept in half precision.
        root: The folder that the corpora's paths are relative to.

    Raises:
        ConfigError: An unknown key, a wrong value, or a corpus that is none of `sources`.
        CorpusError: A corpus' kind is unknown, or nothing is where it should lie.
        WeightsError: The weights of a corpus' detector are missing.
    """
    modality = backbones.modality(kind)
    options_of_step: StepOptions = checked(step_class(modality), step, where)
    _refuse_other_side(options_of_step, backbones.spec(kind, options), where)
    for name in options_of_step.sources:
        known(f"{where}.sources", name, sources)
        check_source(name, sources[name], modality)
    named = {name: sources[name] for name in options_of_step.sources}
    version = backbones.version(kind, options)
    return {
        "stage": "chain",
        "kind": kind,
        "options": options.model_dump(),
        "step": options_of_step.model_dump(),
        "sources": {name: _source(name, block, modality, root) for name, block in named.items()},
        "start": start,
        "half": half,
        "code": code_fingerprint("emopipe.stages.chain", backbones.module_name(kind), *_modules(named, modality)),
        **({"version": version} if version else {}),
    }


def _refuse_other_side(step: StepOptions, spec: Spec, where: str) -> None:
    if not isinstance(step, StillsStep) or step.side is None:
        return
    if not spec.any_side and step.side != spec.input.size:
        raise ConfigError(
            f"{where}.side is {step.side}, but this network reads faces of {spec.input.size} pixels alone: take it out."
        )


def _source(name: str, block: SourceBlock, modality: Modality, root: Path) -> Recipe:
    options = options_class(block.kind, modality).model_validate(block.options)
    plain = block.model_dump(exclude={"path"}) | {"options": options.model_dump()}
    nets = []
    if block.detect is not None:
        detector = _detector_options(name, block)
        plain["detector"] = detector.model_dump()
        nets = [sha256(path) for path in detectors.net_files(block.detect, detector)]
    return {"options": plain, "content": content(root / Path(block.path).expanduser()), "nets": nets}


def _detector_options(name: str, block: SourceBlock) -> Options:
    """The options of a corpus' detector, whose weights may go by a name."""
    where, options = f"sources.{name}.detector", block.detector
    if weights := options.get("weights"):
        chosen = resolve(weights, f"{DETECTOR}{block.detect}", f"{where}.weights")
        refuse_missing(chosen.path, f"{where}.weights")
        verify(chosen.path)
        options = {**chosen.defaults, **options, "weights": chosen.path}
    return checked(detectors.options_class(block.detect), options, where)


def _modules(sources: Mapping[str, SourceBlock], modality: Modality) -> list[str]:
    """Modules that are looked up by name, which fingerprints do not follow."""
    kinds = stills.KINDS if modality == "face" else corpora.KINDS
    finders = [detectors.KINDS[block.detect] for block in sources.values() if block.detect]
    return [*(kinds[block.kind] for block in sources.values()), *finders]
