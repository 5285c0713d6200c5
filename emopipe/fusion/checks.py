"""Rules for the blocks of models and ensembles that concern other blocks of the config as well."""

from collections.abc import Collection, Mapping, Sequence

from emopipe.backbones.base import Modality
from emopipe.core.errors import ConfigError
from emopipe.core.validation import all_known
from emopipe.fusion.options import POOLS, EnsembleOptions, FusionOptions, Protocol, joins

BILINEAR = ("fbp", "adaptive_fbp")
JOINING = ("gated", "gmu", "late", "crossmodal")
BASELINES = {"heads_product": "product", "heads_product_untrained": "product_untrained", "heads_mean": "mean_of_heads"}
"""Models that every run with several heads has, to compare with -> their fusion."""


def default_members(method: str, models: Sequence[str], baselines: Sequence[str]) -> list[str]:
    """Return the members of an ensemble for which the config names none.

    Args:
        method: `EnsembleOptions.method`. A mean counts all members alike, so baselines are not among them; the others
            find out of fold what each member is worth.
        models: The config's models.
        baselines: The baselines of the run.
    """
    return [*models, *(baselines if method != "mean" else ())]


ENSEMBLE = "ensemble"
"""The name of the main ensemble; the names of all others begin with it."""


def check_model(name: str, options: FusionOptions, streams: Mapping[str, Modality], views: Collection[str]) -> None:
    """Raise a ConfigError if a model's name or options do not fit its streams.

    Args:
        name: The model's name.
        options: Its options.
        streams: Stream (a backbone's name) -> its modality.
        views: The augmented views that any of these backbones has.
    """
    where, modalities = f"models.{name}", sorted(set(streams.values()))
    prefix = "fused" if len(modalities) > 1 else modalities[0]
    if not name.startswith(f"{prefix}_"):
        raise ConfigError(
            f"{where} reads {' and '.join(modalities)} ({', '.join(streams)}), so its name should begin with "
            f"{prefix}_. The tables read the modality from this prefix. Rename the model."
        )
    joining = {stream: m for stream, m in streams.items() if options.fusion in POOLS or joins(options, m)}
    if not joining:
        raise ConfigError(
            f"{where} reads only the evidence of its streams ({', '.join(streams)}), so there is nothing to train. Use "
            "fusion: product, or add vectors to face_inputs or audio_inputs."
        )
    if options.fusion in BILINEAR and len(set(joining.values())) < 2:
        raise ConfigError(
            f"{where}.fusion is {options.fusion}, which needs vectors of a face stream and of an audio stream, but it "
            f"has those of {', '.join(joining)} alone. Use concat, gated, gmu, late or crossmodal, or add a stream."
        )
    if options.fusion in JOINING and len(joining) < 2:
        raise ConfigError(
            f"{where}.fusion is {options.fusion}, which needs the vectors of several streams, but it has those of one. "
            "Remove the key, or add a stream."
        )
    if options.normalise == "subject" and "audio" not in modalities:
        raise ConfigError(
            f"{where}.normalise is subject, which concerns audio streams, but all streams are face. Remove the key."
        )
    if options.augment and not views:
        raise ConfigError(
            f"{where}.augment is true, but none of its backbones has views. Set backbones.{next(iter(streams))}.views, "
            "or remove augment."
        )


def check_protocol(where: str, options: FusionOptions, protocol: Protocol) -> None:
    """Raise a ConfigError if early stopping watches clips that the protocol trains on; `where` is the model's key."""
    early = options.early_stopping
    if early and early.watch == "val" and protocol.kind != "given":
        raise ConfigError(
            f"{where}.early_stopping.watch is val, but protocol.kind is {protocol.kind}, which trains on val. Use "
            "watch: inner."
        )


def check_ensembles(ensembles: Mapping[str, EnsembleOptions], models: Collection[str]) -> None:
    """Raise a ConfigError if an ensemble's name lacks the prefix, or if one of its members is not a model.

    Args:
        ensembles: All ensembles by name; the main ensemble is called ENSEMBLE.
        models: The names of all models.
    """
    for name, options in ensembles.items():
        where = name if name == ENSEMBLE else f"ensembles.{name}"
        if name != ENSEMBLE and not name.startswith(f"{ENSEMBLE}_"):
            raise ConfigError(f"{where}: the name of an ensemble should begin with ensemble_. Use ensemble_{name}.")
        all_known(f"{where}.members", options.members or (), models)
