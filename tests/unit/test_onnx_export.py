"""Networks as ONNX: the same numbers as torch for any number of clips and vectors, and else a reason."""

import types

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from emopipe.backbones import registry
from emopipe.backbones.classifier import Classifier, save_classifier
from emopipe.core.labels import BASIC7, LabelSpace
from emopipe.export.onnx_backbones import write_backbone
from emopipe.export.onnx_fusion import MeanOfNetworks, write_model
from emopipe.export.onnx_writing import NotExportedError, Port, write
from emopipe.fusion.model import FusionModel, Moments
from emopipe.fusion.options import FusionOptions, effective_options
from emopipe.inference.description import StreamBlock
from emopipe.runtime.onnx import open_session

STREAMS = {"f": "face", "v": "audio", "w": "audio"}
DIMS = {"f": 8, "v": 12, "w": 6}
SMALL = {"hidden": 8, "heads": 2, "out": 8}
EVERY = [{"fusion": name} for name in ("concat", "fbp", "adaptive_fbp", "gated", "gmu", "late", "crossmodal")]
EVERY += [
    {"face_attention": name, "audio_attention": name} for name in ("mean", "self", "relation", "patch", "multihead")
]
EVERY += [{"audio_inputs": ["vectors", "evidence"]}, {"face_inputs": ["evidence"]}, {"statistics": ["spread"]}]


def model_of(options, blocks=1, seeds=2, space=BASIC7, **more):
    """What `write_model` reads of a model, with random networks. The last two classes have no training clip."""
    networks = {}
    for seed in range(seeds):
        torch.manual_seed(seed + 1)
        moments = {}
        for stream, dim in DIMS.items():
            parts = [torch.randn(dim), torch.rand(dim) + 0.5] * (2 if options.statistics else 1)
            moments[stream] = Moments(*parts, blocks=blocks if stream == "v" else 1)
        networks[f"seed{seed}"] = FusionModel(moments, STREAMS, options, len(space), space.kind).state_dict()
    prior = np.array([0.3, 0.3, 0.1, 0.1, 0.2, 0.0, 0.0] if space == BASIC7 else [0.5] * (len(space) - 2) + [0.0] * 2)
    known = {"effective": (effective_options(options, STREAMS), STREAMS), "files": [*STREAMS], "is_pool": False}
    return types.SimpleNamespace(networks=networks, prior=prior, space=space, **known | more)


@pytest.mark.slow
@pytest.mark.parametrize("keys", [*EVERY, {"blocks": 3}, {"blocks": 3, "statistics": ["maximum"]}], ids=str)
def test_a_fusion_model_of_every_kind(keys, tmp_path):
    blocks = keys.get("blocks", 1)
    model = model_of(FusionOptions(**SMALL | {key: value for key, value in keys.items() if key != "blocks"}), blocks)
    about = write_model(model, tmp_path / "m.onnx")
    session = open_session((tmp_path / "m.onnx").read_bytes(), device="cpu", threads=1)
    network = MeanOfNetworks(model)
    for clips, vectors in ((4, 9), (1, 20)):
        tensors = dict(zip([p.name for p in network.ports], network.example(clips, vectors, seed=107), strict=True))
        for stream in STREAMS:
            tensors[f"{stream}.mask"][0] = False  # a clip without anything
        with torch.no_grad():
            wanted = network(*tensors.values()).numpy()
        (found,) = session.run(None, {each.name: tensors[each.name].numpy() for each in about.inputs})
        np.testing.assert_allclose(found, wanted, atol=1e-5)
        np.testing.assert_allclose(found[0], model.prior, atol=1e-6)
        np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
        assert (found[:, 5:] == 0).all()


SPACES = [
    LabelSpace(("a", "b", "c", "d", "e"), "multi"),
    LabelSpace(("v", "w", "x"), "dimensions", 1, 5),
    LabelSpace(("a", "b", "c", "d"), "votes"),
]


