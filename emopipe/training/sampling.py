"""Random choices of training: numbers, the samples of an epoch and their order, mixup, and the held-out part."""

import numpy as np
import torch

from emopipe.core.errors import CorpusError
from emopipe.corpora.splits import first_by_hash
from emopipe.runtime.device import upload


def uniform(rng: torch.Generator, low: float, high: float, *shape: int) -> torch.Tensor:
    """Return uniformly distributed numbers of the given shape."""
    return low + (high - low) * torch.rand(*shape, generator=rng)


def sample_epoch(targets: np.ndarray, balance: float, rng: torch.Generator) -> np.ndarray:
    """Return the rows (n,) of one epoch, in random order.

    Args:
        targets: (n, classes); each row sums to 1.
        balance: With 0, every row comes once. Otherwise rows are drawn with replacement, and classes by their frequency
            to the power of 1 - balance.
        rng: The source of randomness.
    """
    if not balance:
        return torch.randperm(len(targets), generator=rng).numpy()
    label = targets.argmax(1)
    weight = (np.bincount(label)[label] / len(label)) ** -balance  # (n,)
    return torch.multinomial(torch.from_numpy(weight), len(targets), replacement=True, generator=rng).numpy()


def mixup(
    x: torch.Tensor, target: torch.Tensor, alpha: float, rng: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mix every sample with another sample of the batch (Zhang et al., arXiv 1710.09412); one weight for the batch.

    Args:
        x: (n, ...) samples.
        target: (n, classes).
        alpha: Both parameters of the Beta distribution of the weight; 0 mixes nothing.
        rng: The source of randomness for the weight and the pairs.

    Returns:
        Mixed samples and targets, of the same shapes.
    """
    if not alpha or len(x) < 2:
        return x, target
    weight = float(np.random.default_rng(int(torch.randint(2**62, (1,), generator=rng))).beta(alpha, alpha))
    other = upload(torch.randperm(len(x), generator=rng), x.device)
    return weight * x + (1 - weight) * x[other], weight * target + (1 - weight) * target[other]


def holdout_split(targets: np.ndarray, subjects: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Choose the held-out part for early stopping: whole speakers where all are known, else a share of every class.

    Args:
        targets: (n, classes).
        subjects: (n,) the person in the sample; "" where unknown.
        share: Share of the speakers, or of every class, to hold out: at least one, and never all.
        seed: Seed of the choice.

    Returns:
        (n,) bool: the samples that are held out.

    Raises:
        CorpusError: Every class has a single sample, so that nothing can be held out.
    """
    if (subjects != "").all() and len(set(subjects)) > 1:
        return np.isin(subjects, first_by_hash(sorted(set(subjects)), share, seed))
    held_out = np.zeros(len(targets), bool)
    rng = np.random.default_rng(seed)
    label = targets.argmax(1)
    for number in np.unique(label):
        rows = rng.permutation(np.flatnonzero(label == number))
        held_out[rows[: min(len(rows) - 1, max(1, round(share * len(rows))))]] = True
    if not held_out.any():
        raise CorpusError(
            f"`stop` cannot hold out any of the {len(targets)} training samples, because every class has only one. "
            "Remove `stop`, or train on more samples."
        )
    return held_out
