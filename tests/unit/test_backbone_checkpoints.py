"""Published checkpoints: every network has their parameters, keys and spellings, and computes what they learned."""

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import nn

from emopipe.backbones import crossfit, densenet121, registry, vggface
from emopipe.backbones.base import FaceInput
from emopipe.cache import tensors
from emopipe.cache.store import Row, Writer
from emopipe.core.errors import ConfigError, WeightsError
from emopipe.core.fingerprint import digest
from emopipe.core.labels import CLASSES
from emopipe.extraction.extractor import Extractor
from emopipe.fusion.options import Protocol
from emopipe.media import rows as media_rows
from emopipe.stages import pretrain

torch.set_num_threads(1)

IMAGENET = {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}
LOGMEL = {"spectrum": {"kind": "logmel"}}
NEW = ["ir_se50", "densenet121", "vgg16", "vggface"]


def options(kind, **keys):
    return registry.options_class(kind).model_validate(keys)


def network(kind, **keys):
    return registry.build(kind, options(kind, **keys)).eval()


def outline(kind, **keys):
    """A network without memory: keys, shapes and counts."""
    with torch.device("meta"):
        return network(kind, **keys)


def load(kind, module, path, **keys):
    registry.load(kind, options(kind, **keys), module, path)
    return module


def lively(module):
    """Running statistics and scales that a forward pass cannot do without."""
    torch.manual_seed(1)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 1.5)
            part.weight.data.uniform_(0.5, 1.5)
            part.bias.data.normal_(0, 0.1)
    return module


def same(state, other):
    return state.keys() == other.keys() and all(torch.equal(state[key], other[key]) for key in state)


def constant(shape, value):
    """A tensor whose file holds one number, however large it is."""
    return torch.full((1,), float(value)).expand(shape)


def relative(ours, theirs):
    return float((ours - theirs).abs().max() / theirs.abs().max())


# --- what the networks are


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "keys", "head", "published"),
    [
        ("resnet18", {}, [(512, 1000)], 11_689_512),
        ("densenet121", {}, [(1024, 1000)], 7_978_856),
        ("vgg16", {}, [(4096, 1000)], 138_357_544),
        ("vggface", {}, [(4096, 2622)], 145_002_878),
        ("audio_alexnet", {"batch_norm": False, **LOGMEL}, [(9216, 4096), (4096, 4096), (4096, 1000)], 61_100_840),
        ("ir50", {}, [], 43_590_848),
        ("ir_se50", {}, [], 43_797_696),
        ("ir_se50", {"variant": "ir_50"}, [], 43_574_976),
    ],
)
def test_parameters_are_those_published(kind, keys, head, published):
    ours = sum(parameter.numel() for parameter in outline(kind, **keys).parameters())
    assert ours + sum((inputs + 1) * outputs for inputs, outputs in head) == published


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "keys", "face", "dim"),
    [
        ("ir_se50", {}, FaceInput(112.0, 112, "bgr", (127.5,) * 3, (127.5,) * 3), 512),
        ("ir_se50", {"variant": "ir_50"}, FaceInput(112.0, 112, "rgb", (127.5,) * 3, (127.5,) * 3), 512),
        ("ir_se50", {"colour": "rgb"}, FaceInput(112.0, 112, "rgb", (127.5,) * 3, (127.5,) * 3), 512),
        ("densenet121", {}, FaceInput(145.6, 224, "rgb", **IMAGENET), 1024),
        ("vgg16", {}, FaceInput(145.6, 224, "rgb", **IMAGENET), 4096),
        ("vggface", {}, FaceInput(145.6, 224, "rgb", (129.1863, 104.7624, 93.594), (1.0,) * 3), 4096),
    ],
)
def test_what_goes_in_and_comes_out(kind, keys, face, dim):
    what = registry.spec(kind, options(kind, **keys))
    assert (what.modality, what.input, what.dim) == ("face", face, dim)
    seen = outline(kind, **keys)(torch.empty(2, 3, face.size, face.size, device="meta"))
    assert seen.shape == (2, dim)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "length", "shapes"),
    [
        (
            "ir_se50",
            397,  # 24 units of 15, three projections of 6, 7 in the stem, 12 in the head
            {
                "input_layer.2.weight": (64,),
                "body.0.res_layer.5.fc1.weight": (4, 64, 1, 1),
                "body.3.shortcut_layer.1.running_var": (128,),
                "body.23.res_layer.5.fc2.weight": (512, 32, 1, 1),
                "body.23.res_layer.3.weight": (512, 512, 3, 3),
                "output_layer.0.bias": (512,),
                "output_layer.3.weight": (512, 25088),
                "output_layer.4.weight": (512,),
            },
        ),
        (
            "densenet121",
            725,  # torchvision's 727 less classifier.weight and classifier.bias
            {
                "features.conv0.weight": (64, 3, 7, 7),
                "features.denseblock1.denselayer6.norm1.weight": (224,),
                "features.denseblock3.denselayer24.conv1.weight": (128, 992, 1, 1),
                "features.denseblock4.denselayer16.conv2.weight": (32, 128, 3, 3),
                "features.transition3.conv.weight": (512, 1024, 1, 1),
                "features.norm5.running_mean": (1024,),
            },
        ),
        (
            "vgg16",
            30,  # torchvision's 32 less classifier.6.weight and classifier.6.bias
            {
                "features.0.weight": (64, 3, 3, 3),
                "features.10.weight": (256, 128, 3, 3),
                "features.28.bias": (512,),
                "classifier.0.weight": (4096, 25088),
                "classifier.3.weight": (4096, 4096),
            },
        ),
    ],
)
def test_keys_are_the_published_ones(kind, length, shapes):
    state = outline(kind).state_dict()
    assert len(state) == length
    assert {key: tuple(state[key].shape) for key in shapes} == shapes


