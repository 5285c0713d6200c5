"""A backbone with its weights and head. After pretraining by folds, a clip goes through a network not trained on it."""

import contextlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from emopipe.backbones import crossfit, registry
from emopipe.backbones.classifier import Head, read_head
from emopipe.backbones.crossfit import ALL
from emopipe.backbones.feature_alignment import apply_map
from emopipe.backbones.for_inference import for_inference
from emopipe.core.labels import CLASSES
from emopipe.core.options import Options
from emopipe.runtime.device import current, upload
from emopipe.runtime.device import name_of as device_name
from emopipe.runtime.memory import AdaptiveBatches

Embedded = dict[str, np.ndarray]
"""What a network gives for N inputs: `x`, vectors (N, D) or (N, T', D) float32; and, if it has a head, `logp`, the
head's log-probabilities (N, K) or (N, T', K) float32."""

Embed = Callable[[np.ndarray], Embedded]
"""A batch of the network's inputs -> what it gives."""


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
        precision: str = "float32",
        by_fold: bool = True,
        wanted: Sequence[str] = CLASSES,
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
            precision: What networks of torch compute with: float32, or bfloat16 for the operations
                that torch's autocast computes in it.
            by_fold: Whether the clips of the corpus go through the networks of their folds. Clips that are new go
                through the network for all, whatever their names are.
            wanted: The classes that its head is used for; see `emopipe.backbones.classifier.Head.of`.

        Raises:
            WeightsError: Weights are missing or belong to another network.
            DeviceError: The device does not exist.
        """
        self.spec = registry.spec(kind, options)
        self._torch_device, self._precision, self._wanted = torch_device, precision, wanted
        # A GPU computes one batch at a time; meanwhile other threads read the next ones and queue their copies.
        self._turn = threading.Lock() if torch_device.type == "cuda" else contextlib.nullcontext()
        self._crossfit = crossfit.load(pretrained) if pretrained else None
        self.device = device_name(torch_device)
        self.head: Head | None = None
        """The head of the network for all clips; None if it has none."""
        if registry.trainable(kind):
            folds = range(len(self._crossfit.folds)) if self._crossfit and by_fold else ()
            modules = {fold: self._network(kind, options, fold, weights) for fold in (ALL, *folds)}
            self._whole: Any = modules[ALL]
            self.head = self._head(ALL, weights)
            self._embed: dict[int, Embed] = {
                fold: self._runner(fold, module, self._head(fold, weights)) for fold, module in modules.items()
            }
        else:
            self._whole = registry.build(kind, options, device=device, threads=threads)
            self._embed = {ALL: lambda batch: {"x": self._whole(batch)}}
            self.device = self._whole.device
        self._fold_of = self._crossfit.fold_of if self._crossfit and by_fold else {}
        self._batches = AdaptiveBatches(self.device)

    def fold_of(self, clip: str) -> int:
        """Return the fold whose network was not trained on this clip; ALL if none was trained on it."""
        return self._fold_of.get(clip, ALL)

    def embed(self, fold: int, batch: np.ndarray) -> Embedded:
        """Return the vectors of a batch, with the vectors of a fold's network mapped onto those of the network for all.

        The log-probabilities are those of the fold's own head, of the vectors before they are mapped. If the device's
        memory is too small, the batch size is halved from here on, and a warning reports this.

        Args:
            fold: Which network, see `fold_of`.
            batch: (N, ...) inputs of the network.

        Returns:
            See `Embedded`; `logp` is there if the network has a head.
        """
        parts = self._batches.map(self._embed[fold], batch)
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def patch_times(self, length: int) -> np.ndarray:
        """Return the times (T',) in seconds of an audio network's patches; `length` counts frames, or samples."""
        return self._whole.patch_times(length).numpy()

    def _network(self, kind: str, options: Options, fold: int, weights: str | None) -> nn.Module:
        # A network without weights is random, but the same in each shard and run.
        torch.manual_seed(0)
        module = registry.build(kind, options)
        if self._crossfit:
            module.load_state_dict(self._crossfit.network(fold), strict=True)
        elif weights:
            registry.load(kind, options, module, weights)
        return for_inference(module, self._torch_device)

    def _head(self, fold: int, weights: str | None) -> Head | None:
        if self._crossfit is None and weights is None:
            return None
        head = self._crossfit.head(fold, self._wanted) if self._crossfit else read_head(weights, self._wanted)
        return head and head.to(self._torch_device)

    def _runner(self, fold: int, module: nn.Module, head: Head | None) -> Embed:
        axes = None if fold == ALL else self._crossfit.alignments[fold]

        @torch.inference_mode()
        def embed(batch: np.ndarray) -> Embedded:
            with current(self._torch_device):
                inputs = upload(torch.from_numpy(batch), self._torch_device)
            with self._turn:
                with torch.autocast(self._torch_device.type, torch.bfloat16, enabled=self._precision == "bfloat16"):
                    vectors = module(inputs)
                vectors = vectors.float()
                found = {} if head is None else {"logp": head.log_probabilities(vectors).cpu().numpy()}
                x = vectors.cpu().numpy()
            return {"x": x if axes is None else apply_map(x, axes), **found}

        return embed
