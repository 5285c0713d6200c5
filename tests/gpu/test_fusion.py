"""Fusion on the device: many networks as one program, and each of them alone."""

import numpy as np
import pytest
import torch

from emopipe.fusion.training import predict, train
from tests.gpu.samples import fusion_dataset, fusion_runs, same

FUSIONS = ["concat", "fbp", "adaptive_fbp", "gated", "crossmodal"]
ROWS = np.arange(60)


def probabilities(dataset, networks):
    return predict(dataset, networks, [ROWS] * len(networks))


@pytest.mark.parametrize("fusion", FUSIONS)
def test_equal_trainings_have_equal_results(fusion, where):
    dataset, runs = fusion_dataset(where), fusion_runs(fusion)
    first, second = train(dataset, runs), train(dataset, runs)
    assert all(same(one.state, other.state) for one, other in zip(first, second, strict=True))
    assert np.array_equal(probabilities(dataset, first), probabilities(dataset, second))


def assert_close(found, expected):
    """Products are rounded in another order, and each step adds to the difference.

    Bilinear pooling adds most, because the slope of its square root has no bound. A network with other random numbers
    differs by about 0.1 in the mean.
    """
    difference = np.abs(np.subtract(found, expected))
    assert difference.mean() < 1e-3
    assert difference.max() < 5e-2


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_network_ends_as_if_it_were_trained_alone(fusion, where):
    dataset, runs = fusion_dataset(where), fusion_runs(fusion)
    together = probabilities(dataset, train(dataset, runs))
    assert_close(together, [probabilities(dataset, train(dataset, [run]))[0] for run in runs])
    targets = dataset.targets.cpu().numpy()
    assert np.mean([p[ROWS, targets] for p in together]) > 0.25  # 0.14 before training


@pytest.mark.parametrize("fusion", FUSIONS)
def test_the_cpu_comes_to_about_the_same(fusion, where):
    found = [
        probabilities(dataset, train(dataset, fusion_runs(fusion, seeds=1)))
        for dataset in map(fusion_dataset, (where, torch.device("cpu")))
    ]
    assert_close(*found)