@pytest.mark.slow
def test_the_plain_variant_lacks_squeeze_and_excitation_alone():
    whole, plain = outline("ir_se50").state_dict(), outline("ir_se50", variant="ir_50").state_dict()
    assert {key for key in whole if ".res_layer.5." not in key} == plain.keys()
    assert "body.0.shortcut_layer.0.weight" not in plain  # 64 channels stay 64, so it only thins


@pytest.mark.parametrize("kind", NEW)
def test_unknown_key_is_refused(kind):
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        options(kind, depth=3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ir_se50", "densenet121"])
def test_the_seed_makes_the_weights(kind):
    states = []
    for seed in (7, 7, 8):
        torch.manual_seed(seed)
        states.append(network(kind).state_dict())
    assert same(states[0], states[1]) and not same(states[0], states[2])


@pytest.mark.slow
def test_dropout_acts_in_training_only():
    module, face = network("ir_se50", dropout=0.9), torch.randn(2, 3, 112, 112)
    with torch.no_grad():
        assert torch.equal(module(face), module(face))
        assert not torch.equal(module.train()(face), module(face))


# --- what they compute, against plain arithmetic on the published keys


def norm(state, name, x):
    mean, var, scale, shift = (state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, mean, var, scale, shift)


def plain_ir50(state, x):
    x = F.conv2d(x, state["input_layer.0.weight"], padding=1)
    x = F.prelu(norm(state, "input_layer.1", x), state["input_layer.2.weight"])
    for number in range(24):
        unit, stride = f"body.{number}", 2 if number in (0, 3, 7, 21) else 1
        shortcut = F.max_pool2d(x, 1, stride)
        if f"{unit}.shortcut_layer.0.weight" in state:
            shortcut = F.conv2d(x, state[f"{unit}.shortcut_layer.0.weight"], stride=stride)
            shortcut = norm(state, f"{unit}.shortcut_layer.1", shortcut)
        y = F.conv2d(norm(state, f"{unit}.res_layer.0", x), state[f"{unit}.res_layer.1.weight"], padding=1)
        y = F.prelu(y, state[f"{unit}.res_layer.2.weight"])
        y = F.conv2d(y, state[f"{unit}.res_layer.3.weight"], stride=stride, padding=1)
        y = norm(state, f"{unit}.res_layer.4", y)
        if f"{unit}.res_layer.5.fc1.weight" in state:
            squeezed = F.adaptive_avg_pool2d(y, 1)
            for layer, then in (("fc1", torch.relu), ("fc2", torch.sigmoid)):
                squeezed = then(F.conv2d(squeezed, state[f"{unit}.res_layer.5.{layer}.weight"]))
            y = y * squeezed
        x = y + shortcut
    x = norm(state, "output_layer.0", x).flatten(1)
    return norm(state, "output_layer.4", F.linear(x, state["output_layer.3.weight"], state["output_layer.3.bias"]))


def plain_densenet121(state, x):
    def conv(name, x, **where):
        return F.conv2d(x, state[f"features.{name}.weight"], **where)

    def active(name, x):
        return F.relu(norm(state, f"features.{name}", x))

    x = F.max_pool2d(active("norm0", conv("conv0", x, stride=2, padding=3)), 3, 2, 1)
    for block, layers in enumerate((6, 12, 24, 16), start=1):
        for number in range(1, layers + 1):
            layer = f"denseblock{block}.denselayer{number}"
            y = conv(f"{layer}.conv1", active(f"{layer}.norm1", x))
            x = torch.cat([x, conv(f"{layer}.conv2", active(f"{layer}.norm2", y), padding=1)], 1)
        if block < 4:
            x = F.avg_pool2d(conv(f"transition{block}.conv", active(f"transition{block}.norm", x)), 2, 2)
    return F.adaptive_avg_pool2d(active("norm5", x), 1).flatten(1)


def plain_vgg16(state, x):
    for place in (0, 2, None, 5, 7, None, 10, 12, 14, None, 17, 19, 21, None, 24, 26, 28, None):
        if place is None:
            x = F.max_pool2d(x, 2, 2)
        else:
            x = F.relu(F.conv2d(x, state[f"features.{place}.weight"], state[f"features.{place}.bias"], padding=1))
    x = x.flatten(1)
    for place in (0, 3):
        x = F.relu(F.linear(x, state[f"classifier.{place}.weight"], state[f"classifier.{place}.bias"]))
    return x


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "keys", "plain", "size"),
    [
        ("ir_se50", {}, plain_ir50, 112),
        ("ir_se50", {"variant": "ir_50"}, plain_ir50, 112),
        ("densenet121", {}, plain_densenet121, 224),
        ("vgg16", {}, plain_vgg16, 224),
    ],
)
def test_the_forward_pass_is_the_published_one(kind, keys, plain, size):
    module, faces = lively(network(kind, **keys)), torch.randn(2, 3, size, size)
    with torch.no_grad():
        vectors = module(faces)
        assert relative(vectors, plain(module.state_dict(), faces)) < 1e-4
    assert vectors.shape == (2, registry.spec(kind, options(kind, **keys)).dim)
    assert relative(vectors[:1], vectors[1:]) > 1e-3  # it looks at the faces


