#!/usr/bin/env python3
"""Compare ways to give fusion the vectors of training clips, if a backbone was trained on these clips by folds.

Each training clip is embedded by the network of its fold, and other clips by the network for all. Networks that are
trained apart have axes of their own. The ways:

    none        the folds' vectors as they are
    ridge       mapped onto the axes of the network for all by ridge regression (`emopipe.backbones.feature_alignment`)
    procrustes  mapped by a rotation, one scale and an offset (Schoenemann, Psychometrika 31(1), 1966)
    logp        the log-probabilities of the networks' own heads in place of vectors
    held back   one network: a fold's network embeds the fold's clips, on which alone fusion is trained, and all others

Each is judged by a logistic regression on clips' mean vectors, trained on the training clips and scored on val, and by
how much more widely val vectors are spread than training vectors. Needs a finished cache.

    python benchmarks/fold_axes.py CONFIG BACKBONE [--corpus-root DATA]
"""

import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from scipy.linalg import orthogonal_procrustes
from sklearn.linear_model import LogisticRegression

from emopipe import extraction
from emopipe.backbones import crossfit, feature_alignment, registry
from emopipe.cache.failures import FailurePolicy
from emopipe.cache.store import Reader
from emopipe.core import tables
from emopipe.core.labels import CLASSES
from emopipe.extraction.extractor import Extractor
from emopipe.scoring.metrics import log_losses
from emopipe.workflow import config as configs
from emopipe.workflow import scan
from emopipe.workflow.config import BackboneBlock, Config, modality

Vectors = dict[str, tuple[np.ndarray, np.ndarray]]
"""Clip -> its mean vector (D,) and mean log-probabilities (K,)."""
PROBE = 0.1
"""Inverse of the penalty of the logistic regression on standardized inputs."""


def main(
    config: Annotated[Path, typer.Argument(help="The config of the run.")],
    backbone: Annotated[str, typer.Argument(help="A backbone with pretrain.")],
    corpus_root: Annotated[str | None, typer.Option(help="The corpus' folder.")] = None,
) -> None:
    """Print a row for each way: accuracy and loss on val, and the ratio of the spreads."""
    settings = configs.parse({**configs.read(config), "corpus_root": corpus_root})
    cache = scan.cache_folder(settings)
    table = tables.read(cache / "clips.csv")
    table = table[table["split"].isin(["train", "val"]) & (table["label"] != "")]
    trained = crossfit.load(cache / f"weights/{backbone}.safetensors")
    clips = set(table["clip"])
    of_fold = [embed(settings, backbone, cache, trained, clips, fold) for fold in range(len(trained.folds))]
    whole = embed(settings, backbone, cache, trained, clips, crossfit.ALL)
    table = table[table["clip"].isin(whole)]
    label = dict(zip(table["clip"], table["label"].map(CLASSES.index), strict=True))
    train = [clip for clip in table["clip"] if clip in trained.fold_of]
    val = list(table["clip"][table["split"] == "val"])
    print(f"{backbone}: {len(train)} training clips, {len(val)} val clips\nway          accuracy  loss  spread of val")
    for way in ("none", "ridge", "procrustes", "logp"):
        x, y = inputs(way, train, val, of_fold, whole, trained)
        report(way, [(x, y)], label, train, val)
    held_back = [
        ([clip for clip in train if trained.fold_of[clip] == fold], found) for fold, found in enumerate(of_fold)
    ]
    pairs = [(stacked(found, some, 0), stacked(found, val, 0)) for some, found in held_back]
    report("held back", pairs, label, [some for some, _ in held_back], val)


def embed(
    config: Config, name: str, cache: Path, trained: crossfit.CrossfitWeights, clips: set[str], fold: int
) -> Vectors:
    """Return what the network of one fold says about all clips, without any map."""
    block = config.backbones[name]
    dim = len(trained.alignments[0]) - 1
    plain = np.vstack([np.eye(dim), np.zeros((1, dim))]).astype(np.float32)
    forced = dataclasses.replace(
        trained,
        alignments=[plain.copy() for _ in trained.folds],
        fold_of={} if fold < 0 else dict.fromkeys(clips, fold),
    )
    with tempfile.TemporaryDirectory() as folder:
        crossfit.save(forced, Path(folder) / "forced.safetensors", {})
        options = registry.options_class(block.kind).model_validate(block.options)
        network = Extractor(
            block.kind, options, weights=None, pretrained=Path(folder) / "forced.safetensors",
            torch_device=torch.device("cpu"), device="cpu", threads=torch.get_num_threads(),
        )  # fmt: skip
    return dict(means(block, cache, network, clips))


