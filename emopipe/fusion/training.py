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
    """Mean and standard deviation (D,) of the vectors."""
    if not len(features.x):
        return torch.zeros(features.x.shape[1]), torch.ones(features.x.shape[1])
    return features.x.mean(0).cpu(), features.x.std(0, correction=0).cpu() + 1e-3


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
        streams: Stream -> features of N clips, at least one of which has any.
        modalities: Stream -> face or audio.
        targets: (N,) class numbers.
        options: The model and its recipe.
        seed: Of initial weights, order, dropout.
        where: The device.

    Returns:
        The network, in evaluation mode.
    """
    torch.manual_seed(seed)
    data = {stream: features.to(where) for stream, features in streams.items()}
    model = FusionModel({s: statistics(f) for s, f in data.items()}, modalities, options, len(CLASSES)).to(where)
    target = torch.tensor(targets, device=where)
    # A clip without any stream teaches nothing.
    rows = torch.stack([features.present for features in data.values()]).any(0).nonzero().flatten()
    steps = max(1, len(rows) // options.batch)
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.lr, weight_decay=options.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, options.lr, total_steps=steps * options.epochs + 1)
    model.train()
    for _ in range(options.epochs):
        for part in rows[torch.randperm(len(rows)).to(where)].tensor_split(steps):
            loss = F.cross_entropy(model(take(data, part)), target[part], label_smoothing=options.label_smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


@torch.inference_mode()
def predict(model: FusionModel, streams: Mapping[str, Features], where: torch.device, batch: int = 256) -> np.ndarray:
    """Class probabilities (N, classes) float64."""
    data = {stream: features.to(where) for stream, features in streams.items()}
    rows = torch.arange(len(next(iter(data.values())).length), device=where)
    parts = [model(take(data, part)).double().softmax(1).cpu() for part in rows.split(batch) if len(part)]
    return torch.cat(parts).numpy() if parts else np.empty((0, len(CLASSES)))


def take(data: Mapping[str, Features], rows: torch.Tensor) -> Streams:
    """Some clips of all streams, padded."""
    return {stream: features.batch(rows) for stream, features in data.items()}