# --- DenseNet's first spelling


@pytest.mark.slow
def test_densenets_first_spelling_loads(tmp_path):
    trained = lively(network("densenet121"))
    state = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", key): tensor
        for key, tensor in trained.state_dict().items()
        if "num_batches" not in key
    }
    assert "features.denseblock4.denselayer16.conv.2.weight" in state and "features.transition1.norm.weight" in state
    state |= {"classifier.weight": torch.zeros(1000, 1024), "classifier.bias": torch.zeros(1000)}
    torch.save(state, tmp_path / "densenet121.pth")
    loaded = load("densenet121", network("densenet121"), tmp_path / "densenet121.pth")
    assert same(loaded.state_dict(), trained.state_dict())


# --- VGG-Face's two spellings

VGG_LAYERS = {
    "conv1_1": "features.0", "conv1_2": "features.2", "conv2_1": "features.5", "conv2_2": "features.7",
    "conv3_1": "features.10", "conv3_2": "features.12", "conv3_3": "features.14",
    "conv4_1": "features.17", "conv4_2": "features.19", "conv4_3": "features.21",
    "conv5_1": "features.24", "conv5_2": "features.26", "conv5_3": "features.28",
    "fc6": "classifier.0", "fc7": "classifier.3",
}  # fmt: skip
SPELLINGS = {
    "matconvnet": lambda layer: layer,
    "lua": lambda layer: layer.replace("conv", "conv_"),
    "lua in two parts": lambda layer: ("features." if "_" in layer else "fc.") + layer.replace("conv", "conv_"),
}


