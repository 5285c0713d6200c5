"""Small data sets that are drawn on the spot: stills, faces of clips, features."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from emopipe.backbones import registry
from emopipe.backbones.classifier import Classifier
from emopipe.cache.store import Row, Writer
from emopipe.core.fingerprint import digest
from emopipe.core.labels import CLASSES
from emopipe.faces import rows as face_rows
from emopipe.fusion.data import FusionDataset
from emopipe.fusion.features import Features
from emopipe.fusion.options import FusionOptions, Protocol
from emopipe.fusion.stack import Run
from emopipe.media.decoded import encode_jpeg
from emopipe.training.augment_image import held_side
from emopipe.training.augment_options import FaceAugmentation
from emopipe.training.checkpoint import Checkpoint
from emopipe.training.phase_options import StillsPhase
from emopipe.training.sharded_images import ShardedImages
from emopipe.training.stills_dataset import StillsDataset
from emopipe.training.trainer import Trainer

SHIPPED = Path(__file__).parents[2] / "emopipe" / "weights" / "files"

FEATURES = {
    "kind": "expression",
    "options": {"size": 48},
    "stage": "features",
    "batch": 8,
    "precision": "float32",
    "view": "",
}
PRETRAIN = {
    "stage": "pretrain",
    "kind": "expression",
    "options": {"size": 32, "width": 8, "dim": 16},
    "pretrain": {"folds": 2, "epochs": 3, "batch": 8},
    "source": digest({}),
    "folds": Protocol(folds=2).model_dump(),
}


def write_faces(path, clips):
    """A shard of the faces stage: three faces of each clip, bright for every second clip."""
    rng = np.random.default_rng(0)
    with Writer(path, face_rows.FIELDS, stage="faces", recipe={}) as writer:
        for number, clip in enumerate(clips):
            low = 40 + 100 * (number % 2)
            jpegs = [encode_jpeg(rng.integers(low, low + 40, (256, 256, 3), np.uint8), 90) for _ in range(3)]
            arrays = {
                "crop": np.frombuffer(b"".join(jpegs), np.uint8),
                "crop_size": np.array(list(map(len, jpegs))),
                "mask": np.array([True, False, True, True]),
                "time": np.arange(4.0),
            }
            writer.add(Row(clip, f"d{clip}", "ok", "", arrays))


def write_corpus(folder, count=12):
    """The clip table and the faces of a corpus of two classes."""
    clips = [f"c{number:02d}" for number in range(count)]
    labels = [CLASSES[number % 2] for number in range(count)]
    table = {"clip": clips, "path": clips, "split": "train", "label": labels, "subject": "", "digest": ""}
    pd.DataFrame(table).to_csv(folder / "clips.csv", index=False)
    write_faces(folder / "0.h5", clips)


def stills(geometry, count=84, side=None):
    """Stills of which each class has a bright band of its own."""
    rng = np.random.default_rng(0)
    label = np.arange(count) % len(CLASSES)
    held = held_side(geometry.size)
    shape = (count, held, held) if geometry.channels == 1 else (count, held, held, 3)
    images = rng.integers(0, 80, shape, np.uint8)
    for number, image in enumerate(images):
        top = (2 + label[number]) * held // 12
        image[top : top + held // 12] += 150
    split = np.where(np.arange(count) < count - 20, "train", "val")
    targets = np.eye(len(CLASSES), dtype=np.float32)[label]
    nobody = np.full(count, "")
    return StillsDataset(ShardedImages([images]), targets, split, nobody, geometry, FaceAugmentation(), side)


def stills_trainer(kind, where, checkpoint, *, side=None, options=None, **phase):
    """A training on stills that has not started; equal arguments give equal trainings."""
    options = registry.options_class(kind).model_validate(options or {})
    spec = registry.spec(kind, options)
    torch.manual_seed(0)
    model = Classifier(registry.build(kind, options), spec.dim, 0.2)
    precision = "bfloat16" if where.type == "cuda" else "float32"  # few CPUs are fast at the former
    keys = {"sources": ["drawn"], "epochs": 2, "batch": 16, "lr": 0.02, "side": side, "precision": precision, **phase}
    dataset = stills(spec.input, side=side)
    return Trainer(model, dataset, StillsPhase.model_validate(keys), where, Checkpoint(checkpoint, "a recipe"))


def fusion_dataset(where, clips=60, dtype=np.float32):
    """Features of faces and sound that together separate three classes; every fifth clip lacks its sound."""
    rng = np.random.default_rng(0)
    targets = rng.integers(3, size=clips)
    streams = {}
    for stream, dim, most in (("face", 12, 9), ("sound", 8, 5)):
        lengths = rng.integers(1, most + 1, clips)
        if stream == "sound":
            lengths[::5] = 0
        x = rng.normal(size=(lengths.sum(), dim))
        x[:, 0] += 3 * np.repeat(targets == (stream == "sound"), lengths)
        length = torch.from_numpy(lengths)
        time = torch.from_numpy(np.concatenate([0.2 * np.arange(n) for n in lengths]))
        streams[stream] = [Features(torch.from_numpy(x.astype(dtype)), length.cumsum(0) - length, length, time=time)]
    return FusionDataset.from_views(streams, {"face": "face", "sound": "audio"}, targets, where)


def fusion_runs(fusion, *, epochs=5, seeds=2, clips=60):
    """Networks of one shape with several seeds and learning rates."""
    everything, runs = np.arange(clips), []
    for lr in (3e-3, 1e-2):
        attention = {"face_attention": "multihead", "audio_attention": "self"}
        options = FusionOptions.model_validate(
            {"fusion": fusion, "epochs": epochs, "lr": lr, "hidden": 16, "out": 8, "heads": 2, "batch": 16}
            | {"modality_dropout": 0.2, "mixup": 0.2, "dropout": 0.1}
            | attention
        )
        runs += [Run(options, seed, everything, everything[:0], clips // 16) for seed in range(seeds)]
    return runs


def same(first, second):
    """Whether two state dicts are equal bit by bit."""
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
