"""Training of one backbone with a classifier on top."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from emopipe.backbones.classifier import Classifier
from emopipe.backbones.memory_format import layout_of
from emopipe.core.labels import CLASSES
from emopipe.core.log import LOGGER, Progress
from emopipe.training.checkpoint import Checkpoint
from emopipe.training.options import PretrainOptions
from emopipe.training.samples import Samples


@dataclass(frozen=True)
class Trained:
    """What training gave, beside the network: how it went."""

    losses: list[float]
    """Mean training loss, epoch by epoch."""
    accuracy: float
    """Share of the left-out clips whose mean probabilities are highest for their class; NaN where none was left out."""


def fit(
    model: Classifier,
    samples: Samples,
    targets: np.ndarray,
    left_out: np.ndarray,
    options: PretrainOptions,
    device: torch.device,
    progress: Progress,
    checkpoint: Checkpoint,
) -> Trained:
    """Train on the samples of all clips but those left out, then score those; what was cut off goes on.

    Args:
        model: Changed in place; left in evaluation mode.
        samples: Of all training clips.
        targets: (clips,) class numbers.
        left_out: (clips,) bool.
        options: The recipe; a fixed number of epochs, so that the left-out clips choose nothing.
        device: Where to train.
        progress: Counts epochs.
        checkpoint: Where the state after an epoch is kept, also after the last one.
    """
    rows = np.flatnonzero(~left_out[samples.clip])
    if len(rows) == 1:
        rows = rows.repeat(2)  # batch normalisation needs two
    rng = torch.Generator().manual_seed(options.seed)
    steps = max(1, len(rows) // options.batch)
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.lr, weight_decay=options.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, options.lr, total_steps=steps * options.epochs + 1)
    layout = layout_of(model)
    model.to(device, memory_format=layout)
    state = _State(model, optimizer, schedule, rng)
    losses = state.take_up(checkpoint.load(device))
    progress.advance(len(losses))
    for epoch in range(len(losses), options.epochs):
        model.train()
        order = rows[torch.randperm(len(rows), generator=rng).numpy()]
        loss = 0.0
        for part in np.array_split(order, steps):
            batch = samples.batch(part, rng).to(device, memory_format=layout)
            loss += _step(model, batch, targets[samples.clip[part]], optimizer, schedule, options)
        losses.append(loss / steps)
        if checkpoint.due() or epoch + 1 == options.epochs:
            checkpoint.save(state.after(losses))
        progress.advance()
    model.eval()
    return Trained(losses, _accuracy(model, samples, targets, left_out, device))


@dataclass(frozen=True)
class _State:
    """All that changes while a network learns."""

    model: Classifier
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    rng: torch.Generator

    def after(self, losses: list[float]) -> dict[str, Any]:
        """What to keep after the epochs that had these losses."""
        on_gpu = next(self.model.parameters()).is_cuda
        return {
            "losses": losses,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "rng": self.rng.get_state(),
            "dropout": torch.cuda.get_rng_state() if on_gpu else torch.get_rng_state(),
        }

    def take_up(self, kept: dict[str, Any] | None) -> list[float]:
        """Go back to what was kept; the losses of the epochs that are done."""
        if kept is None:
            return []
        self.model.load_state_dict(kept["model"])
        self.optimizer.load_state_dict(kept["optimizer"])
        self.schedule.load_state_dict(kept["schedule"])
        self.rng.set_state(kept["rng"].cpu())
        on_gpu = next(self.model.parameters()).is_cuda
        LOGGER.info(f"training goes on after epoch {len(kept['losses'])}, where it was cut off")
        (torch.cuda.set_rng_state if on_gpu else torch.set_rng_state)(kept["dropout"].cpu())
        return list(kept["losses"])


def _step(
    model: Classifier,
    batch: torch.Tensor,
    targets: np.ndarray,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    options: PretrainOptions,
) -> float:
    target = torch.tensor(targets, device=batch.device)
    with torch.autocast(batch.device.type, torch.bfloat16):
        logits = model(batch)
    loss = F.cross_entropy(logits.float(), target, label_smoothing=options.label_smoothing)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()
    return float(loss.detach())


@torch.inference_mode()
def _accuracy(
    model: Classifier, samples: Samples, targets: np.ndarray, left_out: np.ndarray, device: torch.device
) -> float:
    rows = np.flatnonzero(left_out[samples.clip])
    if not len(rows):
        return float("nan")
    summed = np.zeros((len(targets), len(CLASSES)))
    for start in range(0, len(rows), 256):
        part = rows[start : start + 256]
        probabilities = model(samples.batch(part, None).to(device)).softmax(1).cpu().numpy()
        np.add.at(summed, samples.clip[part], probabilities)
    clips = np.unique(samples.clip[rows])
    return float((summed[clips].argmax(1) == targets[clips]).mean())
