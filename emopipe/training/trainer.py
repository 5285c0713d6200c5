"""Training of a backbone with a classifier on labelled stills or speech; it goes on where it was cut off."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.metrics import recall_score
from torch import nn

from emopipe.backbones.classifier import Classifier
from emopipe.backbones.memory_format import layout_of
from emopipe.core.errors import ConfigError, CorpusError
from emopipe.core.hashing import stable_hash
from emopipe.core.log import LOGGER, Progress
from emopipe.training import optimizer, sampling
from emopipe.training.checkpoint import Checkpoint
from emopipe.training.dataset import Lessons
from emopipe.training.ema import Average
from emopipe.training.phase_options import PhaseOptions

Line = dict[str, float]
"""What is known of an epoch: epoch, lr, loss, and held_out_ and val_ loss, accuracy and uar where looked at."""


@dataclass
class School:
    """One step's training."""

    model: Classifier
    lessons: Lessons
    options: PhaseOptions
    device: torch.device
    checkpoint: Checkpoint
    """Where the state after the last epoch is kept."""
    teacher: Classifier | None = None
    """What gives its share of the targets, where the step is taught by what it starts from."""
    tell: Callable[[Line], None] = lambda line: None
    """Called after each epoch, and once for each epoch taken up from a checkpoint."""
    history: list[Line] = field(default_factory=list)
    """One line an epoch."""

    def run(self) -> None:
        """Train; afterwards the model holds the averaged weights, the best epoch's with early stopping.

        Raises:
            CorpusError: There are too few samples to learn from, or to hold some out.
            ConfigError: The loss is no number any more, as the learning rate is too high.
        """
        self._set_up()
        begin = self._take_up()
        if self.options.distill_weight and self.options.teacher == "average":
            self.teacher = self._averaged()
        progress = Progress("training", self.options.epochs - begin, unit="epochs")
        for epoch in range(begin, self.options.epochs):
            if self._is_over(epoch):
                break
            line = {"epoch": epoch + 1, "lr": self._optimizer.param_groups[0]["lr"], "loss": self._epoch(epoch)}
            line |= self._look(epoch)
            self.history.append(line)
            self._keep_best(epoch)
            self._save(epoch + 1)
            self.tell(line)
            progress.advance()
        self.model.load_state_dict(self._best if self.options.stop else self._average.state)
        self.model.eval()

    # -- parts -------------------------------------------------------------------------------------------------

    def _set_up(self) -> None:
        self._rows, self._held = self._divided()
        self._val = np.flatnonzero(self.lessons.split == "val")
        self._steps = max(1, len(self._rows) // self.options.batch)
        self._layout = layout_of(self.model)
        self.model.to(self.device, memory_format=self._layout)
        if self.teacher:
            self.teacher.to(self.device, memory_format=self._layout).eval()
        self._optimizer = optimizer.optimizer(self.model, self.options)
        total = self._steps * self.options.epochs
        warm = self.options.warmup * total
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer, lambda step: optimizer.rate(step, warm, total)
        )
        self._average = Average(self.model, self.options.ema)
        self._best, self._best_epoch = self._average.state, 0

    def _averaged(self) -> Classifier:
        """The network of the averaged weights: it shares their memory, so it moves as they do."""
        network = copy.deepcopy(self.model).eval()
        network.load_state_dict(self._average.state, assign=True)
        return network

    def _share(self) -> float:
        """The teacher's share of the targets at this step."""
        if self.options.teacher == "start":
            return self.options.distill_weight
        done = self._schedule.last_epoch / (self._steps * self.options.epochs)
        return self.options.distill_weight * max(0.0, 2 * done - 1)

    def _divided(self) -> tuple[np.ndarray, np.ndarray]:
        """The rows to learn from, and those that early stopping watches."""
        train, stop = np.flatnonzero(self.lessons.split == "train"), self.options.stop
        held = np.zeros(len(train), bool)
        if stop:
            targets, subjects = self.lessons.targets[train], self.lessons.subject[train]
            held = sampling.held_out(targets, subjects, stop.hold_out, self.options.seed)
        if len(train) - held.sum() < 2:
            raise CorpusError(
                f"{len(train)} training samples were found, {held.sum()} of them held out, where at least 2 have to be "
                "left to learn from: correct the sources' `train`, or take out `stop`."
            )
        return train[~held], train[held]

    def _epoch(self, epoch: int) -> float:
        """Mean loss of one pass; what is random depends on the seed and the epoch alone."""
        seed = stable_hash(f"{self.options.seed}/{epoch}") % 2**63
        torch.manual_seed(seed)  # dropout
        rng = torch.Generator().manual_seed(seed)
        self.model.train()
        order = sampling.order(self.lessons.targets[self._rows], self.options.balance, rng)
        total = 0.0
        for part in np.array_split(self._rows[order], self._steps):
            total += self._step(part, rng)
        if not math.isfinite(total):
            raise ConfigError(f"In epoch {epoch + 1} the loss is {total}: lower the step's lr, {self.options.lr:g}.")
        return total / self._steps

    def _step(self, rows: np.ndarray, rng: torch.Generator) -> float:
        x = self.lessons.batch(rows, rng, self.device)
        target = torch.from_numpy(self.lessons.targets[rows]).to(self.device)  # (n, K)
        x, target = sampling.mixed(x, target, self.options.mixup, rng)
        x = x.contiguous(memory_format=self._layout)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.options.precision == "bfloat16"):
            logits = self.model(x)
            if share := self._share():
                target = torch.lerp(target, _opinion(self.teacher, x), share)
        loss = F.cross_entropy(logits.float(), target, label_smoothing=self.options.label_smoothing)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        self._schedule.step()
        self._average.update(self.model)
        return float(loss.detach())

    def _look(self, epoch: int) -> Line:
        """How the averaged weights do on the held-out part, and now and then on val."""
        last = epoch + 1 == self.options.epochs
        looked = {"held_out": self._held} if len(self._held) else {}
        if len(self._val) and (last or (epoch + 1) % self.options.validate_every == 0):
            looked["val"] = self._val
        if not looked:
            return {}
        own = copy.deepcopy(self.model.state_dict())
        self.model.load_state_dict(self._average.state)
        line: Line = {}
        for name, rows in looked.items():
            found = scores(probabilities(self.model, self.lessons, rows, self.device), self.lessons.targets[rows])
            line |= {f"{name}_{key}": value for key, value in found.items()}
        self.model.load_state_dict(own)
        return line

    def _keep_best(self, epoch: int) -> None:
        if self.options.stop:
            *earlier, loss = [line["held_out_loss"] for line in self.history]
            if loss < min(earlier, default=math.inf):
                self._best_epoch = epoch
                self._best = {key: tensor.clone() for key, tensor in self._average.state.items()}

    def _is_over(self, epoch: int) -> bool:
        stop = self.options.stop
        over = stop is not None and epoch - self._best_epoch > stop.patience
        if over:
            LOGGER.info(f"no better for {stop.patience} epochs: the weights of epoch {self._best_epoch + 1} stay")
        return over

    def _save(self, epochs: int) -> None:
        state = {
            "epochs": epochs,
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.last_epoch,
            "average": self._average.state,
            "average_steps": self._average.steps,
            "best": self._best if self.options.stop else {},
            "best_epoch": self._best_epoch,
            "history": self.history,
        }
        self.checkpoint.save(state)

    def _take_up(self) -> int:
        """The number of epochs that are done already, by this recipe."""
        state = self.checkpoint.load(self.device)
        if state is None:
            return 0
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.last_epoch = state["schedule"]
        self._average.state, self._average.steps = state["average"], state["average_steps"]
        self._best, self._best_epoch = state["best"], state["best_epoch"]
        self.history = state["history"]
        LOGGER.info(f"training goes on after epoch {state['epochs']}, where it was cut off")
        for line in self.history:
            self.tell(line)
        return state["epochs"]


@torch.no_grad()
def _opinion(teacher: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """(n, K) float32: what a network takes samples for."""
    return teacher(x).float().softmax(1)


@torch.inference_mode()
def probabilities(model: nn.Module, lessons: Lessons, rows: np.ndarray, device: torch.device) -> np.ndarray:
    """(n, K) float64 for the samples at `rows`, averaged over their views; in float32, whatever training used."""
    model.eval()
    found = [
        torch.stack([model(view).double().softmax(1) for view in look.views]).mean(0).cpu().numpy()
        for look in lessons.plain(rows, device)
    ]
    return np.concatenate(found)


def scores(found: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Cross-entropy, accuracy and UAR of probabilities (n, K); the largest share of targets (n, K) is the label."""
    label, predicted = targets.argmax(1), found.argmax(1)
    return {
        "loss": float(-(targets * np.log(found.clip(1e-12))).sum(1).mean()),
        "accuracy": float((label == predicted).mean()),
        "uar": float(recall_score(label, predicted, labels=np.unique(label), average="macro", zero_division=0)),
    }
