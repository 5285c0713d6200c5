"""Backbones as ONNX: faces or sound, as the network takes them -> vectors and, with a head, log-probabilities."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from emopipe.backbones import registry
from emopipe.backbones.base import AudioInput, FaceInput, Spec
from emopipe.backbones.classifier import Head, read_head
from emopipe.backbones.for_inference import for_inference
from emopipe.backbones.mobilefacenet import STRIDE
from emopipe.backbones.nets.mobilefacenet import MobileFaceNet
from emopipe.core.labels import CLASSES
from emopipe.export.onnx_writing import NotExportedError, Port, write
from emopipe.inference.description import StreamBlock
from emopipe.inference.manifest import OnnxFile
from emopipe.media.spectrogram import LogMelOptions

FRAMES = (96, 163, 70)
"""Lengths of sound that are compared, in frames of a spectrogram; the shortest is stated in the manifest."""


class WithHead(nn.Module):
    """A backbone and its emotion head."""

    def __init__(self, network: nn.Module, head: Head | None) -> None:
        """`head`: None if the network has none."""
        super().__init__()
        self.network, self.head = network, head

    def forward(self, x: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Return vectors (N, D) or (N, T', D) and, with a head, log-probabilities (N, K) or (N, T', K)."""
        vectors = self.network(x)
        return vectors if self.head is None else (vectors, self.head.log_probabilities(vectors))


class OneBatch(nn.Module):
    """A MobileFaceNet for faces of one size. It reads large batches in parts, which tracing would make one part of."""

    def __init__(self, network: MobileFaceNet, size: int) -> None:
        """Resize the network's last filter, which it does itself for each batch.

        Its private functions are used, because other names in its module would make all of its features again.
        """
        super().__init__()
        self.network = network
        network.places.weight = nn.Parameter(network._places(size // STRIDE), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, size, size) -> (N, 128)."""
        return self.network._vectors(x)


def write_backbone(block: StreamBlock, weights: Path | None, path: Path, wanted: Sequence[str] = CLASSES) -> OnnxFile:
    """Write the network of a stream.

    Args:
        block: The stream.
        weights: Its file of weights.
        path: The file to write.
        wanted: The classes of the run, see `emopipe.backbones.classifier.Head.of`.

    Raises:
        NotExportedError: It is not a network of torch, its weights are not in the bundle, or ONNX differs from torch.
    """
    if not registry.trainable(block.kind):
        raise NotExportedError(f"it is not a network of torch (kind {block.kind}).")
    if weights is None:
        raise NotExportedError("the bundle does not hold its weights.")
    options = registry.options_class(block.kind).model_validate(block.options)
    torch.manual_seed(0)
    module = registry.build(block.kind, options)
    registry.load(block.kind, options, module, weights)
    spec = registry.spec(block.kind, options)
    module = for_inference(module, torch.device("cpu"))
    if block.kind == "mobilefacenet":
        module = OneBatch(module, spec.input.size)
    network = WithHead(module, read_head(weights, wanted)).eval()
    axes = ("batch",) if block.modality == "face" else ("batch", "vectors")
    outputs = [Port("x", "float32", (*axes, spec.dim))]
    outputs += [Port("logp", "float32", (*axes, len(network.head.classes)))] if network.head else []
    given, shapes = _input(spec)
    draws = torch.Generator().manual_seed(0)
    examples = [[torch.randn(shape, generator=draws)] for shape in shapes]
    about = _about(spec)
    if network.head and network.head.classes != CLASSES:
        about += f" of {', '.join(network.head.classes)}"
    return write(network, path, about, [given], outputs, examples)


def _input(spec: Spec) -> tuple[Port, list[tuple[int, ...]]]:
    """Return the network's input, and shapes of it to compare."""
    if isinstance(spec.input, FaceInput):
        shape = (spec.input.channels, spec.input.size, spec.input.size)
        return Port("faces", "float32", ("batch", *shape)), [(2, *shape), (20, *shape), (1, *shape)]
    if isinstance(spec.input, AudioInput):
        options = spec.input.options
        shape = (3, options.n_mels) if isinstance(options, LogMelOptions) else (1, options.bins)
        given = Port("spectrogram", "float32", ("batch", *shape, "frames"))
        return given, [(count, *shape, frames) for count, frames in zip((2, 1, 3), FRAMES, strict=True)]
    return Port("wave", "float32", ("batch", "samples")), [(2, 16_000), (1, 23_456), (3, 9000)]


def _about(spec: Spec) -> str:
    if isinstance(spec.input, FaceInput):
        return "faces, aligned and normalised as `emopipe.faces.crops.FaceInput` does -> vectors, log-probabilities"
    if isinstance(spec.input, AudioInput):
        least = f"of at least {min(FRAMES)} frames"
        return f"spectrograms of `emopipe.media.spectrogram`, {least} -> vectors, log-probabilities"
    return f"waves at {spec.input.rate} Hz -> vectors, log-probabilities"
