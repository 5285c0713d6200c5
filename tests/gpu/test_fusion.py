"""Fusion on the device: many networks as one program, and each of them alone."""

import numpy as np
import pytest
import torch

from emopipe.fusion.training import predict, train
from tests.gpu.samples import fusion_dataset, fusion_runs, same

FUSIONS = ["concat", "fbp", "adaptive_fbp", "gated", "gmu", "crossmodal"]
ROWS = np.arange(60)


def probabilities(dataset, networks):
    return predict(dataset, networks, [ROWS] * len(networks))


@pytest.mark.parametrize("fusion", FUSIONS)
def test_equal_trainings_have_equal_results(fusion, where):
    dataset, runs = fusion_dataset(where), fusion_runs(fusion)
    first, second = train(dataset, runs), train(dataset, runs)
    assert all(same(one.state, other.state) for one, other in zip(first, second, strict=True))
    assert np.array_equal(probabilities(dataset, first), probabilities(dataset, second))


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_network_ends_as_if_it_were_trained_alone(fusion, where):
    """In float64: in float32, each step adds to the differences of rounding, those of bilinear pooling most."""
    dataset, runs = fusion_dataset(where, dtype=np.float64), fusion_runs(fusion)
    together = probabilities(dataset, train(dataset, runs))
    alone = [probabilities(dataset, train(dataset, [run]))[0] for run in runs]
    np.testing.assert_allclose(together, alone, atol=1e-6)
    targets = dataset.targets.cpu().numpy()
    assert np.mean([p[ROWS, targets] for p in together]) > 0.16  # 0.14 before training


@pytest.mark.parametrize("fusion", FUSIONS)
def test_the_cpu_comes_to_the_same(fusion, where):
    datasets = [fusion_dataset(device, dtype=np.float64) for device in (where, torch.device("cpu"))]
    found = [probabilities(dataset, train(dataset, fusion_runs(fusion, seeds=1))) for dataset in datasets]
    np.testing.assert_allclose(*found, atol=1e-6)
