"""Every network: its size, its keys, its shapes, its seed; and weights that are not its own are refused."""

import importlib
import inspect
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import nn

from emopipe.backbones import registry
from emopipe.backbones.base import AudioInput, FaceInput
from emopipe.cache import metadata, tensors
from emopipe.core.errors import ConfigError, DeviceError, WeightsError
from emopipe.core.validation import checked

torch.set_num_threads(1)

SMALL = {"expression": {"width": 4, "dim": 8}, "audio_alexnet": {"width": 0.1}, "speech": {"width": 4}}
TORCH_KINDS = ["ir50", "resnet18", "expression", "audio_alexnet", "speech"]


def options(kind, **keys):
    return registry.options_class(kind).model_validate(keys)


def network(kind, **keys):
    return registry.build(kind, options(kind, **keys)).eval()


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def audio(spectrum="spectrogram", **keys):
    return network("audio_alexnet", spectrum={"kind": spectrum}, **{"width": 0.1, **keys})


# --- registry


def test_unknown_kind_is_answered_with_the_known():
    with pytest.raises(
        ConfigError, match=r"no backbone of kind 'vgg'\. Did you mean vgg16\? Use one of ir50,.* audio_alexnet, speech,"
    ):
        registry.spec("vgg", None)


@pytest.mark.parametrize("kind", registry.KINDS)
def test_a_kinds_row_says_what_its_module_does(kind):
    row, module = registry.KINDS[kind], importlib.import_module(registry.KINDS[kind].module)
    assert registry.options_class(kind) is module.BackboneOptions
    assert row.named_by is None or row.named_by in module.BackboneOptions.model_fields
    # an already trained network is built on a device from files; one that can be trained, from its options alone
    built_from = list(inspect.signature(module.build).parameters)
    assert built_from == (["options"] if row.trainable else ["options", "device", "threads"])
    assert hasattr(module, "net_files") == (not row.trainable)


@pytest.mark.parametrize("kind", [kind for kind, row in registry.KINDS.items() if row.trainable and not row.named_by])
def test_a_kinds_modality_is_that_of_its_input(kind):
    what = registry.spec(kind, options(kind))
    assert isinstance(what.input, FaceInput if registry.modality(kind) == "face" else AudioInput)
    assert what.modality == registry.modality(kind) and registry.trainable(kind)


@pytest.mark.slow
def test_a_kind_imports_no_other_network():
    code = (
        "import sys; from emopipe.backbones import registry; registry.options_class('resnet18');"
        "known = {row.module for row in registry.KINDS.values()} | {'emopipe.media.spectrogram'};"
        "print(sorted(known & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "['emopipe.backbones.resnet18']"


@pytest.mark.parametrize("kind", TORCH_KINDS)
def test_unknown_key_is_refused(kind):
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        options(kind, depth=3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", TORCH_KINDS)
def test_the_seed_makes_the_weights(kind):
    states = []
    for seed in (7, 7, 8):
        torch.manual_seed(seed)
        states.append(network(kind, **SMALL.get(kind, {})).state_dict())
    first, again, other = states
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ir50", "resnet18", "expression"])
def test_face_networks_keep_their_spec(kind):
    what = registry.spec(kind, options(kind))
    size = what.input.size
    faces = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), np.uint8)
    with torch.no_grad():
        vectors = network(kind)(torch.from_numpy(what.input.prepare(faces)))
    assert what.modality == "face" and vectors.shape == (2, what.dim)
    assert vectors.isfinite().all() and not torch.equal(vectors[0], vectors[1])


# --- face input

ONE_PIXEL = np.array([[[[10, 20, 30]]]], np.uint8)  # blue 10, green 20, red 30


@pytest.mark.parametrize(
    ("colour", "values"),
    [("bgr", (10, 20, 30)), ("rgb", (30, 20, 10)), ("gray", (22,))],
)
def test_colours(colour, values):
    mean, std = tuple(range(1, 1 + len(values))), tuple(range(2, 2 + len(values)))
    prepared = FaceInput(112.0, 1, colour, mean, std).prepare(ONE_PIXEL)
    assert prepared.dtype == np.float32 and prepared.flags.c_contiguous
    np.testing.assert_allclose(prepared[0, :, 0, 0], (np.array(values) - mean) / std, rtol=1e-6)


