"""A model over cached features: standardize, sum blocks, pool each stream by attention, fuse the streams, classify.

The attributes `standardise`, `join` and `absent` are parts of keys in saved models, so they keep these names.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import nn

from emopipe.core.labels import Kind
from emopipe.fusion import attention
from emopipe.fusion.blocks import BlockSum
from emopipe.fusion.crossmodal_transformer import CrossModalTransformer
from emopipe.fusion.heads import FUSION_HEADS
from emopipe.fusion.options import FusionOptions, frame_inputs, joins
from emopipe.fusion.rng import bernoulli, random_bits
from emopipe.fusion.stream_batch import StreamBatch, Streams

Mixup = tuple[torch.Tensor, torch.Tensor]
"""Each clip's partner (B,) in the batch, and the clip's own share (B,) of the mixture."""


class Moments(NamedTuple):
    """Mean and standard deviation of what a network reads of one stream, over training clips, and its blocks."""

    mean: torch.Tensor
    """(D,) of the vectors."""
    std: torch.Tensor
    """(D,)."""
    statistics_mean: torch.Tensor = torch.empty(0)
    """(S,) of the statistics of clips."""
    statistics_std: torch.Tensor = torch.empty(0)
    """(S,)."""
    blocks: int = 1
    """Number of equally long parts of a vector."""


class FusionModel(nn.Module):
    """A fusion network with the moments that standardize its streams. A model file holds this module's state."""

    def __init__(
        self,
        moments: Mapping[str, Moments],
        modalities: Mapping[str, str],
        options: FusionOptions,
        classes: int,
        kind: Kind = "single",
    ) -> None:
        """Make a network for a label space.

        Args:
            moments: Stream -> those of its training clips.
            modalities: Stream -> face or audio.
            options: The model's options.
            classes: K, the number of classes or dimensions.
            kind: The kind of the label space, which late fusion depends on.
        """
        super().__init__()
        self.standardise = Standardization({stream: moments[stream] for stream in modalities})
        dims = {stream: len(moments[stream].mean) for stream in modalities}
        statistics = {stream: len(moments[stream].statistics_mean) for stream in modalities}
        blocks = {stream: moments[stream].blocks for stream in modalities}
        self.network = FusionNetwork(dims, modalities, options, classes, statistics, blocks, kind)

    def forward(self, streams: Streams) -> torch.Tensor:
        """Return the K outputs (B, classes), from which `emopipe.fusion.answers` makes answers."""
        return self.network(self.standardise(streams))

    def attention_weights(self, streams: Streams) -> dict[str, torch.Tensor]:
        """Return stream -> the weights (B, T) of its vectors, which sum to 1 or, without vectors, are 0."""
        return self.network.attention_weights(self.standardise(streams))


class Standardization(nn.Module):
    """(x - mean) / std for the vectors of each stream, in one pass over x, and for the statistics of its clips."""

    def __init__(self, moments: Mapping[str, Moments]) -> None:
        """`moments`: stream -> those of its training clips."""
        super().__init__()
        for stream, found in moments.items():
            self.register_buffer(f"scale_{stream}", 1 / found.std)
            self.register_buffer(f"shift_{stream}", -found.mean / found.std)
            if len(found.statistics_mean):
                self.register_buffer(f"statistics_scale_{stream}", 1 / found.statistics_std)
                self.register_buffer(f"statistics_shift_{stream}", -found.statistics_mean / found.statistics_std)

    def forward(self, streams: Streams) -> dict[str, StreamBatch]:
        """Return the streams with standardized vectors (..., D) and statistics (..., S)."""
        made = {}
        for stream, given in streams.items():
            x, statistics = self._of("", stream, given.x), given.statistics
            if f"statistics_scale_{stream}" in self._buffers:
                statistics = self._of("statistics_", stream, statistics)
            made[stream] = given._replace(x=x, statistics=statistics)
        return made

    def _of(self, kind: str, stream: str, values: torch.Tensor) -> torch.Tensor:
        return torch.addcmul(self.get_buffer(f"{kind}shift_{stream}"), values, self.get_buffer(f"{kind}scale_{stream}"))


