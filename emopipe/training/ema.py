"""The moving average of a network's weights, which generalises better than the weights of any one step."""

import torch
from torch import nn


class Average:
    """Exponential moving average of all floating-point entries of a state dict (Polyak and Juditsky, 1992)."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        """`decay` 0 keeps the last weights."""
        self._decay = decay
        self.steps = 0
        self.state = {key: tensor.detach().clone() for key, tensor in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the weights after one more step; the first steps, which know little, are soon forgotten."""
        self.steps += 1
        decay = min(self._decay, self.steps / (self.steps + 9))
        for key, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                self.state[key].lerp_(tensor, 1 - decay)
            else:
                self.state[key].copy_(tensor)
