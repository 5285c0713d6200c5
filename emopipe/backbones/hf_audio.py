"""wav2vec 2.0, HuBERT and WavLM over the wave itself, as transformers saves them: `kind: hf:<folder or id>`.

Baevski et al., arXiv 2006.11477; Hsu et al., arXiv 2106.07447; Chen et al., arXiv 2110.13900. They come trained, from
a folder, or from the local Hugging Face cache by id; nothing is downloaded. Only safetensors are read, and no code of
the folder's is run.
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
from emopipe.core.options import Options
from emopipe.runtime import device as devices

CHUNK_SECONDS = 30.0
"""A longer clip goes through in pieces of this length, as attention's memory grows with its square."""
CONTEXT_SECONDS = 2.0
"""Of a piece's vectors, those so near to a cut are dropped; the piece beside it has them further from its own."""

_CITATIONS = {
    "wav2vec2": "Baevski et al., wav2vec 2.0, arXiv 2006.11477",
    "hubert": "Hsu et al., HuBERT, arXiv 2106.07447",
    "wavlm": "Chen et al., WavLM, arXiv 2110.13900",
}
_UNUSED = "masked_spec_embed"  # stands in for what is hidden while training; some files lack it


class BackboneOptions(Options):
    """Which network, and which of its layers is read."""

    weights: str
    """A folder as transformers saves it, or a Hugging Face id; the text after the colon of `kind: hf:<...>`."""
    layer: Annotated[int, Field(ge=0)] | Literal["last", "mean"] = "last"
    """A hidden state by its number (0 goes into the first layer, n comes out of the nth), the last, or all's mean."""


class _Config(BaseModel):
    """What is needed of a config.json; the three families have the same defaults."""

    model_type: str
    hidden_size: int = 768
    num_hidden_layers: int = 12
    conv_kernel: list[int] = Field([10, 3, 3, 3, 3, 2, 2], min_length=1)
    conv_stride: list[int] = Field([5, 2, 2, 2, 2, 2, 2], min_length=1)
    add_adapter: bool = False


class _Preprocessor(BaseModel):
    """What is needed of a preprocessor_config.json beside what transformers does with it."""

    sampling_rate: int = Field(gt=0)


def version(options: BackboneOptions) -> str:
    """Return transformers with its version, on which the vectors depend.

    Raises:
        WeightsError: transformers is not installed.
    """
    return optional_packages.version("transformers")


def spec(options: BackboneOptions) -> Spec:
    """The wave in, at the rate that the network was trained on; a vector every few milliseconds out.

    Raises:
        WeightsError: The folder is missing or unfit.
        ConfigError: The network has no such layer.
    """
    folder = _folder(options.weights)
    config = _config(folder, options)
    return Spec(
        modality="audio",
        input=WaveInput(_preprocessor(folder).sampling_rate),
        dim=config.hidden_size,
        licence="Apache-2.0 (code, transformers); weights: as their author says",
        citation=_CITATIONS[config.model_type],
    )


def build(options: BackboneOptions, device: str = "cpu", threads: int = 1) -> "HfAudio":
    """Load the network onto a device: auto, cpu or cuda; `threads` are the CPU's.

    Raises:
        WeightsError: The folder is missing or unfit, or transformers is not installed.
        ConfigError: The network has no such layer.
        DeviceError: The device is not there.
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
    """The files that the network consists of: its config, its preprocessor's, and its safetensors.

    Raises:
        WeightsError: The folder is missing or unfit, or transformers is not installed.
        ConfigError: The network has no such layer.
    """
    optional_packages.version("transformers")
    folder = _folder(options.weights)
    _config(folder, options)
    _preprocessor(folder)
    return [folder / "config.json", folder / "preprocessor_config.json", *_tensors(folder, options.weights)]


class HfAudio:
    """A loaded network; call it with waves."""

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
        """Put it on a device; `extractor` is transformers' normalisation. `build` is the way in."""
        self.device = devices.name_of(where)
        self._model, self._where = model.to(where).eval(), where
        self._extractor, self._layer = extractor, layer
        self._rate = extractor.sampling_rate
        # strides[i]: samples from one input of convolution i to the next; the last: from one vector to the next
        kernels, strides = model.config.conv_kernel, [1, *accumulate(model.config.conv_stride, operator.mul)]
        self._hop = strides[-1]
        self._reach = 1 + sum((kernel - 1) * stride for kernel, stride in zip(kernels, strides, strict=False))
        self._context = math.ceil(context_seconds * self._rate / self._hop)
        self._core = max(1, round(chunk_seconds * self._rate / self._hop) - 2 * self._context)

    def __call__(self, waves: np.ndarray) -> np.ndarray:
        """(N, samples) float32 -> (N, T', D) float32; samples >= 1.

        Waves are normalised whole, and what is shorter than the network's reach is filled up with silence. A wave
        of more than `chunk_seconds` goes through in pieces of at most that, which overlap by twice the context: each
        vector is taken from the piece in which it lies at least `context_seconds` from a cut. It differs from that
        of the whole wave by what attention would have read beyond its piece.
        """
        return np.stack([self._vectors(self._normalised(wave)) for wave in waves])

    def patch_times(self, samples: int) -> torch.Tensor:
        """When the vectors of so many samples are: the middle of what the convolutions see of each, (T',) seconds."""
        frames = self._frames(max(samples, self._reach))
        middle = torch.arange(frames, dtype=torch.float64) * self._hop + (self._reach - 1) / 2
        return middle.clamp(max=samples - 1) / self._rate

    def _frames(self, samples: int) -> int:
        """Vectors of so many samples; convolutions without padding one after the other are as one."""
        return (samples - self._reach) // self._hop + 1

    def _normalised(self, wave: np.ndarray) -> torch.Tensor:
        """(samples,) -> (1, samples or what the network needs at least), zero mean and unit variance if so trained."""
        values = self._extractor(wave, sampling_rate=self._rate, return_tensors="pt").input_values.float()
        return nn.functional.pad(values, (0, max(0, self._reach - values.shape[-1])))

    def _vectors(self, wave: torch.Tensor) -> np.ndarray:
        """(1, samples) -> (T', D), in one piece or several."""
        frames = self._frames(wave.shape[-1])
        if frames <= self._core + 2 * self._context:
            return self._piece(wave)
        parts = []
        for start in range(0, frames, self._core):
            end = min(start + self._core, frames)
            first, last = max(0, start - self._context), min(frames, end + self._context)
            piece = self._piece(wave[:, first * self._hop : (last - 1) * self._hop + self._reach])
            parts.append(piece[start - first : end - first])
        return np.concatenate(parts)

    @torch.inference_mode()
    def _piece(self, wave: torch.Tensor) -> np.ndarray:
        """(1, samples) -> (T', D), of the layer asked for."""
        every = self._layer != "last"
        seen = self._model(wave.to(self._where), output_hidden_states=every)
        if self._layer == "last":
            vectors = seen.last_hidden_state
        elif self._layer == "mean":
            vectors = torch.stack(seen.hidden_states).mean(0)  # (layers + 1, 1, T', D) -> (1, T', D)
        else:
            vectors = seen.hidden_states[self._layer]
        return vectors[0].float().cpu().numpy()


