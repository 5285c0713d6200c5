"""MTCNN's cascade beside its networks: the image pyramid, the decoding of what networks give, and suppression.

It is the same for both forms of the networks, in onnxruntime and in torch.
"""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from emopipe.faces.detection import Found

CELL, STRIDE = 12, 2  # receptive field and stride of the first network, in pixels of its scaled image
PYRAMID_STEP = 0.709
MAX_PROPOSALS = 256  # of the first network, best first; limits the time for a cluttered frame

Level = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Of one level of the pyramid, the N cells that may be a face: boxes (N, 4) in pixels of the image, how they are to be
moved (N, 4), and scores (N,)."""


def pyramid(height: int, width: int, min_face: int) -> Iterator[tuple[float, int, int]]:
    """Yield of each level of the pyramid of an image its scale, height and width.

    Args:
        height: Pixels of the image.
        width: Pixels of the image.
        min_face: The smallest face that is to be found, in pixels.
    """
    scale = CELL / min_face
    while min(height, width) * scale >= CELL:
        yield scale, int(np.ceil(height * scale)), int(np.ceil(width * scale))
        scale *= PYRAMID_STEP


def cells(column: np.ndarray, row: np.ndarray, scale: float) -> np.ndarray:
    """Return the boxes (N, 4), in pixels of the image, of cells (N,) and (N,) of a level with this scale."""
    corner = np.stack([column, row], axis=1) * STRIDE / scale
    return np.hstack([corner, corner + CELL / scale])


def proposed(levels: Sequence[Level]) -> np.ndarray:
    """Return the boxes (N, 4) for the second network, square: the best of each level, and of these the best of all."""
    levels = [(np.zeros((0, 4)), np.zeros((0, 4)), np.zeros(0)), *levels]
    box, shift, score = (np.concatenate(part) for part in zip(*levels, strict=True))
    box, level = _moved(box, shift), np.repeat(np.arange(len(levels)), [len(part[2]) for part in levels])
    keep = _nms(box, score, 0.5, group=level)
    box, score = box[keep], score[keep]
    return square(box[_nms(box, score, 0.7)][:MAX_PROPOSALS])


def refined(box: np.ndarray, shift: np.ndarray, score: np.ndarray, least: float) -> np.ndarray:
    """Return the square boxes (M, 4) of an image that the second network accepts, moved onto their faces.

    Args:
        box: (N, 4) of the network's input.
        shift: (N, 4), its first output.
        score: (N,), its second output.
        least: The score above which it accepts a box.
    """
    take = score > least
    box, shift, score = box[take], shift[take], score[take]
    keep = _nms(box, score, 0.7)
    return square(_moved(box[keep], shift[keep]))


def finished(box: np.ndarray, shift: np.ndarray, points: np.ndarray, score: np.ndarray, least: float) -> Found:
    """Return the faces of an image.

    Args:
        box: (N, 4) of the third network's input.
        shift: (N, 4), its first output.
        points: (N, 10), its second output: five x, then five y, in the unit square of the box.
        score: (N,), its third output.
        least: The score above which it accepts a box.
    """
    take = score > least
    box, shift, points, score = box[take], shift[take], points[take], score[take]
    corner, span = box[:, None, :2], box[:, None, 2:] - box[:, None, :2]  # (N, 1, 2)
    landmarks = points.reshape(-1, 2, 5).transpose(0, 2, 1) * span + corner
    box = _moved(box, shift)
    keep = _nms_of_smaller(box, score, 0.7)
    return box[keep], landmarks[keep], score[keep]


def _moved(box: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Return boxes (N, 4) with corners moved by shifts (N, 4), which are fractions of the box's width and height."""
    return box + shift * np.tile(box[:, 2:] - box[:, :2], 2)


def square(box: np.ndarray) -> np.ndarray:
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
    """Return what `_nms` does if the share is that of the smaller box, so that a box inside another one is dropped."""
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
