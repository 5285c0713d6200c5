"""The vectors of an ONNX network may be any of its tensors: an output, or one that lies inside, by its name."""

import difflib
from collections.abc import Mapping
from pathlib import Path

import onnx

from emopipe.core.errors import ConfigError, WeightsError

PENULTIMATE = "penultimate"
"""The input of the last fully connected layer, whatever its name is in the file."""
AFTER_THE_LAYER = ("Add", "Softmax", "LogSoftmax", "Sigmoid", "Identity", "Cast")
"""Operators that may follow the last fully connected layer."""
SHOWN = 12
"""How many names of inner tensors a message lists, those nearest to the output."""


def tensor_of(path: Path, name: str | None) -> str | None:
    """Return the name of the tensor that a config calls `name`; None for the network's first output.

    Args:
        path: The network, whose external tensors need not exist.
        name: A tensor's name, or `penultimate`, which is also a tensor's name if the network has one that is called so.

    Raises:
        ConfigError: The network has no such tensor. The message lists its names.
    """
    if name is None:
        return None
    graph = onnx.load(path, load_external_data=False).graph
    inner = [output for node in graph.node for output in node.output if output]
    if name in inner:
        return name
    if name == PENULTIMATE:
        return _penultimate(path, graph)
    outputs = [output.name for output in graph.output]
    near = difflib.get_close_matches(name, inner, n=1)
    last = [one for one in reversed(inner) if one not in outputs]
    others = f" and {len(last) - SHOWN} more" if len(last) > SHOWN else ""
    raise ConfigError(
        f"options.output is {name!r}, but {path} has no tensor of this name. Its outputs: {', '.join(outputs)}. "
        f"Tensors inside, from the last one on: {', '.join(last[:SHOWN]) or 'none'}{others}. {PENULTIMATE} is the "
        f"input of its last fully connected layer.{f' Did you mean {near[0]!r}?' if near else ''}"
    )


def with_output(path: Path, name: str) -> Path | bytes:
    """Return a network that has the tensor `name` as an output: the file itself, or else its content with this output.

    Args:
        path: The network. Its external tensors, if it has any, are read into the content.
        name: A name that `tensor_of` returns.

    Raises:
        WeightsError: The network with its external tensors is larger than the 2 GB that ONNX allows without them.
    """
    if name in {output.name for output in onnx.load(path, load_external_data=False).graph.output}:
        return path
    model = onnx.load(path)
    del model.graph.output[:]  # what leads to other outputs is then not computed
    model.graph.output.append(onnx.ValueInfoProto(name=name))  # onnxruntime infers type and shape
    try:
        return model.SerializeToString()
    except Exception as error:  # protobuf's; its class depends on its version
        raise WeightsError(
            f"{path} with its external tensors is too large to give its tensor {name} ({error}). Export the network "
            "with this tensor as an output."
        ) from error


def _penultimate(path: Path, graph: onnx.GraphProto) -> str:
    """Return the input of the fully connected layer from which the first output comes."""
    made_by = {output: node for node in graph.node for output in node.output}
    constants = {tensor.name for tensor in graph.initializer}
    tensor = graph.output[0].name
    while (node := made_by.get(tensor)) is not None:
        if node.op_type in ("Gemm", "MatMul"):
            return node.input[0]
        if node.op_type not in AFTER_THE_LAYER:
            break
        tensor = _computed_input(node, constants, made_by)
    found = f"{node.op_type} gives {tensor}" if node is not None else f"nothing gives {tensor}"
    raise ConfigError(
        f"options.output is {PENULTIMATE}, but the first output of {path} does not come from a fully connected layer "
        f"({found}). Name a tensor of the network instead."
    )


def _computed_input(node: onnx.NodeProto, constants: set[str], made_by: Mapping[str, onnx.NodeProto]) -> str:
    """Return the input of a node that is computed from the network's input, which a bias is not."""
    computed = [
        name for name in node.input if name not in constants and getattr(made_by.get(name), "op_type", "") != "Constant"
    ]
    return computed[0] if len(computed) == 1 else ""
