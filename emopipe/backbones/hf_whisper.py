"""Whisper's encoder over log-Mel spectrograms, as transformers saves it: the encoder alone, or a whole Whisper.

Architecture: two convolutions over 100 log-Mel frames a second, of which the second halves their number, then a
transformer. The network was trained on windows of 30 s, padded with silence. Here it takes a clip's own frames, at a
tenth of the cost for a clip of 3 s, or, with `padded`, the window of 30 s. The two give different vectors.
Source: Radford et al., Whisper, arXiv 2212.04356.
Input: (N, samples), at the sampling rate of the network's training (16 kHz).
Output: (N, T, D), T = ceil(samples / 320), one vector every 20 ms.
Weights: MIT (OpenAI's); loaded by `hf_folder`.
"""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from emopipe.backbones import hf_folder, optional_packages
from emopipe.backbones.hf_layers import Layers
from emopipe.core.errors import WeightsError

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


def build(folder: Path, layers: Layers, padded: bool, device: str, threads: int) -> Any:
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

    from emopipe.backbones.nets.hf_whisper import HfWhisper
    from emopipe.runtime import device as devices

    extractor = transformers.WhisperFeatureExtractor.from_pretrained(folder, local_files_only=True)
    model = hf_folder.load_model(WhisperEncoder, folder, ENCODER_KEYS)
    return HfWhisper(model, extractor, layers, padded, devices.prepare(device, threads))
