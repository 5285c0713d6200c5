"""Extraction on the device: the vectors are those of the CPU, in every run, and if memory is short."""

import numpy as np
import pytest
import torch

from emopipe.backbones import registry
from emopipe.cache.store import Reader
from emopipe.core.fingerprint import digest
from emopipe.extraction.extractor import Extractor
from emopipe.runtime import device as devices
from tests.gpu import samples

TOLERANCE = 1e-4
"""Largest difference of vectors on CPU and GPU, as a share of the largest value. With TF32 it is above 1e-3."""

NETS = ["expression", "mobilefacenet", "resnet18", "ir_se50", "densenet121"]
NETS += ["speech_logmel", "speech_spectrogram", "speech_whisper"]
SPEECH = {
    "speech_logmel": {"spectrum": {"kind": "logmel"}},
    "speech_spectrogram": {"spectrum": {"kind": "spectrogram"}, "band_stride": 4, "width": 24},
}
"""Their options, as in emopipe/weights/registry.yaml."""


def extractor(net, where, device, **others):
    kind, options, weights = net, {}, None
    if net.startswith("speech_"):
        pytest.importorskip("librosa")
    if net in SPEECH:
        kind, options = "speech", SPEECH[net]
    if (file := samples.SHIPPED / f"{net}.safetensors").is_file():
        weights = str(file)
    made = registry.options_class(kind).model_validate(options)
    return Extractor(
        kind, made, weights=weights, pretrained=None, torch_device=where, device=device, threads=1, **others
    )


def batch_for(spec, count=6):
    rng = np.random.default_rng(0)
    if spec.modality == "face":
        pixels = rng.integers(0, 256, (count, spec.input.size, spec.input.size, 3), np.uint8)
        return spec.input.prepare(pixels)
    from emopipe.media.spectrogram import compute_spectrogram

    wave = (0.1 * rng.normal(size=24_000)).astype(np.float32)
    return compute_spectrogram(wave, spec.input.options)[None]


@pytest.mark.parametrize("net", NETS)
def test_vectors_are_those_of_the_cpu_in_every_run(net, where, device_name):
    network = extractor(net, where, device_name)
    batch = batch_for(network.spec)
    found = network.embed(-1, batch)["x"]
    assert found.tobytes() == network.embed(-1, batch)["x"].tobytes()
    assert network.device == devices.name_of(where)
    expected = extractor(net, torch.device("cpu"), "cpu").embed(-1, batch)["x"]
    assert np.abs(found - expected).max() < TOLERANCE * np.abs(expected).max()


@pytest.mark.parametrize("net", ["expression", "resnet18", "speech_logmel", "speech_spectrogram"])
def test_bfloat16_keeps_the_direction_of_vectors(net, where, device_name):
    exact = extractor(net, where, device_name)
    batch = batch_for(exact.spec)
    one, other = (n.embed(-1, batch)["x"] for n in (exact, extractor(net, where, device_name, precision="bfloat16")))
    assert other.dtype == np.float32 and (one != other).any()
    cosine = (one * other).sum(-1) / np.linalg.norm(one, axis=-1) / np.linalg.norm(other, axis=-1)
    assert cosine.min() >= 0.999


def test_the_stage_makes_the_same_file_twice(tmp_path, where, device_name):
    from emopipe.stages import features

    samples.write_faces(tmp_path / "0.h5", ["a", "b", "c"])
    recipe = samples.FEATURES | {"source": digest({})}
    weights = str(samples.SHIPPED / "expression.safetensors")
    for name in ("first", "second"):
        features.run(
            recipe, tmp_path / "0.h5", tmp_path / f"{name}.h5",
            weights=weights, pretrained=None, device=device_name, threads=1,
        )  # fmt: skip
    assert (tmp_path / "first.h5").read_bytes() == (tmp_path / "second.h5").read_bytes()
    with Reader(tmp_path / "first.h5") as reader:
        assert reader.attributes["device"] == devices.name_of(where)
        assert set(reader.status.values()) == {"ok"}


def test_a_batch_that_does_not_fit_is_halved(where, device_name, nearly_full, log):
    """512 faces take 300 MB, and the first convolution 1.6 GB more."""
    network = extractor("resnet18", where, device_name)
    count = 512 if where.type == "cuda" else 16
    few = batch_for(network.spec, 8)
    batch = np.tile(few, (count // 8, 1, 1, 1))
    expected = np.tile(network.embed(-1, few)["x"], (count // 8, 1))
    with nearly_full(network._whole):
        found = network.embed(-1, batch)["x"]
    assert f"The memory of {devices.name_of(where)} is too small for a batch of {count}." in log.text
    assert np.abs(found - expected).max() < TOLERANCE * np.abs(expected).max()
