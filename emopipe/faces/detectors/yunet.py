"""YuNet (Wu et al., Machine Intelligence Research 2023), a small anchor-free network, from a weights file.

OpenCV's own `cv2.FaceDetectorYN` is not used: OpenCV 4.13 refuses files that accept any image size, and its number of
threads is set for the whole process. The decoding is the same.
"""

from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
from pydantic import Field

from emopipe.core.errors import WeightsError
from emopipe.core.options import Number, Options
from emopipe.faces.detection import Detections, Found, search
from emopipe.faces.nets import weights_files, with_dynamic_size
from emopipe.runtime.onnx import device_of, open_session

SOURCE = (
    "https://github.com/opencv/opencv_zoo/tree/main/models/face_detection_yunet "
    "(face_detection_yunet_2023mar.onnx, MIT licence)"
)
STRIDES = (8, 16, 32)
OUTPUTS = [f"{part}_{stride}" for stride in STRIDES for part in ("cls", "obj", "bbox", "kps")]
NMS_IOU = 0.3


class DetectorOptions(Options):
    """Options of the YuNet detector."""

    weights: str = ""
    """The path of the weights, an ONNX file of OpenCV's model zoo."""
    max_side: Annotated[int, Field(ge=32)] = 320
    """Frames are scaled down until their longer side has this many pixels."""
    pad: Annotated[Number, Field(ge=0, le=1)] = 0.5
    """If no face is found, or the best one fills the frame, the frame is searched again with this black border on each
    side, as a fraction of its longer side. It finds faces that are larger than the frame. 0: never."""
    min_score: Annotated[Number, Field(gt=0, lt=1)] = 0.5
    """Faces with a lower score are omitted."""


class YuNet:
    """The detector; see `emopipe.faces.detection.Detector`."""

    def __init__(self, options: DetectorOptions, threads: int, device: str) -> None:
        """Open the network.

        Raises:
            WeightsError: The weights are missing, or are not those of a YuNet.
        """
        self.options = options
        path = net_files(options)[0]
        self.session = open_session(with_dynamic_size(path), threads=threads, device=device)
        self.device = device_of(self.session)
        if {out.name for out in self.session.get_outputs()} != set(OUTPUTS):
            raise WeightsError(f"{path} does not have the outputs of a YuNet. Get the file from {SOURCE}.")

    def __call__(self, frame: np.ndarray) -> Detections:
        """Find the faces of a frame, (H, W, 3) uint8 BGR."""
        return search(frame, self.options.max_side, self.options.pad, self._find, multiple=32)

    def _find(self, image: np.ndarray) -> Found:
        """Run the network on an image (h, w, 3) uint8 BGR with sides divisible by 32."""
        blob = image.transpose(2, 0, 1)[None].astype(np.float32)  # (1, 3, h, w); BGR in 0..255
        outputs = [out[0] for out in self.session.run(OUTPUTS, {"input": blob})]
        levels = [
            _decode(*outputs[4 * i : 4 * i + 4], stride, image.shape[1] // stride, self.options.min_score)
            for i, stride in enumerate(STRIDES)
        ]
        corner, span, landmarks, score = (np.concatenate(part) for part in zip(*levels, strict=True))
        boxes = np.hstack([corner, span]).astype(float)
        keep = cv2.dnn.NMSBoxes(boxes, score.astype(float), self.options.min_score, NMS_IOU)
        keep = np.asarray(keep, dtype=int).reshape(-1)
        return np.hstack([corner, corner + span])[keep], landmarks[keep], score[keep]


def net_files(options: DetectorOptions) -> list[Path]:
    """Return the files of its networks.

    Raises:
        WeightsError: A file is missing or is not an ONNX network.
    """
    return weights_files(options.weights, "YuNet", SOURCE)


def build(options: DetectorOptions, *, threads: int = 1, device: str = "cpu") -> YuNet:
    """Return a detector with these options."""
    return YuNet(options, threads, device)


def _decode(
    face: np.ndarray,
    object_: np.ndarray,
    box: np.ndarray,
    points: np.ndarray,
    stride: int,
    columns: int,
    min_score: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return one level's faces: upper left corners and sizes (N, 2), landmarks (N, 5, 2), in pixels; scores (N,)."""
    score = np.sqrt(np.clip(face[:, 0], 0, 1) * np.clip(object_[:, 0], 0, 1))
    take = np.flatnonzero(score > min_score)
    cell = np.stack([take % columns, take // columns], axis=1)
    span = np.exp(box[take, 2:]) * stride
    corner = (cell + box[take, :2]) * stride - span / 2
    landmarks = (cell[:, None] + points[take].reshape(-1, 5, 2)) * stride
    return corner, span, landmarks, score[take]