def _folder(source: str) -> Path:
    """The folder itself, or the one that holds an id's files in the local cache."""
    if Path(source).is_dir():
        return Path(source)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(source, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError) as error:
        how = f"run `hf download {source}` once, or name" if re.fullmatch(r"[\w.-]+/[\w.-]+", source) else "name"
        raise WeightsError(
            f"The network {source} is neither a folder nor in the local Hugging Face cache; {how} a folder that "
            "transformers' save_pretrained wrote."
        ) from error


def _config(folder: Path, options: BackboneOptions) -> _Config:
    """The network's config, checked against the options."""
    config = _read(folder, "config.json", _Config)
    if config.model_type not in _CITATIONS or config.add_adapter:
        what = f"{config.model_type} with an adapter" if config.add_adapter else config.model_type
        raise WeightsError(f"{folder} holds a network of type {what}; use one of {', '.join(_CITATIONS)} without one.")
    if isinstance(options.layer, int) and options.layer > config.num_hidden_layers:
        raise ConfigError(
            f"layer is {options.layer}, but {folder} has {config.num_hidden_layers} layers; use 0 to "
            f"{config.num_hidden_layers}, last or mean."
        )
    return config


def _preprocessor(folder: Path) -> _Preprocessor:
    return _read(folder, "preprocessor_config.json", _Preprocessor)


def _read(folder: Path, name: str, model: type[BaseModel]) -> Any:
    try:
        return model.model_validate_json((folder / name).read_bytes())
    except FileNotFoundError as error:
        raise WeightsError(
            f"{folder} has no {name}; fetch the network's folder whole, its preprocessor included."
        ) from error
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(map(str, fault["loc"])) or "the file"
        raise WeightsError(f"{folder / name} is unfit, {key}: {fault['msg']}; fetch it again.") from error


def _tensors(folder: Path, source: str) -> list[Path]:
    """model.safetensors, or the files that model.safetensors.index.json lists, and that."""
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if whole.is_file():
        return [whole]
    if not index.is_file():
        raise WeightsError(
            f"{folder} has no model.safetensors, and other files of weights are not opened, as they can run any code; "
            f'where you trust them, write them anew once: `python -c "from transformers import AutoModel; '
            f"AutoModel.from_pretrained('{source}').save_pretrained('FOLDER')\"`, copy preprocessor_config.json into "
            "FOLDER, and name FOLDER."
        )
    try:
        names = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{index} lists no files of weights ({error}); fetch it again.") from error
    missing = [name for name in names if name != Path(name).name or not (folder / name).is_file()]
    if missing:
        raise WeightsError(f"{index} names {missing[0]}, which is not in that folder; fetch the folder whole.")
    return [index, *(folder / name for name in names)]


def _model(auto: Any, folder: Path) -> nn.Module:
    """The network with all its weights: transformers itself draws what a file lacks at random."""
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
            f"transformers cannot load {folder} for want of a package ({error.__cause__ or error}); install what is "
            "named, or where it is torchvision's, remove torchvision or install its build for the installed torch."
        ) from error
    except Exception as error:  # safetensors', transformers' and the file system's share no base
        raise WeightsError(f"transformers cannot load {folder} ({error}); fetch the folder again.") from error
    if lacking := sorted(key for key in found["missing_keys"] if not key.endswith(_UNUSED)):
        raise WeightsError(
            f"The weights in {folder} lack {lacking[0]} ({len(lacking)} in all); fetch the folder again, or name that "
            "of the network itself."
        )
    return model
