"""Stateless random numbers, as in JAX: each number is a hash of a key and of its position.

Every network has its own key. A network therefore gets the same numbers whether it is trained alone or in a batch with
others, and on every device.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

_ROW, _POSITION = 0x9E3779B1, 0x85EBCA77
"""Odd multipliers (golden ratio and xxHash's), which give neighbouring positions very different bits to hash."""


def keys_from_seeds(seeds: Sequence[int], device: torch.device) -> torch.Tensor:
    """Return keys (M,) int32 for the seeds of M networks."""
    return _hash(torch.tensor(list(seeds), dtype=torch.int32, device=device) ^ 0x5EED)


def fold_in(key: torch.Tensor, number: int | torch.Tensor) -> torch.Tensor:
    """Return a new key for each key (any shape, int32) and a number, such as the number of a step.

    A tensor of numbers is broadcast with the keys: `fold_in(keys[:, None], clips)` gives each clip its own key.
    """
    if isinstance(number, torch.Tensor):
        return _hash(_hash(key) ^ (number.to(torch.int32) * _as_int32(_ROW)))
    return _hash(_hash(key) ^ _as_int32(number * _ROW))


def random_bits(key: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Return random int32 numbers of a shape (B, ...) for a key of one element.

    A number depends on its row and on its position in the flattened row. Padding at the end of a row changes nothing.
    """
    rows, rest = shape[0], shape[1:].numel()
    row = torch.arange(rows, dtype=torch.int32, device=key.device) * _as_int32(_ROW)
    position = torch.arange(rest, dtype=torch.int32, device=key.device) * _as_int32(_POSITION)
    return _hash((row[:, None] + position) ^ key).view(shape)


def uniform(key: torch.Tensor, *shape: int) -> torch.Tensor:
    """Return float32 numbers (..., *shape) in [0, 1) for keys (...); each key has its own numbers."""
    bits = distinct_bits(key, torch.Size(shape).numel())
    return (_logical_right_shift(bits, 8).float() / 2**24).view(*key.shape, *shape)


def distinct_bits(key: torch.Tensor, count: int) -> torch.Tensor:
    """Return random int32 numbers (..., count) for keys (...); the numbers of one key are all different.

    A number depends on its key and its position, not on `count`.
    """
    # An odd factor, an exclusive or and the hash are one to one, so different positions have different numbers.
    position = torch.arange(count, dtype=torch.int32, device=key.device) * _as_int32(_POSITION)
    return _hash(position ^ key[..., None])


def bernoulli(key: torch.Tensor, rate: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Return bool values of a shape (B, ...), each True with probability `rate`."""
    threshold = (rate.double() * 2**32 - 2**31).clamp(max=2**31 - 1).to(torch.int32)
    return random_bits(key, shape) < threshold


class Dropout(nn.Module):
    """Dropout that uses the network's own key if `keyed` is set, and torch's generator otherwise."""

    def __init__(self, rate: float) -> None:
        """In training, set values to zero with probability `rate`."""
        super().__init__()
        self.keyed, self.active, self._plain_rate = False, rate > 0, float(rate)
        self.register_buffer("rate", torch.tensor(float(rate)), persistent=False)
        self.register_buffer("key", torch.zeros((), dtype=torch.int32), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x (B, ...) with some values set to zero and the others scaled up, so that the mean stays the same."""
        if not self.training or not self.active:
            return x
        if not self.keyed:
            return F.dropout(x, self._plain_rate, training=True)
        return torch.where(bernoulli(self.key, self.rate, x.shape), 0.0, x / (1 - self.rate))


def _hash(bits: torch.Tensor) -> torch.Tensor:
    """Scramble int32 numbers, one to one (the 32-bit hash `lowbias32` of C. Wellons, public domain)."""
    bits = (bits ^ _logical_right_shift(bits, 16)) * _as_int32(0x21F0AAAD)
    bits = (bits ^ _logical_right_shift(bits, 15)) * _as_int32(0xD35A2D97)
    return bits ^ _logical_right_shift(bits, 15)


def _logical_right_shift(x: torch.Tensor, by: int) -> torch.Tensor:
    """Shift signed int32 numbers right, with zeros from the left."""
    return (x >> by) & ((1 << (32 - by)) - 1)


def _as_int32(value: int) -> int:
    """Return the int32 that has the same bits as an unsigned 32-bit number."""
    value &= 0xFFFFFFFF
    return value - 2**32 if value >= 2**31 else value
