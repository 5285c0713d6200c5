"""Randomness that belongs to a network, not to the process: the same numbers whoever is trained beside it.

A number is a hash of a key and of where it stands. Networks that are trained as one batch have a key each, so each
gets exactly the numbers that it would get alone, on any device.
"""

import torch
import torch.nn.functional as F
from torch import nn

_ROW, _PLACE = 0x9E3779B1, 0x85EBCA77
"""Odd multipliers (golden ratio and xxHash's) that spread neighbouring places apart before they are mixed."""


def mix(bits: torch.Tensor) -> torch.Tensor:
    """Scramble int32, one to one (the 32-bit mixer `lowbias32` of C. Wellons, public domain)."""
    bits = (bits ^ _shift(bits, 16)) * _wrapped(0x21F0AAAD)
    bits = (bits ^ _shift(bits, 15)) * _wrapped(0xD35A2D97)
    return bits ^ _shift(bits, 15)


def key_of(key: torch.Tensor, number: int) -> torch.Tensor:
    """A key (any shape, int32) of its own for the `number`-th use of another."""
    return mix(mix(key) ^ _wrapped(number * _ROW))


def bits(key: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Random int32 of a shape (B, ...), for a key of one element.

    What a row gets depends on its place in the flattened row alone, so padding at a row's end changes nothing.
    """
    rows, rest = shape[0], shape[1:].numel()
    row = torch.arange(rows, dtype=torch.int32, device=key.device) * _wrapped(_ROW)
    place = torch.arange(rest, dtype=torch.int32, device=key.device) * _wrapped(_PLACE)
    return mix((row[:, None] + place) ^ key).view(shape)


def uniform(key: torch.Tensor, *shape: int) -> torch.Tensor:
    """Numbers in [0, 1), float32: for keys (M,) of the shape (M, *shape), each key's own."""
    size = torch.Size(shape).numel()
    place = torch.arange(size, dtype=torch.int32, device=key.device) * _wrapped(_PLACE)
    mixed = mix(place ^ key[:, None])
    return (_shift(mixed, 8).float() / 2**24).view(len(key), *shape)


class Dropout(nn.Module):
    """Dropout by torch's generator or, where `keyed`, by the network's own key; rate and key are buffers."""

    def __init__(self, rate: float) -> None:
        """Drop values with chance `rate`, in training."""
        super().__init__()
        self.keyed, self.used, self._plain_rate = False, rate > 0, float(rate)
        self.register_buffer("rate", torch.tensor(float(rate)), persistent=False)
        self.register_buffer("key", torch.zeros((), dtype=torch.int32), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (B, ...) with some values zero and the others scaled up, so that the mean stays."""
        if not self.training or not self.used:
            return x
        if not self.keyed:
            return F.dropout(x, self._plain_rate, training=True)
        return torch.where(chance(self.key, self.rate, x.shape), 0.0, x / (1 - self.rate))


def chance(key: torch.Tensor, rate: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """True with the given chance, for every element of a shape (B, ...)."""
    threshold = (rate.double() * 2**32 - 2**31).clamp(max=2**31 - 1).to(torch.int32)
    return bits(key, shape) < threshold


def _shift(x: torch.Tensor, by: int) -> torch.Tensor:
    """x >> by with zeros from the left, though int32 is signed."""
    return (x >> by) & ((1 << (32 - by)) - 1)


def _wrapped(value: int) -> int:
    """An unsigned 32-bit constant as the int32 with the same bits."""
    value &= 0xFFFFFFFF
    return value - 2**32 if value >= 2**31 else value
