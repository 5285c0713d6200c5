"""Training of one backbone with a classifier on clips of the corpus, of which some are held out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from emopipe.backbones.classifier import Classifier
from emopipe.backbones.memory_format import memory_format_of
from emopipe.core.labels import CLASSES
from emopipe.core.log import LOGGER, PROGRESS, Progress
from emopipe.training.checkpoint import Checkpoint
from emopipe.training.options import PretrainOptions
from emopipe.training.samples import Samples


@dataclass(frozen=True)
class Trained:
    """The history of one training."""

    losses: list[float]
    """Mean training loss of every epoch."""
    accuracy: float
    """Share of the held-out clips whose mean probabilities are highest for their class; NaN if no clip is held out."""


def fit(
    model: Classifier,
    samples: Samples,
    targets: np.ndarray,
    held_out: np.ndarray,
    options: PretrainOptions,
    device: torch.device,
    progress: Progress,
    checkpoint: Checkpoint,
) -> Trained:
    """Train on the samples of all clips that are not held out, then score those that are.

    The number of epochs is fixed, so the held-out clips do not influence the training. An interrupted training resumes
    after its last checkpoint.

    Args:
        model: The network; it is changed in place, and returned to evaluation mode.
        samples: The samples of all training clips.
        targets: (clips,) class numbers.
        held_out: (clips,) bool.
        options: The recipe.
        device: The device to train on.
        progress: Counts epochs.
        checkpoint: Holds the state after an epoch, also after the last one.
    """
    # 1. Rows, optimizer and learning rate.
    rows = np.flatnonzero(~held_out[samples.clip])
    if len(rows) == 1:
        rows = rows.repeat(2)  # batch normalisation needs two samples
    rng = torch.Generator().manual_seed(options.seed)
    steps = max(1, len(rows) // options.batch)
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.lr, weight_decay=options.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, options.lr, total_steps=steps * options.epochs + 1)
    memory_format = memory_format_of(model)
    model.to(device, memory_format=memory_format)

    # 2. The state of an interrupted training.
    training = _Training(model, optimizer, schedule, rng)
    losses = training.restore(checkpoint.load(device))
    progress.advance(len(losses))

    # 3. Training.
    for epoch in range(len(losses), options.epochs):
        model.train()
        order = rows[torch.randperm(len(rows), generator=rng).numpy()]
        total = 0.0
        for part in np.array_split(order, steps):
            batch = samples.batch(part, rng).to(device, memory_format=memory_format)
            total += training.step(batch, targets[samples.clip[part]], options.label_smoothing)
            PROGRESS.within(schedule.last_epoch - epoch * steps, steps)
        losses.append(total / steps)
        if checkpoint.due() or epoch + 1 == options.epochs:
            checkpoint.save(training.dump(losses))
        progress.advance()
    model.eval()
    return Trained(losses, _accuracy(model, samples, targets, held_out, device))


@dataclass(frozen=True)
class _Training:
    """Everything that changes during training."""

    model: Classifier
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    rng: torch.Generator

    def step(self, batch: torch.Tensor, targets: np.ndarray, label_smoothing: float) -> float:
        """Do one optimizer step on a batch with class numbers (n,); return its loss."""
        target = torch.tensor(targets, device=batch.device)
        with torch.autocast(batch.device.type, torch.bfloat16):
            logits = self.model(batch)
        loss = F.cross_entropy(logits.float(), target, label_smoothing=label_smoothing)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        return float(loss.detach())

    def dump(self, losses: list[float]) -> dict[str, Any]:
        """Return the state after the epochs with these losses."""
        on_gpu = next(self.model.parameters()).is_cuda
        return {
            "losses": losses,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "rng": self.rng.get_state(),
            "dropout": torch.cuda.get_rng_state() if on_gpu else torch.get_rng_state(),
        }

    def restore(self, state: dict[str, Any] | None) -> list[float]:
        """Restore a state, if there is one; return the losses of the epochs that are done."""
        if state is None:
            return []
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.rng.set_state(state["rng"].cpu())
        on_gpu = next(self.model.parameters()).is_cuda
        LOGGER.info(f"training resumes after epoch {len(state['losses'])}")
        (torch.cuda.set_rng_state if on_gpu else torch.set_rng_state)(state["dropout"].cpu())
        return list(state["losses"])


@torch.inference_mode()
def _accuracy(
    model: Classifier, samples: Samples, targets: np.ndarray, held_out: np.ndarray, device: torch.device
) -> float:
    rows = np.flatnonzero(held_out[samples.clip])
    if not len(rows):
        return float("nan")
    summed = np.zeros((len(targets), len(CLASSES)))
    for start in range(0, len(rows), 256):
        part = rows[start : start + 256]
        probabilities = model(samples.batch(part, None).to(device)).softmax(1).cpu().numpy()
        np.add.at(summed, samples.clip[part], probabilities)
    clips = np.unique(samples.clip[rows])
    return float((summed[clips].argmax(1) == targets[clips]).mean())