def vggface_file(path, spell):
    """A small file of VGG-Face's keys and shapes; only the first convolution's weights differ from cell to cell."""
    shapes = {key: tensor.shape for key, tensor in outline("vgg16").state_dict().items()}
    ours = {key: constant(shape, number) for number, (key, shape) in enumerate(shapes.items(), start=1)}
    ours["features.0.weight"] = torch.arange(64 * 27.0).reshape(64, 3, 3, 3)
    back = {place: spell(layer) for layer, place in VGG_LAYERS.items()}
    state = {f"{back[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": tensor for key, tensor in ours.items()}
    state |= {f"{spell('fc8')}.weight": constant((2622, 4096), 0), f"{spell('fc8')}.bias": constant((2622,), 0)}
    torch.save(state, path)
    return ours


@pytest.fixture(scope="module")
def vgg():
    """Memory for one VGG16, not filled: 0.5 GB."""
    return outline("vgg16").to_empty(device="cpu")


@pytest.mark.slow
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_vggface_loads_in_each_spelling_and_reads_rgb(tmp_path, vgg, spelling):
    expected = vggface_file(tmp_path / "vggface.pth", SPELLINGS[spelling])
    loaded = load("vggface", vgg, tmp_path / "vggface.pth").state_dict()
    if spelling != "matconvnet":  # the Lua file reads blue first
        expected["features.0.weight"] = expected["features.0.weight"][:, [2, 1, 0]]
    assert same(loaded, expected)


@pytest.mark.slow
def test_vggface_in_two_spellings_at_once_is_refused(tmp_path):
    vggface_file(tmp_path / "vggface.pth", SPELLINGS["lua"])
    state = torch.load(tmp_path / "vggface.pth", weights_only=True)
    state["conv1_1.weight"] = state["conv_1_1.weight"]
    torch.save(state, tmp_path / "vggface.pth")
    with pytest.raises(WeightsError, match=r"hold 31 tensors for 30 keys .* in two spellings. Use a file with"):
        load("vggface", outline("vggface"), tmp_path / "vggface.pth")


@pytest.mark.slow
def test_imagenets_vgg16_is_not_taken_for_vggface(tmp_path):
    state = {key: constant(tensor.shape, 0) for key, tensor in outline("vgg16").state_dict().items()}
    state |= {"classifier.6.weight": constant((1000, 4096), 0), "classifier.6.bias": constant((1000,), 0)}
    torch.save(state, tmp_path / "vgg16.pth")
    with pytest.raises(WeightsError, match=r"VGG16: classifier\.6\.weight is unexpected \(2 in all\)"):
        load("vggface", outline("vggface"), tmp_path / "vgg16.pth")


# --- AlexNet's first layer


def imagenet_alexnet():
    """A file as torchvision's: three colours in, no normalisation, a classifier."""
    torch.manual_seed(3)
    state = network("audio_alexnet", batch_norm=False, **LOGMEL).state_dict()
    shapes = {"1": (4096, 9216), "4": (4096, 4096), "6": (1000, 4096)}
    for place, shape in shapes.items():
        state |= {f"classifier.{place}.weight": constant(shape, 0), f"classifier.{place}.bias": constant(shape[:1], 0)}
    return state


def test_alexnets_imagenet_weights_read_the_logmel_as_they_are(tmp_path):
    torch.save(imagenet_alexnet(), tmp_path / "alexnet.pth")
    keys = {"batch_norm": False, **LOGMEL}
    loaded = load("audio_alexnet", network("audio_alexnet", **keys), tmp_path / "alexnet.pth", **keys).state_dict()
    published = imagenet_alexnet()
    assert same(loaded, {key: published[key] for key in published if key.startswith("features.")})


