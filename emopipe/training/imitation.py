"""Imitation of another network: a trained audio network's vectors as further targets, beside the classes.

A network for speech recognition has heard far more voices than a corpus of emotions has. A small network that also
learns to predict its vectors learns from few utterances how voices and ways to speak differ. The other network is used
in training only. Source: Romero et al., FitNets, arXiv 1412.6550; for speech, Chang et al., DistilHuBERT, arXiv
2110.01900.
"""

import numpy as np
import torch
from torch import nn


class Imitation(nn.Module):
    """A linear layer that predicts the other network's vectors, and these vectors."""

    def __init__(self, vectors: np.ndarray, is_trained: np.ndarray, dim: int, weight: float) -> None:
        """Standardise the vectors by those of the training samples.

        Args:
            vectors: (n, D) float32, of every sample.
            is_trained: (n,) bool: the training samples.
            dim: The length of the vectors of the network that learns.
            weight: The weight of the loss.
        """
        super().__init__()
        trained = vectors[is_trained]
        mean, spread = trained.mean(0), trained.std(0)
        spread[spread == 0] = 1
        self.targets = ((vectors - mean) / spread).astype(np.float32)
        """(n, D): each column has a mean of 0 and a standard deviation of 1 over the training samples."""
        self.weight = weight
        self.fc = nn.Linear(dim, vectors.shape[1])

    def loss(self, pooled: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the weighted mean squared error () of what the layer predicts from pooled vectors (n, dim).

        The error is about 1 before training, because the targets (n, D) are standardised.
        """
        return self.weight * nn.functional.mse_loss(self.fc(pooled), targets)
