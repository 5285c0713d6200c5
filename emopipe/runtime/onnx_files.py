"""The files that an ONNX net consists of: it may keep tensors beside itself, but must not read other folders."""

from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import Message

from emopipe.core.errors import WeightsError


def files_of(path: Path) -> list[Path]:
    """The file of a net, and those beside it in which it keeps tensors.

    Raises:
        WeightsError: It is no ONNX network, or keeps tensors in a file that is missing or outside its folder.
    """
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's and the file system's
        raise WeightsError(f"{path} is no ONNX network ({error}); fetch or export the file again.") from error
    places = sorted({(place, tensor) for tensor, place in external(model)})
    return [path, *(_beside(path, place, tensor) for place, tensor in places)]


def external(message: Message) -> Iterator[tuple[str, str]]:
    """(tensor, file) of every tensor kept in another file, however deep in graphs and functions it lies."""
    if isinstance(message, onnx.TensorProto):
        yield from ((message.name, entry.value) for entry in message.external_data if entry.key == "location")
        return
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for inner in [value] if isinstance(value, Message) else value:
                yield from external(inner)


def _beside(path: Path, place: str, tensor: str) -> Path:
    """The file in the network's own folder that holds a tensor."""
    folder = path.parent.resolve()
    data = (folder / place).resolve()
    if not data.is_relative_to(folder):
        raise WeightsError(
            f"{path} keeps '{tensor}' in {place}, outside its own folder, and is refused; use a network "
            "whose data lies beside it."
        )
    if not data.is_file():
        raise WeightsError(f"{path} keeps '{tensor}' in {data}, which is missing; put that file there.")
    return data