@pytest.mark.slow
def test_a_spectrogram_is_read_as_a_grey_picture(tmp_path):
    torch.save(imagenet_alexnet(), tmp_path / "alexnet.pth")
    keys = {"batch_norm": False}
    one = load("audio_alexnet", network("audio_alexnet", **keys), tmp_path / "alexnet.pth", **keys)
    three = load(
        "audio_alexnet", network("audio_alexnet", **keys, **LOGMEL), tmp_path / "alexnet.pth", **keys, **LOGMEL
    )
    grey = torch.rand(2, 1, 200, 95)
    with torch.no_grad():
        assert relative(one(grey), three(grey.expand(-1, 3, -1, -1))) < 1e-5
    assert one.features[0].weight.shape == (64, 1, 11, 11)
    torch.testing.assert_close(one.features[0].weight[:, 0], 3 * three.features[0].weight.mean(1))


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ({}, r"norms\.0\.weight is missing \(20 in all\)"),
        (
            {"batch_norm": False, "width": 0.5},
            r"features\.0\.weight has the shape \(64, 1, 11, 11\) instead of \(32, 1, 11",
        ),
    ],
)
def test_alexnets_imagenet_weights_fit_no_other_options(tmp_path, keys, fault):
    torch.save(imagenet_alexnet(), tmp_path / "alexnet.pth")
    with pytest.raises(WeightsError, match=fault):
        load("audio_alexnet", network("audio_alexnet", **keys), tmp_path / "alexnet.pth", **keys)


# --- how files come


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state},
        lambda state: {"model": state},
        lambda state: {"epoch": 3, "optimizer": {"state": {}, "lr": 0.1}, "state_dict": state, "best": 0.6},
        lambda state: {f"module.{key}": tensor for key, tensor in state.items()},
        lambda state: {"model": {f"module.{key}": tensor for key, tensor in state.items()}, "arch": "r50"},
    ],
    ids=["state_dict", "model", "training state", "DataParallel", "both"],
)
def test_wrapped_checkpoints_load(tmp_path, wrap):
    module, other = nn.Linear(2, 3), nn.Linear(2, 3)
    state = module.state_dict() | {"fc.weight": torch.zeros(7, 3)}
    torch.save(wrap(state), tmp_path / "net.pth")
    tensors.load_strict(other, tmp_path / "net.pth", head=("fc.",))
    assert same(other.state_dict(), module.state_dict())


def test_a_safetensors_file_of_dataparallel_loads(tmp_path):
    module, other = nn.Linear(2, 3), nn.Linear(2, 3)
    save_file({f"module.{key}": tensor for key, tensor in module.state_dict().items()}, tmp_path / "net.safetensors")
    tensors.load_strict(other, tmp_path / "net.safetensors")
    assert same(other.state_dict(), module.state_dict())


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ({"state_dict": {"weight": torch.zeros(3, 2), "lr": 0.1}}, "lr is not a named tensor. Save the network's"),
        ({"state_dict": "none"}, "state_dict is not a named tensor"),
        ({"epoch": 3, "net": {}}, "epoch is not a named tensor"),
        ({0: torch.zeros(3)}, "0 is not a named tensor"),
        ({"model": nn.Linear(2, 3)}, "hold more than tensors"),
        ({"model": {}, "arguments": SimpleNamespace(lr=0.1)}, "hold more than tensors"),
        ({"model": {}}, r"weight is missing \(2 in all\)"),
    ],
)
def test_what_is_no_state_dict_stays_refused(tmp_path, content, fault):
    torch.save(content, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=fault):
        tensors.load_strict(nn.Linear(2, 3), tmp_path / "net.pth")