def test_golden_values_of_the_papers_networks():
    pixel = {kind: registry.spec(kind, options(kind)).input for kind in ("ir50", "resnet18", "expression")}
    geometry = {kind: (face.crop_units, face.center_offset_y, face.size, face.colour) for kind, face in pixel.items()}
    assert geometry == {
        "ir50": (112.0, 0.0, 112, "rgb"),
        "resnet18": (145.6, 0.0, 224, "rgb"),
        "expression": (100.0, 7.0, 48, "gray"),
    }
    faces = np.broadcast_to(ONE_PIXEL, (1, 224, 224, 3))
    np.testing.assert_allclose(pixel["resnet18"].prepare(faces)[0, :, 0, 0], [-1.60416, -1.68557, -1.63015], atol=1e-5)
    np.testing.assert_allclose(pixel["expression"].prepare(faces[:, :48, :48])[0, :, 0, 0], [-0.82745], atol=1e-5)
    np.testing.assert_allclose(
        pixel["ir50"].prepare(faces[:, :112, :112])[0, :, 0, 0], [-0.76471, -0.84314, -0.92157], atol=1e-5
    )


def test_no_faces_stay_no_faces():
    assert FaceInput(112.0, 5, "gray", (0.0,), (1.0,)).prepare(np.zeros((0, 5, 5, 3), np.uint8)).shape == (
        0,
        1,
        5,
        5,
    )


@pytest.mark.parametrize("crops", [np.zeros((1, 4, 5, 3), np.uint8), np.zeros((1, 5, 5, 3), np.float32)])
def test_unfit_crops_are_refused(crops):
    with pytest.raises(ValueError, match=r"have the shape .* and the type .*\. Expected \(N, 5, 5, 3\) uint8 in BGR"):
        FaceInput(112.0, 5, "gray", (0.0,), (1.0,)).prepare(crops)


