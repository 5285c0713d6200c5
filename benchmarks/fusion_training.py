#!/usr/bin/env python3
"""How much faster many models train as one batched program than one by one.

24 candidates (learning rates x dropouts x label smoothings) times 5 seeds, on a made-up cache of AFEW's size (773
clips, vectors as configs/afew.yaml caches them), trained by emopipe and by a plain loop: one network after the other,
torch's DataLoader, modules and AdamW. Both in this one run; the ratio is what counts.

    python benchmarks/fusion_training.py [--fusions concat,fbp] [--epochs 20] [--device cuda]
"""

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
from emopipe.fusion.data import Data
from emopipe.fusion.features import Features
from emopipe.fusion.model import FusionModel
from emopipe.fusion.optimizer import one_cycle
from emopipe.fusion.options import FusionOptions, candidates
from emopipe.fusion.training import Member, predict, train

CLIPS, SEEDS = 773, 5
STREAMS = {"expression": ("face", 64, 16, 16), "logmel": ("audio", 128, 2, 13), "spectrogram": ("audio", 64, 8, 65)}
"""Stream -> modality, dimension, fewest and most vectors a clip."""
SEARCH = {"lr": [3e-4, 1e-3, 3e-3], "dropout": [0.1, 0.2, 0.3, 0.5], "label_smoothing": [0.05, 0.1]}


def main(
    fusions: Annotated[str, typer.Option(help="Fusions to time, one after the other.")] = "concat,fbp,gated",
    epochs: Annotated[int, typer.Option(help="Passes over the clips.")] = 20,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
) -> None:
    """Print a row a fusion: seconds of both, their ratio, accuracies on the clips themselves, peak memory."""
    torch.set_num_threads(threads)
    where = torch.device(device)
    data, everything = made_up(where), np.arange(CLIPS)
    print("fusion      networks  together s  one by one s  ratio  right together  one by one  peak MiB")
    for name in fusions.split(","):
        options = FusionOptions(fusion=name, epochs=epochs, search=SEARCH)
        members = [
            Member(candidate, seed, everything, everything[:0], CLIPS // options.batch)
            for candidate in candidates(options)
            for seed in range(SEEDS)
        ]
        train(data, [members[0]])  # warm up
        begin = wait(where)
        networks = train(data, members)
        together = wait(where) - begin
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        begin = wait(where)
        models = [one_by_one(data, member) for member in members]
        alone = wait(where) - begin
        right = np.mean([accuracy(p, data) for p in predict(data, networks, [everything] * len(members))])
        plain = np.mean([accuracy(probabilities(model, data), data) for model in models])
        print(
            f"{name:12}{len(members):8}{together:12.1f}{alone:14.1f}{alone / together:7.1f}{right:16.3f}{plain:12.3f}"
            f"{peak:10.0f}",
            flush=True,
        )


def made_up(where: torch.device) -> Data:
    """Clips whose vectors lean towards a direction of their class, so faintly that it takes training to see it."""
    rng = np.random.default_rng(0)
    targets = rng.integers(len(CLASSES), size=CLIPS)
    views = {}
    for stream, (_, dim, fewest, most) in STREAMS.items():
        lengths = rng.integers(fewest, most + 1, CLIPS)
        directions = rng.normal(size=(len(CLASSES), dim))
        x = rng.normal(size=(lengths.sum(), dim)) + 0.1 * directions[np.repeat(targets, lengths)]
        length = torch.from_numpy(lengths)
        vectors = torch.from_numpy(x.astype(np.float32))
        views[stream] = [Features(vectors, length.cumsum(0) - length, length)]
    return Data.of(views, {stream: modality for stream, (modality, *_) in STREAMS.items()}, targets, where)


def one_by_one(data: Data, member: Member) -> FusionModel:
    """The same model, trained as anyone would."""
    torch.manual_seed(member.seed)
    options = member.options
    model = FusionModel(data.statistics(member.learn), data.modalities, options, len(CLASSES)).to(data.targets.device)
    clips = [
        ({s: f.x[f.start[n] : f.start[n] + f.length[n]].cpu() for s, f in data.streams.items()}, data.targets[n].cpu())
        for n in member.learn
    ]
    loader = DataLoader(clips, batch_size=options.batch, shuffle=True, drop_last=True, collate_fn=collate)
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.lr, weight_decay=options.weight_decay)
    steps = len(loader) * options.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: one_cycle(step, steps))
    for _ in range(options.epochs):
        for batch in loader:
            streams, target = tree_map(lambda tensor: tensor.to(data.targets.device), batch)
            loss = F.cross_entropy(model(streams), target, label_smoothing=options.label_smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def collate(clips: list) -> tuple[dict[str, tuple[torch.Tensor, torch.Tensor]], torch.Tensor]:
    """Clips as padded batches."""
    streams = {}
    for stream in clips[0][0]:
        parts = [vectors[stream] for vectors, _ in clips]
        x = pad_sequence(parts, batch_first=True)
        length = torch.tensor([len(part) for part in parts], device=x.device)
        streams[stream] = x, torch.arange(x.shape[1], device=x.device) < length[:, None]
    return streams, torch.stack([target for _, target in clips])


@torch.inference_mode()
def probabilities(model: FusionModel, data: Data) -> np.ndarray:
    """What a model trained alone says of all clips."""
    return model(data.whole(torch.arange(CLIPS, device=data.targets.device))).softmax(1).cpu().numpy()


def accuracy(p: np.ndarray, data: Data) -> float:
    """Share of the clips that are right."""
    return float((p.argmax(1) == data.targets.cpu().numpy()).mean())


def wait(where: torch.device) -> float:
    """The time, once the device has done its work."""
    if where.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    typer.run(main)
