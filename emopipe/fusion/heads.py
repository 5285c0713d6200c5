"""Fusion heads: from one vector (B, D_s) for each stream to the K outputs (B, K) of a network: logits of classes, or
values of dimensions.

Every head is called as `forward(vectors, present)`. `vectors` maps stream to (B, D_s) and contains a trained embedding
where a clip lacks the stream. `present` maps stream to (B,) bool.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn

from emopipe.core.labels import Kind
from emopipe.fusion.attention import masked_softmax
from emopipe.fusion.bilinear import AdaptiveBilinearPooling, FactorizedBilinearPooling
from emopipe.fusion.options import FusionOptions
from emopipe.fusion.rng import Dropout

Vectors = Mapping[str, torch.Tensor]


class ConcatHead(nn.Module):
    """Concatenates all streams' vectors, then applies dropout and a linear layer."""

    def __init__(
        self,
        dims: Mapping[str, int],
        modalities: Mapping[str, str],
        options: FusionOptions,
        classes: int,
        kind: Kind = "single",
    ) -> None:
        """`dims`: stream -> D_s."""
        super().__init__()
        self.dropout = Dropout(options.dropout)
        self.classify = nn.Linear(sum(dims.values()), classes)

    def forward(self, vectors: Vectors, present: Vectors) -> torch.Tensor:
        """Return logits (B, K)."""
        return self.classify(self.dropout(torch.cat(list(vectors.values()), 1)))


class BilinearHead(nn.Module):
    """Factorized bilinear pooling of audio and face; streams of one modality are concatenated first."""

    def __init__(
        self,
        dims: Mapping[str, int],
        modalities: Mapping[str, str],
        options: FusionOptions,
        classes: int,
        kind: Kind = "single",
    ) -> None:
        """`dims`: stream -> D_s; `modalities`: stream -> face or audio."""
        super().__init__()
        self.modalities = modalities
        sizes = [sum(dims[stream] for stream in dims if modalities[stream] == m) for m in ("audio", "face")]
        self.adaptive = options.fusion == "adaptive_fbp"
        kind = AdaptiveBilinearPooling if self.adaptive else FactorizedBilinearPooling
        self.pooling = kind(*sizes, options.out, options.factor, options.dropout, signed_sqrt=options.signed_sqrt)
        self.classify = nn.Linear(options.out * (3 if self.adaptive else 1), classes)
        # The pooled vectors have length one. Without a scale, probabilities would stay near uniform.
        self.scale = nn.Parameter(torch.tensor(8.0))

    def forward(self, vectors: Vectors, present: Vectors) -> torch.Tensor:
        """Return logits (B, K)."""
        a, v = (torch.cat(self._of(modality, vectors), 1) for modality in ("audio", "face"))
        if self.adaptive:
            has = [torch.stack(self._of(modality, present)).any(0) for modality in ("audio", "face")]
            fused = self.pooling(a, v, torch.stack(has, 1))
        else:
            fused = self.pooling(a, v)
        return self.classify(fused) * self.scale

    def _of(self, modality: str, values: Vectors) -> list[torch.Tensor]:
        return [value for stream, value in values.items() if self.modalities[stream] == modality]


class GatedHead(nn.Module):
    """Gates that weight the streams of a clip; a softmax over the streams that are present gives the gates.

        h_s = tanh(W_s x_s),  z = softmax_s(G_s [x_1 : ... : x_S]),  h = sum_s z_s * h_s

    `gmu`: the gated multimodal unit of Arevalo et al. (arXiv 1702.01992, 3.2), where each of the `out` units has a gate
    of its own, so z_s is a vector. Theirs has two streams and a sigmoid, h = z * h_v + (1 - z) * h_t; the softmax over
    two streams is the same function, and it has a meaning for any number of them.
    `gated`: one scalar gate z_s a stream, which all units share.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        modalities: Mapping[str, str],
        options: FusionOptions,
        classes: int,
        kind: Kind = "single",
    ) -> None:
        """`dims`: stream -> D_s."""
        super().__init__()
        self.project = nn.ModuleDict({stream: nn.Linear(dim, options.out) for stream, dim in dims.items()})
        gates = options.out if options.fusion == "gmu" else 1
        self.gate = nn.Linear(sum(dims.values()), gates * len(dims))
        self.dropout = Dropout(options.dropout)
        self.classify = nn.Linear(options.out, classes)

    def forward(self, vectors: Vectors, present: Vectors) -> torch.Tensor:
        """Return logits (B, K)."""
        concatenated = torch.cat(list(vectors.values()), 1)  # (B, sum D_s)
        has = torch.stack([present[stream] for stream in vectors], 1)  # (B, S)
        scores = self.gate(concatenated).unflatten(1, (-1, len(vectors)))  # (B, out or 1, S)
        gates = masked_softmax(scores, has[:, None])
        hidden = torch.stack([torch.tanh(self.project[stream](x)) for stream, x in vectors.items()], 2)  # (B, out, S)
        return self.classify(self.dropout((hidden * gates).sum(2)))


class LateHead(nn.Module):
    """Late fusion: each stream is classified alone, and probabilities are averaged over the streams that are present.

    Each stream has one trained weight. The output is log probabilities, which are valid logits; of several classes for
    a clip (`multi`), the logits of the averaged probabilities; of dimensions, the averaged values.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        modalities: Mapping[str, str],
        options: FusionOptions,
        classes: int,
        kind: Kind = "single",
    ) -> None:
        """`dims`: stream -> D_s."""
        super().__init__()
        self.classify = nn.ModuleDict({stream: nn.Linear(dim, classes) for stream, dim in dims.items()})
        self.dropout = nn.ModuleDict({stream: Dropout(options.dropout) for stream in dims})
        self.weight = nn.Parameter(torch.zeros(len(dims)))
        self.kind, self.has_one_class = kind, kind in ("single", "votes")

    def forward(self, vectors: Vectors, present: Vectors) -> torch.Tensor:
        """Return log probabilities, logits or values (B, K)."""
        given = [self.classify[s](self.dropout[s](x)) for s, x in vectors.items()]
        scores = torch.stack([x.log_softmax(1) for x in given] if self.has_one_class else given, 1)  # (B, S, K)
        has = torch.stack([present[stream] for stream in vectors], 1)  # (B, S)
        has_none = ~has.any(1, keepdim=True)
        weights = masked_softmax(self.weight.expand_as(has), has | has_none)  # (B, S)
        if self.kind == "dimensions":
            return (scores * weights[..., None]).sum(1)
        log_weights = weights.clamp_min(1e-12).log()[..., None]
        if self.kind == "multi":
            log_p, log_not_p = (torch.logsumexp(F.logsigmoid(sign * scores) + log_weights, 1) for sign in (1, -1))
            return log_p - log_not_p
        return torch.logsumexp(scores + log_weights, 1)


FUSION_HEADS = {
    "concat": ConcatHead,
    "fbp": BilinearHead,
    "adaptive_fbp": BilinearHead,
    "gated": GatedHead,
    "gmu": GatedHead,
    "late": LateHead,
    "crossmodal": ConcatHead,
}
"""Value of the option `fusion` -> head; for `crossmodal`, a cross-modal transformer comes before pooling."""
