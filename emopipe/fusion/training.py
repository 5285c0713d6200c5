"""Training of many networks at once, over features that are held in memory.

Networks of one shape (the seeds of a model, its folds, its candidates) are stacked and trained as one batched program.
What a network learns does not depend on which others are trained beside it: random numbers come from keys
(`emopipe.fusion.rng`), and each has its own clips and its own state of the optimiser.
"""

import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from emopipe.fusion.data import MOST_VECTORS, Data, Order, padded
from emopipe.fusion.features import Features
from emopipe.fusion.loss import Loss
from emopipe.fusion.optimizer import StackedAdamW, one_cycle
from emopipe.fusion.options import SEARCHED, FusionOptions
from emopipe.fusion.rng import key_of
from emopipe.fusion.run import Member, Trained
from emopipe.fusion.stack import Stack
from emopipe.fusion.trained_cache import KEEP_NOTHING, Finished

TRAIN_BYTES, PREDICT_BYTES = 16 << 20, 256 << 20
"""Bytes of the vectors that one step of a batched program reads; more networks take turns."""

OWN_BYTES = 512 << 20
"""Bytes that the networks of a batched program keep for themselves, where they have tokens."""

MOST_SHARING = 128
"""Networks that see the same clips and are trained at once."""

_CLIPS_KEY = 0x0C11B5
"""The key by which all networks draw the order of clips, their views and their vectors."""


def train(
    data: Data,
    members: Sequence[Member],
    progress: Callable[[int], None] = lambda done: None,
    finished: Finished = KEEP_NOTHING,
) -> list[Trained]:
    """Train all networks, those of one shape together.

    Networks that learn from the same clips see them in the same order and draw the same views and vectors of them,
    which saves most of the work; a seed varies initial weights, dropout, hidden modalities and mixup.

    Args:
        data: Clips, on the device that is to train.
        members: The networks; each needs at least one clip to learn from.
        progress: Told how many networks were trained, whenever some were.
        finished: Where networks are kept that are trained; those that are there already are not trained again.

    Returns:
        They, in the same order.
    """
    trained: dict[int, Trained] = {}
    seen = [(member.learn.tobytes(), member.stop.tobytes()) for member in members]
    for groups in _programs(data, members, seen):
        numbers = [number for group in groups for number in group]
        program = [members[number] for number in numbers]
        networks = finished.of(program, functools.partial(_train, data, program, len(groups)))
        trained |= dict(zip(numbers, networks, strict=True))
        progress(len(numbers))
    return [trained[number] for number in range(len(members))]


