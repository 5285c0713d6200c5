"""A model over cached features: standardize, pool each stream by attention, fuse the streams, classify.

The attributes `standardise`, `join` and `absent` are parts of keys in saved models, so they keep these names.
"""

from collections.abc import Mapping

import torch
from torch import nn

from emopipe.fusion import attention
from emopipe.fusion.crossmodal_transformer import CrossModalTransformer, Sequences
from emopipe.fusion.heads import FUSION_HEADS
from emopipe.fusion.options import FusionOptions
from emopipe.fusion.rng import bernoulli, random_bits

Mixup = tuple[torch.Tensor, torch.Tensor]
"""Each clip's partner (B,) in the batch, and the clip's own share (B,) of the mixture."""


class FusionModel(nn.Module):
    """A fusion network with the statistics that standardize its streams. A model file holds this module's state."""

    def __init__(
        self,
        statistics: Mapping[str, tuple[torch.Tensor, torch.Tensor]],
        modalities: Mapping[str, str],
        options: FusionOptions,
        classes: int,
    ) -> None:
        """`statistics`: stream -> mean and std (D,) of the training vectors; `modalities`: stream -> face or audio."""
        super().__init__()
        self.standardise = Standardization({stream: statistics[stream] for stream in modalities})
        dims = {stream: len(statistics[stream][0]) for stream in modalities}
        self.network = FusionNetwork(dims, modalities, options, classes)

    def forward(self, streams: Sequences) -> torch.Tensor:
        """Return logits (B, classes) for streams of vectors (B, T, D) with masks (B, T)."""
        return self.network(self.standardise(streams))

    def attention_weights(self, streams: Sequences) -> dict[str, torch.Tensor]:
        """Return stream -> the weights (B, T) of its vectors, which sum to 1 or, without vectors, are 0."""
        return self.network.attention_weights(self.standardise(streams))


class Standardization(nn.Module):
    """(x - mean) / std for each stream, in one pass over x."""

    def __init__(self, statistics: Mapping[str, tuple[torch.Tensor, torch.Tensor]]) -> None:
        """`statistics`: stream -> mean and std (D,) of the training vectors."""
        super().__init__()
        for stream, (mean, std) in statistics.items():
            self.register_buffer(f"scale_{stream}", 1 / std)
            self.register_buffer(f"shift_{stream}", -mean / std)

    def forward(self, streams: Sequences) -> Sequences:
        """Return each stream's standardized vectors (..., D) with their mask."""
        return {
            stream: (torch.addcmul(self.get_buffer(f"shift_{stream}"), x, self.get_buffer(f"scale_{stream}")), mask)
            for stream, (x, mask) in streams.items()
        }


class FusionNetwork(nn.Module):
    """Standardized streams of one or two modalities -> class logits.

    No control flow depends on a tensor's value, so many networks can run as one batched program. Masked vectors must be
    finite.
    """

    def __init__(
        self, dims: Mapping[str, int], modalities: Mapping[str, str], options: FusionOptions, classes: int
    ) -> None:
        """`dims`: stream -> D; `modalities`: stream -> face or audio."""
        super().__init__()
        self.modalities = dict(modalities)
        self.crossmodal = None
        if options.fusion == "crossmodal":
            self.crossmodal = CrossModalTransformer(dims, options.hidden, options.heads, options.dropout)
            dims = dict.fromkeys(dims, options.hidden)
        kinds = {"face": options.face_attention, "audio": options.audio_attention}
        self.encoders = nn.ModuleDict(
            {stream: StreamEncoder(dims[stream], kinds[m], options) for stream, m in self.modalities.items()}
        )
        pooled_dims = {stream: encoder.out_dim for stream, encoder in self.encoders.items()}
        self.join = FUSION_HEADS[options.fusion](pooled_dims, self.modalities, options, classes)
        self.modality_dropout = ModalityDropout(self.modalities, options.modality_dropout)

    def forward(self, streams: Sequences, mixup: Mixup | None = None) -> torch.Tensor:
        """Return logits (B, classes); with `mixup`, each row mixes two clips."""
        # 1. modality dropout, in training
        streams = self.modality_dropout(streams)
        present = {stream: mask.any(1) for stream, (_, mask) in streams.items()}
        # 2. streams attend to one another
        if self.crossmodal:
            streams = {s: (x, streams[s][1]) for s, x in self.crossmodal(streams).items()}
        # 3. pool each stream to one vector
        vectors = {stream: self.encoders[stream](*streams[stream]) for stream in self.modalities}
        # 4. mixup of the vectors
        if mixup:
            partner, share = mixup[0], mixup[1][:, None]
            vectors = {s: x * share + x[partner] * (1 - share) for s, x in vectors.items()}
            present = {s: p | p[partner] for s, p in present.items()}
        # 5. fuse and classify
        return self.head(vectors, present)

    def attention_weights(self, streams: Sequences) -> dict[str, torch.Tensor]:
        """Return stream -> the weights (B, T) by which its vectors are pooled, of standardized streams."""
        if self.crossmodal:
            streams = {s: (x, streams[s][1]) for s, x in self.crossmodal(streams).items()}
        return {s: self.encoders[s].attention.pool(*streams[s])[1] for s in self.modalities}

    @property
    def head(self) -> nn.Module:
        """The fusion head."""
        return self.join


