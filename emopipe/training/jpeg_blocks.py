"""The artefacts of JPEG without its files: DCT coefficients of 8 x 8 blocks are rounded, as the encoder rounds them.

The entropy coding of JPEG loses nothing, so it is omitted. The steps are those of ITU-T T.81 with the example tables of
its annex K, the scale of quality of libjpeg, the colours of JFIF, and half the resolution for colour (4:2:0).
"""

import math

import torch
import torch.nn.functional as F

BLOCK = 8
"""Side of a block in pixels."""
MIDDLE = 128.0
"""The grey level that JPEG counts from."""
LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55), (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62), (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
"""Steps of the coefficients of brightness at quality 50 (T.81, table K.1)."""
CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99), (18, 21, 26, 66, 99, 99, 99, 99), (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99), *((99,) * 8,) * 4,
)  # fmt: skip
"""Steps of the coefficients of colour at quality 50 (T.81, table K.2)."""
TO_YCBCR = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
"""RGB to brightness and two differences of colour (JFIF 1.02)."""


def compress(images: torch.Tensor, quality: torch.Tensor, corner: tuple[int, int] = (0, 0)) -> torch.Tensor:
    """Return images as JPEG of the given quality shows them.

    Args:
        images: (n, C, H, W) values from 0 to 255; grey, or three channels, which are taken for RGB.
        quality: (n,) from 1 to 100, on the device of the images.
        corner: How many rows above and columns left of the images the first block starts, from 0 to 7.

    Returns:
        (n, C, H, W) float32, values from 0 to 255.
    """
    height, width = images.shape[2:]
    (top, left), unit = corner, 2 * BLOCK
    # 1. Whole blocks, also of colour at half the resolution: the edge is repeated.
    bottom, right = -(height + top) % unit, -(width + left) % unit
    padded = F.pad(images, (left, right, top, bottom), mode="replicate")
    # 2. Brightness, and colour at half the resolution.
    if images.shape[1] == 1:
        shown = _rounded(padded - MIDDLE, LUMA, quality) + MIDDLE
    else:
        matrix = torch.tensor(TO_YCBCR, device=images.device)
        planes = torch.einsum("dc,nchw->ndhw", matrix, padded)
        luma = _rounded(planes[:, :1] - MIDDLE, LUMA, quality) + MIDDLE
        chroma = _rounded(F.avg_pool2d(planes[:, 1:], 2), CHROMA, quality)
        chroma = F.interpolate(chroma, scale_factor=2, mode="bilinear", align_corners=False)
        shown = torch.einsum("cd,ndhw->nchw", torch.linalg.inv(matrix), torch.cat([luma, chroma], 1))
    return shown[..., top : top + height, left : left + width].clamp(0, 255)


def _rounded(planes: torch.Tensor, table: tuple[tuple[int, ...], ...], quality: torch.Tensor) -> torch.Tensor:
    """Round the DCT coefficients of all blocks of planes (n, C, H, W) to multiples of the table's steps."""
    height, width = planes.shape[2:]
    rows, columns = (_dct(side // BLOCK, planes.device) for side in (height, width))
    step = _steps(table, quality).repeat(1, height // BLOCK, width // BLOCK)[:, None]  # (n, 1, H, W)
    coefficients = rows @ planes @ columns.T  # (n, C, H, W)
    return rows.T @ (torch.round(coefficients / step) * step) @ columns


def _dct(blocks: int, device: torch.device) -> torch.Tensor:
    """Return the orthonormal DCT-II of so many blocks side by side as one matrix (8 blocks, 8 blocks)."""
    frequency, place = torch.arange(BLOCK)[:, None], torch.arange(BLOCK)[None]
    dct = torch.cos(math.pi * (2 * place + 1) * frequency / (2 * BLOCK)) * math.sqrt(2 / BLOCK)
    dct[0] /= math.sqrt(2)
    return torch.block_diag(*[dct] * blocks).to(device)


def _steps(table: tuple[tuple[int, ...], ...], quality: torch.Tensor) -> torch.Tensor:
    """Return the steps (n, 8, 8) for qualities (n,), by the scale of libjpeg."""
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)[:, None, None]
    base = torch.tensor(table, dtype=torch.float32, device=quality.device)
    return torch.floor((base * scale + 50) / 100).clamp(1, 255)
