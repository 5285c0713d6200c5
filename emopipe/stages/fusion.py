"""Stage fusion: features of one or several backbones -> trained networks and their predictions."""

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from emopipe import __version__
from emopipe.backbones.seeds import backbone_of, count_networks
from emopipe.cache.partial import partial_folder
from emopipe.cache.preserved import PreservedOutputs, content
from emopipe.cache.status import join, reason
from emopipe.cache.store import content_digest
from emopipe.cache.tensors import save_state
from emopipe.core import tables
from emopipe.core.atomic import write_text
from emopipe.core.fingerprint import digest, recipe_text
from emopipe.core.labels import BASIC7, CLASSES, LabelSpace, of_recipe
from emopipe.core.log import LOGGER, Progress
from emopipe.fusion import attention_weights, cross_validation, inputs, pooled_heads
from emopipe.fusion.cross_validation import CrossValidationResult
from emopipe.fusion.data import FusionDataset
from emopipe.fusion.features import Features, load
from emopipe.fusion.options import POOLS, FusionOptions, Protocol, effective_options
from emopipe.fusion.protocol import KFOLD, ProtocolSplit, split_clips
from emopipe.fusion.targets import as_vectors, frequencies, of_table, shown
from emopipe.fusion.trained_cache import TrainedCache
from emopipe.runtime import device as devices
from emopipe.scoring import predictions

TABLES = ("predictions", "oof", "seeds", "candidates", "attention")
"""Outputs of the stage in addition to the model."""


def run(
    recipe: Mapping[str, Any],
    clips: Path,
    features: Mapping[str, Path],
    outputs: Mapping[str, Path],
    *,
    device: str,
    threads: int,
    preserve: bool = False,
) -> None:
    """Train a model by the protocol, and write the networks and their predictions.

    Args:
        recipe: `Plan.fusion`.
        clips: The clip table.
        features: Stream or `<stream>@<view>` -> its merged features; `<stream>.seed1` and so on for the other networks
            of a backbone that was trained with several seeds.
        outputs: Paths of the files to write. `model`: the networks in one safetensors file with keys `seed0.<key>` and
            so on. `predictions`: the mean of the seeds' answers for the clips that the protocol reports. `oof`: the
            same for the training clips, out of fold. `seeds`: the predictions of each seed. `candidates`: loss and
            score of each candidate. `attention`: the weights of each reported clip's vectors.
        device: auto, cpu or cuda.
        threads: Number of CPU threads.
        preserve: Preserve the outputs for the job that the next run starts if this run is killed (`cache.preserved`),
            and restore the outputs that such a job has preserved.

    Raises:
        CorpusError: There are no clips to train on.
        CacheError: Features are damaged, or another recipe made them.
        ConfigError: The model reads log-probabilities, and a backbone has no head; or its head knows too few of the
            classes.
    """
    # 1. clips and features, for each network of a stream first the plain features, then its views
    where = devices.prepare(device, threads)
    options, space = FusionOptions.model_validate(recipe["options"]), of_recipe(recipe)
    if options.fusion in POOLS:
        options = options.model_copy(update={"seeds": options.seeds[:1]})  # nothing in them is random
    table = tables.read(clips)
    split = split_clips(table, Protocol.model_validate(recipe["protocol"]), space)
    views = _read_views(recipe, features, table, options)
    networks_of = {stream: count_networks(stream, features) for stream in recipe["streams"]}
    # 2. streams without a training clip are omitted
    usable = {stream: v for stream, v in views.items() if v[0].present.numpy()[split.train_idx].any()}
    omitted = _report_omitted(views, usable, outputs["predictions"].stem)
    # 3. train, unless an earlier job has preserved its outputs
    stamp = _stamp(recipe, clips, features, where)
    preserved = PreservedOutputs([outputs["model"], *(outputs[name] for name in TABLES)], stamp) if preserve else None
    with partial_folder(outputs["model"]) as unfinished:
        if preserved and preserved.restore():
            return
        modalities = {stream: recipe["streams"][stream] for stream in usable}
        targets = of_table(table, space)
        of_training = as_vectors(targets[split.train_idx], len(space))
        classes = shown(of_training, space)
        dataset = None
        if usable and options.fusion in POOLS:
            first = pooled_heads.of_first_network(usable, networks_of)
            heads = pooled_heads.read_heads(first, modalities, options, len(table), space)
            result = pooled_heads.fit_and_predict(heads, list(usable), targets, split, options, classes, space)
            result.candidates["note"] = _note(omitted, options, options)
            covered = heads.present.any(0)
        elif usable:
            dataset = FusionDataset.from_views(usable, modalities, targets, where, classes, networks_of, space)
            effective = effective_options(options, modalities)
            networks = cross_validation.count_networks(split, options)
            progress = Progress(f"fusion {outputs['predictions'].stem}", networks, unit="networks")
            cache = TrainedCache(unfinished, stamp)
            result = cross_validation.fit_candidates(dataset, table, split, effective, progress.advance, cache)
            people = _people_note(usable, modalities, table) if options.normalise == "subject" else ""
            result.candidates["note"] = join(_note(omitted, options, effective), people)
            covered = dataset.present.cpu().numpy()
        else:
            result, covered = _untrained(split, options, space), np.zeros(len(table), bool)
        # 4. write
        _write_tables(result, table, split, covered, options, space, of_training, outputs)
        _save_model(result, outputs["model"], recipe, list(usable), where, of_training)
        attention_weights.write(outputs["attention"], recipe, result, dataset, table, split, features)
        if preserved:
            preserved.save()


