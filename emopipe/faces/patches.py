"""Patches of images on a GPU: means of areas, as by OpenCV's INTER_AREA, for all boxes of all images at once."""

import torch


def summed(images: torch.Tensor) -> torch.Tensor:
    """Return the sums of all pixels above and to the left, (N, H + 1, W + 1, C) int64, of images (N, H, W, C) uint8."""
    table = images.new_zeros(
        (len(images), images.shape[1] + 1, images.shape[2] + 1, images.shape[3]), dtype=torch.int64
    )
    table[:, 1:, 1:] = images.long().cumsum(1).cumsum(2)
    return table


def patches(table: torch.Tensor, image: torch.Tensor, box: torch.Tensor, side: int) -> torch.Tensor:
    """Return the parts of images in boxes, scaled to (n, side, side, C) float32 in whole numbers of 0..255.

    A pixel of a patch is the mean of the area that it covers; what is outside of the image is black. A sum over any
    area is a difference of four sums of `summed`, which are interpolated within a pixel (Crow, SIGGRAPH 1984).

    Args:
        table: `summed` of N images.
        image: (n,) int64: the image of each box.
        box: (n, 4) int64: x1, y1, x2, y2 in pixels; an empty box gives a black patch.
        side: Pixels of the patch.
    """
    share = torch.arange(side + 1, device=box.device, dtype=torch.float64) / side  # (side + 1,)
    x, y = (box[:, k, None] + (box[:, k + 2] - box[:, k])[:, None] * share for k in (0, 1))  # (n, side + 1) edges
    (x0, x1, right), (y0, y1, low) = _cells(x, table.shape[2] - 1), _cells(y, table.shape[1] - 1)
    n = image[:, None, None]

    def row(y: torch.Tensor) -> torch.Tensor:
        """Return the sums at whole rows y and at the edges x, (n, side + 1, side + 1, C)."""
        return torch.lerp(
            table[n, y[:, :, None], x0[:, None]].double(),
            table[n, y[:, :, None], x1[:, None]].double(),
            right[:, None, :, None],
        )

    corner = torch.lerp(row(y0), row(y1), low[:, :, None, None])
    total = corner[:, 1:, 1:] - corner[:, :-1, 1:] - corner[:, 1:, :-1] + corner[:, :-1, :-1]
    area = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]) / side**2
    return (total / area.clamp(min=1e-6)[:, None, None, None]).round().float()


def _cells(edge: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the whole positions on both sides of edges (n, k), limited to the image, and the share between them."""
    edge = edge.clamp(0, size)
    first = edge.floor().long()
    return first, (first + 1).clamp(max=size), edge - first