def means(block: BackboneBlock, cache: Path, network: Extractor, clips: set[str]) -> Iterator[tuple[str, tuple]]:
    """Yield each clip that has vectors, with their mean and that of the log-probabilities."""
    kind = modality(block)
    shards = sorted((cache / (f"faces/{block.faces}" if kind == "face" else f"media/{block.decode}")).glob("[0-9]*.h5"))
    for shard in (path for path in shards if path.name.count(".") == 1):
        with Reader(shard) as reader:
            here = iter([clip for clip in reader.clips if clip in clips])
            for row in extraction.module_for(kind).rows(reader, here, network, 128, "", FailurePolicy("stop")):
                if row.arrays:
                    mask = row.arrays["mask"]
                    yield row.clip, (row.arrays["x"][mask].mean(0), row.arrays["logp"][mask].mean(0))


def inputs(
    way: str,
    train: list[str],
    val: list[str],
    of_fold: list[Vectors],
    whole: Vectors,
    trained: crossfit.CrossfitWeights,
) -> tuple[np.ndarray, np.ndarray]:
    """Return what fusion reads of the training clips (n, D) and of the val clips (m, D)."""
    which = 1 if way == "logp" else 0
    made = np.stack([of_fold[trained.fold_of[clip]][clip][which] for clip in train])
    for fold, alignment in enumerate(trained.alignments):
        here = np.array([trained.fold_of[clip] == fold for clip in train])
        if way == "ridge":
            made[here] = feature_alignment.apply_map(made[here], alignment)
        if way == "procrustes":  # fitted on the clips that both networks were trained on
            shared = [clip for clip, inside in zip(train, here, strict=True) if not inside]
            made[here] = procrustes(stacked(of_fold[fold], shared, 0), stacked(whole, shared, 0))(made[here])
    return made, stacked(whole, val, which)


def procrustes(source: np.ndarray, target: np.ndarray):
    """Return the best rotation, scale and offset from source (n, D) to target (n, D) as a function."""
    mean_source, mean_target = source.mean(0), target.mean(0)
    rotation, total = orthogonal_procrustes(source - mean_source, target - mean_target)
    scale = total / ((source - mean_source) ** 2).sum()
    return lambda x: scale * (x - mean_source) @ rotation + mean_target


def stacked(found: Vectors, clips: list[str], which: int) -> np.ndarray:
    """Return the vectors (n, D), or for 1 the log-probabilities (n, K), of clips."""
    return np.stack([found[clip][which] for clip in clips])


def report(way: str, pairs: list[tuple[np.ndarray, np.ndarray]], label: dict[str, int], train: list, val: list) -> None:
    """Print the mean scores of probes; `train` is a list of clips, or one such list for each pair."""
    of_pairs = train if train and isinstance(train[0], list) else [train] * len(pairs)
    target, scores = np.array([label[clip] for clip in val]), []
    for (x, y), clips in zip(pairs, of_pairs, strict=True):
        mean, std = x.mean(0), x.std(0) + 1e-9
        probe = LogisticRegression(C=PROBE, max_iter=2000).fit((x - mean) / std, [label[clip] for clip in clips])
        p = np.zeros((len(val), len(CLASSES)))
        p[:, probe.classes_] = probe.predict_proba((y - mean) / std)
        scores.append(((p.argmax(1) == target).mean(), log_losses(p, target).mean(), (y.std(0) / std).mean()))
    accuracy, loss, spread = np.mean(scores, 0)
    print(f"{way:12}{accuracy:9.3f}{loss:6.3f}{spread:9.2f}", flush=True)


if __name__ == "__main__":
    typer.run(main)
