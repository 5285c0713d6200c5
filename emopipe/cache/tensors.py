"""Weights on disk: safetensors are written; they and torch's state dicts are read, if they fit exactly.

What is written carries a seal: a digest of metadata and tensors, compared whenever the file is read.
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

from emopipe.cache.metadata import METADATA, SEAL, UNREADABLE, read_sealed, unfit, unreadable
from emopipe.core.atomic import replacing
from emopipe.core.errors import WeightsError
from emopipe.core.fingerprint import digest

State = dict[str, torch.Tensor]
Adapt = Callable[[State], State]
"""A published state dict -> the same tensors by the network's own keys and shapes; its own pass unchanged."""

HEAD = "emotion_head."
"""Before the keys of the classifier that emotion pretraining puts on a network; features have no use for it."""

_WRAPPERS = ("state_dict", "model")  # under which training scripts keep the network beside what else they keep
_PARALLEL = "module."  # before every key of a network that was saved inside DataParallel
_COUNTER = "num_batches_tracked"  # old torch files lack it, and no network here computes with it


def load_strict(module: nn.Module, path: Path | str, head: Sequence[str] = (), adapt: Adapt | None = None) -> None:
    """Load a state dict into a network; every key and shape has to match.

    Args:
        module: The network, changed in place.
        path: A .safetensors file, or a torch file: a state dict, or one under `state_dict` or `model`, where what
            lies beside it is left out. A `module.` before every key is taken off.
        head: Prefixes of keys that are left out, as published weights carry a classifier (`Spec.head`).
        adapt: What makes the keys and shapes that are left the network's own, where they are published otherwise.

    Raises:
        WeightsError: The file is missing, unreadable, holds more than tensors, or is of another network.
        DamagedCacheError: It is unreadable and the workflow's own, in the cache.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(
            f"The weights {path} of {type(module).__name__} are missing; put a .safetensors or .pth state "
            "dict of that network there (download it from its authors, or let the pretrain stage write "
            "one), or correct `weights`."
        )
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
    """Write a network's state dict as safetensors; see `save_state`."""
    save_state(module.state_dict(), path, metadata)


def save_state(state: Mapping[str, torch.Tensor], path: Path | str, metadata: Mapping[str, str]) -> None:
    """Write tensors as safetensors; the file appears whole or not at all, equal content as equal bytes.

    Args:
        state: Key -> tensor.
        path: Where to; a file there is replaced.
        metadata: What made it, as `read_metadata` gives it back.
    """
    on_cpu = {key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}
    sealed = {**metadata, SEAL: _seal(on_cpu, metadata)}
    with replacing(Path(path)) as unfinished:
        unfinished.write_bytes(to_bytes(on_cpu, {METADATA: json.dumps(sealed, sort_keys=True)}))


def read(path: Path | str, *, sealed: bool = False) -> tuple[State, dict[str, str]]:
    """Tensors and metadata of a safetensors file, compared with its seal.

    Args:
        path: The file.
        sealed: It has to carry a seal; that of another program need not.

    Raises:
        WeightsError: They cannot be read, or are not what was written.
        DamagedCacheError: The same, of a file in the cache.
    """
    try:
        return read_whole(path, sealed=sealed)
    except UNREADABLE as error:
        raise unfit(path, error) from error


def read_whole(path: Path | str, *, sealed: bool) -> tuple[State, dict[str, str]]:
    """The same, whose faults (UNREADABLE) are raised as they come."""
    tensors, (metadata, seal) = load_file(path), read_sealed(path)
    if sealed and not seal:
        raise ValueError("it carries no digest of its content")
    if seal and seal != _seal(tensors, metadata):
        raise ValueError("its content is not what was written")
    return tensors, metadata


def _seal(tensors: State, metadata: Mapping[str, str]) -> str:
    """Digest of what a file holds, whatever the order of keys."""
    whole = hashlib.sha256(digest(dict(metadata)).encode())
    for key in sorted(tensors):
        tensor = tensors[key]
        whole.update(digest([key, str(tensor.dtype), list(tensor.shape)]).encode())
        whole.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return whole.hexdigest()


def _read_torch(path: Path) -> State:
    """A torch file, without running what it may hold: weights_only refuses all but plain data."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"The weights {path} hold more than tensors and are not opened, as such a file can run any "
            "code; save the network's state_dict() alone, best as .safetensors."
        ) from error
    except (RuntimeError, EOFError, ValueError, OSError) as error:
        raise WeightsError(unreadable(path, error)) from error
    state = _unwrapped(state)
    entries = state.items() if isinstance(state, Mapping) else [("the whole file", state)]
    strays = [key for key, value in entries if not (isinstance(key, str) and isinstance(value, torch.Tensor))]
    if strays:
        raise WeightsError(
            f"The weights {path} are no plain state dict: {strays[0]} is no named tensor; save the network's "
            "state_dict() alone, best as .safetensors."
        )
    return dict(state)


def _unwrapped(content: Any) -> Any:
    """The state dict in what a training script saved, or the content itself."""
    inner = [content[key] for key in _WRAPPERS if key in content] if isinstance(content, Mapping) else []
    return next((part for part in inner if isinstance(part, Mapping)), content)


def _adapted(state: State, adapt: Adapt, path: Path) -> State:
    """The state dict by the network's keys, of which two may not become one."""
    adapted = adapt(state)
    if len(adapted) < len(state):
        raise WeightsError(
            f"The weights {path} hold {len(state)} tensors for {len(adapted)} places of the network, some of them "
            "under two spellings; use a file that keeps to one."
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
            f"The weights {path} are not of this {type(module).__name__}: {'; '.join(faults)}; use weights "
            "of this network with these options."
        )