class FusionNetwork(nn.Module):
    """Standardized streams of one or two modalities -> class logits, or values of dimensions.

    No control flow depends on a tensor's value, so many networks can run as one batched program. Masked vectors must be
    finite.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        modalities: Mapping[str, str],
        options: FusionOptions,
        classes: int,
        statistics: Mapping[str, int],
        blocks: Mapping[str, int],
        kind: Kind = "single",
    ) -> None:
        """`dims`: stream -> D; `modalities`: stream -> face or audio; `statistics`: stream -> S; `blocks`: -> L."""
        super().__init__()
        self.modalities = dict(modalities)
        self.joining = {stream: m for stream, m in self.modalities.items() if joins(options, m)}
        dims = {stream: dims[stream] // blocks[stream] for stream in self.joining}
        statistics = {stream: statistics[stream] // blocks[stream] for stream in self.joining}
        self.dims, several = dims, [stream for stream in self.joining if blocks[stream] > 1]
        self.blocks = nn.ModuleDict({stream: BlockSum(blocks[stream]) for stream in several})
        self.crossmodal = None
        if options.fusion == "crossmodal":
            self.crossmodal = CrossModalTransformer(dims, options.hidden, options.heads, options.dropout)
            dims = dict.fromkeys(dims, options.hidden)
        kinds = {"face": options.face_attention, "audio": options.audio_attention}
        self.encoders = nn.ModuleDict(
            {s: StreamEncoder(dims[s], kinds[m], options, statistics[s]) for s, m in self.joining.items()}
        )
        pooled_dims = {stream: encoder.out_dim for stream, encoder in self.encoders.items()}
        self.join = FUSION_HEADS[options.fusion](pooled_dims, self.joining, options, classes, kind)
        self.evidence = nn.ModuleDict(
            {s: Evidence(classes) for s, m in self.modalities.items() if "evidence" in frame_inputs(options, m)}
        )
        self.modality_dropout = ModalityDropout(self.modalities, options.modality_dropout)

    def forward(self, streams: Streams, mixup: Mixup | None = None) -> torch.Tensor:
        """Return logits (B, classes); with `mixup`, each row mixes two clips."""
        # 1. modality dropout, in training
        streams = self.modality_dropout(streams)
        present = {stream: given.present for stream, given in streams.items()}
        # 2. sum blocks, and let streams attend to one another
        streams = self._crossed(self._summed(streams))
        # 3. pool each stream to one vector; what heads say is in logits
        vectors = {stream: encoder(streams[stream]) for stream, encoder in self.encoders.items()}
        logits = [evidence(streams[stream]) for stream, evidence in self.evidence.items()]
        # 4. mixup of the vectors and of the evidence
        if mixup:
            partner, share = mixup[0], mixup[1][:, None]
            vectors = {s: x * share + x[partner] * (1 - share) for s, x in vectors.items()}
            logits = [x * share + x[partner] * (1 - share) for x in logits]
            present = {s: p | p[partner] for s, p in present.items()}
        # 5. fuse, classify, and add the evidence
        return sum(logits, self.head(vectors, {stream: present[stream] for stream in vectors}))

    def attention_weights(self, streams: Streams) -> dict[str, torch.Tensor]:
        """Return stream -> the weights (B, T) by which its vectors are pooled, of standardized streams."""
        streams = self._crossed(self._summed(streams))
        weights = {s: encoder.pool(streams[s])[1] for s, encoder in self.encoders.items()}
        return {s: weights[s] if s in weights else _equal_weights(streams[s].mask) for s in self.modalities}

    def _summed(self, streams: Streams) -> Streams:
        """Return the streams with the weighted sum of the blocks of each vector."""
        return {**streams, **{s: block_sum(streams[s], self.dims[s]) for s, block_sum in self.blocks.items()}}

    def _crossed(self, streams: Streams) -> Streams:
        """Return the streams after they attended to one another, if the fusion is crossmodal."""
        if not self.crossmodal:
            return streams
        crossed = self.crossmodal({stream: streams[stream] for stream in self.joining})
        return {**streams, **{s: streams[s]._replace(x=x) for s, x in crossed.items()}}

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

    def forward(self, streams: Streams) -> Streams:
        """Return the streams; the masks of removed modalities are all False."""
        if not self.training or not self.active:
            return streams
        has = {
            m: torch.stack([given.present for s, given in streams.items() if self.modalities[s] == m]).any(0)
            for m in ("audio", "face")
        }
        key = self.key if self.keyed else torch.randint(2**31 - 1, (), dtype=torch.int32, device=self.key.device)
        clips = has["face"].shape
        drop = has["audio"] & has["face"] & bernoulli(key, self.rate, clips)  # (B,)
        drop_face = random_bits(key ^ 1, clips) < 0  # (B,) True: drop the face, False: drop the audio
        dropped = {"audio": drop & ~drop_face, "face": drop & drop_face}
        return {
            s: given._replace(mask=given.mask & ~dropped[self.modalities[s]][:, None]) for s, given in streams.items()
        }


class Evidence(nn.Module):
    """What a backbone's own head says of a clip as logits, exp(r a) (log p - log prior) + r b; 0 without vectors.

    Trained are a, from which the exponent comes, and b (K,), which corrects the prior. The rate r lets them move as far
    as they have to in the few hundred small steps of a training, of which each moves a parameter by about lr.
    """

    RATE = 4.0

    def __init__(self, classes: int) -> None:
        """`classes`: K."""
        super().__init__()
        self.log_exponent = nn.Parameter(torch.zeros(1))
        self.bias = nn.Parameter(torch.zeros(classes))

    def forward(self, stream: StreamBatch) -> torch.Tensor:
        """Return logits (B, K)."""
        logits = torch.exp(self.RATE * self.log_exponent) * stream.evidence + self.RATE * self.bias
        return logits * stream.present[:, None]


class StreamEncoder(nn.Module):
    """Pools one stream's vectors to one vector, and joins the statistics of the clip to it.

    A clip that lacks the stream gets a trained embedding.
    """

    def __init__(self, dim: int, kind: str, options: FusionOptions, statistics: int) -> None:
        """Vectors of dimension `dim`, clips with `statistics` numbers; `kind` is a key of ATTENTIONS."""
        super().__init__()
        self.attention = ATTENTIONS[kind](dim, options)
        self.norm = nn.LayerNorm(self.attention.out_dim)
        self.out_dim = self.attention.out_dim + statistics
        # Not zeros: bilinear pooling multiplies, so zeros would erase the other modality and get no gradient.
        self.absent = nn.Parameter(torch.randn(self.out_dim) * 0.5)

    def forward(self, stream: StreamBatch) -> torch.Tensor:
        """Return one vector (B, out_dim) for each clip of a standardized stream."""
        pooled, _ = self.pool(stream)
        found = torch.cat([self.norm(pooled), stream.statistics], 1)
        return torch.where(stream.present[:, None], found, self.missing_embedding)

    def pool(self, stream: StreamBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the pooled vectors (B, D'), and the weights (B, T) of the stream's vectors."""
        return self.attention.pool(stream.x, stream.mask, stream.time)

    @property
    def missing_embedding(self) -> torch.Tensor:
        """The trained vector (out_dim,) of a clip that lacks the stream."""
        return self.absent


def _equal_weights(mask: torch.Tensor) -> torch.Tensor:
    """Return equal weights (B, T) of the vectors under a mask (B, T)."""
    return mask / mask.sum(1, keepdim=True).clamp_min(1)


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
