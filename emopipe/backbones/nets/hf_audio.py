"""The network of `emopipe.backbones.hf_audio`."""

import math
import operator
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch import nn

from emopipe.backbones.hf_layers import CHUNK_SECONDS, CONTEXT_SECONDS, Layers, cuts, numbers
from emopipe.backbones.nets.hidden_states import combine
from emopipe.runtime import device as devices


class HfAudio:
    """A loaded network. Call it with waves."""

    def __init__(
        self,
        model: nn.Module,
        extractor: Any,
        layers: Layers,
        where: torch.device,
        *,
        chunk_seconds: float = CHUNK_SECONDS,
        context_seconds: float = CONTEXT_SECONDS,
    ) -> None:
        """Move the model to a device. `extractor`: transformers' normalisation. Use `build` to get a network."""
        self.device = devices.name_of(where)
        self._model, self._where = model.to(where).eval(), where
        self._extractor, self._layers = extractor, layers
        self._rate = extractor.sampling_rate
        # strides[i]: samples between inputs of convolution i; the last: samples between vectors
        kernels, strides = model.config.conv_kernel, [1, *accumulate(model.config.conv_stride, operator.mul)]
        self._hop = strides[-1]
        self._reach = 1 + sum((kernel - 1) * stride for kernel, stride in zip(kernels, strides, strict=False))
        self._context = math.ceil(context_seconds * self._rate / self._hop)
        self._core = max(1, round(chunk_seconds * self._rate / self._hop) - 2 * self._context)

    def __call__(self, waves: np.ndarray) -> np.ndarray:
        """Compute the vectors of waves of one length.

        A wave is normalised as a whole, and padded with silence if it is shorter than the network's receptive field. A
        wave of more than `chunk_seconds` is split into pieces of at most that length, which overlap by twice the
        context: each vector is taken from the piece in which it is at least `context_seconds` from a cut. It differs
        from the vector of the unsplit wave, because attention does not see beyond the piece.

        Args:
            waves: (N, samples) float32, samples >= 1.

        Returns:
            (N, T', D) float32.
        """
        return np.stack([self._vectors(wave) for wave in waves])

    def patch_times(self, samples: int) -> torch.Tensor:
        """Return the times (T',) of the vectors in seconds: the middle of each receptive field."""
        frames = self._frames(max(samples, self._reach))
        middle = torch.arange(frames, dtype=torch.float64) * self._hop + (self._reach - 1) / 2
        return middle.clamp(max=samples - 1) / self._rate

    def _frames(self, samples: int) -> int:
        """Return the number of vectors for this number of samples. Several convolutions without padding act as one."""
        return (samples - self._reach) // self._hop + 1

    def _vectors(self, wave: np.ndarray) -> np.ndarray:
        """(samples,) -> (T', D), in one piece or several."""
        # 1. zero mean and unit variance if the network was trained so, and at least one receptive field
        values = self._extractor(wave, sampling_rate=self._rate, return_tensors="pt").input_values.float()
        values = nn.functional.pad(values, (0, max(0, self._reach - values.shape[-1])))  # (1, samples)
        # 2. a short wave in one piece
        frames = self._frames(values.shape[-1])
        if frames <= self._core + 2 * self._context:
            return self._piece(values)
        # 3. a long wave in overlapping pieces, without the vectors near the cuts
        parts = []
        for first, end, kept in cuts(frames, self._core, self._context):
            piece = self._piece(values[:, first * self._hop : (end - 1) * self._hop + self._reach])
            parts.append(piece[kept])
        return np.concatenate(parts)

    @torch.inference_mode()
    def _piece(self, wave: torch.Tensor) -> np.ndarray:
        """(1, samples) -> (T', D), of the layers in the options."""
        output = self._model(wave.to(self._where), output_hidden_states=self._layers != "last")
        if self._layers == "last":
            states = [output.last_hidden_state]
        else:
            chosen = numbers(self._layers, len(output.hidden_states) - 1)
            states = [output.hidden_states[number] for number in chosen]  # (1, T', d) each
        return combine([state[0] for state in states], self._layers).float().cpu().numpy()
