"""The network of `emopipe.backbones.speech_whisper`."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from emopipe.backbones.hf_layers import CONTEXT_SECONDS, cuts
from emopipe.backbones.speech_whisper import SPECTRUM, BackboneOptions
from emopipe.media.mel import mel_frequencies
from emopipe.media.spectrogram import RATE, frame_times

WIDTH, HEADS, INSIDE, POSITIONS = 384, 6, 1536, 1500
"""Of Whisper tiny: the length of its vectors, the heads of its attention, the units between, the longest window."""
POOL = 8
"""Whisper's vectors of which the mean is one vector here."""
STRIDE = 2 * POOL
GAIN = 4.0
"""Standard deviation of each number of the vectors before training. It is above 1 because a classifier reads the mean
of an utterance's vectors, which varies far less from one utterance to the next than the vectors do within one."""
LOUDEST = 0.0
"""The decimal logarithm of the loudest cell's power in Whisper's units. RAVDESS' quiet recordings have about -1.2."""


class Attention(nn.Module):
    """Self-attention of several heads over a whole window."""

    def __init__(self) -> None:
        """Create the projections. The keys have no bias."""
        super().__init__()
        self.q_proj, self.v_proj, self.out_proj = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.k_proj = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, T, width) -> the same shape."""
        n, frames, _ = x.shape
        q, k, v = (
            project(x).view(n, frames, HEADS, -1).transpose(1, 2)  # (N, heads, T, width / heads)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        y = F.scaled_dot_product_attention(q, k, v)
        return self.out_proj(y.transpose(1, 2).reshape(n, frames, WIDTH))


class Block(nn.Module):
    """Transformer block: attention, then two layers for each vector, each normalised before and added."""

    def __init__(self) -> None:
        """Create the block. Its names are those of transformers."""
        super().__init__()
        self.self_attn_layer_norm, self.final_layer_norm = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.self_attn = Attention()
        self.fc1, self.fc2 = nn.Linear(WIDTH, INSIDE), nn.Linear(INSIDE, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, T, width) -> the same shape."""
        x = x + self.self_attn(self.self_attn_layer_norm(x))
        return x + self.fc2(F.gelu(self.fc1(self.final_layer_norm(x))))


class SpeechWhisper(nn.Module):
    """Convolutions, transformer blocks, a last layer and the mean of eight vectors."""

    LAST_LAYERS = ("norm.", "fc.", "features.")
    """Prefixes of the parameters that a published Whisper does not have."""

    def __init__(self, options: BackboneOptions) -> None:
        """Create the layers with torch's own initial weights."""
        super().__init__()
        self.conv1 = nn.Conv1d(SPECTRUM.n_mels, WIDTH, 3, padding=1)
        self.conv2 = nn.Conv1d(WIDTH, WIDTH, 3, stride=2, padding=1)
        self.layers = nn.ModuleList(Block() for _ in range(options.blocks))
        # Whisper's vectors have a few numbers that are far larger than the others, so each is normalised by itself.
        self.norm, self.dropout = nn.BatchNorm1d(WIDTH), nn.Dropout(options.dropout)
        self.fc, self.features = nn.Linear(WIDTH, options.dim), nn.BatchNorm1d(options.dim)
        nn.init.constant_(self.features.weight, GAIN)
        self.register_buffer("positions", sinusoids(POSITIONS, WIDTH), persistent=False)
        self.register_buffer("band_levels", band_levels(), persistent=False)
        self._context = round(CONTEXT_SECONDS * RATE / (STRIDE * SPECTRUM.hop))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, bands, T), T >= 1 -> (N, T', dim). What is longer than 30 s is read in pieces that overlap by 4 s."""
        # 1. decades of amplitude above the floor -> Whisper's scale, which has a quarter for each decade of power
        mel = (2 * (x[:, 0] - SPECTRUM.range_db / 20) + self.band_levels + LOUDEST + 4) / 4  # (N, bands, T)
        # 2. pieces of whole vectors
        vectors = math.ceil(mel.shape[-1] / STRIDE)
        core = POSITIONS // POOL - 2 * self._context
        pieces = cuts(vectors, core, self._context)
        parts = [self._piece(mel[..., STRIDE * first : STRIDE * end])[:, kept] for first, end, kept in pieces]
        return torch.cat(parts, 1)  # (N, T', dim)

    def patch_times(self, n_frames: int) -> torch.Tensor:
        """Return the time of each vector of a clip of `n_frames`, (T',) seconds: the middle of its frames."""
        starts = torch.from_numpy(frame_times(n_frames, SPECTRUM.hop_ms)[::STRIDE].copy())
        return starts + (POOL - 1) * 2 * SPECTRUM.hop_ms / 2000

    def encode(self, mel: torch.Tensor) -> torch.Tensor:
        """Return the last block's vectors (N, T / 2 rounded up, width) of Whisper's log-Mel frames (N, bands, T)."""
        x = F.gelu(self.conv2(F.gelu(self.conv1(mel)))).transpose(1, 2)  # (N, T / 2, width)
        x = x + self.positions[: x.shape[1]].to(x.dtype)
        for layer in self.layers:
            x = layer(x)
        return x

    def _piece(self, mel: torch.Tensor) -> torch.Tensor:
        """(N, bands, T) -> (N, T', dim)."""
        x = self.norm(self.encode(mel).transpose(1, 2)).transpose(1, 2)  # (N, T / 2, width)
        x = F.gelu(self.fc(self.dropout(x))).transpose(1, 2)  # (N, dim, T / 2)
        return self.features(F.avg_pool1d(x, POOL, ceil_mode=True)).transpose(1, 2)  # (N, T', dim)


def sinusoids(length: int, width: int) -> torch.Tensor:
    """Return Whisper's positions (length, width): sines, then cosines, of periods from 2 pi to 20,000 pi vectors."""
    steps = math.log(10_000) / (width // 2 - 1)
    angles = torch.arange(length)[:, None] * torch.exp(-steps * torch.arange(width // 2))  # (length, width / 2)
    return torch.cat([angles.sin(), angles.cos()], 1)


def band_levels() -> torch.Tensor:
    """Return what Whisper's filters, which have an area of 1 and not a height of 1, add to each band, (bands, 1)."""
    edges = mel_frequencies(SPECTRUM.n_mels + 2, SPECTRUM.low_hz, SPECTRUM.high_hz)  # Hz
    levels = torch.from_numpy(2 / (edges[2:] - edges[:-2])).log10()
    return (levels - levels.max()).float()[:, None]
