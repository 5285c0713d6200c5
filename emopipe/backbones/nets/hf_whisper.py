"""The network of `emopipe.backbones.hf_whisper`."""

import math
from typing import Any

import numpy as np
import torch
from torch import nn

from emopipe.backbones.hf_layers import CONTEXT_SECONDS, Layers, cuts, numbers
from emopipe.backbones.hf_whisper import SHRINK
from emopipe.backbones.nets.hidden_states import combine
from emopipe.runtime import device as devices


class HfWhisper:
    """A loaded encoder. Call it with waves."""

    def __init__(
        self,
        model: nn.Module,
        extractor: Any,
        layers: Layers,
        padded: bool,
        where: torch.device,
        *,
        context_seconds: float = CONTEXT_SECONDS,
    ) -> None:
        """Move the model to a device. `extractor`: transformers' log-Mel spectrogram. Use `build` to get a network."""
        self.device = devices.name_of(where)
        self._model, self._where = model.to(where).eval(), where
        self._extractor, self._layers, self._padded = extractor, layers, padded
        self._rate, self._hop = extractor.sampling_rate, SHRINK * extractor.hop_length
        self._chosen = numbers(layers, len(model.layers))
        longest = model.config.max_source_positions
        self._context = min(math.ceil(context_seconds * self._rate / self._hop), (longest - 1) // 2)
        self._core = longest - 2 * self._context

    def __call__(self, waves: np.ndarray) -> np.ndarray:
        """Compute the vectors of waves of one length.

        A wave is padded with silence to a multiple of a vector's samples, and with `padded` to 30 s. Vectors of padding
        are dropped. A wave of more than 30 s is split into pieces that overlap by twice the context: each vector is
        taken from the piece in which it is at least `context_seconds` from a cut.

        Args:
            waves: (N, samples) float32, samples >= 1.

        Returns:
            (N, T, D) float32.
        """
        return np.stack([self._vectors(wave) for wave in waves])

    def patch_times(self, samples: int) -> torch.Tensor:
        """Return the times (T,) of the vectors in seconds: the middle of the log-Mel frame at their centre."""
        return torch.arange(self._frames(samples), dtype=torch.float64) * self._hop / self._rate

    def _frames(self, samples: int) -> int:
        return math.ceil(samples / self._hop)

    def _vectors(self, wave: np.ndarray) -> np.ndarray:
        """(samples,) -> (T, D), in one piece or several."""
        frames = self._frames(len(wave))
        wave = np.pad(wave, (0, frames * self._hop - len(wave)))
        return np.concatenate(
            [
                self._piece(wave[first * self._hop : end * self._hop])[kept]
                for first, end, kept in cuts(frames, self._core, self._context)
            ]
        )

    @torch.inference_mode()
    def _piece(self, wave: np.ndarray) -> np.ndarray:
        """(samples,) -> (T, D), of the layers in the options."""
        frames = len(wave) // self._hop
        made = self._extractor(
            wave, sampling_rate=self._rate, padding="max_length" if self._padded else False, return_tensors="pt"
        )
        mel = made.input_features if self._padded else made.input_features[..., : SHRINK * frames]
        states = self._states(mel.to(self._where))
        return combine([states[number][0, :frames] for number in self._chosen], self._layers).float().cpu().numpy()

    def _states(self, mel: torch.Tensor) -> list[torch.Tensor]:
        """Return the hidden states (1, T, d) of log-Mel frames (1, F, 2 T), up to the last one that is read.

        This is transformers' own forward, which refuses other lengths than the window's.
        """
        net, gelu = self._model, nn.functional.gelu
        # 1. convolutions, and the first T of the positions
        x = gelu(net.conv2(gelu(net.conv1(mel)))).transpose(1, 2)  # (1, T, d)
        states = [x + net.embed_positions.weight[: x.shape[1]]]
        # 2. transformer layers
        for layer in net.layers[: max(self._chosen)]:
            states.append(layer(states[-1], None))
        # 3. the last state is normalised, as in transformers
        if len(states) > len(net.layers):
            states[-1] = net.layer_norm(states[-1])
        return states