def test_unfit_normalisation_is_refused():
    with pytest.raises(ValueError, match="mean has 1 and std 3 values, but colour 'rgb' has 3 channels"):
        FaceInput(112.0, 5, "rgb", (0.0,), (1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="Each value must be positive"):
        FaceInput(112.0, 5, "gray", (0.0,), (0.0,))


# --- the face networks


@pytest.mark.slow
def test_ir50_is_insightfaces():
    module = network("ir50")
    state = module.state_dict()
    assert count(module) == 43_590_848
    shapes = {
        "conv1.weight": (64, 3, 3, 3),
        "prelu.weight": (64,),
        "layer1.0.bn1.weight": (64,),
        "layer1.0.conv2.weight": (64, 64, 3, 3),
        "layer1.0.downsample.0.weight": (64, 64, 1, 1),
        "layer2.0.downsample.1.running_mean": (128,),
        "layer3.13.prelu.weight": (256,),
        "layer4.2.bn3.num_batches_tracked": (),
        "bn2.weight": (512,),
        "fc.weight": (512, 25088),
        "fc.bias": (512,),
        "features.running_var": (512,),
    }
    assert {key: tuple(state[key].shape) for key in shapes} == shapes
    assert "layer1.1.downsample.0.weight" not in state and "layer3.14.conv1.weight" not in state
    assert not module.features.weight.requires_grad


@pytest.mark.slow
def test_ir50_halves_its_map_stage_by_stage():
    module, sides = network("ir50"), []
    for number in range(1, 5):
        module.get_submodule(f"layer{number}").register_forward_hook(lambda *seen: sides.append(seen[2].shape[1:]))
    with torch.no_grad():
        module(torch.zeros(1, 3, 112, 112))
    assert [tuple(side) for side in sides] == [(64, 56, 56), (128, 28, 28), (256, 14, 14), (512, 7, 7)]


def test_resnet18_is_torchvisions():
    module = network("resnet18")
    state = module.state_dict()
    assert count(module) == 11_176_512 and len(state) == 120  # torchvision's 122 less fc.weight and fc.bias
    shapes = {
        "conv1.weight": (64, 3, 7, 7),
        "bn1.running_var": (64,),
        "layer1.1.bn2.weight": (64,),
        "layer2.0.conv1.weight": (128, 64, 3, 3),
        "layer2.0.downsample.0.weight": (128, 64, 1, 1),
        "layer4.1.conv2.weight": (512, 512, 3, 3),
    }
    assert {key: tuple(state[key].shape) for key in shapes} == shapes
    assert registry.spec("resnet18", options("resnet18")).head == ("fc.",)


@pytest.mark.parametrize(("size", "colour", "channels"), [(48, "gray", 1), (64, "rgb", 3), (16, "gray", 1)])
def test_expression_sizes(size, colour, channels):
    module = network("expression", size=size, colour=colour, width=4, dim=6)
    assert module(torch.zeros(2, channels, size, size)).shape == (2, 6)


@pytest.mark.slow
def test_expression_reads_smaller_and_larger_pictures_of_a_face():
    """Each channel's filter is stretched over the map, and its weights still sum to what they did."""
    module = network("expression", width=4, dim=6)
    with torch.no_grad():
        module.places.copy_(torch.arange(16.0).view(-1, 1, 1).expand(16, 6, 6))
        for side in (32, 40, 56):
            assert module(torch.randn(2, 1, side, side)).isfinite().all()
            n = side // 8
            torch.testing.assert_close(module._places(n).sum((1, 2)), module.places.sum((1, 2)))
    assert module._places(6) is module.places


@pytest.mark.slow
def test_expressions_head_is_the_global_depthwise_convolution():
    module = network("expression", width=4, dim=6)
    maps = torch.randn(3, 16, 6, 6)
    found = torch.einsum("nchw,chw->nc", maps, module.places)
    torch.testing.assert_close(found, nn.functional.conv2d(maps, module.places[:, None], groups=16).flatten(1))


def test_expression_is_compact():
    module = network("expression")
    assert count(module) == 2_744_576
    assert [len(stage) for stage in module.stages] == [1, 2, 2]
    assert [stage[0].conv1.weight.shape[:2] for stage in module.stages] == [(64, 64), (128, 64), (256, 128)]
    assert module.fc.weight.shape == (128, 256)


@pytest.mark.slow
def test_expression_learns():
    torch.manual_seed(0)
    module = registry.build("expression", options("expression", width=8, dim=8, size=16, dropout=0.0))
    faces, labels = torch.randn(32, 1, 16, 16), torch.arange(32) % 7
    optimiser = torch.optim.Adam(module.parameters(), 1e-2)
    losses = []
    for _ in range(40):
        loss = nn.functional.cross_entropy(module(faces), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("expression", {"side_units": 90, "down": 3}, {"crop_units": 90, "center_offset_y": 3}),
        ("onnx", {"weights": "x.onnx", "side_units": 90, "down": 3}, {"crop_units": 90, "center_offset_y": 3}),
        ("timm", {"name": "resnet18", "side_units": 90}, {"crop_units": 90}),
    ],
)
def test_old_names_of_the_face_input_are_read(kind, old, new):
    found = checked(registry.options_class(kind), old)
    assert {key: getattr(found, key) for key in new} == new


def test_expression_refuses_a_size_that_does_not_halve():
    with pytest.raises(ValidationError, match="multiple of 8"):
        options("expression", size=50)


# --- the audio network


def test_alexnet_is_torchvisions():
    logmel = network("audio_alexnet", spectrum={"kind": "logmel"}, batch_norm=False)
    shapes = {key: tuple(tensor.shape) for key, tensor in logmel.state_dict().items() if key.endswith("weight")}
    assert count(logmel) == 2_469_696  # torchvision's alexnet().features
    assert shapes == {
        "features.0.weight": (64, 3, 11, 11),
        "features.3.weight": (192, 64, 5, 5),
        "features.6.weight": (384, 192, 3, 3),
        "features.8.weight": (256, 384, 3, 3),
        "features.10.weight": (256, 256, 3, 3),
    }
    assert audio(width=1.0).features[0].weight.shape == (64, 1, 11, 11)


@pytest.mark.parametrize(("spectrum", "shape", "rows"), [("spectrogram", (1, 200), 5), ("logmel", (3, 64), 1)])
@pytest.mark.parametrize("batch_norm", [True, False])
def test_any_duration(spectrum, shape, rows, batch_norm):
    module = audio(spectrum, batch_norm=batch_norm)
    dim = registry.spec("audio_alexnet", options("audio_alexnet", spectrum={"kind": spectrum}, width=0.1)).dim
    for frames in (1, 2, 31, 40, 62, 63, 64, 95, 96, 301, 1000):
        with torch.no_grad():
            patches = module(torch.rand(2, *shape, frames))
        times = module.patch_times(frames)
        assert patches.shape == (2, len(times), dim) and patches.isfinite().all()
        assert len(times) % rows == 0 and (times.diff() >= 0).all()
        assert times[0] >= 0 and times[-1] <= (frames - 1) * 0.01 + 1e-9


