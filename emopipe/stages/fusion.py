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
from emopipe.core.labels import CLASSES
from emopipe.core.log import LOGGER, Progress
from emopipe.fusion import attention_weights, cross_validation, inputs, pooled_heads
from emopipe.fusion.cross_validation import CrossValidationResult
from emopipe.fusion.data import FusionDataset
from emopipe.fusion.features import Features, load
from emopipe.fusion.options import POOLS, FusionOptions, Protocol, effective_options
from emopipe.fusion.protocol import KFOLD, ProtocolSplit, split_clips
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
            so on. `predictions`: the mean of the seeds' probabilities for the clips that the protocol reports. `oof`:
            the same for the training clips, out of fold. `seeds`: the predictions of each seed. `candidates`: loss and
            accuracy of each candidate. `attention`: the weights of each reported clip's vectors.
        device: auto, cpu or cuda.
        threads: Number of CPU threads.
        preserve: Preserve the outputs for the job that the next run starts if this run is killed (`cache.preserved`),
            and restore the outputs that such a job has preserved.

    Raises:
        CorpusError: There are no clips to train on.
        CacheError: Features are damaged, or another recipe made them.
        ConfigError: The model reads log-probabilities, and a backbone has no head.
    """
    # 1. clips and features, for each network of a stream first the plain features, then its views
    where = devices.prepare(device, threads)
    options = FusionOptions.model_validate(recipe["options"])
    if options.fusion in POOLS:
        options = options.model_copy(update={"seeds": options.seeds[:1]})  # nothing in them is random
    table = tables.read(clips)
    split = split_clips(table, Protocol.model_validate(recipe["protocol"]))
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
        targets = np.array([CLASSES.index(label) if label else -1 for label in table["label"]])
        classes = np.bincount(targets[split.train_idx], minlength=len(CLASSES)) > 0
        dataset = None
        if usable and options.fusion in POOLS:
            heads = pooled_heads.read_heads(
                pooled_heads.of_first_network(usable, networks_of), modalities, options, len(table)
            )
            result = pooled_heads.fit_and_predict(heads, list(usable), targets, split, options, classes)
            result.candidates["note"] = _note(omitted, options, options)
            covered = heads.present.any(0)
        elif usable:
            dataset = FusionDataset.from_views(usable, modalities, targets, where, classes, networks_of)
            effective = effective_options(options, modalities)
            networks = cross_validation.count_networks(split, options)
            progress = Progress(f"fusion {outputs['predictions'].stem}", networks, unit="networks")
            cache = TrainedCache(unfinished, stamp)
            result = cross_validation.fit_candidates(dataset, table, split, effective, progress.advance, cache)
            people = _people_note(usable, modalities, table) if options.normalise == "subject" else ""
            result.candidates["note"] = join(_note(omitted, options, effective), people)
            covered = dataset.present.cpu().numpy()
        else:
            result, covered = _untrained(split, options), np.zeros(len(table), bool)
        # 4. write
        _write_tables(result, table, split, covered, options, outputs)
        _save_model(result, outputs["model"], recipe, list(usable), where)
        attention_weights.write(outputs["attention"], recipe, result, dataset, table, split, features)
        if preserved:
            preserved.save()


def _read_views(
    recipe: Mapping[str, Any], features: Mapping[str, Path], table: pd.DataFrame, options: FusionOptions
) -> dict[str, list[Features]]:
    """Return what the model reads of each stream: network by network, first the plain features, then its views."""
    clips, subjects = list(table["clip"]), list(table["subject"])
    return {
        stream: [
            inputs.model_inputs(load(path, clips, recipe["features"][name]), modality, options, subjects)
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


def _untrained(split: ProtocolSplit, options: FusionOptions) -> CrossValidationResult:
    """Return the result of a model without any usable stream."""
    candidates = pd.DataFrame([{"candidate": 0, "chosen": 1, "note": reason("not_trained")}])
    oof_probs, predict_probs = (
        np.zeros((len(options.seeds), len(idx), len(CLASSES))) for idx in (split.train_idx, split.predict_idx)
    )
    return CrossValidationResult({}, oof_probs, predict_probs, candidates)


def _write_tables(
    result: CrossValidationResult,
    table: pd.DataFrame,
    split: ProtocolSplit,
    covered: np.ndarray,
    options: FusionOptions,
    outputs: Mapping[str, Path],
) -> None:
    targets = table["label"].iloc[split.train_idx].map(CLASSES.index).to_numpy()
    prior = _frequencies(targets)
    prior_of_fold = np.stack([_frequencies(targets[split.fold != fold]) for fold in range(split.folds)])

    def predicted(probs: np.ndarray) -> pd.DataFrame:
        """The clips to predict; a clip without any stream gets the class frequencies of the training clips."""
        known = np.where(covered[split.predict_idx][:, None], probs, prior)
        return predictions.table(table.iloc[split.predict_idx], known, covered[split.predict_idx])

    def out_of_fold(probs: np.ndarray) -> pd.DataFrame:
        """The training clips; a clip without any stream gets the class frequencies of the other folds."""
        known = np.where(covered[split.train_idx][:, None], probs, prior_of_fold[split.fold])
        made = predictions.table(table.iloc[split.train_idx], known, covered[split.train_idx])
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


def _frequencies(targets: np.ndarray) -> np.ndarray:
    """Return the class frequencies (K,) of clips; equal frequencies if there are no clips."""
    counts = np.bincount(targets, minlength=len(CLASSES))
    return counts / counts.sum() if counts.sum() else np.full(len(CLASSES), 1 / len(CLASSES))


def _save_model(
    result: CrossValidationResult, path: Path, recipe: Mapping[str, Any], streams: list[str], where: torch.device
) -> None:
    tensors = {
        f"{name}.{key}": tensor for name, network in result.networks.items() for key, tensor in network.state.items()
    }
    about = {"recipe": recipe_text(recipe), "classes": " ".join(CLASSES), "device": devices.name_of(where)}
    about["streams"] = json.dumps(streams)  # those that are used, in the order of the networks' tensors
    save_state(tensors, path, {**about, "recipe_digest": digest(recipe), "package": __version__})
