"""Which samples a network learns from, in which order, and how they are mixed."""

import numpy as np
import torch

from emopipe.core.errors import CorpusError
from emopipe.corpora.splits import first_by_hash


def order(targets: np.ndarray, balance: float, rng: torch.Generator) -> np.ndarray:
    """As many rows as there are, in random order: each once, or drawn so that rare classes come more often.

    Args:
        targets: (n, classes), each row sums to 1.
        balance: 0 takes each row once; else a class is drawn by its frequency to the power of 1 - balance.
        rng: Draws.
    """
    if not balance:
        return torch.randperm(len(targets), generator=rng).numpy()
    label = targets.argmax(1)
    weight = (np.bincount(label)[label] / len(label)) ** -balance  # (n,)
    return torch.multinomial(torch.from_numpy(weight), len(targets), replacement=True, generator=rng).numpy()


def mixed(
    x: torch.Tensor, target: torch.Tensor, alpha: float, rng: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mixup (Zhang et al., arXiv 1710.09412): every sample with another of the batch, by one share a batch.

    Args:
        x: (n, ...) samples.
        target: (n, classes).
        alpha: Both of Beta's parameters; 0 mixes none.
        rng: Draws the share and who is mixed with whom.
    """
    if not alpha or len(x) < 2:
        return x, target
    share = float(np.random.default_rng(int(torch.randint(2**62, (1,), generator=rng))).beta(alpha, alpha))
    other = torch.randperm(len(x), generator=rng).to(x.device)
    return share * x + (1 - share) * x[other], share * target + (1 - share) * target[other]


def held_out(targets: np.ndarray, subjects: np.ndarray, share: float, seed: int) -> np.ndarray:
    """The samples that early stopping watches: whole speakers where all are known, else a share of every class.

    Args:
        targets: (n, classes).
        subjects: (n,) who it is; "" where unknown.
        share: How much of the speakers, or of each class: at least one, and never all.
        seed: Draws which.

    Returns:
        (n,) bool.

    Raises:
        CorpusError: Every class has a single sample, so that none can be spared.
    """
    if (subjects != "").all() and len(set(subjects)) > 1:
        return np.isin(subjects, first_by_hash(sorted(set(subjects)), share, seed))
    held = np.zeros(len(targets), bool)
    rng = np.random.default_rng(seed)
    label = targets.argmax(1)
    for number in np.unique(label):
        rows = rng.permutation(np.flatnonzero(label == number))
        held[rows[: min(len(rows) - 1, max(1, round(share * len(rows))))]] = True
    if not held.any():
        raise CorpusError(
            f"`stop` has nothing to watch: the {len(targets)} training samples are one a class. Take out `stop`, or "
            "learn from more."
        )
    return held
