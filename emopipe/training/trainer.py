"""Training of a backbone with a classifier on stills, speech or clips; an interrupted training can be resumed."""

import contextlib
import copy
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from emopipe.backbones.classifier import Classifier
from emopipe.backbones.memory_format import memory_format_of
from emopipe.core.errors import ConfigError, CorpusError
from emopipe.core.hashing import stable_hash
from emopipe.core.log import LOGGER, PROGRESS, Progress
from emopipe.runtime.device import current, name_of, upload
from emopipe.runtime.memory import AdaptiveBatches, training_fits
from emopipe.scoring.metrics import PROBABILITY_FLOOR, uar
from emopipe.training.batches import Batch, prepared_ahead
from emopipe.training.checkpoint import Checkpoint
from emopipe.training.dataset import Dataset
from emopipe.training.ema import EMA
from emopipe.training.history import EpochMetrics
from emopipe.training.imitation import Imitation
from emopipe.training.optimizer import build_optimizer, cosine_warmup
from emopipe.training.options import TrainingOptions
from emopipe.training.phase_options import EarlyStopping
from emopipe.training.sampling import holdout_split, mixup, sample_epoch


@dataclass
class Trainer:
    """One training."""

    model: Classifier
    dataset: Dataset
    options: TrainingOptions
    device: torch.device
    checkpoint: Checkpoint
    """Holds the state after an epoch."""
    name: str = "training"
    """What progress and log call it."""
    stop: EarlyStopping | None = None
    """Early stopping; None: all epochs are run."""
    distill_weight: float = 0.0
    """The teacher's weight in the targets."""
    teacher: Classifier | Literal["average"] | None = None
    """The network whose probabilities are part of the targets. average: the moving average of the network's own
    weights, whose weight in the targets rises during the second half of the training."""
    imitation: Imitation | None = None
    """Another network to imitate beside the classes."""
    classes: np.ndarray | None = None
    """(K,) bool: the classes that the network may predict. None: those with a training sample."""
    on_epoch: Callable[[EpochMetrics], None] = lambda metrics: None
    """Called after every epoch, and for every epoch that is restored from the checkpoint."""
    history: list[EpochMetrics] = field(default_factory=list)
    """The metrics of every epoch."""

    def run(self) -> None:
        """Train, and load the averaged weights into the model: those of the best epoch if early stopping is on.

        Raises:
            CorpusError: There are too few training samples, or too few to hold some out.
            ConfigError: The loss is not finite, because the learning rate is too high.
            DeviceError: The memory of the device is too small for the batch.
        """
        stop = self.stop
        with training_fits(self.device, self._smaller()):
            self._set_up()
        done = self._resume()
        self._teaches_itself = self.teacher == "average"
        if self._teaches_itself:
            # The teacher shares the memory of the averaged weights, so it changes with them.
            self.teacher = copy.deepcopy(self.model).eval()
            self.teacher.load_state_dict(self._ema.state, assign=True)
        progress = Progress(self.name, self.options.epochs - done, unit="epochs")
        for epoch in range(done, self.options.epochs):
            if self._has_stopped(epoch):
                LOGGER.info(
                    f"{self.name} stops: the held-out loss was not lower for {stop.patience} epochs, so the weights of "
                    f"epoch {self._best_epoch + 1} are kept"
                )
                break
            lr = self._optimizer.param_groups[0]["lr"]
            with training_fits(self.device, self._smaller()):
                loss = self._train_epoch(epoch)
            metrics = {"epoch": epoch + 1, "lr": lr, "loss": loss} | self._evaluate(epoch)
            self.history.append(metrics)
            if stop:
                *earlier, loss = [past["held_out_loss"] for past in self.history]
                if loss < min(earlier, default=math.inf):
                    self._best_epoch = epoch
                    self._best = {key: tensor.clone() for key, tensor in self._ema.state.items()}
            if self.checkpoint.due() or epoch + 1 == self.options.epochs or self._has_stopped(epoch + 1):
                self._save(epoch + 1)
            self.on_epoch(metrics)
            progress.advance()
        self.model.load_state_dict(self._best if stop else self._ema.state)
        self.model.eval()

    def _has_stopped(self, epochs: int) -> bool:
        """Return whether early stopping ends the training after so many epochs."""
        return self.stop is not None and epochs - self._best_epoch > self.stop.patience

    def _set_up(self) -> None:
        # 1. The rows to train on, to hold out, and of the val split.
        train, stop = np.flatnonzero(self.dataset.split == "train"), self.stop
        held_out = np.zeros(len(train), bool)
        if stop:
            targets, subjects = self.dataset.targets[train], self.dataset.subject[train]
            held_out = holdout_split(targets, subjects, stop.hold_out, self.options.seed)
        if len(train) - held_out.sum() < 2:
            raise CorpusError(
                f"{len(train)} training samples were found and {held_out.sum()} of them are held out, but at least 2 "
                "must remain to train on. Correct `train` of the sources, or remove `stop`."
            )
        classes = self.dataset.targets[train].sum(0) > 0 if self.classes is None else self.classes
        self._classes = slice(None) if classes.all() else torch.from_numpy(np.flatnonzero(classes)).to(self.device)
        self.model.restrict(classes)
        self._rows, self._held_out = train[~held_out], train[held_out]
        self._val = np.flatnonzero(self.dataset.split == "val")

        # 2. The networks.
        self._memory_format = memory_format_of(self.model)
        self.model.to(self.device, memory_format=self._memory_format)
        if isinstance(self.teacher, Classifier):
            self.teacher.to(self.device, memory_format=self._memory_format).eval()
        learns = nn.ModuleList([self.model])
        if self.imitation:
            learns.append(self.imitation.to(self.device))

        # 3. The optimizer, the learning rate and the averaged weights.
        self._steps = max(1, len(self._rows) // self.options.batch)
        total = self._steps * self.options.epochs
        warmup = self.options.warmup * total
        self._optimizer = build_optimizer(learns, self.options)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer, lambda step: cosine_warmup(step, warmup, total)
        )
        self._ema = EMA(self.model, self.options.ema)
        self._best, self._best_epoch = self._ema.state, 0

    def _resume(self) -> int:
        """Restore the state of the checkpoint, if it is of this recipe; return the number of epochs that are done."""
        state = self.checkpoint.load(self.device)
        if state is None:
            return 0
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        if self.imitation:
            self.imitation.load_state_dict(state["imitation"])
        self._schedule.last_epoch = state["schedule"]
        self._ema.state, self._ema.steps = state["ema"], state["ema_steps"]
        self._best, self._best_epoch = state["best"], state["best_epoch"]
        self.history = state["history"]
        LOGGER.info(f"{self.name} resumes after epoch {state['epochs']}")
        for metrics in self.history:
            self.on_epoch(metrics)
        return state["epochs"]

    def _train_epoch(self, epoch: int) -> float:
        """Return the mean loss of one pass. All randomness depends on the seed and the epoch only."""
        seed = stable_hash(f"{self.options.seed}/{epoch}") % 2**63
        torch.manual_seed(seed)  # dropout
        rng = torch.Generator().manual_seed(seed)
        self.model.train()
        order = sample_epoch(self.dataset.targets[self._rows], self.options.balance, rng)
        # The sum stays on the device: to read each step's loss, the CPU would have to wait for the GPU.
        summed = torch.zeros((), dtype=torch.float64, device=self.device)
        steps, prepare = np.array_split(self._rows[order], self._steps), functools.partial(self._prepare, rng)
        batches = prepared_ahead(prepare, steps) if self._prepares_ahead() else (prepare(rows) for rows in steps)
        with contextlib.closing(batches):
            for batch in batches:
                summed += self._step(batch)
                PROGRESS.within(self._schedule.last_epoch - epoch * self._steps, self._steps)
        total = float(summed)
        self._check_finite(epoch, total)
        return total / self._steps

    def _check_finite(self, epoch: int, loss: float) -> None:
        """Raise a ConfigError if the loss of an epoch, or a weight after it, is not finite."""
        found = f"The loss of epoch {epoch + 1} of {self.name} is {loss}."
        if math.isfinite(loss):
            if torch.stack([parameter.isfinite().all() for parameter in self.model.parameters()]).all():
                return
            found = f"The weights after epoch {epoch + 1} of {self.name} are not finite."
        raise ConfigError(f"{found} Lower the learning rate (lr is {self.options.lr:g}).")

    def _prepare(self, rng: torch.Generator, rows: np.ndarray) -> Batch:
        """Return the batch of the samples at `rows` (n,), after augmentation and mixup."""
        with current(self.device):
            x = self.dataset.batch(rows, rng, self.device)
            targets = [self.dataset.targets, *([self.imitation.targets] if self.imitation else [])]
            every = upload(torch.from_numpy(np.hstack([values[rows] for values in targets])), self.device)  # (n, K + D)
            x, every = mixup(x, every, self.options.mixup, rng)
            target, imitated = every.tensor_split([targets[0].shape[1]], dim=1)
            return Batch(x.contiguous(memory_format=self._memory_format), target, imitated)

    def _step(self, batch: Batch) -> torch.Tensor:
        """Do one optimizer step on a batch; return its loss (), on the device."""
        x, target, imitated = batch
        # 1. The loss, with the teacher's share of the target.
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._uses_bfloat16()):
            pooled = self.model.pooled(x)
            logits = self.model.classify(pooled)
            if weight := self._distill_weight():
                with torch.no_grad():
                    taught = torch.zeros_like(target)
                    taught[:, self._classes] = self.teacher(x).float()[:, self._classes].softmax(1)
                    target = torch.lerp(target, taught, weight)
        # Of the classes with training samples alone: label smoothing would spread to the others.
        logits, target = logits.float()[:, self._classes], target[:, self._classes]
        loss = F.cross_entropy(logits, target, label_smoothing=self.options.label_smoothing)
        if self.imitation:
            loss = loss + self.imitation.loss(pooled.float(), imitated)

        # 2. The step.
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        self._schedule.step()
        self._ema.update(self.model)
        return loss.detach()

    def _prepares_ahead(self) -> bool:
        """Return whether a thread prepares the next batch meanwhile. On the CPU, the training keeps the cores busy."""
        return self.device.type != "cpu"

    def _uses_bfloat16(self) -> bool:
        """Return whether the forward pass in training computes in bfloat16."""
        if self.options.precision == "auto":
            return self.device.type != "cpu"
        return self.options.precision == "bfloat16"

    def _smaller(self) -> str:
        """Return a sentence that names the options to lower if the memory of the device is too small."""
        side = f", or `side` (it is {side})" if (side := getattr(self.options, "side", None)) else ""
        return f"Lower `batch` (it is {self.options.batch}){side}."

    def _distill_weight(self) -> float:
        """Return the teacher's weight in the targets at the current step."""
        if not self._teaches_itself:
            return self.distill_weight
        done = self._schedule.last_epoch / (self._steps * self.options.epochs)
        return self.distill_weight * max(0.0, 2 * done - 1)

    def _evaluate(self, epoch: int) -> EpochMetrics:
        """Return the scores of the averaged weights on the held-out part and, in some epochs, on the val split."""
        is_last = epoch + 1 == self.options.epochs
        parts = {"held_out": self._held_out} if len(self._held_out) else {}
        if len(self._val) and (is_last or (epoch + 1) % self.options.validate_every == 0):
            parts["val"] = self._val
        if not parts:
            return {}
        own = copy.deepcopy(self.model.state_dict())
        self.model.load_state_dict(self._ema.state)
        metrics: EpochMetrics = {}
        for name, rows in parts.items():
            found = probabilities(self.model, self.dataset, rows, self.device)
            by_clip = (mean_by_clip(values, self.dataset.clip[rows]) for values in (found, self.dataset.targets[rows]))
            metrics |= {f"{name}_{key}": value for key, value in scores(*by_clip).items()}
        self.model.load_state_dict(own)
        return metrics

    def _save(self, epochs: int) -> None:
        state = {
            "epochs": epochs,
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "imitation": self.imitation.state_dict() if self.imitation else {},
            "schedule": self._schedule.last_epoch,
            "ema": self._ema.state,
            "ema_steps": self._ema.steps,
            "best": self._best if self.stop else {},
            "best_epoch": self._best_epoch,
            "history": self.history,
        }
        self.checkpoint.save(state)


