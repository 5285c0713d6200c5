"""Any embedding network in ONNX format, run by onnxruntime.

Input: (N, C, size, size) faces, as the options describe them.
Output: (N, dim), the network's first output or the tensor that the option `output` names, flattened.
Weights: the .onnx file is the network. Licence and source are those of its author.
"""

from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
import onnxruntime
from pydantic import Field, model_validator

from emopipe.backbones import onnx_outputs
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
    output: str | None = None
    """Name of the tensor that gives the vectors: an output of the network, or any tensor inside it. penultimate: the
    input of its last fully connected layer, which is the vector that a classifier classifies. Default: the network's
    first output."""
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
        ConfigError: The network has no tensor of the name `output`.
        DeviceError: CUDA is requested, and onnxruntime would run on the CPU.
    """
    path = net_files(options)[0]
    output = onnx_outputs.tensor_of(path, options.output)
    net = onnx_outputs.with_output(path, output) if output else path
    return OnnxNet(path, open_session(net, device=device, threads=threads), options, output)


def net_files(options: BackboneOptions) -> list[Path]:
    """Return the network's file, and the files in its folder that hold its external tensors.

    Raises:
        WeightsError: A file is missing, is not an ONNX network, or lies outside the network's folder.
        ConfigError: The network has no tensor of the name `output`.
    """
    path = Path(options.weights)
    if not path.is_file():
        raise WeightsError(
            f"The ONNX network {path} is missing. Put the file there (download it from its author, or write it with "
            "torch.onnx.export), or correct this backbone's `weights`."
        )
    files = files_of(path)
    onnx_outputs.tensor_of(path, options.output)  # refuses an unknown name before anything runs
    return files


def _face(options: BackboneOptions) -> FaceInput:
    mean, std = tuple(options.mean), tuple(options.std)
    return FaceInput(options.crop_units, options.size, options.colour, mean, std, options.center_offset_y)


class OnnxNet:
    """An opened network. Call it with a batch."""

    def __init__(
        self, path: Path, session: onnxruntime.InferenceSession, options: BackboneOptions, output: str | None = None
    ) -> None:
        """Check the session against the options; `output` is its tensor of vectors. Use `build` to get one."""
        self.device = device_of(session)
        self._session, self._path = session, path
        self._output = output or session.get_outputs()[0].name
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
        faces = 2 if output and not self._batch else 1  # a tensor inside may have no axis that counts the faces
        self.dim = self._run(np.zeros((faces, *wanted), np.float32)).shape[1]
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
        if np.shape(vectors)[:1] != filled.shape[:1]:
            raise WeightsError(
                f"The tensor {self._output} of {self._path} has the shape {np.shape(vectors)} for {len(filled)} faces, "
                "but its first axis should count the faces. Name another tensor as this backbone's `output`."
            )
        return np.asarray(vectors, np.float32).reshape(len(filled), -1)[: len(part)]
