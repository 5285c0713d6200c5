"""wav2vec 2.0, HuBERT and WavLM over the waveform, as transformers saves them: `kind: hf:<folder or id>`.

Architecture: convolutions over the waveform, then a transformer; the vectors are one hidden state, or the mean of all.
Source: Baevski et al., wav2vec 2.0, arXiv 2006.11477; Hsu et al., HuBERT, arXiv 2106.07447; Chen et al., WavLM, arXiv
2110.13900.
Input: (N, samples), at the sampling rate of the network's training.
Output: (N, T', hidden size), one vector every 20 ms for the published networks.
Weights: a trained network from a folder, or by its id from the local Hugging Face cache. Nothing is downloaded, only
safetensors files are read, and no code of the folder is run. transformers is Apache-2.0; each network has its own
licence.
"""

import json
import math
import operator
import re
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, Field, ValidationError
from torch import nn

from emopipe.backbones import optional_packages
from emopipe.backbones.base import Spec, WaveInput
from emopipe.core.errors import ConfigError, WeightsError
from emopipe.core.memory import is_out_of_memory
from emopipe.core.options import Options
from emopipe.runtime import device as devices

CHUNK_SECONDS = 30.0
"""Longer clips are split into pieces of this length, because the memory of attention grows with its square."""
CONTEXT_SECONDS = 2.0
"""Pieces overlap: vectors that are closer than this to a cut are dropped, and taken from the neighbouring piece."""

_CITATIONS = {
    "wav2vec2": "Baevski et al., wav2vec 2.0, arXiv 2006.11477",
    "hubert": "Hsu et al., HuBERT, arXiv 2106.07447",
    "wavlm": "Chen et al., WavLM, arXiv 2110.13900",
}
_UNUSED = "masked_spec_embed"  # replaces masked frames in training only; some files lack it


class BackboneOptions(Options):
    """Which network, and which of its layers."""

    weights: str
    """A folder that transformers saved, or a Hugging Face id: the text after the colon of `kind: hf:<...>`."""
    layer: Annotated[int, Field(ge=0)] | Literal["last", "mean"] = "last"
    """A hidden state by its number (0: input of the first layer, n: output of layer n), the last one, or their mean."""


class _Config(BaseModel):
    """The fields of config.json that are needed here. The three families have the same defaults."""

    model_type: str
    hidden_size: int = 768
    num_hidden_layers: int = 12
    conv_kernel: list[int] = Field([10, 3, 3, 3, 3, 2, 2], min_length=1)
    conv_stride: list[int] = Field([5, 2, 2, 2, 2, 2, 2], min_length=1)
    add_adapter: bool = False


class _Preprocessor(BaseModel):
    """The field of preprocessor_config.json that is needed here; transformers reads the others."""

    sampling_rate: int = Field(gt=0)


def version(options: BackboneOptions) -> str:
    """Return transformers with its version, on which the vectors depend.

    Raises:
        WeightsError: transformers is not installed.
    """
    return optional_packages.version("transformers")


def spec(options: BackboneOptions) -> Spec:
    """Return the specification: the wave at the network's sampling rate in, a vector every few milliseconds out.

    Raises:
        WeightsError: The folder is missing or invalid.
        ConfigError: The network has no such layer.
    """
    folder = _folder(options.weights)
    config = _config(folder, options)
    return Spec(
        modality="audio",
        input=WaveInput(_read(folder, "preprocessor_config.json", _Preprocessor).sampling_rate),
        dim=config.hidden_size,
        licence="Apache-2.0 (code, transformers); weights: as their author says",
        citation=_CITATIONS[config.model_type],
    )


def build(options: BackboneOptions, device: str = "cpu", threads: int = 1) -> "HfAudio":
    """Load the network onto a device.

    Args:
        options: Which network and layer.
        device: auto, cpu or cuda.
        threads: CPU threads.

    Raises:
        WeightsError: The folder is missing or invalid, or transformers is not installed.
        ConfigError: The network has no such layer.
        DeviceError: The device is not available.
    """
    net_files(options)
    folder = _folder(options.weights)
    transformers = optional_packages.load("transformers")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    extractor = transformers.Wav2Vec2FeatureExtractor.from_pretrained(folder, local_files_only=True)
    model = _model(transformers.AutoModel, folder)
    return HfAudio(model, extractor, options.layer, devices.prepare(device, threads))


def net_files(options: BackboneOptions) -> list[Path]:
    """Return the network's files: its config, its preprocessor's config, and its safetensors files.

    Raises:
        WeightsError: The folder is missing or invalid, or transformers is not installed.
        ConfigError: The network has no such layer.
    """
    optional_packages.version("transformers")
    folder = _folder(options.weights)
    _config(folder, options)
    _read(folder, "preprocessor_config.json", _Preprocessor)
    return [folder / "config.json", folder / "preprocessor_config.json", *_tensors(folder, options.weights)]