@pytest.mark.slow
@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.kind)
@pytest.mark.parametrize("fusion", ["concat", "late"])
def test_a_fusion_model_of_every_label_space(space, fusion, tmp_path):
    model = model_of(FusionOptions(**SMALL, fusion=fusion), seeds=2, space=space)
    about = write_model(model, tmp_path / "m.onnx")
    (port,) = about.outputs
    assert (port.name, port.shape[1]) == ("values" if space.kind == "dimensions" else "probabilities", len(space))
    network = MeanOfNetworks(model)
    tensors = network.example(6, 9, seed=7)
    named = dict(zip([port.name for port in network.ports], tensors, strict=True))
    session = open_session((tmp_path / "m.onnx").read_bytes(), device="cpu", threads=1)
    (found,) = session.run(None, {each.name: named[each.name].numpy() for each in about.inputs})
    with torch.no_grad():
        np.testing.assert_allclose(found, network(*tensors).numpy(), atol=1e-5)
    if space.kind == "dimensions":
        assert found.min() >= 1 and found.max() <= 5 and (found > 1).any()
    else:
        assert (found[:, -2:] == 0).all() and (found[:, :-2] > 0).all()
        assert np.allclose(found.sum(1), 1) == (space.kind == "votes")


def test_models_that_are_not_one_network_say_why(tmp_path):
    options = FusionOptions(**SMALL)
    with pytest.raises(NotExportedError, match="formula of a few numbers"):
        write_model(model_of(options, is_pool=True), tmp_path / "m.onnx")
    with pytest.raises(NotExportedError, match="different networks of the backbone f"):
        write_model(model_of(options, files=["f", "f.seed1", "v", "w"]), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


class DependsOnLength(nn.Module):
    def forward(self, x):
        return x if x.shape[1] < 4 else 2 * x


def test_a_network_that_tracing_gets_wrong_is_not_kept(tmp_path):
    port = Port("x", "float32", ("batch", "length"))
    examples = [[torch.ones(2, length)] for length in (3, 5)]
    with pytest.raises(NotExportedError, match=r"differs from torch by 0\.5 for an input of 2 x 5"):
        write(DependsOnLength(), tmp_path / "m.onnx", "", [port], [Port("y", "float32", port.shape)], examples)
    assert not list(tmp_path.iterdir())


def stream_of(kind, options):
    modality = registry.modality(kind)
    return StreamBlock(
        kind=kind,
        options=options,
        modality=modality,
        weights=None,
        preset="p",
        batch=1,
        precision="float32",
        views=[""],
    )


BACKBONES = [
    ("expression", {"size": 48, "width": 8, "units": [1, 1, 1], "dim": 16}),
    ("speech", {"width": 8, "dim": 16}),
    ("audio_alexnet", {"width": 0.0625, "spectrum": {"kind": "logmel"}}),
    ("mobilefacenet", {"size": 64}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "keys"), BACKBONES, ids=[kind for kind, _ in BACKBONES])
def test_backbones_with_their_heads(kind, keys, tmp_path):
    options = registry.options_class(kind).model_validate(keys)
    torch.manual_seed(0)
    spec = registry.spec(kind, options)
    module = Classifier(registry.build(kind, options), spec.dim).eval()
    save_classifier(module, tmp_path / "w.safetensors", {}, half=False)
    about = write_backbone(stream_of(kind, keys), tmp_path / "w.safetensors", tmp_path / "b.onnx")
    assert [each.name for each in about.outputs] == ["x", "logp"]
    (given,) = about.inputs
    sizes = {"batch": 3, "frames": 120}
    x = torch.randn([size if isinstance(size, int) else sizes[size] for size in given.shape])
    session = open_session((tmp_path / "b.onnx").read_bytes(), device="cpu", threads=1)
    vectors, logp = session.run(None, {given.name: x.numpy()})
    with torch.no_grad():
        wanted = module.backbone(x)
        np.testing.assert_allclose(vectors, wanted, atol=1e-5 * max(1, wanted.abs().max()))
        np.testing.assert_allclose(logp, module.head(wanted).log_softmax(-1), atol=1e-4)
    assert all(not node.doc_string for node in onnx.load(tmp_path / "b.onnx").graph.node)


def test_what_is_not_a_network_of_torch_says_so(tmp_path):
    with pytest.raises(NotExportedError, match="not a network of torch"):
        write_backbone(stream_of("opensmile", {}), None, tmp_path / "b.onnx")
    with pytest.raises(NotExportedError, match="does not hold its weights"):
        write_backbone(stream_of("speech", {}), None, tmp_path / "b.onnx")
