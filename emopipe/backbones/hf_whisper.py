"""Whisper's encoder over log-Mel spectrograms, as transformers saves it: the encoder alone, or a whole Whisper.

Architecture: two convolutions over 100 log-Mel frames a second, of which the second halves their number, then a
transformer. The network was trained on windows of 30 s, padded with silence. Here it takes a clip's own frames, at a
tenth of the cost for a clip of 3 s, or, with `padded`, the window of 30 s. The two give different vectors.
Source: Radford et al., Whisper, arXiv 2212.04356.
Input: (N, samples), at the sampling rate of the network's training (16 kHz).
Output: (N, T, D), T = ceil(samples / 320), one vector every 20 ms.
Weights: MIT (OpenAI's); loaded by `hf_folder`.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, Field
from torch import nn

from emopipe.backbones import hf_folder, optional_packages
from emopipe.backbones.hf_layers import CONTEXT_SECONDS, Layers, combine, cuts, numbers
from emopipe.core.errors import WeightsError
from emopipe.runtime import device as devices

MODEL_TYPE = "whisper"
CITATION = "Radford et al., Whisper, arXiv 2212.04356"
SHRINK = 2
"""Log-Mel frames of which the convolutions make one vector."""
ENCODER_KEYS = {r"^(model\.)?encoder\.": ""}
"""The names of the encoder's tensors in a whole Whisper -> those in the encoder alone."""
OLDEST = 5
"""The oldest major version of transformers whose layers are called as here."""


class Config(BaseModel):
    """The fields of config.json that are needed here, with transformers' defaults."""

    hidden_size: int = Field(384, alias="d_model")
    num_hidden_layers: int = Field(4, alias="encoder_layers")
    num_mel_bins: int = 80
    max_source_positions: int = 1500


class Preprocessor(BaseModel):
    """The fields of preprocessor_config.json that are needed here, with transformers' defaults."""

    sampling_rate: int = Field(16_000, gt=0)
    feature_size: int = 80
    hop_length: int = Field(160, gt=0)
    chunk_length: int = Field(30, gt=0)

    @property
    def frames(self) -> int:
        """Log-Mel frames of a padded window."""
        return self.chunk_length * self.sampling_rate // self.hop_length


def check(folder: Path, config: Config) -> None:
    """Raise a WeightsError if the preprocessor does not fit the network, or transformers is too old."""
    made = hf_folder.read_json(folder, "preprocessor_config.json", Preprocessor)
    found, expected = (made.feature_size, made.frames), (config.num_mel_bins, SHRINK * config.max_source_positions)
    if found != expected:
        raise WeightsError(
            f"{folder}: the preprocessor makes {found[1]} frames of {found[0]} Mel bands, but the network reads "
            f"{expected[1]} frames of {expected[0]}. Download the network's whole folder again."
        )
    name, _, version = optional_packages.version("transformers").partition(" ")
    if int(version.partition(".")[0]) < OLDEST:
        raise WeightsError(
            f"Whisper needs {name} {OLDEST} or newer, but {version} is installed. Install it with "
            f"`pip install --upgrade {name}`."
        )


def build(folder: Path, layers: Layers, padded: bool, device: str, threads: int) -> "HfWhisper":
    """Load the encoder onto a device.

    Args:
        folder: A folder that holds the encoder alone, or a whole Whisper.
        layers: Which hidden states to return.
        padded: Whether clips are padded to the window of the network's training.
        device: auto, cpu or cuda.
        threads: CPU threads.

    Raises:
        WeightsError: The folder is invalid, or transformers is not installed.
        DeviceError: The device is not available.
    """
    transformers = optional_packages.load("transformers")
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    extractor = transformers.WhisperFeatureExtractor.from_pretrained(folder, local_files_only=True)
    model = hf_folder.load_model(WhisperEncoder, folder, ENCODER_KEYS)
    return HfWhisper(model, extractor, layers, padded, devices.prepare(device, threads))


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
