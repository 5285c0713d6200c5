"""SCRFD (Guo et al., arXiv 2105.04714), decoded by the package insightface from a weights file.

Insightface's `get_model` would open the net on every core, print, and try a GPU; its SCRFD class takes a
session that does none of that. Nothing is ever downloaded.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
from insightface.model_zoo.scrfd import SCRFD
from pydantic import Field

from emopipe.core.errors import WeightsError
from emopipe.core.options import Number, Options
from emopipe.faces.detection import Detections, frame_for_net
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
    """Path of the weights, an ONNX file of an SCRFD with five landmarks."""
    max_side: Annotated[int, Field(ge=32)] = 320
    """Frames are scaled down until their longer side has this many pixels."""
    pad: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Black border added on each side, as a fraction of the longer side, for faces that fill the frame."""
    min_score: Annotated[Number, Field(gt=0, lt=1)] = 0.4
    """Faces scored lower than this are left out."""


class Scrfd:
    """The detector; see `emopipe.faces.detection.Detector`."""

    def __init__(self, options: DetectorOptions, threads: int, device: str) -> None:
        """Open the net.

        Raises:
            WeightsError: the weights are missing, or are no SCRFD with landmarks.
        """
        self.options = options
        path = net_files(options)[0]
        session = open_session(path, threads=threads, device=device)
        self.device = device_of(session)
        if len(session.get_outputs()) not in (9, 15):
            raise WeightsError(
                f"{path} has {len(session.get_outputs())} outputs where an SCRFD with five landmarks has 9 "
                f"or 15: get one from {SOURCE}."
            )
        self.net = SCRFD(session=session)
        self.net.prepare(0, det_thresh=options.min_score, nms_thresh=NMS_IOU)

    def __call__(self, frame: np.ndarray) -> Detections:
        """Find the faces of an (H, W, 3) uint8 BGR frame."""
        image, framing = frame_for_net(frame, self.options.max_side, self.options.pad, multiple=32)
        found, landmarks = self.net.detect(image, input_size=(image.shape[1], image.shape[0]))
        return framing.undo(found[:, :4], landmarks, found[:, 4])


def net_files(options: DetectorOptions) -> list[Path]:
    """The files that hold its nets.

    Raises:
        WeightsError: one is missing or unfit.
    """
    return weights_files(options.weights, "SCRFD", SOURCE)


def build(options: DetectorOptions, *, threads: int = 1, device: str = "cpu") -> Scrfd:
    """The detector with these options."""
    return Scrfd(options, threads, device)
