"""SCRFD (Guo et al., arXiv 2105.04714), decoded by the package insightface from a weights file.

Insightface's `get_model` would use all cores, print, and try a GPU. Its SCRFD class accepts a session that does none of
this. Nothing is downloaded.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
from insightface.model_zoo.scrfd import SCRFD
from pydantic import Field

from emopipe.core.errors import WeightsError
from emopipe.core.options import Number, Options
from emopipe.faces.detection import Detections, Found, search
from emopipe.faces.nets import weights_files
from emopipe.runtime.onnx import device_of, open_session

SOURCE = (
    "https://github.com/deepinsight/insightface/releases/download/v0.7/buffalo_m.zip "
    "(det_2.5g.onnx in it, for non-commercial research only)"
)
NMS_IOU = 0.4


class DetectorOptions(Options):
    """Options of the SCRFD detector."""

    weights: str = ""
    """The path of the weights, an ONNX file of an SCRFD with five landmarks."""
    max_side: Annotated[int, Field(ge=32)] = 320
    """Frames are scaled down until their longer side has this many pixels."""
    pad: Annotated[Number, Field(ge=0, le=1)] = 0.5
    """If no face is found, or the best one fills the frame, the frame is searched again with this black border on each
    side, as a fraction of its longer side. It finds faces that are larger than the frame. 0: never."""
    min_score: Annotated[Number, Field(gt=0, lt=1)] = 0.4
    """Faces with a lower score are omitted."""


class Scrfd:
    """The detector; see `emopipe.faces.detection.Detector`."""

    def __init__(self, options: DetectorOptions, threads: int, device: str) -> None:
        """Open the network.

        Raises:
            WeightsError: The weights are missing, or are not those of an SCRFD with landmarks.
        """
        self.options = options
        path = net_files(options)[0]
        session = open_session(path, threads=threads, device=device)
        self.device = device_of(session)
        if len(session.get_outputs()) not in (9, 15):
            raise WeightsError(
                f"{path} has {len(session.get_outputs())} outputs. Expected the 9 or 15 of an SCRFD with five "
                f"landmarks. Get the file from {SOURCE}."
            )
        self.net = SCRFD(session=session)
        self.net.prepare(0, det_thresh=options.min_score, nms_thresh=NMS_IOU)

    def __call__(self, frame: np.ndarray) -> Detections:
        """Find the faces of a frame, (H, W, 3) uint8 BGR."""
        return search(frame, self.options.max_side, self.options.pad, self._find, multiple=32)

    def _find(self, image: np.ndarray) -> Found:
        """Run the network on an image (h, w, 3) uint8 BGR with sides divisible by 32."""
        found, landmarks = self.net.detect(image, input_size=(image.shape[1], image.shape[0]))
        return found[:, :4], landmarks, found[:, 4]


def net_files(options: DetectorOptions) -> list[Path]:
    """Return the files of its networks.

    Raises:
        WeightsError: A file is missing or is not an ONNX network.
    """
    return weights_files(options.weights, "SCRFD", SOURCE)


def build(options: DetectorOptions, *, threads: int = 1, device: str = "cpu") -> Scrfd:
    """Return a detector with these options."""
    return Scrfd(options, threads, device)
