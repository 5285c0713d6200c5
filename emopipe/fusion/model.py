"""A model over cached features: standardise, attend within each stream, fuse the streams, classify."""

from collections.abc import Mapping

import torch
from torch import nn

from emopipe.fusion import attention
from emopipe.fusion.crossmodal import CrossModalAttention, Sequences
from emopipe.fusion.heads import JOINS
from emopipe.fusion.options import FusionOptions
from emopipe.fusion.rng import bits, chance

ATTENTIONS = {
    "mean": lambda dim, options: attention.MeanPooling(dim),
    "self": lambda dim, options: attention.SelfAttention(dim),
    "relation": lambda dim, options: attention.RelationAttention(dim),
    "patch": lambda dim, options: attention.PatchAttention(dim, hidden=options.hidden),
    "transformer": lambda dim, options: attention.TransformerAttention(dim, hidden=options.hidden),
    "multihead": lambda dim, options: attention.MultiHeadAttention(
        dim, hidden=options.hidden, heads=options.heads, dropout=options.dropout
    ),
}
"""Attention within a stream, by name."""

Mixing = tuple[torch.Tensor, torch.Tensor]
"""For mixup: each clip's partner (B,) in the batch, and the share (B,) that stays the clip's own."""


class StreamEncoder(nn.Module):
    """One stream's vectors to one vector; a clip that lacks the stream gets a learned vector that says so."""

    def __init__(self, dim: int, kind: str, options: FusionOptions) -> None:
        """Vectors of `dim`, pooled by the attention called `kind`."""
        super().__init__()
        self.attention = ATTENTIONS[kind](dim, options)
        self.out_dim = self.attention.out_dim
        self.norm = nn.LayerNorm(self.out_dim)
        # Not zeros: bilinear pooling multiplies, so zeros would hide the other modality and never learn.
        self.absent = nn.Parameter(torch.randn(self.out_dim) * 0.5)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """x (B, T, D), finite throughout, mask (B, T) -> (B, out_dim)."""
        pooled, _ = self.attention.pool(x, mask)
        return torch.where(mask.any(1, keepdim=True), self.norm(pooled), self.absent)


class Standardisation(nn.Module):
    """(x - mean) / std of each stream, in one pass over x."""

    def __init__(self, statistics: Mapping[str, tuple[torch.Tensor, torch.Tensor]]) -> None:
        """`statistics`: stream -> mean and std (D,) of the training vectors."""
        super().__init__()
        for stream, (mean, std) in statistics.items():
            self.register_buffer(f"scale_{stream}", 1 / std)
            self.register_buffer(f"shift_{stream}", -mean / std)

    def forward(self, streams: Sequences) -> Sequences:
        """Vectors (..., D) of each stream, standardised, with their masks."""
        return {stream: (self._one(stream, x), mask) for stream, (x, mask) in streams.items()}

    def _one(self, stream: str, x: torch.Tensor) -> torch.Tensor:
        return torch.addcmul(self.get_buffer(f"shift_{stream}"), x, self.get_buffer(f"scale_{stream}"))


class FusionNetwork(nn.Module):
    """Standardised streams of one or two modalities to class logits.

    Nothing in it depends on a value, so many networks can be one batched program. What stands at masked places has to
    be finite.
    """

    def __init__(
        self, dims: Mapping[str, int], modalities: Mapping[str, str], options: FusionOptions, classes: int
    ) -> None:
        """`dims`: stream -> D; `modalities`: stream -> face or audio."""
        super().__init__()
        self.modalities = dict(modalities)
        self.crossmodal = None
        if options.fusion == "crossmodal":
            self.crossmodal = CrossModalAttention(dims, options.hidden, options.heads, options.dropout)
            dims = dict.fromkeys(dims, options.hidden)
        kinds = {"face": options.face_attention, "audio": options.audio_attention}
        self.encoders = nn.ModuleDict(
            {stream: StreamEncoder(dims[stream], kinds[m], options) for stream, m in self.modalities.items()}
        )
        pooled = {stream: encoder.out_dim for stream, encoder in self.encoders.items()}
        self.join = JOINS[options.fusion](pooled, self.modalities, options, classes)
        self.hide = HideModality(self.modalities, options.modality_dropout)

    def forward(self, streams: Sequences, mixing: Mixing | None = None) -> torch.Tensor:
        """Logits (B, classes); with `mixing`, of mixtures of two clips each."""
        # 1. in training, hide a modality of some clips
        streams = self.hide(streams)
        present = {stream: mask.any(1) for stream, (_, mask) in streams.items()}
        # 2. let streams look at one another
        if self.crossmodal:
            streams = {s: (x, streams[s][1]) for s, x in self.crossmodal(streams).items()}
        # 3. one vector a stream
        vectors = {stream: self.encoders[stream](*streams[stream]) for stream in self.modalities}
        # 4. mixup of vectors
        if mixing:
            partner, share = mixing[0], mixing[1][:, None]
            vectors = {s: x * share + x[partner] * (1 - share) for s, x in vectors.items()}
            present = {s: p | p[partner] for s, p in present.items()}
        # 5. fuse and classify
        return self.join(vectors, present)


class FusionModel(nn.Module):
    """A network with the statistics by which its streams are standardised: what a file of a model holds."""

    def __init__(
        self,
        statistics: Mapping[str, tuple[torch.Tensor, torch.Tensor]],
        modalities: Mapping[str, str],
        options: FusionOptions,
        classes: int,
    ) -> None:
        """`statistics`: stream -> mean and std (D,) of the training vectors; `modalities`: stream -> face or audio."""
        super().__init__()
        self.standardise = Standardisation({stream: statistics[stream] for stream in modalities})
        dims = {stream: len(statistics[stream][0]) for stream in modalities}
        self.network = FusionNetwork(dims, modalities, options, classes)

    def forward(self, streams: Sequences) -> torch.Tensor:
        """Logits (B, classes) of streams of vectors (B, T, D) with masks (B, T)."""
        return self.network(self.standardise(streams))


class HideModality(nn.Module):
    """In training, hides one of two modalities of some clips that have both, so that the model can do without it."""

    def __init__(self, modalities: Mapping[str, str], rate: float) -> None:
        """`modalities`: stream -> face or audio; `rate`: chance that a clip loses one."""
        super().__init__()
        self.modalities, self.keyed = dict(modalities), False
        self.used = rate > 0 and len(set(modalities.values())) == 2
        self.register_buffer("rate", torch.tensor(float(rate)), persistent=False)
        self.register_buffer("key", torch.zeros((), dtype=torch.int32), persistent=False)

    def forward(self, streams: Sequences) -> Sequences:
        """The streams, with masks emptied where hidden."""
        if not self.training or not self.used:
            return streams
        there = {
            m: torch.stack([mask.any(1) for s, (_, mask) in streams.items() if self.modalities[s] == m]).any(0)
            for m in ("audio", "face")
        }
        key = self.key if self.keyed else torch.randint(2**31 - 1, (), dtype=torch.int32, device=self.key.device)
        clips = there["face"].shape
        hide = there["audio"] & there["face"] & chance(key, self.rate, clips)  # (B,)
        which = bits(key ^ 1, clips) < 0  # (B,) true: the face
        hidden = {"audio": hide & ~which, "face": hide & which}
        return {s: (x, mask & ~hidden[self.modalities[s]][:, None]) for s, (x, mask) in streams.items()}