@torch.inference_mode()
def predict(data: Data, networks: Sequence[Trained], rows: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Class probabilities (R, K) float64 of the clips `rows` (R,) that each network is asked about.

    Networks that learned from views average over them.
    """
    members, found = [network.member for network in networks], {}
    seen = [(member.learn.tobytes(), part.tobytes()) for member, part in zip(members, rows, strict=True)]
    for groups in _programs(data, members, seen):
        numbers = [number for group in groups for number in group]
        stack = Stack.of([networks[n].state for n in numbers], data, [members[n] for n in numbers], len(groups))
        options = members[numbers[0]].options
        passes = max(data.views.values()) if options.augment else 1
        asked = [_long_first(data, rows[group[0]]) for group in groups]
        mean = sum(_probabilities(data, stack, asked, view, options) for view in range(passes)) / passes  # (M, R, K)
        for place, number in enumerate(numbers):
            order = asked[place // len(groups[0])].argsort()[rows[number].argsort().argsort()]
            found[number] = mean[place][order]
    return [found[number] for number in range(len(networks))]


def _train(data: Data, members: Sequence[Member], groups: int) -> list[Trained]:
    """Networks of one shape, as one batched program."""
    options, steps, seeing = members[0].options, members[0].steps, members[:: len(members) // groups]
    stack = Stack.fresh(data, members, groups)
    loss = Loss(data, members)
    optimizer = StackedAdamW(stack.parameters, loss.number("lr"), loss.number("weight_decay"))
    shared = torch.full((groups,), _CLIPS_KEY, dtype=torch.int32, device=data.targets.device)
    order = Order([member.learn for member in seeing], steps, key_of(shared, 1))
    best = _Best(stack, members) if options.early_stopping else None
    for epoch in range(options.epochs):
        stack.train(True)
        for number, (rows, there) in enumerate(order.epoch(epoch)):  # (G, B)
            step = epoch * steps + number
            keys = key_of(stack.keys, 2 + step)
            stack.rekey(keys)
            mixing = loss.mixing(keys, there)
            logits = stack(data.drawn(rows, key_of(shared, 2 + step), options), mixing)  # (M, B, K)
            loss(logits, rows, there, mixing).sum().backward()
            optimizer.step(one_cycle(step, steps * options.epochs))
        if best and best.all_stopped(_held_out_loss(data, stack, seeing, epoch), epoch + 1):
            break
    states = best.states if best else stack.states()
    epochs = best.epochs if best else [options.epochs] * len(members)
    return [Trained(*parts) for parts in zip(members, states, epochs, strict=True)]


class _Best:
    """Of each network, the state with the least held-out loss so far; patience counts the epochs since."""

    def __init__(self, stack: Stack, members: Sequence[Member]) -> None:
        self._stack, self._patience = stack, members[0].options.early_stopping.patience
        self._least = torch.full((len(members),), torch.inf, dtype=torch.float64)
        self.epochs = [0] * len(members)
        self.states = stack.states()

    def all_stopped(self, losses: torch.Tensor, epoch: int) -> bool:
        """Take losses (M,) after an epoch; whether no network may get any better."""
        waiting = torch.tensor([epoch - last <= self._patience for last in self.epochs])
        better = ((losses < self._least) & waiting).nonzero().flatten().tolist()
        for number, state in zip(better, self._stack.states(better), strict=True):
            self._least[number], self.epochs[number], self.states[number] = losses[number], epoch, state
        return all(epoch - last >= self._patience for last in self.epochs)


@torch.inference_mode()
def _held_out_loss(data: Data, stack: Stack, seeing: Sequence[Member], epoch: int) -> torch.Tensor:
    """Mean negative log-likelihood (M,) float64 of the clips held out for stopping; where there are none, it falls."""
    rows = [member.stop for member in seeing]
    probabilities = _probabilities(data, stack, rows, 0, seeing[0].options)  # (M, R, K)
    each = len(probabilities) // len(rows)
    losses = []
    for number, p in enumerate(probabilities):
        part = rows[number // each]
        right = p[np.arange(len(part)), data.targets[part].cpu().numpy()]
        losses.append(-np.log(right.clip(1e-12)).mean() if len(part) else -float(epoch))
    return torch.tensor(losses, dtype=torch.float64)


def _probabilities(
    data: Data, stack: Stack, rows: Sequence[np.ndarray], view: int, options: FusionOptions
) -> np.ndarray:
    """(M, R, K) float64 for the clips that each group of networks is asked about; lines beyond these mean nothing."""
    stack.train(False)
    table, _ = padded(rows, data.targets.device)  # (G, R)
    shared, own = _bytes_of(data, 1) * len(table), _own_bytes(data, 1, options, whole=True) * len(stack.keys)
    size = max(1, min(PREDICT_BYTES // max(1, shared), OWN_BYTES // own))  # clips at once
    parts = [stack(data.whole(part, view)).double().softmax(-1).cpu() for part in table.split(size, dim=1)]
    return torch.cat(parts, 1).numpy()


def _long_first(data: Data, rows: np.ndarray) -> np.ndarray:
    """Clips in the order of their lengths, so that those which go through together are padded little."""
    length = sum(features.length[: len(data.targets)] for features in data.streams.values()).cpu().numpy()
    return rows[np.argsort(-length[rows], kind="stable")]


def _programs(data: Data, members: Sequence[Member], seen: Sequence[object]) -> Iterator[list[list[int]]]:
    """Numbers of the members that make one batched program: equally large groups, each of which sees the same clips."""
    shapes: dict[tuple[object, ...], dict[object, list[int]]] = {}
    for number, (member, clips) in enumerate(zip(members, seen, strict=True)):
        shapes.setdefault(_shape(member), {}).setdefault(clips, []).append(number)
    for groups in shapes.values():
        numbers = [number for group in groups.values() for number in group]
        first = members[numbers[0]]
        clips = -(-max(len(members[number].learn) for number in numbers) // first.steps)
        own, shared = _own_bytes(data, clips, first.options), _bytes_of(data, clips, first.options)
        sharing = max(1, min(MOST_SHARING, OWN_BYTES // own))
        sizes: dict[int, list[list[int]]] = {}
        for group in groups.values():
            for part in np.array_split(group, -(-len(group) // sharing)):
                sizes.setdefault(len(part), []).append(part.tolist())
        for size, equal in sizes.items():
            at_once = max(1, min(TRAIN_BYTES // max(1, shared), OWN_BYTES // (own * size)))
            yield from (equal[start : start + at_once] for start in range(0, len(equal), at_once))


def _shape(member: Member) -> tuple[object, ...]:
    """Equal where networks can be one batched program: all options but numbers, and whether those are zero."""
    options = member.options.model_dump(exclude={"seeds", "search", *SEARCHED})
    used = {name: getattr(member.options, name) > 0 for name in SEARCHED}
    return repr(sorted(options.items())), repr(sorted(used.items())), member.steps


def _own_bytes(data: Data, clips: int, options: FusionOptions, *, whole: bool = False) -> int:
    """Bytes that one network keeps for itself, tokens and attention maps, where it has any; `whole`: of whole clips."""
    total, drawn = 0, None if whole else options
    others = sum(_vectors(features, drawn) for features in data.streams.values())
    for stream, features in data.streams.items():
        kind = options.face_attention if data.modalities[stream] == "face" else options.audio_attention
        vectors = _vectors(features, drawn)
        if kind == "multihead" or options.fusion == "crossmodal":
            total += clips * vectors * (20 * options.hidden + 4 * options.heads * others)
        elif kind == "patch":
            total += clips * vectors * 3 * options.hidden
    return max(1, total * 4)


def _bytes_of(data: Data, clips: int, options: FusionOptions | None = None) -> int:
    """Bytes of so many clips' vectors, padded to the longest; with options, as a training step draws them."""
    total = 0
    for features in data.streams.values():
        total += clips * _vectors(features, options) * features.x.shape[1] * features.x.element_size()
    return total


def _vectors(features: Features, options: FusionOptions | None) -> int:
    """The most vectors that any clip has; with options, that a training step draws of it."""
    longest = max(1, int(features.length.max()))
    return min(longest, options.frames or MOST_VECTORS) if options else longest