def test_patch_times_of_three_seconds():
    times = audio().patch_times(301)
    assert len(times) == 5 * 9 and torch.equal(times[:5], times[:1].expand(5))
    np.testing.assert_allclose(times[::5], 0.31 + 0.32 * np.arange(9))
    half = audio(spectrum="spectrogram").patch_times(40)
    np.testing.assert_allclose(half, [0.31] * 5)


def test_patches_are_where_their_times_say():
    """A patch's gradient towards the input is centred on the patch's time, and low bands come first."""
    torch.manual_seed(0)
    module = audio(batch_norm=False)
    picture = torch.rand(1, 1, 200, 641, requires_grad=True)
    patches, times = module(picture), module.patch_times(641)
    assert patches.shape[1] == len(times)
    for patch in (5 * 9, 5 * 9 + 4):
        (slope,) = torch.autograd.grad(patches[0, patch].sum(), picture, retain_graph=True)
        reach = slope[0, 0].abs().sum(0).nonzero()
        assert 0.01 * (reach.min() + reach.max()) / 2 == pytest.approx(float(times[patch]), abs=0.15)
        bands = slope[0, 0].abs().sum(1).nonzero().float().mean()
        assert (bands < 100) == (patch == 5 * 9)


def test_no_frame_falls_off_the_end():
    torch.manual_seed(0)
    module = audio("logmel", width=0.5)
    for frames in (64, 94, 96, 126):
        picture = torch.rand(1, 3, 64, frames, requires_grad=True)
        module(picture).pow(2).sum().backward()
        assert picture.grad[..., -1].abs().sum() > 0


def test_trains_on_a_single_short_clip():
    module = audio("logmel").train()
    module(torch.rand(1, 3, 64, 3)).sum().backward()


VOICE = {"spectrogram": ((1, 200), {"band_stride": 4}), "logmel": ((3, 64), {})}


def speech(spectrum, **keys):
    torch.manual_seed(0)
    return network("speech", spectrum={"kind": spectrum}, width=4, dim=6, **VOICE[spectrum][1], **keys)


