"""A config with every default written out, so that a key that is set to its default is equal to one that is not set."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from emopipe import corpora, stills
from emopipe.backbones import registry as backbones
from emopipe.core.errors import ConfigError
from emopipe.core.validation import checked
from emopipe.corpora.labelling import in_run
from emopipe.faces import detectors
from emopipe.training.phase_options import phase_class
from emopipe.workflow.config import BackboneBlock, Config, modality, parse


def with_defaults(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config's keys and values with all defaults, those of kinds, weights and presets included.

    Weights stay as they are given, a name or a path, so that configs of two machines can be compared.

    Raises:
        EmopipeError: The config has faults for this version, such as a kind of a plug-in that is not installed.
    """
    parsed, given = parse(raw), checked(Config, raw, warn=False)
    made = given.model_dump()
    made["corpus"]["options"] = _filled(
        corpora.options_class(given.corpus.kind), given.corpus.options, in_run(parsed.labelling)
    )
    for name, source in given.sources.items():
        kinds = stills if source.kind in stills.list_kinds() else corpora
        made["sources"][name]["options"] = _filled(kinds.options_class(source.kind), source.options)
    for name, block in given.faces.items():
        found = parsed.faces[name]
        options = _filled(detectors.options_class(block.detector), found.options)
        made["faces"][name] |= {"decode": found.decode, "options": _with_given_weights(options, block.options)}
    for name, block in given.backbones.items():
        made["backbones"][name] |= _of_backbone(parsed.backbones[name], block)
    return made


def _of_backbone(parsed: BackboneBlock, given: BackboneBlock) -> dict[str, Any]:
    """Return the keys of a backbone that a check fills in."""
    options = _filled(backbones.options_class(parsed.kind), parsed.options)
    phases = [_filled(phase_class(modality(parsed)), phase) for phase in parsed.schedule]
    return {
        "faces": parsed.faces,
        "decode": parsed.decode,
        "options": _with_given_weights(options, given.options),
        "schedule": phases,
    }


def _filled(
    options: type[BaseModel], given: Mapping[str, Any], context: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return a block of options with its defaults; `context`: what its checks look at."""
    try:
        return options.model_validate(dict(given), context=context).model_dump()
    except ValidationError as error:
        raise ConfigError(f"Options of the kind in {options.__module__} do not fit: {error}.") from None


def _with_given_weights(options: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    return options | {"weights": given.get("weights")} if "weights" in options else options
