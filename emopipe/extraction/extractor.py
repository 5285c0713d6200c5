"""A backbone with its weights. After pretraining by folds, each clip goes through a network not trained on it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from emopipe.backbones import crossfit, registry
from emopipe.backbones.crossfit import ALL
from emopipe.backbones.feature_alignment import apply_map
from emopipe.backbones.memory_format import memory_format_of
from emopipe.core.log import LOGGER
from emopipe.core.options import Options
from emopipe.runtime.device import name_of as device_name
from emopipe.runtime.device import out_of_memory

Embed = Callable[[np.ndarray], np.ndarray]
"""A batch of the network's inputs -> its vectors."""


class Extractor:
    """A backbone. If it was trained on this corpus, it has one network for each fold and one for all clips."""

    def __init__(
        self,
        kind: str,
        options: Options,
        *,
        weights: str | None,
        pretrained: Path | None,
        torch_device: torch.device,
        device: str,
        threads: int,
    ) -> None:
        """Build the networks and load their weights.

        Args:
            kind: The kind of backbone.
            options: Its options.
            weights: A file of weights, or None.
            pretrained: The file of the pretrain stage, or None.
            torch_device: Where torch networks run.
            device: Where other networks run: auto, cpu or cuda.
            threads: CPU threads of other networks.

        Raises:
            WeightsError: Weights are missing or belong to another network.
            DeviceError: The device does not exist.
        """
        self.spec = registry.spec(kind, options)
        self._torch_device = torch_device
        self._max_batch = sys.maxsize
        self._crossfit = crossfit.load(pretrained) if pretrained else None
        self.device = device_name(torch_device)
        if not registry.trainable(kind):
            self._whole: Any = registry.build(kind, options, device=device, threads=threads)
            self._embed: dict[int, Embed] = {ALL: self._whole}
            self.device = self._whole.device
            return
        states = {ALL: self._crossfit.full, **dict(enumerate(self._crossfit.folds))} if self._crossfit else {ALL: None}
        modules = {fold: self._network(kind, options, state, weights) for fold, state in states.items()}
        self._whole = modules[ALL]
        self._embed = {fold: self._runner(fold, module) for fold, module in modules.items()}

    def fold_of(self, clip: str) -> int:
        """Return the fold whose network was not trained on this clip; ALL if none was trained on it."""
        return self._crossfit.fold_of.get(clip, ALL) if self._crossfit else ALL

    def embed(self, fold: int, batch: np.ndarray) -> np.ndarray:
        """Return the vectors of a batch, with the vectors of a fold's network mapped onto those of the network for all.

        If the device's memory is too small, the batch size is halved from here on, and a warning reports this.

        Args:
            fold: Which network, see `fold_of`.
            batch: (N, ...) inputs of the network.

        Returns:
            (N, D) or (N, T', D) float32.
        """
        parts = [batch[start : start + self._max_batch] for start in range(0, max(1, len(batch)), self._max_batch)]
        try:
            return np.concatenate([self._embed[fold](part) for part in parts])
        except Exception as error:
            size = max(map(len, parts), default=0)
            if size < 2 or not out_of_memory(error):
                raise
        torch.cuda.empty_cache()  # outside of the handler, whose traceback keeps tensors alive
        self._max_batch = size // 2
        LOGGER.warning(
            f"The memory of {self.device} is too small for a batch of {size}. The batch size is now {self._max_batch}."
        )
        return self.embed(fold, batch)

    def patch_times(self, length: int) -> np.ndarray:
        """Return the times (T',) in seconds of an audio network's patches; `length` counts frames, or samples."""
        return self._whole.patch_times(length).numpy()

    def _network(self, kind: str, options: Options, state: crossfit.State | None, weights: str | None) -> nn.Module:
        # A network without weights is random, but the same in each shard and run.
        torch.manual_seed(0)
        module = registry.build(kind, options)
        if state is not None:
            module.load_state_dict(state, strict=True)
        elif weights:
            registry.load(kind, options, module, weights)
        return module.to(self._torch_device, memory_format=memory_format_of(module)).eval()

    def _runner(self, fold: int, module: nn.Module) -> Embed:
        axes = None if fold == ALL else self._crossfit.alignments[fold]

        def embed(batch: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                vectors = module(torch.from_numpy(batch).to(self._torch_device)).float().cpu().numpy()
            return vectors if axes is None else apply_map(vectors, axes)

        return embed
