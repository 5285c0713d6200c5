"""Rules for the blocks of models and ensembles that concern other blocks of the config as well."""

from collections.abc import Collection, Mapping, Sequence

from emopipe.backbones.base import Modality
from emopipe.core.errors import ConfigError
from emopipe.core.labels import LabelSpace
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


def check_model_labels(where: str, options: FusionOptions, space: LabelSpace) -> None:
    """Raise a ConfigError if a model has an option without a meaning for the label space; `where`: the model's key."""
    found = f"labels.kind is {space.kind}"
    if not space.has_one_class and options.fusion in POOLS:
        raise ConfigError(
            f"{where}.fusion is {options.fusion}, but {found}. The emotion heads of networks answer with one class. "
            "Use another fusion, such as concat or late, or change labels.kind to single or votes."
        )
    for key, inputs in (("face_inputs", options.face_inputs), ("audio_inputs", options.audio_inputs)):
        if not space.has_one_class and "evidence" in inputs:
            raise ConfigError(
                f"{where}.{key} has evidence, but {found}. The emotion heads of networks answer with one class. Use "
                "vectors or logp, or change labels.kind to single or votes."
            )
    if space.kind == "dimensions" and options.class_weights != "none":
        raise ConfigError(f"{where}.class_weights is {options.class_weights}, but {found}. Remove the key.")
    if space.kind == "dimensions" and "label_smoothing" in options.search:
        raise ConfigError(
            f"{where}.search.label_smoothing is set, but {found}, which are not smoothed. Remove it from search."
        )


def check_ensemble_labels(where: str, options: EnsembleOptions, space: LabelSpace) -> None:
    """Raise a ConfigError if an ensemble's method does not fit the label space; `where`: the ensemble's key."""
    asked = {
        "method": options.method if options.method == "stacking" else "",
        "mean": options.mean if options.mean == "geometric" else "",
        "calibrate": "true" if options.calibrate else "",
    }
    refused = [key for key, value in asked.items() if value and not space.has_one_class]
    if refused:
        key, instead = refused[0], {"method": "mean, weighted or greedy", "mean": "arithmetic", "calibrate": "false"}
        raise ConfigError(
            f"{where}.{key} is {asked[key]}, but labels.kind is {space.kind}, and this is defined for probabilities "
            f"that sum to 1. Expected {instead[key]}. Change it, or change labels.kind to single or votes."
        )
