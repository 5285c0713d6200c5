#!/usr/bin/env python3
"""Measure how much faster many models train as one batched program than one by one.

24 candidates (learning rates x dropouts x label smoothings) times 5 seeds, on a synthetic cache of AFEW's size (773
clips, vectors as configs/afew.yaml caches them). They are trained by emopipe, and by a plain loop over the networks
with torch's DataLoader, modules and AdamW. Both run on the same machine, so their ratio is the result.

    python benchmarks/fusion_training.py [--fusions concat,fbp] [--epochs 20] [--device cuda]
"""

import math
import resource
import time
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
import typer
from torch.nn.utils.rnn import pad_sequence
from torch.utils._pytree import tree_map
from torch.utils.data import DataLoader

from emopipe.core.labels import CLASSES
from emopipe.fusion.data import FusionDataset
from emopipe.fusion.features import Features
from emopipe.fusion.model import FusionModel
from emopipe.fusion.options import FusionOptions, candidates
from emopipe.fusion.stack import Run
from emopipe.fusion.stream_batch import StreamBatch
from emopipe.fusion.training import WARM_UP, predict, train
from emopipe.training.optimizer import cosine_warmup, decay_groups

CLIPS, SEEDS = 773, 5
STREAMS = {"expression": ("face", 64, 16, 16), "logmel": ("audio", 128, 2, 13), "spectrogram": ("audio", 64, 8, 65)}
"""Stream -> modality, dimension, smallest and largest number of vectors of a clip."""
SEARCH = {"lr": [3e-4, 1e-3, 3e-3], "dropout": [0.1, 0.2, 0.3, 0.5], "label_smoothing": [0.05, 0.1]}


def main(
    fusions: Annotated[str, typer.Option(help="Fusions to time, separated by commas.")] = "concat,fbp,gated",
    epochs: Annotated[int, typer.Option(help="Number of passes over the clips.")] = 20,
    device: Annotated[str, typer.Option(help="Device: cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(help="Number of CPU threads.")] = 2,
) -> None:
    """Print a row for each fusion: seconds of both, their ratio, accuracies on the training clips, peak memory."""
    torch.set_num_threads(threads)
    where = torch.device(device)
    dataset, everything = synthetic_dataset(where), np.arange(CLIPS)
    print("fusion      networks  together s  one by one s  ratio   acc. together  one by one  peak MiB")
    for name in fusions.split(","):
        options = FusionOptions(fusion=name, epochs=epochs, search=SEARCH)
        runs = [
            Run(candidate, seed, everything, everything[:0], CLIPS // options.batch)
            for candidate in candidates(options)
            for seed in range(SEEDS)
        ]
        train(dataset, [runs[0]])  # warm up
        begin = wait(where)
        networks = train(dataset, runs)
        together = wait(where) - begin
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        begin = wait(where)
        models = [train_plain(dataset, run) for run in runs]
        alone = wait(where) - begin
        batched = np.mean([accuracy(p, dataset) for p in predict(dataset, networks, [everything] * len(runs))])
        plain = np.mean([accuracy(probabilities(model, dataset), dataset) for model in models])
        print(
            f"{name:12}{len(runs):8}{together:12.1f}{alone:14.1f}{alone / together:7.1f}{batched:16.3f}{plain:12.3f}"
            f"{peak:10.0f}",
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


def train_plain(dataset: FusionDataset, run: Run) -> FusionModel:
    """Train one network with torch's own tools."""
    torch.manual_seed(run.seed)
    options = run.options
    model = FusionModel(dataset.moments(run.train_idx), dataset.modalities, options, len(CLASSES)).to(dataset.device)
    targets = dataset.targets.cpu()
    spans = {s: [slice(a, a + n) for a, n in zip(f.start, f.length, strict=True)] for s, f in dataset.streams.items()}
    clips = [
        ({s: (f.x[spans[s][n]].cpu(), f.time[spans[s][n]].cpu()) for s, f in dataset.streams.items()}, targets[n])
        for n in run.train_idx
    ]
    loader = DataLoader(clips, batch_size=options.batch, shuffle=True, drop_last=True, collate_fn=collate)
    steps = len(loader) * options.epochs
    shares = sum(cosine_warmup(step, WARM_UP * steps, steps) for step in range(steps))
    decay = -math.log(1 - options.weight_decay) / (options.lr * shares)  # shrinks weights by weight_decay in all steps
    optimizer = torch.optim.AdamW(decay_groups(model.parameters(), decay), lr=options.lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: cosine_warmup(step, WARM_UP * steps, steps))
    for _ in range(options.epochs):
        for batch in loader:
            streams, target = tree_map(lambda tensor: tensor.to(dataset.device), batch)
            loss = F.cross_entropy(model(streams), target, label_smoothing=options.label_smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def collate(clips: list) -> tuple[dict[str, StreamBatch], torch.Tensor]:
    """Return clips as a padded batch."""
    streams = {}
    for stream in clips[0][0]:
        x, time = (pad_sequence(parts, batch_first=True) for parts in zip(*(v[stream] for v, _ in clips), strict=True))
        length = torch.tensor([len(vectors[stream][0]) for vectors, _ in clips], device=x.device)
        mask = torch.arange(x.shape[1], device=x.device) < length[:, None]
        streams[stream] = StreamBatch(x, mask, time, x.new_zeros(len(x), 0), x.new_zeros(len(x), 0))
    return streams, torch.stack([target for _, target in clips])


@torch.inference_mode()
def probabilities(model: FusionModel, dataset: FusionDataset) -> np.ndarray:
    """Return the probabilities of all clips by one model."""
    return model(dataset.full_batch(torch.arange(CLIPS, device=dataset.device))).softmax(1).cpu().numpy()


def accuracy(p: np.ndarray, dataset: FusionDataset) -> float:
    """Return the share of correct clips."""
    return float((p.argmax(1) == dataset.targets.cpu().numpy()).mean())


def wait(where: torch.device) -> float:
    """Wait until the device has finished, and return the time in seconds."""
    if where.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    typer.run(main)
