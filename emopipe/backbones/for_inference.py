"""A trained network, made ready to be run and not trained further."""

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from emopipe.backbones.memory_format import memory_format_of


def for_inference(network: nn.Module, device: torch.device) -> nn.Module:
    """Return the network in evaluation mode on its device, in the memory format that is faster.

    Batch normalisations are folded into the convolutions before them, where these follow each other in an
    `nn.Sequential`, and modules that define `fold()` fold others. So vectors may differ in the last digits from those
    that the network had in training.
    """
    network.eval()
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential):
            _fold_pairs(module)
        if hasattr(module, "fold"):
            module.fold()
    return network.to(device, memory_format=memory_format_of(network))


def _fold_pairs(parts: nn.Sequential) -> None:
    """Fold each batch normalisation of a sequence into the convolution before it: fewer passes over each map."""
    for i in range(len(parts) - 1):
        if isinstance(parts[i], nn.Conv2d) and type(parts[i + 1]) is nn.BatchNorm2d:
            parts[i], parts[i + 1] = fuse_conv_bn_eval(parts[i], parts[i + 1]), nn.Identity()
