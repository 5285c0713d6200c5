"""What networks are trained for: cross-entropy with label smoothing, class weights and mixup."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import beta

from emopipe.core.labels import CLASSES
from emopipe.fusion.data import Data
from emopipe.fusion.model import Mixing
from emopipe.fusion.rng import key_of, uniform
from emopipe.fusion.run import Member

QUANTILES = 1024
"""Shares of mixup are drawn from so many quantiles of their Beta distribution."""


class Loss:
    """The loss of M networks that are trained together."""

    def __init__(self, data: Data, members: Sequence[Member]) -> None:
        self._data, self._members = data, members
        self._targets = F.one_hot(data.targets.clamp_min(0), len(CLASSES)).to(next(iter(data.streams.values())).x.dtype)
        self._weights = self._class_weights()  # (M, K)
        self._smoothing = self.number("label_smoothing")[:, None, None]
        alphas = [member.options.mixup for member in members]
        self._shares = None
        if alphas[0] > 0:
            middle = (np.arange(QUANTILES) + 0.5) / QUANTILES
            table = np.stack([np.maximum(q := beta.ppf(middle, alpha, alpha), 1 - q) for alpha in alphas])
            self._shares = torch.as_tensor(table, dtype=self._targets.dtype, device=data.targets.device)  # (M, Q)

    def number(self, name: str) -> torch.Tensor:
        """One of the members' options as (M,)."""
        values = [getattr(member.options, name) for member in self._members]
        return torch.tensor(values, dtype=self._targets.dtype, device=self._data.targets.device)

    def mixing(self, keys: torch.Tensor, there: torch.Tensor) -> Mixing | None:
        """For mixup (Zhang et al., arXiv 1710.09412) of the clips that are `there` (G, B): partners, shares (M, B).

        None where no network mixes. Vectors are mixed after attention (manifold mixup, Verma et al., arXiv 1806.05236),
        where every clip has one.
        """
        if self._shares is None:
            return None
        there = self._each(there)
        clips = there.shape[1]
        partner = (uniform(key_of(keys, 3), clips) * there.sum(1, keepdim=True)).long()
        share = self._shares.gather(1, (uniform(key_of(keys, 4), clips) * QUANTILES).long())
        return partner, share

    def __call__(
        self, logits: torch.Tensor, rows: torch.Tensor, there: torch.Tensor, mixing: Mixing | None
    ) -> torch.Tensor:
        """Mean loss (M,) of logits (M, B, K) for the clips `rows` (G, B) that are `there`."""
        rows, there = self._each(rows), self._each(there)  # (M, B)
        target = self._targets[rows]  # (M, B, K)
        weight = torch.einsum("mbk,mk->mb", target, self._weights) * there
        target = target * (1 - self._smoothing) + self._smoothing / len(CLASSES)
        if mixing:
            partner, share = mixing
            other = target.gather(1, partner[..., None].expand_as(target))
            target = target * share[..., None] + other * (1 - share[..., None])
            weight = weight * share + weight.gather(1, partner) * (1 - share)
            weight = weight * there
        losses = -(target * logits.log_softmax(-1)).sum(-1)  # (M, B)
        return (losses * weight).sum(1) / weight.sum(1).clamp_min(1e-12)

    def _each(self, of_groups: torch.Tensor) -> torch.Tensor:
        """(G, B) -> (M, B): what a group of networks shares, for each of them."""
        return of_groups.repeat_interleave(len(self._members) // len(of_groups), 0)

    def _class_weights(self) -> torch.Tensor:
        weights = []
        for member in self._members:
            counts = self._targets[member.learn].sum(0)
            balanced = counts.sum() / ((counts > 0).sum() * counts.clamp_min(1))
            weights.append(balanced if member.options.class_weights == "balanced" else torch.ones_like(counts))
        return torch.stack(weights)
