"""Weights on disk: writes safetensors, and reads them and torch's state dicts if every key and shape matches.

Written files carry a seal: a digest of metadata and tensors, compared at each reading.
"""

import hashlib
import json
import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import nn

from emopipe.cache.metadata import HEAD, METADATA, SEAL, UNREADABLE, read_sealed, unfit, unreadable
from emopipe.core.atomic import replacing
from emopipe.core.errors import WeightsError
from emopipe.core.fingerprint import digest
from emopipe.core.memory import is_out_of_memory

State = dict[str, torch.Tensor]
ReadOnnx = Callable[[Path], State]
"""An ONNX file -> its weights under the network's own keys."""
Adapt = Callable[[State], State]
"""Published state dict -> the same tensors under the network's own keys and shapes. Its own keys pass unchanged."""

_WRAPPERS = ("state_dict", "model")  # under which training scripts keep the network beside what else they keep
_PARALLEL = "module."  # before every key of a network that was saved inside DataParallel
_COUNTER = "num_batches_tracked"  # old torch files lack it, and no network here computes with it


def load_strict(
    module: nn.Module,
    path: Path | str,
    head: Sequence[str] = (),
    adapt: Adapt | None = None,
    read_onnx: ReadOnnx | None = None,
) -> None:
    """Load a state dict into a network; every key and shape must match.

    Args:
        module: The network, changed in place.
        path: A .safetensors file, or a torch file: a state dict, or one under `state_dict` or `model`, where what
            is beside it is ignored. A `module.` before every key is removed.
        head: Prefixes of keys to ignore: the classifier of published weights (`Spec.head`).
        adapt: Converts published keys and shapes to the network's own.
        read_onnx: Reads a file that ends in .onnx, for networks that are published as such.

    Raises:
        WeightsError: The file is missing or unreadable, holds more than tensors, or belongs to another network.
        DamagedCacheError: A file in the cache is unreadable.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(
            f"The weights {path} of {type(module).__name__} do not exist. Put a .safetensors or .pth state dict of "
            "that network there (from its authors, or made by the pretrain stage), or correct `weights`."
        )
    if path.suffix == ".onnx":
        state = _read_published(path, read_onnx, type(module).__name__)
    else:
        state = read(path)[0] if path.suffix == ".safetensors" else _read_torch(path)
    if all(key.startswith(_PARALLEL) for key in state):
        state = {key.removeprefix(_PARALLEL): tensor for key, tensor in state.items()}
    state = {key: tensor for key, tensor in state.items() if not key.startswith((HEAD, *head))}
    if adapt is not None:
        state = _adapted(state, adapt, path)
    _refuse_other(module, state, path)
    counters = {key: tensor for key, tensor in module.state_dict().items() if key.endswith(_COUNTER)}
    module.load_state_dict({**counters, **state}, strict=True)


def save(module: nn.Module, path: Path | str, metadata: Mapping[str, str]) -> None:
    """Write a network's state dict as safetensors (see `save_state`)."""
    save_state(module.state_dict(), path, metadata)


def save_state(state: Mapping[str, torch.Tensor], path: Path | str, metadata: Mapping[str, str]) -> None:
    """Write tensors as safetensors. The file appears whole or not at all; equal content gives equal bytes.

    Args:
        state: Key -> tensor.
        path: The file; an existing one is replaced.
        metadata: What made it; `read_metadata` reads it.
    """
    on_cpu = {key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}
    sealed = {**metadata, SEAL: _seal(on_cpu, metadata)}
    with replacing(Path(path)) as unfinished:
        unfinished.write_bytes(to_bytes(on_cpu, {METADATA: json.dumps(sealed, sort_keys=True)}))


def read(path: Path | str, *, sealed: bool = False) -> tuple[State, dict[str, str]]:
    """Return the tensors and metadata of a safetensors file, compared with its seal.

    Args:
        path: The file.
        sealed: Whether the file must carry a seal. Files of other programs have none.

    Raises:
        WeightsError: The file cannot be read, or does not hold what was written.
        DamagedCacheError: The same, for a file in the cache.
    """
    try:
        return read_whole(path, sealed=sealed)
    except UNREADABLE as error:
        raise unfit(path, error) from error


