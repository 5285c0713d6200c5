"""Any embedding network in ONNX format, run by onnxruntime.

Input: (N, C, size, size) faces, as the options describe them.
Output: (N, dim), the network's first output, flattened.
Weights: the .onnx file is the network. Licence and source are those of its author.
"""

from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
import onnxruntime
from pydantic import Field, model_validator

from emopipe.backbones.base import FaceInput, Spec
from emopipe.core.errors import WeightsError
from emopipe.core.options import Number, Options
from emopipe.runtime.onnx import device_of, files_of, open_session


class BackboneOptions(Options):
    """The file and its input. The defaults suit ArcFace and similar networks."""

    renamed: ClassVar = {"side_units": "crop_units", "down": "center_offset_y"}

    weights: str
    """Path of the .onnx file."""
    size: int = Field(112, ge=1)
    """Side of the crop in pixels."""
    crop_units: Number = Field(112.0, gt=0)
    """Side of the crop in ArcFace's template units: 112 is ArcFace's own crop, 145.6 adds a 30 % margin."""
    colour: Literal["rgb", "bgr", "gray"] = "rgb"
    """Order of the channels, or one grey channel."""
    mean: list[Number] = Field([127.5, 127.5, 127.5])
    """Mean of each channel, on the scale of 0 to 255; it is subtracted."""
    std: list[Number] = Field([127.5, 127.5, 127.5])
    """Standard deviation of each channel, on the scale of 0 to 255; the channel is divided by it."""
    center_offset_y: Number = 0.0
    """Distance of the crop's centre below the template's centre, in template units."""
    dim: int | None = Field(None, ge=1)
    """Length of the vectors, which is checked. Default: read from the network."""

    @model_validator(mode="after")
    def _face_is_valid(self) -> Self:
        _face(self)
        return self


def spec(options: BackboneOptions) -> Spec:
    """Return the specification: the face that the options describe, and the length of the vectors.

    If the options omit `dim`, the network is opened to read it.

    Raises:
        WeightsError: The options omit `dim`, and the file is missing or invalid.
    """
    return Spec(
        modality="face",
        input=_face(options),
        dim=options.dim or build(options).dim,
        licence="as the file's author says",
        citation=f"the author of {Path(options.weights).name}",
    )


def build(options: BackboneOptions, device: str = "cpu", threads: int = 1) -> "OnnxNet":
    """Open the network on a device and run it once on a blank face, to check it against the options.

    Args:
        options: The file and its input.
        device: auto, cpu or cuda.
        threads: CPU threads of one run.

    Raises:
        WeightsError: The file is missing, is not an ONNX network, stores data outside its folder, or does not match the
            options.
        DeviceError: CUDA is requested, and onnxruntime would run on the CPU.
    """
    path = net_files(options)[0]
    return OnnxNet(path, open_session(path, device=device, threads=threads), options)


def net_files(options: BackboneOptions) -> list[Path]:
    """Return the network's file, and the files in its folder that hold its external tensors.

    Raises:
        WeightsError: A file is missing, is not an ONNX network, or lies outside the network's folder.
    """
    path = Path(options.weights)
    if not path.is_file():
        raise WeightsError(
            f"The ONNX network {path} is missing. Put the file there (download it from its author, or write it with "
            "torch.onnx.export), or correct this backbone's `weights`."
        )
    return files_of(path)


def _face(options: BackboneOptions) -> FaceInput:
    mean, std = tuple(options.mean), tuple(options.std)
    return FaceInput(options.crop_units, options.size, options.colour, mean, std, options.center_offset_y)


class OnnxNet:
    """An opened network. Call it with a batch."""

    def __init__(self, path: Path, session: onnxruntime.InferenceSession, options: BackboneOptions) -> None:
        """Check the session against the options. Use `build` to get one."""
        self.device = device_of(session)
        self._session = session
        self._output = session.get_outputs()[0].name
        face = _face(options)
        # 1. the network has one input, which has the shape of the options' face
        inputs, wanted = session.get_inputs(), (face.channels, face.size, face.size)
        self._input, shape = inputs[0].name, inputs[0].shape
        fits = len(shape) == 4 and all(
            not isinstance(found, int) or found == expected for found, expected in zip(shape[1:], wanted, strict=True)
        )
        if len(inputs) != 1 or not fits or inputs[0].type != "tensor(float)":
            found = ", ".join(f"{one.name} {one.shape} {one.type}" for one in inputs)
            raise WeightsError(
                f"The input of {path} is {found}, but its backbone's options describe one tensor(float) of "
                f"N x {' x '.join(map(str, wanted))}. Correct `size` and `colour`, or use a network with that input."
            )
        self._batch = shape[0] if isinstance(shape[0], int) else None  # a fixed batch size; None: any
        # 2. its vectors have the length that the options expect
        self.dim = self._run(np.zeros((1, *wanted), np.float32)).shape[1]
        if options.dim not in (None, self.dim):
            raise WeightsError(
                f"{path} has vectors of {self.dim} values, but its backbone's `dim` is {options.dim}. Remove `dim` or "
                "correct it."
            )

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        """Compute the vectors of a batch. A network with a fixed batch size is run as often as necessary.

        Args:
            batch: (N, C, H, W) float32 from `FaceInput.prepare`; N may be 0.

        Returns:
            (N, dim) float32.
        """
        step = self._batch or max(1, len(batch))
        parts = [self._run(batch[start : start + step]) for start in range(0, len(batch), step)]
        return np.concatenate(parts) if parts else np.zeros((0, self.dim), np.float32)

    def _run(self, part: np.ndarray) -> np.ndarray:
        """Run at most one fixed batch, padded with blank faces whose vectors are dropped. Returns (n, dim) float32."""
        missing = max(0, (self._batch or 0) - len(part))
        filled = np.concatenate([part, np.zeros((missing, *part.shape[1:]), np.float32)]) if missing else part
        vectors = self._session.run([self._output], {self._input: filled})[0]
        return np.asarray(vectors, np.float32).reshape(len(filled), -1)[: len(part)]
