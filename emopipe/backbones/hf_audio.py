"""wav2vec 2.0, HuBERT, WavLM and Whisper's encoder, as transformers saves them: `kind: hf:<folder or id>`.

Architecture: convolutions over the waveform, then a transformer; the vectors are one hidden state, the mean of several,
or all of them for weights that fusion learns (`hf_layers`). Whisper's encoder is in `hf_whisper`.
Source: Baevski et al., wav2vec 2.0, arXiv 2006.11477; Hsu et al., HuBERT, arXiv 2106.07447; Chen et al., WavLM, arXiv
2110.13900.
Input: (N, samples), at the sampling rate of the network's training.
Output: (N, T', hidden size), one vector every 20 ms for the published networks.
Weights: a trained network from a folder, or by its id from the local Hugging Face cache. Nothing is downloaded, only
safetensors files are read, and no code of the folder is run. transformers is Apache-2.0; each network has its own
licence.
"""

from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, Field, field_validator

from emopipe.backbones import hf_folder, hf_whisper, optional_packages
from emopipe.backbones.base import Spec, WaveInput
from emopipe.backbones.hf_layers import Layers, count_blocks, numbers
from emopipe.core.errors import ConfigError, WeightsError
from emopipe.core.options import Options

_CITATIONS = {
    "wav2vec2": "Baevski et al., wav2vec 2.0, arXiv 2006.11477",
    "hubert": "Hsu et al., HuBERT, arXiv 2106.07447",
    "wavlm": "Chen et al., WavLM, arXiv 2110.13900",
    hf_whisper.MODEL_TYPE: hf_whisper.CITATION,
}


class BackboneOptions(Options):
    """Which network, and which of its layers."""

    renamed: ClassVar = {"layer": "layers"}

    weights: str
    """A folder that transformers saved, or a Hugging Face id: the text after the colon of `kind: hf:<...>`."""
    layers: Layers = "last"
    """Which hidden states become vectors. A number (0: input of the first layer, n: output of layer n), a list of
    numbers for their mean, last, mean for the mean of all, or learned: all of them, each normalised, and fusion models
    learn one weight for each. Vectors are then as many times longer."""
    padded: bool = False
    """For Whisper: whether clips are padded with silence to 30 s, as in its training. false: the clip's own frames,
    which costs a tenth for a clip of 3 s. The two give different vectors."""

    @field_validator("layers")
    @classmethod
    def _layers_differ(cls, layers: Layers) -> Layers:
        if isinstance(layers, list) and len(set(layers)) < len(layers):
            raise ValueError(f"{layers} names a layer twice. Name each one once")
        return layers


class _Config(BaseModel):
    """The fields of config.json that are needed here. The three families of the waveform have the same defaults."""

    hidden_size: int = 768
    num_hidden_layers: int = 12
    conv_kernel: list[int] = Field([10, 3, 3, 3, 3, 2, 2], min_length=1)
    conv_stride: list[int] = Field([5, 2, 2, 2, 2, 2, 2], min_length=1)
    add_adapter: bool = False


class _Type(BaseModel):
    """The field of config.json by which the family is known."""

    model_type: str


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
    folder = hf_folder.find(options.weights)
    family, config = _config(folder, options)
    blocks = count_blocks(options.layers, config.num_hidden_layers)
    return Spec(
        modality="audio",
        input=WaveInput(hf_folder.read_json(folder, "preprocessor_config.json", _Preprocessor).sampling_rate),
        dim=blocks * config.hidden_size,
        licence="Apache-2.0 (code, transformers); weights: as their author says",
        citation=_CITATIONS[family],
        blocks=blocks,
    )


def build(options: BackboneOptions, device: str = "cpu", threads: int = 1) -> Any:
    """Load the network onto a device.

    Args:
        options: Which network and layers.
        device: auto, cpu or cuda.
        threads: CPU threads.

    Raises:
        WeightsError: The folder is missing or invalid, or transformers is not installed.
        ConfigError: The network has no such layer.
        DeviceError: The device is not available.
    """
    from emopipe.backbones.nets.hf_audio import HfAudio
    from emopipe.runtime import device as devices

    net_files(options)
    folder = hf_folder.find(options.weights)
    transformers = optional_packages.load("transformers")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    if _config(folder, options)[0] == hf_whisper.MODEL_TYPE:
        return hf_whisper.build(folder, options.layers, options.padded, device, threads)
    extractor = transformers.Wav2Vec2FeatureExtractor.from_pretrained(folder, local_files_only=True)
    model = hf_folder.load_model(transformers.AutoModel, folder)
    return HfAudio(model, extractor, options.layers, devices.prepare(device, threads))


def net_files(options: BackboneOptions) -> list[Path]:
    """Return the network's files: its config, its preprocessor's config, and its safetensors files.

    Raises:
        WeightsError: The folder is missing or invalid, or transformers is not installed.
        ConfigError: The network has no such layer.
    """
    optional_packages.version("transformers")
    folder = hf_folder.find(options.weights)
    family, config = _config(folder, options)
    hf_folder.read_json(folder, "preprocessor_config.json", _Preprocessor)
    if family == hf_whisper.MODEL_TYPE:
        hf_whisper.check(folder, config)
    weights = hf_folder.weight_files(folder, options.weights)
    return [folder / "config.json", folder / "preprocessor_config.json", *weights]


def _config(folder: Path, options: BackboneOptions) -> tuple[str, _Config | hf_whisper.Config]:
    """Read the network's family and config, and check them against the options."""
    family = hf_folder.read_json(folder, "config.json", _Type).model_type
    model = hf_whisper.Config if family == hf_whisper.MODEL_TYPE else _Config
    config = hf_folder.read_json(folder, "config.json", model)
    adapted = isinstance(config, _Config) and config.add_adapter
    if family not in _CITATIONS or adapted:
        what = f"{family} with an adapter" if adapted else family
        raise WeightsError(
            f"{folder} holds a network of type {what}. Use one of {', '.join(_CITATIONS)} without an adapter."
        )
    if options.padded and family != hf_whisper.MODEL_TYPE:
        raise ConfigError(
            f"padded is true, but {folder} holds a network of type {family}, which takes waves of any length. Remove "
            "padded; it is an option of Whisper."
        )
    count = config.num_hidden_layers
    if (asked := max(numbers(options.layers, count))) > count:
        raise ConfigError(
            f"layers names {asked}, but {folder} has {count} layers. Use 0 to {count}, last, mean or learned."
        )
    return family, config