def read_whole(path: Path | str, *, sealed: bool) -> tuple[State, dict[str, str]]:
    """Do the same as `read`, but do not convert errors (UNREADABLE)."""
    metadata, seal = read_sealed(path)
    tensors = load_file(path)
    if sealed and not seal:
        raise ValueError("it has no digest of its content")
    if seal and seal != _seal(tensors, metadata):
        raise ValueError("its content is not what was written")
    return tensors, metadata


def _seal(tensors: State, metadata: Mapping[str, str]) -> str:
    """Return the digest of a file's content; the order of keys does not matter."""
    whole = hashlib.sha256(digest(dict(metadata)).encode())
    for key in sorted(tensors):
        tensor = tensors[key]
        whole.update(digest([key, str(tensor.dtype), list(tensor.shape)]).encode())
        whole.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return whole.hexdigest()


def _read_published(path: Path, read_onnx: ReadOnnx | None, network: str) -> State:
    if read_onnx is None:
        raise WeightsError(
            f"The weights {path} are an ONNX network, but {network} reads a state dict. Use `kind: onnx` for this "
            "file, or a .safetensors or .pth file of the network."
        )
    return read_onnx(path)


def _read_torch(path: Path) -> State:
    """Read a torch file without running code in it: weights_only refuses everything except plain data."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"The weights {path} hold more than tensors. Such a file can run any code, so it is not opened. Save the "
            "network's state_dict() alone, best as .safetensors."
        ) from error
    except (RuntimeError, EOFError, ValueError, OSError) as error:
        if is_out_of_memory(error):
            raise
        raise WeightsError(unreadable(path, error)) from error
    state = _unwrapped(state)
    entries = state.items() if isinstance(state, Mapping) else [("the whole file", state)]
    strays = [key for key, value in entries if not (isinstance(key, str) and isinstance(value, torch.Tensor))]
    if strays:
        raise WeightsError(
            f"The weights {path} are not a plain state dict: {strays[0]} is not a named tensor. Save the network's "
            "state_dict() alone, best as .safetensors."
        )
    return dict(state)


def _unwrapped(content: Any) -> Any:
    """Return the state dict inside what a training script saved, or else the content itself."""
    inner = [content[key] for key in _WRAPPERS if key in content] if isinstance(content, Mapping) else []
    return next((part for part in inner if isinstance(part, Mapping)), content)


def _adapted(state: State, adapt: Adapt, path: Path) -> State:
    """Return the state dict under the network's keys. Two keys must not get the same name."""
    adapted = adapt(state)
    if len(adapted) < len(state):
        raise WeightsError(
            f"The weights {path} hold {len(state)} tensors for {len(adapted)} keys of the network: some keys occur in "
            "two spellings. Use a file with one spelling."
        )
    return adapted


def _refuse_other(module: nn.Module, state: State, path: Path) -> None:
    """Name the first key that is missing, unexpected or of another shape."""
    own = module.state_dict()
    missing = [key for key in own if key not in state and not key.endswith(_COUNTER)]
    unexpected = [key for key in state if key not in own]
    reshaped = [key for key in own if key in state and own[key].shape != state[key].shape]
    faults = []
    if missing:
        faults.append(f"{missing[0]} is missing ({len(missing)} in all)")
    if unexpected:
        faults.append(f"{unexpected[0]} is unexpected ({len(unexpected)} in all)")
    if reshaped:
        key = reshaped[0]
        shapes = f"{tuple(state[key].shape)} instead of {tuple(own[key].shape)}"
        faults.append(f"{key} has the shape {shapes} ({len(reshaped)} in all)")
    if faults:
        raise WeightsError(
            f"The weights {path} do not belong to this {type(module).__name__}: {'; '.join(faults)}. Use weights of "
            "this network with these options."
        )