def _read_views(
    recipe: Mapping[str, Any], features: Mapping[str, Path], table: pd.DataFrame, options: FusionOptions
) -> dict[str, list[Features]]:
    """Return what the model reads of each stream: network by network, first the plain features, then its views."""
    clips, subjects, space = list(table["clip"]), list(table["subject"]), of_recipe(recipe)
    return {
        stream: [
            inputs.model_inputs(load(path, clips, recipe["features"][name]), modality, options, subjects, space)
            for name, path in features.items()
            if backbone_of(name) == stream
        ]
        for stream, modality in recipe["streams"].items()
    }


def _report_omitted(views: Iterable[str], usable: Collection[str], model: str) -> list[str]:
    """Return the streams that are not usable, each with a warning."""
    omitted = [stream for stream in views if stream not in usable]
    for stream in omitted:
        LOGGER.warning(f"No training clip has vectors of {stream}. The model {model} is trained without it.")
    return omitted


def _stamp(recipe: Mapping[str, Any], clips: Path, features: Mapping[str, Path], where: torch.device) -> str:
    """Return a digest of all that the model depends on: labels and vectors may change while the recipe does not."""
    read = {name: content_digest(path, recipe["features"][name]) for name, path in sorted(features.items())}
    return digest([recipe, content(clips), read, devices.name_of(where)])


def _note(omitted: list[str], options: FusionOptions, effective: FusionOptions) -> str:
    """Return the note for tables of results, as codes; empty if no stream is omitted."""
    if not omitted:
        return ""
    note = reason("streams_omitted", streams=", ".join(omitted))
    changed = effective.fusion != options.fusion
    return join(note, reason("fusion_replaced", used=effective.fusion, asked=options.fusion)) if changed else note


def _people_note(views: Mapping[str, list[Features]], modalities: Mapping[str, str], table: pd.DataFrame) -> str:
    """Return the note on clips with sound that are not normalised by their own person, as a code; empty if none."""
    counts = [0]
    for features in (of_stream[0] for stream, of_stream in views.items() if modalities[stream] == "audio"):
        by_all = np.array(inputs.people(features, list(table["subject"]))) == ""
        counts.append(int((by_all & features.present.numpy()).sum()))
    return reason("people_unknown", clips=max(counts), fewest=inputs.FEWEST_CLIPS) if max(counts) else ""


