"""A backbone with its weights. After pretraining by folds, each clip goes through a network not trained on it."""

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
from emopipe.core.options import Options
from emopipe.runtime.device import name_of as device_name
from emopipe.runtime.memory import AdaptiveBatches

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
        by_fold: bool = True,
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
            by_fold: Whether the clips of the corpus go through the networks of their folds. Clips that are new go
                through the network for all, whatever their names are.

        Raises:
            WeightsError: Weights are missing or belong to another network.
            DeviceError: The device does not exist.
        """
        self.spec = registry.spec(kind, options)
        self._torch_device = torch_device
        self._crossfit = crossfit.load(pretrained) if pretrained else None
        self.device = device_name(torch_device)
        if registry.trainable(kind):
            states: dict[int, crossfit.State | None] = {ALL: None}
            if self._crossfit:
                states = {ALL: self._crossfit.full, **dict(enumerate(self._crossfit.folds if by_fold else ()))}
            modules = {fold: self._network(kind, options, state, weights) for fold, state in states.items()}
            self._whole: Any = modules[ALL]
            self._embed: dict[int, Embed] = {fold: self._runner(fold, module) for fold, module in modules.items()}
        else:
            self._whole = registry.build(kind, options, device=device, threads=threads)
            self._embed = {ALL: self._whole}
            self.device = self._whole.device
        self._fold_of = self._crossfit.fold_of if self._crossfit and by_fold else {}
        self._batches = AdaptiveBatches(self.device)

    def fold_of(self, clip: str) -> int:
        """Return the fold whose network was not trained on this clip; ALL if none was trained on it."""
        return self._fold_of.get(clip, ALL)

    def embed(self, fold: int, batch: np.ndarray) -> np.ndarray:
        """Return the vectors of a batch, with the vectors of a fold's network mapped onto those of the network for all.

        If the device's memory is too small, the batch size is halved from here on, and a warning reports this.

        Args:
            fold: Which network, see `fold_of`.
            batch: (N, ...) inputs of the network.

        Returns:
            (N, D) or (N, T', D) float32.
        """
        return np.concatenate(self._batches.map(self._embed[fold], batch))

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
