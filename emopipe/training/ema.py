"""The exponential moving average of a network's weights, which generalises better than the weights of a single step."""

import torch
from torch import nn


class EMA:
    """Exponential moving average of all floating-point entries of a state dict (Polyak and Juditsky, 1992)."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Start from the model's weights; with a decay of 0 the average is always the last weights."""
        self._decay = decay
        self.steps = 0
        self.state = {key: tensor.detach().clone() for key, tensor in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Add the model's weights after one more step. The decay is smaller in the first steps, which count less."""
        self.steps += 1
        decay = min(self._decay, self.steps / (self.steps + 9))
        for key, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                self.state[key].lerp_(tensor, 1 - decay)
            else:
                self.state[key].copy_(tensor)