@pytest.mark.slow
@pytest.mark.parametrize("module", [densenet121, vggface], ids=["densenet121", "vggface"])
def test_the_networks_own_keys_pass_unchanged(module):
    own = outline(module.__name__.rpartition(".")[2]).state_dict()
    adapted = module.adapt(dict(own), module.BackboneOptions())
    assert adapted.keys() == own.keys() and all(adapted[key] is own[key] for key in own)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "unfit", "ours"),
    [
        ("densenet121", "features.denseblock1.denselayer1.norm.1.bias", "features.denseblock1.denselayer1.norm1.bias"),
        ("vggface", "conv_1_1.weight", "features.0.weight"),
        ("audio_alexnet", "features.0.weight", "features.0.weight"),
    ],
)
def test_weights_of_another_network_are_named_after_they_are_adapted(tmp_path, kind, unfit, ours):
    module = outline(kind)
    torch.save({unfit: torch.zeros(5), "stray.bias": torch.zeros(1)}, tmp_path / "net.pth")
    missing = [key for key in module.state_dict() if key != ours and "num_batches" not in key]
    with pytest.raises(WeightsError) as caught:
        load(kind, module, tmp_path / "net.pth")
    said = str(caught.value)
    assert f"{missing[0]} is missing ({len(missing)} in all); stray.bias is unexpected (1 in all)" in said
    assert f"{ours} has the shape (5,) instead of {tuple(module.state_dict()[ours].shape)} (1 in all). Use" in said


def test_a_file_for_no_kind_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no backbone of kind 'vgg'"):
        registry.load("vgg", None, None, tmp_path / "net.pth")


# --- where files are loaded

NARROW = {"width": 0.05, "batch_norm": False}


def narrow_alexnet(path):
    """Write a file for three channels, as DataParallel saves it; the state that one channel makes of it."""
    state = network("audio_alexnet", **NARROW, **LOGMEL).state_dict()
    torch.save({"state_dict": {f"module.{key}": tensor for key, tensor in state.items()}}, path)
    return {**state, "features.0.weight": state["features.0.weight"].sum(1, keepdim=True)}


def test_extraction_adapts_published_weights(tmp_path):
    expected = network("audio_alexnet", **NARROW)
    expected.load_state_dict(narrow_alexnet(tmp_path / "alexnet.pth"))
    where = {"torch_device": torch.device("cpu"), "device": "cpu", "threads": 1}
    chosen = options("audio_alexnet", **NARROW)
    extractor = Extractor("audio_alexnet", chosen, weights=str(tmp_path / "alexnet.pth"), pretrained=None, **where)
    picture = np.random.default_rng(0).random((1, 1, 200, 70), np.float32)
    with torch.no_grad():
        wanted = expected(torch.from_numpy(picture)).numpy()
    np.testing.assert_allclose(extractor.embed(crossfit.ALL, picture)["x"], wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_pretraining_starts_from_published_weights(tmp_path):
    """At a learning rate of next to nothing, what is learned is what it started from."""
    start = narrow_alexnet(tmp_path / "alexnet.pth")
    names, rng = [f"c{number}" for number in range(4)], np.random.default_rng(0)
    with Writer(tmp_path / "0.h5", media_rows.FIELDS, stage="decode", recipe={}) as writer:
        for name in names:
            wave = (2000 * rng.normal(size=16_000)).astype(np.int16)
            writer.add(Row(name, f"d{name}", "ok", "", {"audio": wave, "audio_start": np.zeros(1)}))
    labels = [CLASSES[number % 2] for number in range(4)]
    table = pd.DataFrame({"clip": names, "path": names, "label": labels, "subject": "", "split": "train", "digest": ""})
    table.to_csv(tmp_path / "clips.csv", index=False)
    training = {"folds": 2, "epochs": 1, "batch": 4, "seconds": 0.7, "lr": 1e-12}
    recipe = {"stage": "pretrain", "kind": "audio_alexnet", "options": NARROW, "pretrain": training}
    recipe |= {"source": digest({}), "folds": Protocol(folds=2).model_dump()}
    files = [tmp_path / "clips.csv", [tmp_path / "0.h5"], tmp_path / "w.safetensors", tmp_path / "h.csv"]
    pretrain.run(recipe, *files, start=str(tmp_path / "alexnet.pth"), device="cpu", threads=1)
    found = crossfit.load(tmp_path / "w.safetensors")
    for state in map(found.network, (crossfit.ALL, 0, 1)):
        assert state.keys() == start.keys()
        assert all(torch.allclose(state[key], start[key], atol=1e-6) for key in start)
