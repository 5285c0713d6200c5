"""Any embedding network in ONNX format, run by onnxruntime; its input's geometry stands in the options."""

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
    """The file and what it takes in; the defaults are those of ArcFace-like networks."""

    renamed: ClassVar = {"side_units": "crop_units", "down": "center_offset_y"}

    weights: str
    """The .onnx file."""
    size: int = Field(112, ge=1)
    """Side of the face in pixels."""
    crop_units: Number = Field(112.0, gt=0)
    """Side of the face in ArcFace's template units: 112 for its own crop, 145.6 for 30 % more."""
    colour: Literal["rgb", "bgr", "gray"] = "rgb"
    """Order of the channels, or one grey channel."""
    mean: list[Number] = Field([127.5, 127.5, 127.5])
    """Subtracted per channel, of values 0 to 255."""
    std: list[Number] = Field([127.5, 127.5, 127.5])
    """Divided by per channel, of values 0 to 255."""
    center_offset_y: Number = 0.0
    """How far the face's centre lies below that of the template, in its units."""
    dim: int | None = Field(None, ge=1)
    """Length of the vectors; read from the network where left out, checked where given."""

    @model_validator(mode="after")
    def _face_is_sound(self) -> Self:
        _face(self)
        return self


def spec(options: BackboneOptions) -> Spec:
    """The options' face in; the vectors' length is read from the network where the options leave it out.

    Raises:
        WeightsError: `dim` is left out and the file is missing or unfit.
    """
    return Spec(
        modality="face",
        input=_face(options),
        dim=options.dim or build(options).dim,
        licence="as the file's author says",
        citation=f"the author of {Path(options.weights).name}",
    )


def build(options: BackboneOptions, device: str = "cpu", threads: int = 1) -> "OnnxNet":
    """Open the network on a device and run it once on a blank face.

    Args:
        options: The file and what it takes in.
        device: auto, cpu or cuda.
        threads: CPU threads of one run.

    Raises:
        WeightsError: The file is missing, no ONNX network, reads data outside its folder, or does not fit
            the options.
        DeviceError: CUDA is asked for and onnxruntime would run elsewhere.
    """
    path = net_files(options)[0]
    return OnnxNet(path, open_session(path, device=device, threads=threads), options)


class OnnxNet:
    """An opened network; call it with a batch."""

    def __init__(self, path: Path, session: onnxruntime.InferenceSession, options: BackboneOptions) -> None:
        """Check the session against the options; `build` is the way in."""
        self.device = device_of(session)
        self._path, self._session = path, session
        self._input = session.get_inputs()[0].name
        self._output = session.get_outputs()[0].name
        face = _face(options)
        self._batch = self._check_input((face.channels, face.size, face.size))
        self.dim = self._run(np.zeros((1, face.channels, face.size, face.size), np.float32)).shape[1]
        if options.dim not in (None, self.dim):
            raise WeightsError(
                f"{path} gives vectors of {self.dim}, but its backbone's `dim` is {options.dim}; leave "
                "`dim` out or correct it."
            )

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        """(N, C, H, W) float32, as `FaceInput.prepare` makes it -> (N, dim) float32; N may be 0.

        Networks of a fixed batch size are run as often as it takes.
        """
        step = self._batch or max(1, len(batch))
        parts = [self._run(batch[start : start + step]) for start in range(0, len(batch), step)]
        return np.concatenate(parts) if parts else np.zeros((0, self.dim), np.float32)

    def _run(self, part: np.ndarray) -> np.ndarray:
        """At most one fixed batch, filled up with blank faces whose vectors are dropped; (n, dim) float32."""
        missing = max(0, (self._batch or 0) - len(part))
        filled = np.concatenate([part, np.zeros((missing, *part.shape[1:]), np.float32)]) if missing else part
        vectors = self._session.run([self._output], {self._input: filled})[0]
        return np.asarray(vectors, np.float32).reshape(len(filled), -1)[: len(part)]

    def _check_input(self, face: tuple[int, int, int]) -> int | None:
        """The network's fixed batch size, None where it takes any; `face` is (C, H, W)."""
        inputs = self._session.get_inputs()
        shape = inputs[0].shape
        fits = len(shape) == 4 and all(
            not isinstance(found, int) or found == wanted for found, wanted in zip(shape[1:], face, strict=True)
        )
        if len(inputs) != 1 or not fits or inputs[0].type != "tensor(float)":
            found = ", ".join(f"{one.name} {one.shape} {one.type}" for one in inputs)
            raise WeightsError(
                f"{self._path} takes in {found}, but its backbone's options describe one tensor(float) of N "
                f"x {' x '.join(map(str, face))}; correct `size` and `colour`, or use a network of that "
                "layout."
            )
        return shape[0] if isinstance(shape[0], int) else None


def _face(options: BackboneOptions) -> FaceInput:
    mean, std = tuple(options.mean), tuple(options.std)
    return FaceInput(options.crop_units, options.size, options.colour, mean, std, options.center_offset_y)


def net_files(options: BackboneOptions) -> list[Path]:
    """The file, and those beside it in which it keeps tensors.

    A network may keep tensors in other files, but must not read this machine's other folders.

    Raises:
        WeightsError: A file is missing, is no ONNX network, or lies outside the network's folder.
    """
    path = Path(options.weights)
    if not path.is_file():
        raise WeightsError(
            f"The ONNX network {path} is missing; put the file there (download it from its author, or write "
            "it with torch.onnx.export), or correct this backbone's `weights`."
        )
    return files_of(path)
