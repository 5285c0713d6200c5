"""Training of many networks at once, over features that are held in memory.

Networks of one shape (the seeds, folds and candidates of a model) are stacked and trained as one batched program. The
result for one network does not depend on the other networks: random numbers come from keys (`emopipe.fusion.rng`), and
each network has its own clips and its own state of the optimizer.
"""

import functools
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch

from emopipe.core.errors import ConfigError
from emopipe.core.log import PROGRESS
from emopipe.fusion.data import BatchSampler, FusionDataset, pad_indices
from emopipe.fusion.loss import Loss
from emopipe.fusion.optimizer import StackedAdamW
from emopipe.fusion.options import FusionOptions
from emopipe.fusion.rng import fold_in, keys_from_seeds
from emopipe.fusion.sgd import MOMENTUM, StackedSGD
from emopipe.fusion.stack import (
    OWN_BYTES,
    Run,
    Stack,
    TrainedRun,
    digest_of_indices,
    own_bytes,
    plan_stacks,
    shared_bytes,
)
from emopipe.fusion.trained_cache import NO_CACHE, TrainedCache
from emopipe.runtime.device import name_of
from emopipe.runtime.memory import AdaptiveBatches, training_fits
from emopipe.scoring.losses import losses
from emopipe.training.optimizer import cosine_warmup

WARM_UP = 0.1
"""Share of the steps in which the learning rate rises."""

PREDICT_BYTES = 256 << 20
"""Most bytes of vectors that one step of a prediction reads."""

_CLIPS, _STEPS = 0, 2
"""Numbers by which a network's key becomes its key for clips (their order, views and vectors), and that of its first
step."""


def train(
    dataset: FusionDataset,
    runs: Sequence[Run],
    progress: Callable[[int], None] = lambda count: None,
    cache: TrainedCache = NO_CACHE,
) -> list[TrainedRun]:
    """Train all networks; networks of one shape are trained together.

    A seed decides all that is random: initial weights, the order of the clips, the views and vectors that are sampled
    of a clip, dropout, modality dropout and mixup. So networks of one seed that are trained on the same clips, which
    are the candidates of a search, see the same vectors in each step. They share a group, which saves most of the work.

    Args:
        dataset: Clips, on the device to train on.
        runs: The networks; each needs at least one training clip.
        progress: Called with the number of networks whenever a stack of networks is trained.
        cache: Where trained networks are kept; networks that it holds are not trained again.

    Returns:
        The trained networks, in the order of `runs`.

    Raises:
        ConfigError: A loss is not finite, because the learning rate is too high.
        DeviceError: The memory of the device is too small.
    """
    trained: dict[int, TrainedRun] = {}
    seen = [(run.clips_digest, run.seed, run.network) for run in runs]
    for groups in plan_stacks(dataset, runs, seen):
        numbers = [number for group in groups for number in group]
        stacked = [runs[number] for number in numbers]
        with training_fits(dataset.device, "Lower `batch`, `hidden` or `frames` of the model."):
            networks = cache.load_or_train(stacked, functools.partial(_train_stack, dataset, stacked, len(groups)))
        trained |= dict(zip(numbers, networks, strict=True))
        progress(len(numbers))
    return [trained[number] for number in range(len(runs))]