@pytest.mark.slow
@pytest.mark.parametrize("spectrum", VOICE)
def test_speech_of_any_duration(spectrum):
    module = speech(spectrum)
    for frames in (1, 2, 15, 16, 17, 250, 301):
        with torch.no_grad():
            vectors = module(torch.rand(2, *VOICE[spectrum][0], frames))
        times = module.patch_times(frames)
        assert vectors.shape == (2, len(times), 6) == (2, -(-frames // 16), 6) and vectors.isfinite().all()
        assert (times.diff() > 0).all() and times[0] >= 0 and times[-1] <= (frames - 1) * 0.01 + 1e-9
    module.train()(torch.rand(1, *VOICE[spectrum][0], 40)).sum().backward()


@pytest.mark.parametrize("spectrum", VOICE)
def test_vectors_of_speech_are_where_their_times_say(spectrum):
    module = speech(spectrum)
    picture = torch.rand(1, *VOICE[spectrum][0], 640, requires_grad=True)
    vectors, times = module(picture), module.patch_times(640)
    for number in (15, 20):
        (slope,) = torch.autograd.grad(vectors[0, number].sum(), picture, retain_graph=True)
        reach = slope[0].abs().sum((0, 1)).nonzero()
        assert 0.01 * (reach.min() + reach.max()) / 2 == pytest.approx(float(times[number]), abs=0.04)


def test_speech_tells_bands_apart():
    """The same sound, higher: where in the range it is tells something, which a mean over bands would not."""
    module, low, high = speech("logmel"), torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 64)
    low[:, :, 16:20], high[:, :, 32:36] = 2.0, 2.0
    with torch.no_grad():
        assert (module(low) - module(high)).abs().max() > 0.05


def test_speech_is_compact():
    assert count(network("speech", spectrum={"kind": "logmel"})) < 6e6 / 2


def test_alexnets_input_names_its_spectrum():
    chosen = options("audio_alexnet", spectrum={"kind": "logmel", "n_mels": 80, "hop_ms": 20})
    what = registry.spec("audio_alexnet", chosen)
    assert what.input == AudioInput("logmel", chosen.spectrum) and what.input.options.n_mels == 80
    assert (what.modality, what.dim) == ("audio", 256)
    module = registry.build("audio_alexnet", chosen)
    assert float(module.patch_times(100)[0]) == pytest.approx(0.62)


def test_a_spectrum_without_its_kind_or_with_anothers_key_is_refused():
    with pytest.raises(ValidationError, match="kind"):
        options("audio_alexnet", spectrum={"n_mels": 80})
    with pytest.raises(ValidationError, match="Extra inputs"):
        options("audio_alexnet", spectrum={"kind": "spectrogram", "n_mels": 80})


# --- weights


@pytest.fixture
def linear():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def test_weights_come_back(linear, tmp_path):
    path = tmp_path / "net.safetensors"
    about = {"stage": "pretrain", "classes": "7", "corpus": "stills", "a": "ä"}
    tensors.save(linear, path, about)
    other = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    tensors.load_strict(other, path)
    assert all(
        torch.equal(a, b) for a, b in zip(linear.state_dict().values(), other.state_dict().values(), strict=True)
    )
    assert metadata.read_metadata(path) == about
    first = path.read_bytes()
    for _ in range(5):
        tensors.save(linear, path, dict(reversed(about.items())))
        assert path.read_bytes() == first
    assert [file.name for file in tmp_path.iterdir()] == ["net.safetensors"]


def test_channels_last_weights_are_written(tmp_path):
    module = network("expression", width=4).to(memory_format=torch.channels_last)
    tensors.save(module, tmp_path / "net.safetensors", {})
    tensors.load_strict(network("expression", width=4), tmp_path / "net.safetensors")
    assert metadata.read_metadata(tmp_path / "net.safetensors") == {}


def test_another_programs_metadata_is_read(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors", {"format": "pt"})
    save_file({"a": torch.zeros(1)}, tmp_path / "b.safetensors")
    assert metadata.read_metadata(tmp_path / "a.safetensors") == {"format": "pt"}
    assert metadata.read_metadata(tmp_path / "b.safetensors") == {}


def test_torch_files_load_without_counters_and_without_a_head(linear, tmp_path):
    state = {key: tensor + 1 for key, tensor in linear.state_dict().items() if "num_batches" not in key}
    torch.save({**state, "fc.weight": torch.zeros(7, 3)}, tmp_path / "net.pth")
    tensors.load_strict(linear, tmp_path / "net.pth", head=("fc.",))
    assert torch.equal(linear[0].weight, state["0.weight"])
    with pytest.raises(WeightsError, match=r"fc\.weight is unexpected \(1 in all\)"):
        tensors.load_strict(linear, tmp_path / "net.pth")


def test_missing_weights_say_what_where_and_how(linear, tmp_path):
    with pytest.raises(WeightsError, match=r"none\.pth of Sequential do not exist\. Put a .* there \(from .*correct"):
        tensors.load_strict(linear, tmp_path / "none.pth")
    with pytest.raises(WeightsError, match=r"none\.safetensors cannot be read"):
        metadata.read_metadata(tmp_path / "none.safetensors")


def test_anothers_weights_name_the_first_of_each_fault(linear, tmp_path):
    state = linear.state_dict()
    del state["0.weight"], state["0.bias"]
    state["1.weight"] = torch.zeros(4)
    state["module.0.weight"] = torch.zeros(3, 2)
    save_file(state, tmp_path / "net.safetensors")
    before = {key: tensor.clone() for key, tensor in linear.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        tensors.load_strict(linear, tmp_path / "net.safetensors")
    assert (
        "net.safetensors do not belong to this Sequential: 0.weight is missing (2 in all); module.0.weight is "
        "unexpected (1 in all); 1.weight has the shape (4,) instead of (3,) (1 in all). Use weights of"
    ) in str(caught.value)
    assert all(torch.equal(before[key], tensor) for key, tensor in linear.state_dict().items())


class Malice:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("preserved", [True, False])
def test_a_malicious_pickle_does_not_run(linear, tmp_path, preserved):
    torch.save(
        {"0.weight": Malice(tmp_path / "harm")},
        tmp_path / "net.pth",
        _use_new_zipfile_serialization=not preserved,
    )
    with pytest.raises(WeightsError, match=r"hold more than tensors. Such a file can run any code"):
        tensors.load_strict(linear, tmp_path / "net.pth")
    assert not (tmp_path / "harm").exists()


def test_a_whole_model_or_a_training_state_is_refused(linear, tmp_path):
    torch.save(linear, tmp_path / "model.pth")
    with pytest.raises(WeightsError, match=r"Save the network's state_dict\(\) alone"):
        tensors.load_strict(linear, tmp_path / "model.pth")
    torch.save({"epoch": 3, "net": linear.state_dict()}, tmp_path / "state.pth")
    with pytest.raises(WeightsError, match=r"not a plain state dict: epoch is not a named tensor. Save"):
        tensors.load_strict(linear, tmp_path / "state.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match=r"the whole file is not a named tensor"):
        tensors.load_strict(linear, tmp_path / "list.pth")


@pytest.mark.parametrize("name", ["net.safetensors", "net.pth"])
@pytest.mark.parametrize("kept", [0, 100, 0.9])
def test_a_cut_file_is_refused(linear, tmp_path, name, kept):
    path = tmp_path / name
    save_file(linear.state_dict(), path) if name.endswith("tensors") else torch.save(linear.state_dict(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole)) if kept == 0.9 else kept])
    with pytest.raises(WeightsError, match=r"cannot be read|are not opened"):
        tensors.load_strict(linear, path)


# --- onnx


def tiny_onnx(folder: Path, batch="N", size=4, channels=3, place: str | None = None) -> Path:
    """A network that averages each channel and multiplies by `w` = 2."""
    scale = numpy_helper.from_array(np.full((1, channels), 2, np.float32), "w")
    if place is not None:
        onnx.external_data_helper.set_external_data(scale, place)
        scale.ClearField("raw_data")
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["m"], axes=[2, 3], keepdims=0),
        helper.make_node("Mul", ["m", "w"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, channels, size, size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, channels])],
        [scale],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path = folder / "tiny.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def onnx_options(path, **keys):
    return options("onnx", weights=str(path), **{"size": 4, **keys})


