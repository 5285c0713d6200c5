"""Which hidden states of a network of transformers become vectors: one, the mean of several, or all beside one another.

Long clips go through a network in pieces that overlap.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

CHUNK_SECONDS = 30.0
"""Longer clips are split into pieces of this length, because the memory of attention grows with its square."""
CONTEXT_SECONDS = 2.0
"""Pieces overlap: vectors that are closer than this to a cut are dropped, and taken from the neighbouring piece."""

Layer = Annotated[int, Field(ge=0)]
Layers = Layer | Annotated[list[Layer], Field(min_length=1)] | Literal["last", "mean", "learned"]
"""A hidden state by its number, the mean of several, the last one, the mean of all, or all for learned weights."""


def numbers(layers: Layers, count: int) -> list[int]:
    """Return the numbers of the hidden states that are read, of a network with `count` layers and count + 1 states.

    >>> numbers("last", 4), numbers([1, 3], 4), numbers("learned", 2)
    ([4], [1, 3], [0, 1, 2])
    """
    if isinstance(layers, int):
        return [layers]
    if isinstance(layers, list):
        return layers
    return [count] if layers == "last" else list(range(count + 1))


def count_blocks(layers: Layers, count: int) -> int:
    """Return the number of states of which a vector consists: all with learned weights, otherwise 1."""
    return count + 1 if layers == "learned" else 1


def cuts(frames: int, core: int, context: int) -> Iterator[tuple[int, int, slice]]:
    """Yield the pieces of a clip: first vector, end, and which of the piece's vectors are kept.

    Args:
        frames: Number of vectors of the clip. One piece takes up to core + 2 context.
        core: Number of vectors that are kept of a piece.
        context: Number of vectors on either side of them that are dropped.

    >>> list(cuts(10, 4, 1))
    [(0, 5, slice(0, 4, None)), (3, 9, slice(1, 5, None)), (7, 10, slice(1, 3, None))]
    """
    if frames <= core + 2 * context:
        yield 0, frames, slice(frames)
        return
    for start in range(0, frames, core):
        end = min(start + core, frames)
        first = max(0, start - context)
        yield first, min(frames, end + context), slice(start - first, end - first)
