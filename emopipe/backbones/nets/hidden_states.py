"""Hidden states of a network of transformers become vectors."""

from collections.abc import Sequence

import torch
from torch import nn

from emopipe.backbones.hf_layers import Layers


def combine(states: Sequence[torch.Tensor], layers: Layers) -> torch.Tensor:
    """Return the vectors (T, D) of hidden states (T, d) that `numbers` chose.

    With learned weights, D = L d: the L states one after the other, each normalised over its d numbers to mean 0 and
    variance 1 without parameters, so that their weights compare. S3PRL's weighted sum of layers has this as its option
    `normalize` (Yang et al., SUPERB, arXiv 2105.01051).
    """
    if layers == "learned":
        return torch.cat([nn.functional.layer_norm(state, state.shape[-1:]) for state in states], -1)
    return states[0] if len(states) == 1 else torch.stack(list(states)).mean(0)
