#!/usr/bin/env python3
"""Measure extraction and training of backbones on a GPU (or on the CPU), with made-up faces and sounds.

Prints a row for each backbone: clips a second that extraction embeds (a clip is 16 faces, or 3 s of sound), with the
copies to the device and back; and milliseconds of a training step, with augmentation (bfloat16, on the CPU float32).
Reading and decoding are not part of it. It needs no corpus, no weights and no Snakemake: the packages that tests/gpu
needs are enough.

    PYTHONPATH=. python benchmarks/gpu.py [--backbones expression,resnet18] [--device cuda] [--batch 64] [--seconds 3]
"""

import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import torch
import typer

from emopipe.backbones import registry
from emopipe.backbones.base import FaceInput, Spec
from emopipe.backbones.classifier import Classifier
from emopipe.backbones.crossfit import ALL
from emopipe.core.labels import CLASSES
from emopipe.extraction.extractor import Extractor
from emopipe.runtime import device as devices
from emopipe.training.augment_image import held_side
from emopipe.training.augment_options import FaceAugmentation
from emopipe.training.checkpoint import Checkpoint
from emopipe.training.dataset import Dataset
from emopipe.training.phase_options import SpeechPhase, StillsPhase
from emopipe.training.sharded_images import ShardedImages
from emopipe.training.stills_dataset import StillsDataset
from emopipe.training.trainer import Trainer

FACES = 16
"""Faces of a clip."""
SOUND_SECONDS = 3.0
SAMPLES = 512
"""Samples to train on."""


def main(
    backbones: Annotated[
        str, typer.Option(help="Kinds of backbones, separated by commas.")
    ] = "expression,resnet18,ir50,ir_se50,densenet121,vgg16,speech,audio_alexnet",
    device: Annotated[str, typer.Option(help="Device: auto, cpu or cuda.")] = "cuda",
    batch: Annotated[int, typer.Option(help="Faces or sounds in a batch.")] = 64,
    seconds: Annotated[float, typer.Option(help="About how long each measurement takes.")] = 3.0,
    threads: Annotated[int, typer.Option(help="Number of CPU threads.")] = 4,
) -> None:
    """Print a row for each backbone."""
    where = devices.prepare(device, threads)
    print(f"{devices.name_of(where)}, torch {torch.__version__}, Python {sys.version.split()[0]}, batch {batch}")
    print("backbone          clips/s   training step ms   peak GPU MiB", flush=True)
    for kind in backbones.split(","):
        if registry.modality(kind) == "audio" and not find_spec("librosa"):
            print(f"{kind:14}  needs librosa, which is not installed")
            continue
        if where.type == "cuda":
            torch.cuda.reset_peak_memory_stats(where)
        clips, step = extraction(kind, where, device, batch, seconds), training(kind, where, batch, seconds)
        peak = f"{torch.cuda.max_memory_allocated(where) / 2**20:.0f}" if where.type == "cuda" else "-"
        print(f"{kind:14}{clips:11.1f}{1000 * step:19.2f}{peak:>15}", flush=True)


def extraction(kind: str, where: torch.device, device: str, batch: int, seconds: float) -> float:
    """Return clips a second."""
    options = registry.options_class(kind)()
    network = Extractor(
        kind, options, weights=None, pretrained=None, torch_device=where, device=device, threads=torch.get_num_threads()
    )
    inputs = made_up_inputs(network.spec, batch)
    each = batch / FACES if network.spec.modality == "face" else 1.0  # extraction takes one sound at a time
    return each / repeated(lambda: network.embed(ALL, inputs), where, seconds)


def training(kind: str, where: torch.device, batch: int, seconds: float) -> float:
    """Return the seconds of a training step."""
    options = registry.options_class(kind)()
    spec = registry.spec(kind, options)
    model = Classifier(registry.build(kind, options), spec.dim)
    phase_class = StillsPhase if spec.modality == "face" else SpeechPhase
    precision = "bfloat16" if where.type == "cuda" else "float32"  # few CPUs are fast at the former
    phase = phase_class(sources=["made up"], batch=batch, lr=1e-3, precision=precision)
    with TemporaryDirectory() as folder:
        dataset = made_up_dataset(spec, phase)
        trainer = Trainer(model, dataset, phase, where, Checkpoint(Path(folder) / "none", ""))
        trainer._set_up()
        model.train()
        rows, rng = np.arange(batch) % SAMPLES, torch.Generator().manual_seed(0)
        return repeated(lambda: trainer._step(trainer._prepare(rng, rows)), where, seconds)


def made_up_inputs(spec: Spec, batch: int) -> np.ndarray:
    """Return a batch of faces, or one sound."""
    rng = np.random.default_rng(0)
    if isinstance(spec.input, FaceInput):
        return spec.input.prepare(rng.integers(0, 256, (batch, spec.input.size, spec.input.size, 3), np.uint8))
    from emopipe.media.spectrogram import compute_spectrogram

    return compute_spectrogram(noise(rng).astype(np.float32) / 2**15, spec.input.options)[None]


def made_up_dataset(spec: Spec, phase: StillsPhase | SpeechPhase) -> Dataset:
    """Return samples to train on."""
    rng = np.random.default_rng(0)
    targets = np.eye(len(CLASSES), dtype=np.float32)[np.arange(SAMPLES) % len(CLASSES)]
    split, nobody = np.full(SAMPLES, "train"), np.full(SAMPLES, "")
    if isinstance(spec.input, FaceInput):
        side = held_side(spec.input.size)
        shape = (SAMPLES, side, side) if spec.input.channels == 1 else (SAMPLES, side, side, 3)
        images = ShardedImages([rng.integers(0, 256, shape, np.uint8)])
        return StillsDataset(images, targets, split, nobody, spec.input, FaceAugmentation())
    from emopipe.training.speech_dataset import SpeechDataset

    waves = [noise(rng) for _ in range(SAMPLES)]
    return SpeechDataset(waves, targets, split, nobody, spec.input, phase)


def noise(rng: np.random.Generator) -> np.ndarray:
    """Return a sound (samples,) int16 at 16 kHz."""
    return (2000 * rng.normal(size=int(SOUND_SECONDS * 16_000))).astype(np.int16)


def repeated(run: Callable[[], object], where: torch.device, seconds: float) -> float:
    """Return the mean seconds of a call, after three calls that warm up."""
    for _ in range(3):
        run()
    count, begin = 0, wait(where)
    while wait(where) - begin < seconds:
        for _ in range(5):
            run()
        count += 5
    return (wait(where) - begin) / count


def wait(where: torch.device) -> float:
    """Wait until the device has finished, and return the time in seconds."""
    if where.type == "cuda":
        torch.cuda.synchronize(where)
    return time.perf_counter()


if __name__ == "__main__":
    typer.run(main)
