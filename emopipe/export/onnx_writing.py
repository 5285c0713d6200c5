"""Writes a torch network as an ONNX file, and compares the two: a file that differs from torch is not kept.

torch's exporter by tracing is used (`dynamo=False`), because it needs no package beside torch and onnx. It follows one
example, so a network whose path depends on the length of its input may differ for other lengths. The comparison with
inputs of other lengths finds this.
"""

import contextlib
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from emopipe.inference.manifest import OnnxFile, OnnxTensor
from emopipe.runtime.onnx import open_session

OPSET = 17
TOLERANCE = 1e-5
"""The largest difference from torch, relative to the largest number of the output, if that is above 1."""
Inputs = Sequence[torch.Tensor]


@dataclass(frozen=True)
class Port:
    """An input or output of a network."""

    name: str
    dtype: str
    """As numpy names it."""
    shape: tuple[int | str, ...]
    """A number, or the name of an axis of any length."""


class NotExportedError(Exception):
    """A network that ONNX cannot hold, or that ONNX would compute differently; its text is the reason."""


@torch.no_grad()
def write(
    module: nn.Module,
    path: Path,
    about: str,
    inputs: Sequence[Port],
    outputs: Sequence[Port],
    examples: Sequence[Inputs],
) -> OnnxFile:
    """Write a network in evaluation mode.

    Args:
        module: Takes the inputs, and returns a tensor or a tuple of tensors.
        path: The file to write.
        about: What the network is, in a sentence.
        inputs: Its inputs.
        outputs: Its outputs.
        examples: Inputs of several lengths; the first one is followed, and all are compared.

    Raises:
        NotExportedError: The network cannot be written, or differs from torch.
    """
    ports = [*inputs, *outputs]
    axes = {port.name: {n: size for n, size in enumerate(port.shape) if isinstance(size, str)} for port in ports}
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            # of constants, which the comparison judges, and of the other exporter; failures print the whole network
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module,
                tuple(examples[0]),
                str(path),
                dynamo=False,
                opset_version=OPSET,
                input_names=[port.name for port in inputs],
                output_names=[port.name for port in outputs],
                dynamic_axes=axes,
            )
        _clean(path, outputs)
        read = _compare(module, path, [port.name for port in inputs], examples)
    except Exception as error:
        path.unlink(missing_ok=True)
        if isinstance(error, NotExportedError):
            raise
        first = (str(error).splitlines() or [""])[0].replace(str(path), path.name)
        raise NotExportedError(f"torch or onnxruntime refuses it ({type(error).__name__}: {first[:200]}).") from error
    kept = [_tensor(port) for port in inputs if port.name in read]
    return OnnxFile(about=about, inputs=kept, outputs=[_tensor(port) for port in outputs])


def _tensor(port: Port) -> OnnxTensor:
    return OnnxTensor(name=port.name, dtype=port.dtype, shape=list(port.shape))


def _clean(path: Path, outputs: Sequence[Port]) -> None:
    """State the shapes of outputs, and remove texts on where a node comes from: they have paths of this machine."""
    model = onnx.load(path)
    for value, port in zip(model.graph.output, outputs, strict=True):
        shape = onnx.helper.make_tensor_type_proto(value.type.tensor_type.elem_type, port.shape)
        value.type.CopyFrom(shape)
    model.doc_string = model.graph.doc_string = ""
    for node in model.graph.node:
        node.doc_string = ""
    del model.metadata_props[:]
    onnx.save(model, path)


def _compare(module: nn.Module, path: Path, names: Sequence[str], examples: Sequence[Inputs]) -> set[str]:
    """Refuse a file whose outputs differ from torch's; return the names of the inputs that it reads."""
    session = open_session(path.read_bytes(), device="cpu", threads=1)
    read = {each.name for each in session.get_inputs()}
    for example in examples:
        given = {name: tensor.numpy() for name, tensor in zip(names, example, strict=True) if name in read}
        expected = module(*example)
        expected = expected if isinstance(expected, tuple) else (expected,)
        for found, wanted in zip(session.run(None, given), (each.numpy() for each in expected), strict=True):
            shape = " x ".join(map(str, example[0].shape))
            if found.shape != wanted.shape:
                raise NotExportedError(f"traced, it gives vectors of another number for an input of {shape}.")
            worst = np.abs(found - wanted).max(initial=0) / max(1.0, np.abs(wanted).max(initial=0))
            if not worst <= TOLERANCE:
                raise NotExportedError(f"traced, it differs from torch by {worst:.1g} for an input of {shape}.")
    return read