@torch.inference_mode()
def probabilities(model: nn.Module, dataset: Dataset, rows: np.ndarray, device: torch.device) -> np.ndarray:
    """Return class probabilities (n, K) float64 of the samples at `rows`, averaged over views, computed in float32.

    If the memory of the device is too small, batches are divided.
    """
    model.eval()
    batches = AdaptiveBatches(name_of(device))

    def of_view(view: torch.Tensor) -> torch.Tensor:
        return torch.cat(batches.map(lambda part: model(part).double().softmax(1), view))

    found = [
        torch.stack([of_view(view) for view in batch.views]).mean(0).cpu().numpy()
        for batch in dataset.eval_batches(rows, device)
    ]
    return np.concatenate(found)


def mean_by_clip(values: np.ndarray, clip: np.ndarray) -> np.ndarray:
    """Return the means (clips, K) of the values (n, K) of each clip's samples, by ascending number of the clip (n,)."""
    _, number, count = np.unique(clip, return_inverse=True, return_counts=True)
    total = np.zeros((len(count), values.shape[1]))
    np.add.at(total, number, values)
    return total / count[:, None]


def scores(found: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Return loss (cross-entropy), accuracy and UAR of probabilities (n, K).

    The label is the class with the largest target; of several with the same, the first.
    """
    label, predicted = targets.argmax(1), found.argmax(1)
    return {
        "loss": float(-(targets * np.log(found.clip(PROBABILITY_FLOOR))).sum(1).mean()),
        "accuracy": float((label == predicted).mean()),
        "uar": uar(label, predicted),
    }
