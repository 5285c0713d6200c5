"""Training of a model over features that are held in memory."""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F

from emopipe.features import Features
from emopipe.fusion.model import FusionModel, Streams
from emopipe.fusion.options import FusionOptions
from emopipe.labels import CLASSES


def statistics(features: Features) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation (D,) of the vectors that are there."""
    vectors = features.x[features.mask]
    if not len(vectors):
        return torch.zeros(features.x.shape[-1]), torch.ones(features.x.shape[-1])
    return torch.from_numpy(vectors.mean(0)), torch.from_numpy(vectors.std(0) + 1e-3)


def train(
    streams: Mapping[str, Features],
    modalities: Mapping[str, str],
    targets: np.ndarray,
    options: FusionOptions,
    seed: int,
    where: torch.device,
) -> FusionModel:
    """Train one network on the given clips, for a fixed number of epochs.

    Args:
        streams: Stream -> features of N clips.
        modalities: Stream -> face or audio.
        targets: (N,) class numbers.
        options: The model and its recipe.
        seed: Of initial weights, order, dropout.
        where: The device.

    Returns:
        The network, in evaluation mode.
    """
    torch.manual_seed(seed)
    model = FusionModel({s: statistics(f) for s, f in streams.items()}, modalities, options, len(CLASSES)).to(where)
    data, target = to_device(streams, where), torch.tensor(targets, device=where)
    has_any = torch.stack([mask.any(1) for _, mask in data.values()]).any(0)
    rows = torch.nonzero(has_any).flatten()  # a clip without any stream teaches nothing
    steps = max(1, len(rows) // options.batch)
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.lr, weight_decay=options.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, options.lr, total_steps=steps * options.epochs + 1)
    model.train()
    for _ in range(options.epochs if len(rows) else 0):
        for part in rows[torch.randperm(len(rows)).to(where)].tensor_split(steps):
            logits = model(take(data, part))
            loss = F.cross_entropy(logits, target[part], label_smoothing=options.label_smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


@torch.inference_mode()
def predict(model: FusionModel, streams: Mapping[str, Features], where: torch.device, batch: int = 512) -> np.ndarray:
    """Class probabilities (N, classes) float64."""
    data = to_device(streams, where)
    count = len(next(iter(data.values()))[1])
    parts = [model(take(data, rows)).double().softmax(1).cpu() for rows in torch.arange(count).split(batch)]
    return torch.cat(parts).numpy() if parts else np.empty((0, len(CLASSES)))


def to_device(streams: Mapping[str, Features], where: torch.device) -> Streams:
    """Features as tensors."""
    return {s: (torch.from_numpy(f.x).to(where), torch.from_numpy(f.mask).to(where)) for s, f in streams.items()}


def take(data: Streams, rows: torch.Tensor) -> Streams:
    """Some clips of all streams."""
    return {stream: (x[rows], mask[rows]) for stream, (x, mask) in data.items()}
