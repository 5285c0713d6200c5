"""A folder of a trained network as transformers saves it: where it is, what is in it, and loading its weights.

Nothing is downloaded, only safetensors files are read, and no code of the folder is run.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from emopipe.backbones.torch_types import Module
from emopipe.core.errors import WeightsError
from emopipe.core.memory import is_out_of_memory

_UNUSED = "masked_spec_embed"  # replaces masked frames in training only; some files lack it


def find(source: str) -> Path:
    """Return the folder itself, or the folder of an id's files in the local Hugging Face cache.

    Raises:
        WeightsError: There is neither.
    """
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


def read_json(folder: Path, name: str, model: type[BaseModel]) -> Any:
    """Read a file of the folder, with the fields of `model`.

    Raises:
        WeightsError: The file is missing or invalid.
    """
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


def weight_files(folder: Path, source: str) -> list[Path]:
    """Return model.safetensors, or model.safetensors.index.json and the files that it lists.

    Raises:
        WeightsError: A file is missing, or the index is invalid.
    """
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


def load_model(auto: Any, folder: Path, key_mapping: Mapping[str, str] | None = None) -> Module:
    """Load the network, and refuse missing weights, which transformers itself initialises at random.

    Args:
        auto: A class of transformers with `from_pretrained`.
        folder: The folder.
        key_mapping: Regular expression -> what replaces it in the names of tensors. Default: names stay.

    Raises:
        WeightsError: The weights are damaged, or belong to another network.
    """
    import torch

    try:
        model, found = auto.from_pretrained(
            folder,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            dtype=torch.float32,
            output_loading_info=True,
            key_mapping=key_mapping and dict(key_mapping),
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
