#!/usr/bin/env python3
"""Measure how much faster many models train as one batched program than one by one.

24 candidates (learning rates x dropouts x label smoothings) times 5 seeds, on a synthetic cache of AFEW's size (773
clips, vectors as configs/afew.yaml caches them). They are trained by emopipe, and by a plain loop over the networks,
with the same modules and torch's fused AdamW. Its batches are rows of tensors that are padded and copied to the device
once. Both run on the same machine, so their ratio is the result: of wall times, and of CPU times, which other programs
disturb less.

    python benchmarks/fusion_training.py [--fusions concat,fbp] [--epochs 20] [--repeats 3] [--device cuda]
"""

import math
import resource
import time
from collections.abc import Callable
from typing import Annotated, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
import typer
from torch.utils._pytree import tree_map

from emopipe.core.labels import CLASSES
from emopipe.fusion.data import FusionDataset
from emopipe.fusion.features import Features
from emopipe.fusion.model import FusionModel, Moments
from emopipe.fusion.options import FusionOptions, candidates
from emopipe.fusion.stack import Run
from emopipe.fusion.stream_batch import Streams
from emopipe.fusion.training import WARM_UP, predict, train
from emopipe.training.optimizer import cosine_warmup, decay_groups

Result = TypeVar("Result")

CLIPS, SEEDS = 773, 5
STREAMS = {"expression": ("face", 64, 16, 16), "logmel": ("audio", 128, 2, 13), "spectrogram": ("audio", 64, 8, 65)}
"""Stream -> modality, dimension, smallest and largest number of vectors of a clip."""
SEARCH = {"lr": [3e-4, 1e-3, 3e-3], "dropout": [0.1, 0.2, 0.3, 0.5], "label_smoothing": [0.05, 0.1]}


def main(
    fusions: Annotated[str, typer.Option(help="Fusions to time, separated by commas.")] = "concat,fbp,gated",
    epochs: Annotated[int, typer.Option(help="Number of passes over the clips.")] = 20,
    repeats: Annotated[int, typer.Option(help="How often both are measured, in turns.")] = 1,
    device: Annotated[str, typer.Option(help="Device: cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(help="Number of CPU threads.")] = 2,
) -> None:
    """Print a row for each fusion and repetition: seconds of both, ratios, accuracies on the training clips, memory."""
    torch.set_num_threads(threads)
    where = torch.device(device)
    dataset, everything = synthetic_dataset(where), np.arange(CLIPS)
    print("                        together, s     one by one, s        ratio        accuracy")
    print("fusion      networks   wall     CPU     wall     CPU     wall   CPU   together  one by one   peak MiB")
    for name in fusions.split(","):
        options = FusionOptions(fusion=name, epochs=epochs, search=SEARCH)
        runs = [
            Run(candidate, seed, everything, everything[:0], CLIPS // options.batch)
            for candidate in candidates(options)
            for seed in range(SEEDS)
        ]
        train(dataset, [runs[0]])  # warm up
        train_one_by_one(dataset, [runs[0]])
        for _ in range(repeats):
            networks, wall, cpu = timed(lambda runs=runs: train(dataset, runs), where)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            models, plain_wall, plain_cpu = timed(lambda runs=runs: train_one_by_one(dataset, runs), where)
            batched = np.mean([accuracy(p, dataset) for p in predict(dataset, networks, [everything] * len(runs))])
            plain = np.mean([accuracy(probabilities(model, dataset), dataset) for model in models])
            print(
                f"{name:12}{len(runs):8}{wall:7.1f}{cpu:8.1f}{plain_wall:9.1f}{plain_cpu:8.1f}{plain_wall / wall:9.1f}"
                f"{plain_cpu / cpu:6.1f}{batched:11.3f}{plain:12.3f}{peak:11.0f}",
                flush=True,
            )


def synthetic_dataset(where: torch.device) -> FusionDataset:
    """Return clips whose vectors contain a weak signal of their class."""
    rng = np.random.default_rng(0)
    targets = rng.integers(len(CLASSES), size=CLIPS)
    views = {}
    for stream, (_, dim, fewest, most) in STREAMS.items():
        lengths = rng.integers(fewest, most + 1, CLIPS)
        directions = rng.normal(size=(len(CLASSES), dim))
        x = rng.normal(size=(lengths.sum(), dim)) + 0.1 * directions[np.repeat(targets, lengths)]
        length = torch.from_numpy(lengths)
        vectors = torch.from_numpy(x.astype(np.float32))
        time = torch.from_numpy(np.concatenate([0.2 * np.arange(n) for n in lengths]))
        views[stream] = [Features(vectors, length.cumsum(0) - length, length, time=time)]
    modalities = {stream: modality for stream, (modality, *_) in STREAMS.items()}
    return FusionDataset.from_views(views, modalities, targets, where)


def train_one_by_one(dataset: FusionDataset, runs: list[Run]) -> list[FusionModel]:
    """Train networks one after the other; all read the same padded tensors, which are on the device."""
    streams = dataset.full_batch(torch.arange(CLIPS, device=dataset.device))
    moments = dataset.moments(np.arange(CLIPS))
    return [train_plain(dataset, streams, moments, run) for run in runs]


def train_plain(dataset: FusionDataset, streams: Streams, moments: dict[str, Moments], run: Run) -> FusionModel:
    """Train one network on all clips with torch's own tools."""
    torch.manual_seed(run.seed)
    options, device = run.options, dataset.device
    model = FusionModel(moments, dataset.modalities, options, len(CLASSES)).to(device)
    steps = CLIPS // options.batch * options.epochs
    shares = sum(cosine_warmup(step, WARM_UP * steps, steps) for step in range(steps))
    decay = -math.log(1 - options.weight_decay) / (options.lr * shares)  # shrinks weights by weight_decay in all steps
    optimizer = torch.optim.AdamW(decay_groups(model.parameters(), decay), lr=options.lr, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: cosine_warmup(step, WARM_UP * steps, steps))
    for _ in range(options.epochs):
        order = torch.randperm(CLIPS, device=device)[: CLIPS // options.batch * options.batch]
        for rows in order.split(options.batch):
            batch, target = tree_map(lambda tensor, rows=rows: tensor[rows], (streams, dataset.targets))
            loss = F.cross_entropy(model(batch), target, label_smoothing=options.label_smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


@torch.inference_mode()
def probabilities(model: FusionModel, dataset: FusionDataset) -> np.ndarray:
    """Return the probabilities of all clips by one model."""
    return model(dataset.full_batch(torch.arange(CLIPS, device=dataset.device))).softmax(1).cpu().numpy()


def accuracy(p: np.ndarray, dataset: FusionDataset) -> float:
    """Return the share of correct clips."""
    return float((p.argmax(1) == dataset.targets.cpu().numpy()).mean())


def timed(run: Callable[[], Result], where: torch.device) -> tuple[Result, float, float]:
    """Return the result of a call, its wall time and its CPU time in seconds."""
    wall, cpu = wait(where), time.process_time()
    result = run()
    return result, wait(where) - wall, time.process_time() - cpu


def wait(where: torch.device) -> float:
    """Wait until the device has finished, and return the time in seconds."""
    if where.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    typer.run(main)
