"""Keeps the vectors of inputs that come again: windows that overlap share most of their faces."""

import hashlib
from collections import OrderedDict

import numpy as np

from emopipe.extraction.extractor import Embedded, Extractor

MOST_KEPT = 4096
"""How many vectors are kept at most; the ones that were used least recently are dropped."""


class RememberingExtractor:
    """An extractor that computes each input once, as long as it is remembered."""

    def __init__(self, network: Extractor) -> None:
        """Take the extractor."""
        self._network = network
        self._kept: OrderedDict[bytes, Embedded] = OrderedDict()
        self.spec, self.head, self.device = network.spec, network.head, network.device
        self.fold_of = network.fold_of
        self.patch_times = network.patch_times

    def embed(self, fold: int, batch: np.ndarray) -> Embedded:
        """Return the vectors of a batch (N, ...); see `Extractor.embed`."""
        keys = [hashlib.blake2b(np.ascontiguousarray(one), digest_size=16).digest() for one in batch]
        new = {key: number for number, key in enumerate(keys) if key not in self._kept}
        if new:
            made = self._network.embed(fold, batch[list(new.values())])
            self._kept |= {key: {name: rows[n] for name, rows in made.items()} for n, key in enumerate(new)}
        for key in keys:
            self._kept.move_to_end(key)
        if not keys:
            return self._network.embed(fold, batch)
        kept = [self._kept[key] for key in keys]
        found = {name: np.stack([each[name] for each in kept]) for name in kept[0]}
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return found