def _untrained(split: ProtocolSplit, options: FusionOptions, space: LabelSpace) -> CrossValidationResult:
    """Return the result of a model without any usable stream."""
    candidates = pd.DataFrame([{"candidate": 0, "chosen": 1, "note": reason("not_trained")}])
    oof_probs, predict_probs = (
        np.zeros((len(options.seeds), len(idx), len(space))) for idx in (split.train_idx, split.predict_idx)
    )
    return CrossValidationResult({}, oof_probs, predict_probs, candidates)


def _write_tables(
    result: CrossValidationResult,
    table: pd.DataFrame,
    split: ProtocolSplit,
    covered: np.ndarray,
    options: FusionOptions,
    space: LabelSpace,
    targets: np.ndarray,
    outputs: Mapping[str, Path],
) -> None:
    """Write all tables; `targets` (L, K) are those of the training clips."""
    prior = frequencies(targets, space)
    prior_of_fold = np.stack([frequencies(targets[split.fold != fold], space) for fold in range(split.folds)])

    def predicted(values: np.ndarray) -> pd.DataFrame:
        """The clips to predict; a clip without any stream gets the mean of the training clips' labels."""
        known = np.where(covered[split.predict_idx][:, None], values, prior)
        return predictions.table(table.iloc[split.predict_idx], known, covered[split.predict_idx], space)

    def out_of_fold(values: np.ndarray) -> pd.DataFrame:
        """The training clips; a clip without any stream gets the mean of the labels of the other folds."""
        known = np.where(covered[split.train_idx][:, None], values, prior_of_fold[split.fold])
        made = predictions.table(table.iloc[split.train_idx], known, covered[split.train_idx], space)
        return made.assign(fold=split.fold)

    # 1. the mean over the seeds, and each seed
    oof, reported = out_of_fold(result.oof_probs.mean(0)), predicted(result.predict_probs.mean(0))
    by_seed = [predicted(p).assign(seed=s) for s, p in zip(options.seeds, result.predict_probs, strict=True)]
    # 2. a cross-validation reports the training clips, too
    if split.cross_validated:
        oof_by_seed = [out_of_fold(p).assign(seed=s) for s, p in zip(options.seeds, result.oof_probs, strict=True)]
        reported = pd.concat([oof.drop(columns="fold").assign(split=KFOLD), reported], ignore_index=True)
        by_seed = [table.drop(columns="fold").assign(split=KFOLD) for table in oof_by_seed] + by_seed
    # 3. write
    predictions.write(reported, outputs["predictions"])
    predictions.write(oof, outputs["oof"])
    predictions.write(pd.concat(by_seed, ignore_index=True), outputs["seeds"])
    text = result.candidates.to_csv(index=False, float_format="%.6f", lineterminator="\n")
    write_text(outputs["candidates"], text)


def _save_model(
    result: CrossValidationResult,
    path: Path,
    recipe: Mapping[str, Any],
    streams: list[str],
    where: torch.device,
    targets: np.ndarray,
) -> None:
    """Write the networks with what they are; `targets` (L, K) are those of the training clips.

    The metadata name the seven classes as `classes`. Other label spaces are there as `labels` (JSON,
    `LabelSpace.to_dict`), with the answer for a clip without any stream as `prior` (a JSON list of K numbers).
    """
    tensors = {
        f"{name}.{key}": tensor for name, network in result.networks.items() for key, tensor in network.state.items()
    }
    about = {
        "recipe": recipe_text(recipe),
        **_about_labels(of_recipe(recipe), targets),
        "device": devices.name_of(where),
    }
    about["streams"] = json.dumps(streams)  # those that are used, in the order of the networks' tensors
    save_state(tensors, path, {**about, "recipe_digest": digest(recipe), "package": __version__})


def _about_labels(space: LabelSpace, targets: np.ndarray) -> dict[str, str]:
    if space == BASIC7:
        return {"classes": " ".join(CLASSES)}
    return {"labels": json.dumps(space.to_dict()), "prior": json.dumps(frequencies(targets, space).tolist())}