def _train_stack(dataset: FusionDataset, runs: Sequence[Run], groups: int) -> list[TrainedRun]:
    """Train networks of one shape as one batched program."""
    # 1. what all networks share, or all of a group
    options, steps, first_of_group = runs[0].options, runs[0].steps, runs[:: len(runs) // groups]
    stack = Stack.init(dataset, runs, groups)
    loss = Loss(dataset, runs)
    clips_keys = fold_in(keys_from_seeds([run.seed for run in first_of_group], dataset.device), _CLIPS)  # (G,)
    sampler = BatchSampler([run.train_idx for run in first_of_group], steps, fold_in(clips_keys, 1))
    network = _networks_read(dataset, first_of_group)
    best = _BestStates(stack, runs) if options.early_stopping else None
    total = steps * options.epochs
    shares = [_share_of_lr(options, step // steps, step, total) for step in range(total)]
    optimizer = _optimizer(stack, loss, options, sum(shares))
    # 2. train
    for epoch in range(options.epochs):
        stack.train(True)
        sums = torch.zeros(len(runs), dtype=dataset.dtype, device=dataset.device)
        for number, (rows, valid) in enumerate(sampler.epoch(epoch)):  # (G, B)
            step = epoch * steps + number
            keys = fold_in(stack.keys, _STEPS + step)
            stack.set_keys(keys)
            mixup = loss.draw_mixup(keys, valid)
            batch = dataset.training_batch(rows, fold_in(clips_keys, 2 + epoch), options, network)
            logits = stack(batch, mixup)  # (M, B, K)
            of_step = loss(logits, rows, valid, mixup)  # (M,)
            of_step.sum().backward()
            sums += of_step.detach()
            optimizer.step(shares[step])
            PROGRESS.within(step + 1, total, len(runs))
        _check_finite(sums / steps, runs, epoch)
        if best and best.update(_stopping_loss(dataset, stack, first_of_group, epoch), epoch + 1):
            break
    # 3. the last states, or the best
    states = best.states if best else stack.states()
    epochs = best.epochs if best else [options.epochs] * len(runs)
    return [TrainedRun(*parts) for parts in zip(runs, states, epochs, strict=True)]


def _optimizer(stack: Stack, loss: Loss, options: FusionOptions, total: float) -> StackedAdamW | StackedSGD:
    """Return the optimizer; `total` is the sum of the shares of the peak learning rate over all steps."""
    lr, weight_decay = loss.per_run("lr"), loss.per_run("weight_decay")
    if options.optimizer == "sgd":
        momentum = MOMENTUM if options.momentum is None else options.momentum
        return StackedSGD(stack.parameters, lr, weight_decay, momentum)
    return StackedAdamW(stack.parameters, lr, weight_decay, total)


def _share_of_lr(options: FusionOptions, epoch: int, step: int, total: int) -> float:
    """Return the learning rate as a share of `lr`, in a step of `total` steps that belongs to an epoch."""
    if options.lr_steps:
        return options.lr_steps.factor ** (epoch // options.lr_steps.every)
    return cosine_warmup(step, max(1, round(WARM_UP * total)), total)


def _networks_read(dataset: FusionDataset, first_of_group: Sequence[Run]) -> torch.Tensor:
    """Return the number (G, 1) of the networks whose vectors each group reads."""
    return torch.tensor([[run.network] for run in first_of_group], device=dataset.device)


def _check_finite(losses: torch.Tensor, runs: Sequence[Run], epoch: int) -> None:
    """Raise a ConfigError if a loss (M,) of an epoch is not finite."""
    for run, loss in zip(runs, losses.tolist(), strict=True):
        if not math.isfinite(loss):
            raise ConfigError(
                f"The loss of epoch {epoch + 1} is {loss} for the seed {run.seed} and lr {run.options.lr:g}. Lower lr "
                "of the model, or remove this value from search.lr."
            )


class _BestStates:
    """The state of each network with the lowest loss so far, for early stopping."""

    def __init__(self, stack: Stack, runs: Sequence[Run]) -> None:
        self._stack, self._patience = stack, runs[0].options.early_stopping.patience
        self._lowest = torch.full((len(runs),), torch.inf, dtype=torch.float64)
        self.epochs = [0] * len(runs)
        self.states = stack.states()

    def update(self, losses: torch.Tensor, epoch: int) -> bool:
        """Record losses (M,) after an epoch; return whether all networks have run out of patience."""
        waiting = torch.tensor([epoch - last <= self._patience for last in self.epochs])
        better = ((losses < self._lowest) & waiting).nonzero().flatten().tolist()
        for number, state in zip(better, self._stack.states(better), strict=True):
            self._lowest[number], self.epochs[number], self.states[number] = losses[number], epoch, state
        return all(epoch - last >= self._patience for last in self.epochs)


@torch.inference_mode()
def _stopping_loss(dataset: FusionDataset, stack: Stack, first_of_group: Sequence[Run], epoch: int) -> torch.Tensor:
    """Return the mean losses (M,) float64 of the clips for early stopping (`scoring.losses`).

    A network without such clips gets a loss that falls with each epoch, so that it is not stopped.
    """
    rows = [run.stop_idx for run in first_of_group]
    values = _predict_stack(dataset, stack, first_of_group, rows, 0)  # (M, R, K)
    group_size = len(values) // len(rows)
    found = []
    for number, of_network in enumerate(values):
        clips = rows[number // group_size]
        of_clips = losses(of_network[: len(clips)], dataset.vectors(clips), dataset.space)
        found.append(of_clips.mean() if len(clips) else -float(epoch))
    return torch.tensor(found, dtype=torch.float64)


@torch.inference_mode()
def predict(dataset: FusionDataset, networks: Sequence[TrainedRun], rows: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Predict clips by trained networks; networks with the option `augment` average over the views.

    Args:
        dataset: Clips, on the device to predict on.
        networks: The networks.
        rows: For each network, the numbers (R,) of the clips to predict.

    Returns:
        For each network, answers (R, K) float64 (`emopipe.fusion.answers`): probabilities, which are zero for the
        classes that `dataset` excludes, or the values of dimensions.
    """
    runs, found = [network.run for network in networks], {}
    length = sum(features.length[: len(dataset.targets)] for features in dataset.streams.values()).cpu().numpy()
    seen = [(run.train_digest, run.network, digest_of_indices(part)) for run, part in zip(runs, rows, strict=True)]
    for groups in plan_stacks(dataset, runs, seen):
        # 1. the networks of one stack
        numbers = [number for group in groups for number in group]
        stack = Stack.from_states(
            [networks[n].state for n in numbers], dataset, [runs[n] for n in numbers], len(groups)
        )
        first_of_group = [runs[group[0]] for group in groups]
        # 2. long clips first, so that clips in one step are of similar length and need little padding
        by_length = [rows[group[0]][np.argsort(-length[rows[group[0]]], kind="stable")] for group in groups]
        # 3. mean over the views (M, R, K)
        views = max(dataset.views.values()) if first_of_group[0].options.augment else 1
        mean = sum(_predict_stack(dataset, stack, first_of_group, by_length, view) for view in range(views)) / views
        # 4. back to the order of `rows`
        for place, number in enumerate(numbers):
            order = by_length[place // len(groups[0])].argsort()[rows[number].argsort().argsort()]
            found[number] = mean[place][order]
    return [found[number] for number in range(len(networks))]


def _predict_stack(
    dataset: FusionDataset, stack: Stack, first_of_group: Sequence[Run], rows: Sequence[np.ndarray], view: int
) -> np.ndarray:
    """Return answers (M, R, K) float64 for the clips of each group; R is the largest number of clips in a group.

    For a group with fewer clips, the rows at the end are padding.
    """
    stack.train(False)
    table, _ = pad_indices(rows, dataset.device)  # (G, R)
    shared = shared_bytes(dataset, 1) * len(table)
    own = own_bytes(dataset, 1, first_of_group[0].options, full=True) * len(stack.keys)
    size = max(1, min(PREDICT_BYTES // max(1, shared), OWN_BYTES // own))  # clips in one step

    network = _networks_read(dataset, first_of_group)

    def run(columns: range) -> torch.Tensor:
        part = table[:, columns.start : columns.stop]
        return dataset.answers(stack(dataset.full_batch(part, view, network))).cpu()

    batches = AdaptiveBatches(name_of(dataset.device), largest=size)
    return torch.cat(batches.map(run, range(table.shape[1])), 1).numpy()