@pytest.mark.parametrize("batch", ["N", 1, 3])
@pytest.mark.parametrize("n", [0, 1, 7])
def test_onnx_runs_any_number_of_faces(tmp_path, batch, n):
    net = registry.build("onnx", onnx_options(tiny_onnx(tmp_path, batch)))
    faces = np.random.default_rng(0).random((n, 3, 4, 4), np.float32)
    vectors = net(faces)
    assert vectors.shape == (n, 3) and vectors.dtype == np.float32 and (net.dim, net.device) == (3, "cpu")
    np.testing.assert_allclose(vectors, 2 * faces.mean((2, 3)), rtol=1e-6)


def test_onnx_spec_reads_the_dimension(tmp_path):
    what = registry.spec("onnx", onnx_options(tiny_onnx(tmp_path), colour="bgr", crop_units=145.6))
    assert what.dim == 3
    assert what.input == FaceInput(145.6, 4, "bgr", (127.5,) * 3, (127.5,) * 3)
    assert registry.spec("onnx", onnx_options("nowhere.onnx", dim=9)).dim == 9
    assert registry.spec("onnx", onnx_options("nowhere.onnx", dim=9, center_offset_y=-3)).input.center_offset_y == -3


def test_onnx_options_read_lists_as_yaml_gives_them(tmp_path):
    chosen = onnx_options(tiny_onnx(tmp_path, channels=1), colour="gray", mean=[10], std=[2.5])
    assert (chosen.mean, chosen.std) == ([10.0], [2.5])
    assert registry.build("onnx", chosen).dim == 1
    with pytest.raises(ValidationError, match="colour 'gray' has 1 channels"):
        onnx_options("x.onnx", colour="gray")


def test_onnx_missing_file_says_what_where_and_how(tmp_path):
    with pytest.raises(WeightsError, match=r"none\.onnx is missing\. Put the file there \(download .*correct"):
        registry.build("onnx", onnx_options(tmp_path / "none.onnx"))


