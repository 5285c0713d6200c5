"""Greedy selection of an ensemble's members: Caruana, Niculescu-Mizil, Crew and Ksikes, Ensemble Selection from
Libraries of Models, ICML 2004."""

from dataclasses import dataclass

import numpy as np

from emopipe.core.labels import BASIC7, LabelSpace
from emopipe.scoring.losses import losses
from emopipe.scoring.metrics import PROBABILITY_FLOOR
from emopipe.scoring.pooling import Mean, MemberPredictions, of_target

ROUNDS = 50
"""Number of times that a member is selected."""
BAG_SHARE = 0.5
"""Share of the members in a bag, as in section 2.4 of the paper."""


@dataclass(frozen=True)
class Selection:
    """Options of greedy selection."""

    bags: int | None = None
    """Number of random halves of the members; selection is repeated on each, and the weights are averaged (section
    2.4). None: selection once, from all members."""
    sorted_start: bool = False
    """Whether selection begins with the members of lowest loss, as many as together have the lowest loss (section
    2.3). False: it begins with none."""
    seed: int = 0
    """Seed of the random halves."""


def greedy_weights(
    members: MemberPredictions,
    targets: np.ndarray,
    mean: Mean,
    selection: Selection | None = None,
    space: LabelSpace = BASIC7,
) -> np.ndarray:
    """Return the weights (M,) of members by greedy selection with replacement; they sum to one.

    Args:
        members: The members' out-of-fold predictions of N clips.
        targets: (N,) class numbers, or (N, K) what answers should be.
        mean: How the selected members are combined.
        selection: Options; default: no bags, and no sorted start.
        space: The label space.
    """
    selection, count = selection or Selection(), len(members.probs)
    if selection.bags is None:
        return _select(_Sums(members, targets, mean, space), selection.sorted_start)
    size = min(count, max(2, round(BAG_SHARE * count)))  # in a bag of one, nothing is selected
    rng, total = np.random.default_rng(selection.seed), np.zeros(count)
    for _ in range(selection.bags):
        bag = np.sort(rng.choice(count, size, replace=False))
        total[bag] += _select(_Sums(members.of(bag), targets, mean, space), selection.sorted_start)
    return total / selection.bags


def _select(sums: "_Sums", sorted_start: bool) -> np.ndarray:
    """Return each member's share (M,) of the selections, from the round with the lowest loss."""
    counts, lowest = np.zeros(sums.members), np.inf
    best = np.full(len(counts), 1 / len(counts))
    # 1. the first members, by their own loss
    if sorted_start:
        order = np.argsort(sums.losses_with_each(), kind="stable")
        losses = sums.losses_of_first(order)
        counts[order[: losses.argmin() + 1]] = 1
        best, lowest = counts.copy(), losses.min()
        for number in np.flatnonzero(counts):
            sums.add(number)
    # 2. in each round, one more member: that which gives the lowest loss
    for _ in range(ROUNDS):
        losses = sums.losses_with_each()
        new = int(losses.argmin())
        counts[new] += 1
        sums.add(new)
        if losses[new] < lowest - 1e-9:
            best, lowest = counts.copy(), losses[new]
    return best / best.sum()


class _Sums:
    """Sums over the selected members, from which the loss with any one more member is computed.

    The arithmetic mean needs the sum of the probabilities of each clip's class, (1, N), or, where clips have more than
    one class or numbers, the sums of all values, (K, N). The geometric mean needs the sums of all log probabilities,
    (K, N). Members that do not cover a clip do not count for it.
    """

    def __init__(self, members: MemberPredictions, targets: np.ndarray, mean: Mean, space: LabelSpace) -> None:
        self.members, self._space = len(members.probs), space
        self._targets, self._is_geometric = targets, mean == "geometric"
        if self._is_geometric:
            values = np.log(members.probs.clip(PROBABILITY_FLOOR)).transpose(0, 2, 1)  # (M, K, N)
        elif space.kind == "single":
            values = members.probs[:, np.arange(len(targets)), targets][:, None]  # (M, 1, N)
        else:
            values = members.probs.transpose(0, 2, 1)  # (M, K, N)
        values = np.ascontiguousarray(values, np.float32)  # logarithms and exponentials take most of the time
        self._of_all = values.mean(0)  # (K, N) for clips that no selected member covers
        self._covered = members.covered.astype(values.dtype)  # (M, N)
        self._values = values * self._covered[:, None]
        self._total, self._count = np.zeros_like(self._of_all), np.zeros(len(targets), values.dtype)

    def add(self, number: int) -> None:
        """Select a member."""
        self._total, self._count = self._total + self._values[number], self._count + self._covered[number]

    def losses_with_each(self) -> np.ndarray:
        """Return the mean losses (M,) if one more member, any of the M, is selected."""
        return self._losses(self._total + self._values, self._count + self._covered)

    def losses_of_first(self, order: np.ndarray) -> np.ndarray:
        """Return the mean losses (M,) of the first 1, 2, ... M members of an order."""
        return self._losses(self._values[order].cumsum(0), self._covered[order].cumsum(0))

    def _losses(self, totals: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Return mean losses (M,) from sums (M, K, N), which it overwrites, and numbers of members (M, N)."""
        means = np.divide(totals, np.maximum(counts, 1)[:, None], out=totals)
        if not counts.all():
            means = np.where(counts[:, None] > 0, means, self._of_all)
        if not self._is_geometric and self._space.kind != "single":
            return losses(means.transpose(0, 2, 1), self._targets, self._space).mean(1, dtype=float)
        if not self._is_geometric:
            return -np.log(means.clip(PROBABILITY_FLOOR, out=means), out=means)[:, 0].mean(1, dtype=float)
        # A geometric mean is at least the floor and at most 1, so nothing overflows.
        log_p = of_target(means.transpose(0, 2, 1), self._targets)  # (M, N)
        return (np.log(np.exp(means, out=means).sum(1)) - log_p).mean(1, dtype=float)
