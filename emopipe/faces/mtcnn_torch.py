"""MTCNN by torch: the frames of a clip go through each network as one batch, on a GPU."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from emopipe.faces.detection import Detections, Found, search_all
from emopipe.faces.mtcnn_cascade import Level, cells, finished, proposed, pyramid, refined
from emopipe.faces.mtcnn_networks import Network, output_network, proposal_network, refinement_network
from emopipe.faces.patches import patches, summed
from emopipe.runtime import device as devices
from emopipe.runtime.device import current, upload
from emopipe.runtime.memory import AdaptiveBatches


class CascadeOptions(Protocol):
    """The options of `emopipe.faces.detectors.mtcnn` that are used here."""

    max_side: int
    pad: float
    min_face: int
    min_proposal: float
    min_refined: float
    min_score: float


class TorchMtcnn:
    """The detector; see `emopipe.faces.detection.Detector`.

    It finds what MTCNN by onnxruntime finds, but for the rounding of scaled pixels: the image pyramid is made here too.
    """

    batch = 16
    """How many frames of one size it takes at once."""

    def __init__(self, options: CascadeOptions, files: Sequence[Path], device: str, threads: int) -> None:
        """Load the networks.

        Args:
            options: Of the detector.
            files: The ONNX files of the three networks.
            device: auto, cpu or cuda.
            threads: CPU threads of torch.

        Raises:
            WeightsError: A file is not the network.
            DeviceError: The device does not exist.
        """
        self.options = options
        self._where = devices.prepare(device, threads)
        self.device = self._where.type
        load = (proposal_network, refinement_network, output_network)
        self._proposal, self._refinement, self._output = (
            make(path).to(self._where, memory_format=torch.channels_last)
            for make, path in zip(load, files, strict=True)
        )
        self._batches = AdaptiveBatches(devices.name_of(self._where), self.batch)

    def __call__(self, frame: np.ndarray) -> Detections:
        """Find the faces of a frame, (H, W, 3) uint8 BGR."""
        return self.many([frame])[0]

    def many(self, frames: Sequence[np.ndarray]) -> list[Detections]:
        """Find the faces of each of some frames of one size, (H, W, 3) uint8 BGR."""
        return search_all(frames, self.options.max_side, self.options.pad, self._find_all)

    def _find_all(self, images: Sequence[np.ndarray]) -> list[Found]:
        return [found for part in self._batches.map(self._find, images) for found in part]

    @torch.inference_mode()
    def _find(self, images: Sequence[np.ndarray]) -> list[Found]:
        """Run the three networks on images (h, w, 3) uint8 BGR of one size."""
        o = self.options
        rgb = [cv2.cvtColor(image, cv2.COLOR_BGR2RGB) for image in images]
        with current(self._where):
            pixels = upload(torch.from_numpy(np.stack(rgb)), self._where)  # (N, h, w, 3) uint8
        # 1. Boxes of each image, by the image pyramid.
        levels: list[list[Level]] = [[] for _ in images]
        for level in self._levels(pixels):
            for own, cells_of_image in zip(levels, level, strict=True):
                own.append(cells_of_image)
        boxes = [proposed(own) for own in levels]
        # 2. The second and the third network see the patches of all images together.
        table = summed(pixels)
        boxes = [
            refined(box, shift, score, o.min_refined)
            for box, (shift, score) in zip(boxes, self._on_patches(self._refinement, table, boxes, 24), strict=True)
        ]
        return [
            finished(box, shift, points, score, o.min_score)
            for box, (shift, points, score) in zip(boxes, self._on_patches(self._output, table, boxes, 48), strict=True)
        ]

    def _levels(self, pixels: torch.Tensor) -> Iterator[list[Level]]:
        """Run the first network on the pyramids of images (N, h, w, 3) uint8; yield each image's cells, by level."""
        half = pixels.permute(0, 3, 1, 2).float()  # (N, 3, h, w)
        for scale, height, width in pyramid(*half.shape[2:], self.options.min_face):
            while min(half.shape[2] / height, half.shape[3] / width) >= 2:
                half = (F.avg_pool2d(half, 2) + 0.5).floor()  # as OpenCV rounds
            scaled = F.interpolate(half, (height, width), mode="bilinear", align_corners=False).round()
            shift, logits = self._proposal(_net_input(scaled))
            score = logits.softmax(1)[:, 1]  # (N, w', h')
            found = torch.nonzero(score >= self.options.min_proposal)  # (n, 3): image, column, row
            image, column, row = found.unbind(1)
            shift, score = shift[image, :, column, row].cpu().numpy(), score[image, column, row].cpu().numpy()
            image, column, row = found.cpu().numpy().T
            parts = _split([cells(column, row, scale), shift, score], np.bincount(image, minlength=len(pixels)))
            yield [tuple(part) for part in parts]

    def _on_patches(
        self, network: Network, table: torch.Tensor, boxes: Sequence[np.ndarray], side: int
    ) -> list[list[np.ndarray]]:
        """Return what a network gives for the patch in each box of each image, with the score of a face at the end."""
        counts = [len(box) for box in boxes]
        box = torch.from_numpy(np.concatenate(boxes)).to(self._where, torch.int64)
        image = torch.repeat_interleave(torch.arange(len(boxes)), torch.tensor(counts)).to(self._where)
        cut = patches(table, image, box, side)  # (n, side, side, 3)
        *rest, logits = network(_net_input(cut.permute(0, 3, 1, 2)))
        return _split([part.cpu().numpy() for part in (*rest, logits.softmax(1)[:, 1])], counts)


def _net_input(images: torch.Tensor) -> torch.Tensor:
    """Return images (N, 3, h, w) in 0..255 as the networks were trained on: transposed, (N, 3, w, h), and in -1..1."""
    return ((images - 127.5) / 128).transpose(2, 3).contiguous(memory_format=torch.channels_last)


def _split(arrays: Sequence[np.ndarray], counts: Sequence[int]) -> list[list[np.ndarray]]:
    """Return the parts of arrays (n, ...) that belong to each image, of which each has a number of rows."""
    ends = np.cumsum(counts)[:-1]
    return [list(parts) for parts in zip(*(np.split(array, ends) for array in arrays), strict=True)]
