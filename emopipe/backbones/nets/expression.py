"""The network of `emopipe.backbones.expression`."""

import torch
import torch.nn.functional as F
from torch import nn

from emopipe.backbones.expression import BackboneOptions
from emopipe.backbones.nets.residual import initialise, stage


class ExpressionNet(nn.Module):
    """A stem, three stages and a head."""

    def __init__(self, options: BackboneOptions) -> None:
        """Initialise the convolutions by He's method."""
        super().__init__()
        inputs, width = (1 if options.colour == "gray" else 3), options.width
        # 1. stem: 48 -> 24
        self.stem = nn.Sequential(nn.Conv2d(inputs, width, 6, 2, 2, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        # 2. stages: 24 -> 12 -> 6
        stages = [stage(width, width, options.units[0], stride=1)]
        stages += [stage(width << n, width << n + 1, options.units[n + 1], stride=2) for n in range(2)]
        self.stages = nn.Sequential(*stages)
        # 3. head: one filter over the whole map for each channel, then the vector
        side = options.size // 8
        self.places = nn.Parameter(torch.randn(4 * width, side, side) / side)
        self.norm = nn.BatchNorm1d(4 * width)
        self.dropout = nn.Dropout(options.dropout)
        self.fc = nn.Linear(4 * width, options.dim)
        self.features = nn.BatchNorm1d(options.dim)
        initialise(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, size, size) -> (N, dim). An image of another size shows the same face, smaller or larger."""
        x = self.stages(self.stem(x))  # (N, 4 * width, size / 8, size / 8)
        x = torch.einsum("nchw,chw->nc", x, self._places(x.shape[-1]).to(x.dtype))  # (N, 4 * width)
        return self.features(self.fc(self.dropout(self.norm(x))))  # (N, dim)

    def _places(self, side: int) -> torch.Tensor:
        """Resize each channel's filter to a map of that side, (4 * width, side, side); the sum of its weights stays."""
        own = self.places.shape[-1]
        if side == own:
            return self.places
        stretched = F.interpolate(self.places[None], size=(side, side), mode="bilinear", align_corners=False)[0]
        return stretched * (own / side) ** 2
