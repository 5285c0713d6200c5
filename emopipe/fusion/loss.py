"""The training loss of stacked networks, for every kind of label space, with weights of classes and mixup."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F

from emopipe.core.labels import Kind
from emopipe.fusion.answers import in_units
from emopipe.fusion.data import FusionDataset
from emopipe.fusion.model import Mixup
from emopipe.fusion.rng import fold_in, uniform
from emopipe.fusion.stack import Run

QUANTILES = 1024
"""Number of quantiles of the Beta distribution from which the shares of mixup are drawn."""
SQUARED_ERROR = 0.1
"""Weight of the mean squared error in the loss of dimensions."""
LEAST_SPREAD = 1e-6
"""Added to the divisor of a CCC, in units of half the range squared: 0 / 0 would have no gradient."""


class CrossEntropy:
    """Cross-entropy of the target shares of classes: of one class, or of votes.

    Classes without a training clip take no part: neither in the softmax nor in label smoothing.
    """

    def __init__(self, dataset: FusionDataset, smoothing: torch.Tensor) -> None:
        """`smoothing`: (M,) of each network."""
        self._dataset, self._smoothing = dataset, smoothing[:, None, None]
        self._smoothed = self._smoothing / int(dataset.classes.sum()) * dataset.classes  # (M, 1, K)

    @staticmethod
    def balanced(targets: torch.Tensor) -> torch.Tensor:
        """Return the weight (K,) of each class by its inverse frequency in the targets (n, K) of training clips."""
        counts = targets.sum(0)
        return counts.sum() / ((counts > 0).sum() * counts.clamp_min(1))

    @staticmethod
    def equal(targets: torch.Tensor) -> torch.Tensor:
        """Return equal weights (K,)."""
        return torch.ones_like(targets[0])

    def weight(self, target: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Return the weight (M, B) of each clip: targets (M, B, K), weights of classes (M, K)."""
        return torch.einsum("mbk,mk->mb", target, weights)

    def smooth(self, target: torch.Tensor) -> torch.Tensor:
        """Return the targets (M, B, K) with label smoothing."""
        return target * (1 - self._smoothing) + self._smoothed

    def __call__(self, logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Return the weighted means (M,) over the clips."""
        losses = -(target * self._dataset.restrict(logits).log_softmax(-1)).sum(-1)  # (M, B)
        return (losses * weight).sum(1) / weight.sum(1).clamp_min(1e-12)


class BinaryCrossEntropy:
    """Binary cross-entropy of each of several classes by itself: the mean over clips and classes.

    Classes without a training clip take no part. Label smoothing moves a target towards 1/2.
    """

    def __init__(self, dataset: FusionDataset, smoothing: torch.Tensor) -> None:
        """`smoothing`: (M,) of each network."""
        self._dataset, self._smoothing = dataset, smoothing[:, None, None]

    @staticmethod
    def balanced(targets: torch.Tensor) -> torch.Tensor:
        """Return weights (2, K) by which clips without and with a class count as much as each other, of targets (n, K).

        A class has the weight n / 2 in all, as without weights it has n / 2 on average of both.
        """
        with_class = targets.sum(0)
        counts = torch.stack([len(targets) - with_class, with_class])
        return len(targets) / (2 * counts.clamp_min(1))

    @staticmethod
    def equal(targets: torch.Tensor) -> torch.Tensor:
        """Return equal weights (2, K)."""
        return torch.ones_like(targets[:1]).repeat(2, 1)

    def weight(self, target: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Return the weight (M, B, K) of each clip and class: targets (M, B, K), weights (M, 2, K)."""
        without, with_class = weights[:, None].unbind(2)  # (M, 1, K) each
        return (target * with_class + (1 - target) * without) * self._dataset.classes

    def smooth(self, target: torch.Tensor) -> torch.Tensor:
        """Return the targets (M, B, K) with label smoothing."""
        return target * (1 - self._smoothing) + self._smoothing / 2 * self._dataset.classes

    def __call__(self, logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Return the weighted means (M,) over clips and classes."""
        losses = F.binary_cross_entropy_with_logits(self._dataset.restrict(logits), target, reduction="none")
        return (losses * weight).sum((1, 2)) / weight.sum((1, 2)).clamp_min(1e-12)


class Concordance:
    """1 - CCC of each dimension over the clips of a batch, the mean over dimensions, and a small squared error.

    The CCC (Lin, Biometrics 45(1), 1989) is what runs are compared by. Of a batch with one clip, or with equal targets,
    it is 0 whatever the network answers, so it has no gradient; a weak mean squared error (SQUARED_ERROR) moves the
    answers there, and everywhere else changes little. Errors are in units of half the range. Label smoothing and
    weights of classes have no meaning here and are not used.
    """

    def __init__(self, dataset: FusionDataset, smoothing: torch.Tensor) -> None:
        """Neither is used: all losses are made alike."""

    @staticmethod
    def equal(targets: torch.Tensor) -> torch.Tensor:
        """Return equal weights (K,)."""
        return torch.ones_like(targets[0])

    balanced = equal

    def weight(self, target: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Return equal weights (M, B) of clips."""
        return torch.ones_like(target[..., 0])

    def smooth(self, target: torch.Tensor) -> torch.Tensor:
        """Return the targets (M, B, K) as they are."""
        return target

    def __call__(self, logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Return the losses (M,)."""
        share = (weight / weight.sum(1, keepdim=True).clamp_min(1e-12))[..., None]  # (M, B, 1)
        squared = ((logits - target).square() * share).sum(1)  # (M, K)
        return (1 - concordance(logits, target, share) + SQUARED_ERROR * squared).mean(1)


def concordance(values: torch.Tensor, targets: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Return the CCC (M, K) of values and targets (M, B, K), where each clip has a share (M, B, 1) of the whole."""
    mean, target_mean = ((each * share).sum(1, keepdim=True) for each in (values, targets))
    x, y = values - mean, targets - target_mean
    variances = ((x.square() + y.square()) * share).sum(1)
    covariance = (x * y * share).sum(1)
    return 2 * covariance / (variances + (mean - target_mean).square().squeeze(1) + LEAST_SPREAD)


CRITERIA: Mapping[Kind, type[CrossEntropy] | type[BinaryCrossEntropy] | type[Concordance]] = {
    "single": CrossEntropy,
    "votes": CrossEntropy,
    "multi": BinaryCrossEntropy,
    "dimensions": Concordance,
}
"""Kind of the label space -> its loss."""


class Loss:
    """The loss of M stacked networks, with label smoothing, class weights and mixup; see CRITERIA."""

    def __init__(self, dataset: FusionDataset, runs: Sequence[Run]) -> None:
        """`runs`: the M networks."""
        self._dataset, self._runs = dataset, runs
        self._targets = _training_targets(dataset)
        self._criterion = CRITERIA[dataset.space.kind](dataset, self.per_run("label_smoothing"))
        # 1. class weights (M, ...)
        equal, balanced = self._criterion.equal, self._criterion.balanced
        weights_of = [balanced if run.options.class_weights == "balanced" else equal for run in runs]
        self._weights = torch.stack(
            [weights(self._targets[run.train_idx]) for weights, run in zip(weights_of, runs, strict=True)]
        )
        # 2. quantiles (M, Q) of the share in mixup that stays the clip's own, which is at least one half
        alphas = [run.options.mixup for run in runs]
        self._shares = None
        if alphas[0] > 0:
            from scipy.stats import beta  # slow to import, and few need it

            middle = (np.arange(QUANTILES) + 0.5) / QUANTILES
            table = np.stack([np.maximum(q := beta.ppf(middle, alpha, alpha), 1 - q) for alpha in alphas])
            self._shares = torch.as_tensor(table, dtype=dataset.dtype, device=dataset.device)

    def per_run(self, name: str) -> torch.Tensor:
        """Return one option of all networks as a tensor (M,)."""
        values = [getattr(run.options, name) for run in self._runs]
        return torch.tensor(values, dtype=self._dataset.dtype, device=self._dataset.device)

    def draw_mixup(self, keys: torch.Tensor, valid: torch.Tensor) -> Mixup | None:
        """Draw partners and shares (M, B) for mixup (Zhang et al., arXiv 1710.09412) of a batch, valid (G, B).

        Return None if no network uses mixup. Vectors are mixed after attention (manifold mixup, Verma et al., arXiv
        1806.05236), where every clip has one.
        """
        if self._shares is None:
            return None
        valid = self._repeat_groups(valid)
        clips = valid.shape[1]
        partner = (uniform(fold_in(keys, 3), clips) * valid.sum(1, keepdim=True)).long()
        share = self._shares.gather(1, (uniform(fold_in(keys, 4), clips) * QUANTILES).long())
        return partner, share

    def __call__(
        self, logits: torch.Tensor, rows: torch.Tensor, valid: torch.Tensor, mixup: Mixup | None
    ) -> torch.Tensor:
        """Return the losses (M,) of outputs (M, B, K) for the clips `rows` (G, B) that are `valid` (G, B)."""
        # 1. targets with label smoothing, and weights of clips, or of clips and classes
        target = self._targets[self._repeat_groups(rows)]  # (M, B, K)
        weight = self._criterion.weight(target, self._weights)
        valid = _like(self._repeat_groups(valid), weight)
        weight, target = weight * valid, self._criterion.smooth(target)
        # 2. mixed like the vectors
        if mixup:
            target, weight = _mixed(target, *mixup), _mixed(weight, *mixup) * valid
        # 3. weighted means
        return self._criterion(logits, target, weight)

    def _repeat_groups(self, of_groups: torch.Tensor) -> torch.Tensor:
        """(G, B) -> (M, B): repeat the rows of a group for each of its networks."""
        return of_groups.repeat_interleave(len(self._runs) // len(of_groups), 0)


def _training_targets(dataset: FusionDataset) -> torch.Tensor:
    """Return the targets (N, K) in the units of networks' outputs; any numbers where unlabelled."""
    if dataset.targets.ndim == 1:
        return F.one_hot(dataset.targets.clamp_min(0), len(dataset.space)).to(dataset.dtype)
    targets = dataset.targets.nan_to_num()
    return (in_units(targets, dataset.space) if dataset.space.kind == "dimensions" else targets).to(dataset.dtype)


def _mixed(values: torch.Tensor, partner: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Return values (M, B, ...) of clips, each mixed with that of its partner (M, B) by its own share (M, B)."""
    partner, share = _like(partner, values), _like(share, values)
    return values * share + values.gather(1, partner.expand_as(values)) * (1 - share)


def _like(of_clips: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """(M, B) -> (M, B, 1) if the values are (M, B, K)."""
    return of_clips if values.ndim == 2 else of_clips[..., None]