class HfAudio:
    """A loaded network. Call it with waves."""

    def __init__(
        self,
        model: nn.Module,
        extractor: Any,
        layer: int | str,
        where: torch.device,
        *,
        chunk_seconds: float = CHUNK_SECONDS,
        context_seconds: float = CONTEXT_SECONDS,
    ) -> None:
        """Move the model to a device. `extractor`: transformers' normalisation. Use `build` to get a network."""
        self.device = devices.name_of(where)
        self._model, self._where = model.to(where).eval(), where
        self._extractor, self._layer = extractor, layer
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
        for start in range(0, frames, self._core):
            end = min(start + self._core, frames)
            first, last = max(0, start - self._context), min(frames, end + self._context)
            piece = self._piece(values[:, first * self._hop : (last - 1) * self._hop + self._reach])
            parts.append(piece[start - first : end - first])
        return np.concatenate(parts)

    @torch.inference_mode()
    def _piece(self, wave: torch.Tensor) -> np.ndarray:
        """(1, samples) -> (T', D), of the layer in the options."""
        output = self._model(wave.to(self._where), output_hidden_states=self._layer != "last")
        if self._layer == "last":
            vectors = output.last_hidden_state
        elif self._layer == "mean":
            vectors = torch.stack(output.hidden_states).mean(0)  # (layers + 1, 1, T', D) -> (1, T', D)
        else:
            vectors = output.hidden_states[self._layer]
        return vectors[0].float().cpu().numpy()


def _folder(source: str) -> Path:
    """Return the folder itself, or the folder of an id's files in the local Hugging Face cache."""
    if Path(source).is_dir():
        return Path(source)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(source, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError) as error:
        how = f"Run `hf download {source}` once, or name" if re.fullmatch(r"[\w.-]+/[\w.-]+", source) else "Name"
        raise WeightsError(
            f"The network {source} is neither a folder nor in the local Hugging Face cache. {how} a folder that "
            "transformers' save_pretrained wrote."
        ) from error


def _config(folder: Path, options: BackboneOptions) -> _Config:
    """Read the network's config and check it against the options."""
    config = _read(folder, "config.json", _Config)
    if config.model_type not in _CITATIONS or config.add_adapter:
        what = f"{config.model_type} with an adapter" if config.add_adapter else config.model_type
        raise WeightsError(
            f"{folder} holds a network of type {what}. Use one of {', '.join(_CITATIONS)} without an adapter."
        )
    if isinstance(options.layer, int) and options.layer > config.num_hidden_layers:
        raise ConfigError(
            f"layer is {options.layer}, but {folder} has {config.num_hidden_layers} layers. Use 0 to "
            f"{config.num_hidden_layers}, last or mean."
        )
    return config


def _read(folder: Path, name: str, model: type[BaseModel]) -> Any:
    try:
        return model.model_validate_json((folder / name).read_bytes())
    except FileNotFoundError as error:
        raise WeightsError(
            f"{folder} has no {name}. Download the network's whole folder, including its preprocessor."
        ) from error
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(map(str, fault["loc"])) or "the file"
        raise WeightsError(f"{folder / name} is invalid ({key}: {fault['msg']}). Download it again.") from error


def _tensors(folder: Path, source: str) -> list[Path]:
    """Return model.safetensors, or model.safetensors.index.json and the files that it lists."""
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if whole.is_file():
        return [whole]
    if not index.is_file():
        raise WeightsError(
            f"{folder} has no model.safetensors. Other files of weights are not opened, because they can run any code. "
            f'If you trust them, convert them once: run `python -c "from transformers import AutoModel; '
            f"AutoModel.from_pretrained('{source}').save_pretrained('FOLDER')\"`, copy preprocessor_config.json into "
            "FOLDER, and name FOLDER."
        )
    try:
        names = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{index} does not list files of weights ({error}). Download it again.") from error
    missing = [name for name in names if name != Path(name).name or not (folder / name).is_file()]
    if missing:
        raise WeightsError(f"{index} names {missing[0]}, which is not in that folder. Download the whole folder.")
    return [index, *(folder / name for name in names)]


def _model(auto: Any, folder: Path) -> nn.Module:
    """Load the network, and refuse missing weights, which transformers itself initialises at random."""
    try:
        model, found = auto.from_pretrained(
            folder,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except ImportError as error:
        raise WeightsError(
            f"transformers cannot load {folder}, because a package is missing ({error.__cause__ or error}). Install "
            "that package. If it is torchvision, remove it, or install the build that matches the installed torch."
        ) from error
    except Exception as error:  # those of safetensors, transformers and the file system share no base class
        if is_out_of_memory(error):
            raise
        raise WeightsError(f"transformers cannot load {folder} ({error}). Download the folder again.") from error
    if missing := sorted(key for key in found["missing_keys"] if not key.endswith(_UNUSED)):
        raise WeightsError(
            f"The weights in {folder} lack {missing[0]} ({len(missing)} in all). Download the folder again, or name "
            "the folder of the network itself."
        )
    return model