def test_onnx_garbage_is_refused(tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"\xff\xfe no network")
    with pytest.raises(WeightsError, match=r"bad\.onnx cannot be read as an ONNX network .*Download or export"):
        registry.build("onnx", onnx_options(tmp_path / "bad.onnx"))
    (tmp_path / "empty.onnx").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"cannot open .*empty\.onnx"):
        registry.build("onnx", onnx_options(tmp_path / "empty.onnx"))


@pytest.mark.parametrize("keys", [{"size": 8}, {"colour": "gray", "mean": [0], "std": [1]}])
def test_onnx_of_another_geometry_is_refused(tmp_path, keys):
    with pytest.raises(WeightsError, match=r"tiny\.onnx is x \['N', 3, 4, 4\] tensor\(float\), but .* Correct `size`"):
        registry.build("onnx", onnx_options(tiny_onnx(tmp_path), **keys))


def test_onnx_of_another_dimension_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="has vectors of 3 values, but its backbone's `dim` is 5"):
        registry.build("onnx", onnx_options(tiny_onnx(tmp_path), dim=5))


@pytest.mark.parametrize("place", ["../secret.bin", "inner/../../secret.bin", "{absolute}", "link.bin"])
def test_onnx_data_outside_the_folder_is_refused(tmp_path, place):
    secret = tmp_path / "secret.bin"
    secret.write_bytes(np.full(3, 2, np.float32).tobytes())
    folder = tmp_path / "net"
    folder.mkdir()
    (folder / "link.bin").symlink_to(secret)
    path = tiny_onnx(folder, place=place.format(absolute=secret))
    with pytest.raises(WeightsError, match=r"its tensor 'w' in .* outside its own folder\. Such a network is refused"):
        registry.build("onnx", onnx_options(path))


def test_onnx_data_beside_the_network_is_read(tmp_path):
    path = tiny_onnx(tmp_path, place="w.bin")
    with pytest.raises(WeightsError, match=r"its tensor 'w' in .*w\.bin, and that file does not exist\. Put it there"):
        registry.build("onnx", onnx_options(path))
    (tmp_path / "w.bin").write_bytes(np.full(3, 2, np.float32).tobytes())
    assert registry.build("onnx", onnx_options(path))(np.ones((1, 3, 4, 4), np.float32)).tolist() == [[2, 2, 2]]


def test_onnx_data_deep_in_a_graph_is_found(tmp_path):
    from emopipe.runtime.onnx import external_tensors

    hidden = TensorProto(name="deep", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    hidden.external_data.add(key="location", value="/etc/hostname")
    constant = helper.make_node("Constant", [], ["c"], value=hidden)
    branch = helper.make_graph([constant], "branch", [], [])
    node = helper.make_node("If", ["q"], ["y"], then_branch=branch, else_branch=branch)
    model = helper.make_model(helper.make_graph([node], "main", [], []))
    assert set(external_tensors(model)) == {("deep", "/etc/hostname")}


def classifier_onnx(folder: Path, ending=("Gemm",), external=None) -> Path:
    """Means of the channels, the double of them as an inner tensor, and a fully connected layer of two classes."""
    weight = numpy_helper.from_array(np.arange(6, dtype=np.float32).reshape(3, 2), "weight")
    others = {"w": np.full((1, 3), 2, np.float32), "bias": np.ones(2, np.float32), "ones": np.ones(5, np.float32)}
    tensors = [weight, *(numpy_helper.from_array(array, name) for name, array in others.items())]
    if external:
        onnx.external_data_helper.set_external_data(weight, external)
        (folder / external).write_bytes(weight.raw_data)
        weight.ClearField("raw_data")
    inputs = {"Gemm": ["weight", "bias"], "MatMul": ["weight"], "Add": ["bias"]}
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("Identity", ["ones"], ["fixed"]),
        helper.make_node("Mul", ["means", "w"], ["/pool/Flatten_0"]),
    ]
    for number, kind in enumerate(ending):
        name = "y" if number == len(ending) - 1 else f"step{number}"
        nodes.append(helper.make_node(kind, [nodes[-1].output[0], *inputs.get(kind, [])], [name]))
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])],
        tensors,
    )
    path = folder / "classifier.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("ending", [("Gemm",), ("MatMul", "Add"), ("Gemm", "Softmax"), ("MatMul",)])
