"""A backbone ready to extract: built, weights loaded, and each training clip sent to the network that never saw it."""

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
"""A batch as the network takes it in -> its vectors, as arrays."""


class Extractor:
    """One backbone; where it was pretrained on this corpus, all its networks."""

    def __init__(
        self,
        kind: str,
        options: Options,
        *,
        weights: str | None,
        pretrained: Path | None,
        where: torch.device,
        device: str,
        threads: int,
    ) -> None:
        """Build and load: torch's networks run on `where`, others as `device` (auto, cpu or cuda) says.

        Raises:
            WeightsError: Weights are missing or of another network.
            DeviceError: The device is not there.
        """
        self.spec = registry.spec(kind, options)
        self._where = where
        self._most = sys.maxsize
        self._learned = crossfit.load(pretrained) if pretrained else None
        self.device = device_name(where)
        if not registry.trainable(kind):
            self._whole: Any = registry.build(kind, options, device=device, threads=threads)
            self._embed: dict[int, Embed] = {ALL: self._whole}
            self.device = self._whole.device
            return
        states = {ALL: self._learned.full, **dict(enumerate(self._learned.folds))} if self._learned else {ALL: None}
        modules = {fold: self._network(kind, options, state, weights) for fold, state in states.items()}
        self._whole = modules[ALL]
        self._embed = {fold: self._runner(fold, module) for fold, module in modules.items()}

    def fold_of(self, clip: str) -> int:
        """The fold whose network extracts this clip; ALL where it was in no network's training."""
        return self._learned.fold_of.get(clip, ALL) if self._learned else ALL

    def embed(self, fold: int, batch: np.ndarray) -> np.ndarray:
        """(N, ...) as the network takes it in -> (N, D) or (N, T', D) float32, on common axes.

        Where the device's memory is too small, the batch is halved, for what follows too, and this is said.
        """
        parts = [batch[start : start + self._most] for start in range(0, max(1, len(batch)), self._most)]
        try:
            return np.concatenate([self._embed[fold](part) for part in parts])
        except Exception as error:
            most = max(map(len, parts), default=0)
            if most < 2 or not out_of_memory(error):
                raise
        torch.cuda.empty_cache()  # out of the handler, whose traceback holds on to tensors
        self._most = most // 2
        LOGGER.warning(f"The memory of {self.device} is too small for {most} at once; going on with {self._most}.")
        return self.embed(fold, batch)

    def patch_times(self, length: int) -> np.ndarray:
        """Of an audio network: seconds (T',) at which the patches of so many frames, or samples of a wave, are."""
        return self._whole.patch_times(length).numpy()

    def _network(self, kind: str, options: Options, state: crossfit.State | None, weights: str | None) -> nn.Module:
        # Without any weights a network is random, yet the same in every shard and run.
        torch.manual_seed(0)
        module = registry.build(kind, options)
        if state is not None:
            module.load_state_dict(state, strict=True)
        elif weights:
            registry.load(kind, options, module, weights)
        return module.to(self._where, memory_format=memory_format_of(module)).eval()

    def _runner(self, fold: int, module: nn.Module) -> Embed:
        axes = None if fold == ALL else self._learned.alignments[fold]

        def embed(batch: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                vectors = module(torch.from_numpy(batch).to(self._where)).float().cpu().numpy()
            return vectors if axes is None else apply_map(vectors, axes)

        return embed
