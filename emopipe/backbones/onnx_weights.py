"""The weights in an ONNX file, for a network of torch with the same convolutions. Nothing in the file is run."""

from collections.abc import Sequence
from pathlib import Path

import onnx
import torch
from google.protobuf.message import DecodeError
from onnx import numpy_helper

from emopipe.core.errors import WeightsError


def convolutions(path: Path, names: Sequence[str]) -> dict[str, torch.Tensor]:
    """Return the weights and biases of a graph's convolutions, exactly as they are stored.

    Args:
        path: The ONNX file. Files that it refers to are not opened.
        names: The names of the convolutions of torch's network, in the order of the graph.

    Returns:
        `<name>.weight` and `<name>.bias` for each name.

    Raises:
        WeightsError: The file is not an ONNX network, or its convolutions are others.
    """
    try:
        graph = onnx.load(path, load_external_data=False).graph
    except (DecodeError, OSError) as error:
        raise WeightsError(
            f"The weights {path} cannot be read as an ONNX network ({error}). Download or export the file again."
        ) from error
    found = {tensor.name: tensor for tensor in graph.initializer if not tensor.external_data}
    nodes = [node for node in graph.node if node.op_type == "Conv" and len(node.input) == 3]
    nodes = [node for node in nodes if set(node.input[1:]) <= set(found)]
    if len(nodes) != len(names):
        raise WeightsError(
            f"The weights {path} hold {len(nodes)} convolutions with weights and biases, but this network has "
            f"{len(names)}. Use a file of this network."
        )
    state = {}
    for name, node in zip(names, nodes, strict=True):
        weight, bias = (torch.from_numpy(numpy_helper.to_array(found[key]).copy()) for key in node.input[1:])
        state |= {f"{name}.weight": weight, f"{name}.bias": bias}
    return state