@pytest.mark.parametrize(
    ("output", "factor"),
    [("penultimate", 2), ("/pool/Flatten_0", 2), ("means", 1)],
    ids=["penultimate", "name", "deep"],
)
def test_onnx_vectors_are_of_any_tensor(tmp_path, ending, output, factor):
    path = classifier_onnx(tmp_path, ending)
    before = path.read_bytes()
    net = registry.build("onnx", onnx_options(path, output=output))
    faces = np.random.default_rng(0).random((5, 3, 4, 4), np.float32)
    np.testing.assert_allclose(net(faces), factor * faces.mean((2, 3)), rtol=1e-6)
    assert net.dim == 3 and registry.spec("onnx", onnx_options(path, output=output)).dim == 3
    assert path.read_bytes() == before


def test_onnx_vectors_are_of_an_output_by_its_name(tmp_path):
    path = classifier_onnx(tmp_path)
    faces = np.random.default_rng(0).random((5, 3, 4, 4), np.float32)
    plain, named = (registry.build("onnx", onnx_options(path, **keys)) for keys in ({}, {"output": "y"}))
    assert plain.dim == 2 and np.array_equal(plain(faces), named(faces))


def test_onnx_inner_tensor_of_a_network_with_external_data(tmp_path, monkeypatch):
    path = classifier_onnx(tmp_path, ("Gemm", "Softmax"), external="w.bin")
    monkeypatch.chdir("/")
    net = registry.build("onnx", onnx_options(path, output="step0"))
    np.testing.assert_allclose(net(np.ones((1, 3, 4, 4), np.float32)), [[13, 19]])


@pytest.mark.parametrize("use", [registry.build, registry.net_files], ids=["build", "plan"])
def test_onnx_unknown_output_is_refused_with_the_names(tmp_path, use):
    path = classifier_onnx(tmp_path, ("Gemm", "Softmax"))
    with pytest.raises(
        ConfigError,
        match=r"options\.output is 'mean', but .*classifier\.onnx has no tensor of this name\. Its outputs: y\. "
        r"Tensors inside, from the last one on: step0, /pool/Flatten_0, fixed, means\. penultimate is .* Did you mean "
        r"'means'\?",
    ):
        use("onnx", onnx_options(path, output="mean"))


def test_onnx_without_a_last_layer_has_no_penultimate_vectors(tmp_path):
    with pytest.raises(ConfigError, match=r"not come from a fully connected layer \(Mul gives y\)\. Name a tensor"):
        registry.build("onnx", onnx_options(tiny_onnx(tmp_path), output="penultimate"))


def test_onnx_tensor_that_does_not_count_faces_is_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"The tensor fixed of .* has the shape \(5,\) for 2 faces, but its first "):
        registry.build("onnx", onnx_options(classifier_onnx(tmp_path), output="fixed"))


def test_onnx_device_that_is_not_there_is_refused(tmp_path, monkeypatch):
    chosen = onnx_options(tiny_onnx(tmp_path))
    with pytest.raises(DeviceError, match=r"cannot run on the device 'tpu'\. Use one of auto, cpu, cuda"):
        registry.build("onnx", chosen, device="tpu")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(DeviceError, match=r"has only CPUExecutionProvider\. Install onnxruntime-gpu"):
        registry.build("onnx", chosen, device="cuda")


def test_onnx_silent_fallback_is_refused(tmp_path, monkeypatch):
    opened = onnxruntime.InferenceSession

    def falls_back(path, settings, providers):
        return opened(path, settings, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", falls_back)
    with pytest.raises(DeviceError, match=r"on CPUExecutionProvider instead of CUDAExecutionProvider\. Check the CUDA"):
        registry.build("onnx", onnx_options(tiny_onnx(tmp_path)), device="cuda")


def test_onnx_runs_the_shared_mobilefacenet(shared):
    chosen = options("onnx", weights=str(shared / "weights/mobilefacenet.onnx"))
    what, net = registry.spec("onnx", chosen), registry.build("onnx", chosen, threads=1)
    faces = np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), np.uint8)
    batch = what.input.prepare(faces)
    vectors = net(batch)
    assert what.dim == 128 and vectors.shape == (3, 128) and np.isfinite(vectors).all()
    np.testing.assert_allclose(vectors[1], net(batch[1:2])[0], rtol=1e-4, atol=1e-5)
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3