class ModalityDropout(nn.Module):
    """In training, removes one of the two modalities of some clips that have both.

    A network that is trained this way can predict clips that lack a modality.
    """

    def __init__(self, modalities: Mapping[str, str], rate: float) -> None:
        """`modalities`: stream -> face or audio; `rate`: the probability that a clip loses a modality."""
        super().__init__()
        self.modalities, self.keyed = dict(modalities), False
        self.active = rate > 0 and len(set(modalities.values())) == 2
        self.register_buffer("rate", torch.tensor(float(rate)), persistent=False)
        self.register_buffer("key", torch.zeros((), dtype=torch.int32), persistent=False)

    def forward(self, streams: Sequences) -> Sequences:
        """Return the streams; the masks of removed modalities are all False."""
        if not self.training or not self.active:
            return streams
        has = {
            m: torch.stack([mask.any(1) for s, (_, mask) in streams.items() if self.modalities[s] == m]).any(0)
            for m in ("audio", "face")
        }
        key = self.key if self.keyed else torch.randint(2**31 - 1, (), dtype=torch.int32, device=self.key.device)
        clips = has["face"].shape
        drop = has["audio"] & has["face"] & bernoulli(key, self.rate, clips)  # (B,)
        drop_face = random_bits(key ^ 1, clips) < 0  # (B,) True: drop the face, False: drop the audio
        dropped = {"audio": drop & ~drop_face, "face": drop & drop_face}
        return {s: (x, mask & ~dropped[self.modalities[s]][:, None]) for s, (x, mask) in streams.items()}


class StreamEncoder(nn.Module):
    """Pools one stream's vectors to one vector; a clip that lacks the stream gets a trained embedding."""

    def __init__(self, dim: int, kind: str, options: FusionOptions) -> None:
        """Vectors of dimension `dim`; `kind` is a key of ATTENTIONS."""
        super().__init__()
        self.attention = ATTENTIONS[kind](dim, options)
        self.out_dim = self.attention.out_dim
        self.norm = nn.LayerNorm(self.out_dim)
        # Not zeros: bilinear pooling multiplies, so zeros would erase the other modality and get no gradient.
        self.absent = nn.Parameter(torch.randn(self.out_dim) * 0.5)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """x (B, T, D), finite everywhere, mask (B, T) -> (B, out_dim)."""
        pooled, _ = self.attention.pool(x, mask)
        return torch.where(mask.any(1, keepdim=True), self.norm(pooled), self.missing_embedding)

    @property
    def missing_embedding(self) -> torch.Tensor:
        """The trained vector (out_dim,) of a clip that lacks the stream."""
        return self.absent


ATTENTIONS = {
    "mean": lambda dim, options: attention.MeanPooling(dim),
    "self": lambda dim, options: attention.SelfAttention(dim, dropout=options.attention_dropout),
    "relation": lambda dim, options: attention.RelationAttention(dim, dropout=options.attention_dropout),
    "patch": lambda dim, options: attention.PatchAttention(dim, hidden=options.hidden),
    "transformer": lambda dim, options: attention.TransformerAttention(dim, hidden=options.hidden),
    "multihead": lambda dim, options: attention.MultiHeadAttention(
        dim, hidden=options.hidden, heads=options.heads, dropout=options.dropout
    ),
}
"""Value of the options `face_attention` and `audio_attention` -> attention within a stream."""
