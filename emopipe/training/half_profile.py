"""Faces turned to the side, as half profiles: a warp along the face's horizontal axis alone.

The face counts as a cylinder whose cross-section is a parabola, seen from far away: at a horizontal distance x from the
middle, the surface is depth * (1 - (x / r)^2) in front of the ears, which are at x = -r and r. Turned by an angle, a
point moves to x cos + depth * (1 - (x / r)^2) sin. The result is moved so that the middle of the eyes stays, because
faces are aligned by their landmarks. What is beyond the ears moves with them. The nose does not stick out, and what the
frontal picture does not show, such as an ear, does not appear.
"""

import math

import torch

HALF_WIDTH = 0.8
"""r: where the ears are, as a share of half the face's side."""
DEPTH = HALF_WIDTH / 2
"""How far the middle of the face is in front of the ears. Up to 45 degrees, no part of the face hides another."""
EYES = 0.31
"""Where the eyes are, as a share of half the face's side, in aligned faces of 112 units."""


def turned_offsets(angle: torch.Tensor, size: int) -> torch.Tensor:
    """Return how far from each column of turned faces lies what it shows, in frontal faces.

    Args:
        angle: (n,) in radians, between -pi / 4 and pi / 4; 0 does not turn.
        size: The number of columns.

    Returns:
        (n, size) horizontal offsets, where half the side is 1. Columns are at their pixels' centres.
    """
    place = (2 * torch.arange(size) + 1) / size - 1  # (size,) from -1 to 1
    cos, sin = torch.cos(angle)[:, None], torch.sin(angle)[:, None]
    bend = DEPTH * sin / HALF_WIDTH**2  # (n, 1)
    ears = [bend * (EYES**2 - HALF_WIDTH**2) + side * HALF_WIDTH * cos for side in (-1, 1)]  # (n, 1) each, turned
    # x cos + bend (EYES^2 - x^2) = place is a quadratic equation of x; this form of its root also holds for angle 0.
    within = torch.minimum(torch.maximum(place, ears[0]), ears[1]) - bend * EYES**2
    x = 2 * within / (cos + torch.sqrt((cos**2 - 4 * bend * within).clamp(min=0)))
    beyond = (place - ears[1]).clamp(min=0) + (place - ears[0]).clamp(max=0)
    return torch.where(angle[:, None] == 0, 0.0, x + beyond - place)


def draw_angles(share: float, largest: float, n: int, rng: torch.Generator) -> torch.Tensor:
    """Return (n,) angles in radians up to `largest` degrees in either direction, 0 for faces that are not turned."""
    is_turned = torch.rand(n, generator=rng) < share
    return torch.where(is_turned, math.radians(largest) * (2 * torch.rand(n, generator=rng) - 1), 0.0)
