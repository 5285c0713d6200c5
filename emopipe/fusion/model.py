"""A model over cached features: standardise, attend within each stream, fuse the modalities, classify."""

from collections.abc import Mapping

import torch
from torch import nn

from emopipe.fusion.attention import MeanPooling, TransformerAttention
from emopipe.fusion.bilinear import FactorizedBilinearPooling
from emopipe.fusion.options import FusionOptions

Streams = Mapping[str, tuple[torch.Tensor, torch.Tensor]]
"""Stream -> vectors (B, T, D) and mask (B, T)."""


class StreamEncoder(nn.Module):
    """One stream's vectors to one vector; a clip that lacks the stream gets a learned vector that says so."""

    def __init__(self, mean: torch.Tensor, std: torch.Tensor, options: FusionOptions) -> None:
        """`mean` and `std` (D,) of the training clips' vectors."""
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        dim = len(mean)
        attention = {
            "transformer": lambda: TransformerAttention(dim, hidden=options.hidden),
            "mean": lambda: MeanPooling(dim),
        }
        self.attention = attention[options.attention]()
        self.out_dim = self.attention.out_dim
        self.norm = nn.LayerNorm(self.out_dim)
        # Not zeros: bilinear pooling multiplies, so zeros would hide the other modality and never learn.
        self.absent = nn.Parameter(torch.randn(self.out_dim) * 0.5)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """x (B, T, D), mask (B, T) -> (B, out_dim)."""
        pooled, _ = self.attention((x - self.mean) / self.std, mask)
        present = mask.any(1, keepdim=True)  # (B, 1)
        return torch.where(present, self.norm(pooled), self.absent)


class FusionModel(nn.Module):
    """Streams of one or two modalities to class logits.

    Streams of one modality are joined end to end. Two modalities are then joined end to end too (`concat`), or by
    factorized bilinear pooling (`fbp`), whose output stands beside nothing else, as in the paper.
    """

    def __init__(
        self,
        statistics: Mapping[str, tuple[torch.Tensor, torch.Tensor]],
        modalities: Mapping[str, str],
        options: FusionOptions,
        classes: int,
    ) -> None:
        """`statistics`: stream -> mean and std (D,); `modalities`: stream -> face or audio."""
        super().__init__()
        self.modalities = dict(modalities)
        self.modality_dropout = options.modality_dropout
        self.encoders = nn.ModuleDict(
            {stream: StreamEncoder(*statistics[stream], options) for stream in self.modalities}
        )
        dims = {
            modality: sum(self.encoders[s].out_dim for s, m in self.modalities.items() if m == modality)
            for modality in sorted(set(self.modalities.values()))
        }
        self.pooling = None
        if options.fusion == "fbp" and len(dims) == 2:
            self.pooling = FactorizedBilinearPooling(*dims.values(), options.out, options.factor, options.dropout)
        fused = options.out if self.pooling else sum(dims.values())
        self.dropout = nn.Dropout(options.dropout)
        self.classify = nn.Linear(fused, classes)
        # FBP's output has length one: logits need a scale to reach beyond near-uniform probabilities.
        self.scale = nn.Parameter(torch.tensor(8.0)) if self.pooling else 1.0

    def forward(self, streams: Streams) -> torch.Tensor:
        """Logits (B, classes)."""
        vectors: dict[str, list[torch.Tensor]] = {}
        for stream, (x, mask) in self._hide(streams).items():
            vectors.setdefault(self.modalities[stream], []).append(self.encoders[stream](x, mask))
        joined = [torch.cat(vectors[modality], 1) for modality in sorted(vectors)]  # audio before face
        fused = self.pooling(*joined) if self.pooling else self.dropout(torch.cat(joined, 1))
        return self.classify(fused) * self.scale

    def _hide(self, streams: Streams) -> Streams:
        """While training, hide one modality of some clips that have both, so that the model can do without it."""
        names = sorted(set(self.modalities.values()))
        if not self.training or not self.modality_dropout or len(names) < 2:
            return streams
        clips = len(next(iter(streams.values()))[1])
        present = {
            n: torch.stack([m.any(1) for s, (_, m) in streams.items() if self.modalities[s] == n]).any(0) for n in names
        }
        both = torch.stack(list(present.values())).all(0)
        hidden = torch.where(
            both & (torch.rand(clips) < self.modality_dropout).to(both.device),
            torch.randint(len(names), (clips,)).to(both.device),
            -1,
        )  # (B,) the modality to hide
        return {
            stream: (x, mask & (hidden != names.index(self.modalities[stream]))[:, None])
            for stream, (x, mask) in streams.items()
        }
