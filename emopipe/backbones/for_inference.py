"""A trained network, made ready to be run and not trained further."""

import torch
from torch import nn

from emopipe.backbones.memory_format import memory_format_of


def for_inference(network: nn.Module, device: torch.device) -> nn.Module:
    """Return the network in evaluation mode on its device, in the memory format that is faster.

    A network that defines `fold()` first folds layers that only training needs into others, so its vectors may differ
    in the last digits from those that it had in training.
    """
    network.eval()
    if hasattr(network, "fold"):
        network.fold()
    return network.to(device, memory_format=memory_format_of(network))
