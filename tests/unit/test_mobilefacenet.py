"""MobileFaceNet: the published network's numbers, and faces of other sides."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from emopipe.backbones import mobilefacenet, onnx_weights, registry
from emopipe.backbones.for_inference import for_inference
from emopipe.backbones.nets.mobilefacenet import StartedNorm
from emopipe.cache import tensors
from emopipe.core.errors import WeightsError

torch.set_num_threads(1)


def network():
    torch.manual_seed(0)
    return registry.build("mobilefacenet", options()).eval()


def options(**keys):
    return registry.options_class("mobilefacenet").model_validate(keys)


def exported(network, path):
    """Write an ONNX file with the network's convolutions, in their order and under names of its own."""
    nodes, tensors = [], []
    for number, module in enumerate(m for m in network.modules() if isinstance(m, torch.nn.Conv2d)):
        for what, value in (("w", module.weight), ("b", module.bias)):
            tensors.append(onnx.numpy_helper.from_array(value.detach().numpy(), f"{what}{number}"))
        nodes.append(onnx.helper.make_node("Conv", [f"x{number}", f"w{number}", f"b{number}"], [f"x{number + 1}"]))
    graph = onnx.helper.make_graph(nodes, "g", [], [], tensors)
    onnx.save(onnx.helper.make_model(graph), path)
    return path


def test_the_published_weights_give_the_published_vectors(shared):
    path = shared / "weights/mobilefacenet.onnx"
    ours = network()
    registry.load("mobilefacenet", options(), ours, path)
    convolutions = [module for module in ours.modules() if isinstance(module, torch.nn.Conv2d)]
    assert sum(parameter.numel() for module in convolutions for parameter in module.parameters()) == 989_952
    faces = torch.randn(4, 3, 112, 112)
    session = onnxruntime.InferenceSession(str(path))
    theirs = np.concatenate([session.run(None, {"input0": face[None].numpy()})[0] for face in faces])
    with torch.inference_mode():
        np.testing.assert_allclose(ours(faces).numpy(), theirs, atol=1e-5)


@pytest.mark.slow
def test_an_onnx_file_is_carried_over_exactly(tmp_path):
    first, second = network(), network()
    with torch.no_grad():
        for number, module in enumerate(m for m in first.modules() if isinstance(m, torch.nn.Conv2d)):
            module.weight.add_(number)
            module.bias.add_(-number)
    registry.load("mobilefacenet", options(), second, exported(first, tmp_path / "net.onnx"))
    for key, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[key]), key


@pytest.mark.slow
def test_normalisation_starts_as_the_identity():
    net, faces = network(), torch.randn(6, 3, 64, 64)
    with torch.inference_mode():
        before = net(faces)
    assert not any(module.started for module in net.modules() if isinstance(module, StartedNorm))
    net.train()
    first = net(faces)
    torch.testing.assert_close(first, before, rtol=1e-3, atol=1e-3)  # the batch's own statistics
    norms = [module for module in net.modules() if isinstance(module, StartedNorm)]
    assert len(norms) == 49 and all(module.started for module in norms)
    net.eval()
    torch.testing.assert_close(net(faces), before, rtol=1e-3, atol=1e-3)  # the running statistics
    scale, mean = norms[3].weight.clone(), norms[3].running_mean.clone()
    net.train()(2 * faces)
    assert torch.equal(norms[3].weight, scale) and not torch.equal(norms[3].running_mean, mean)  # it starts once


@pytest.mark.slow
def test_a_started_network_is_kept(tmp_path):
    first, second = network(), network()
    first.train()(torch.randn(4, 3, 64, 64))
    tensors.save(first.eval(), tmp_path / "net.safetensors", {})
    registry.load("mobilefacenet", options(), second, tmp_path / "net.safetensors")
    faces = torch.randn(2, 3, 64, 64)
    assert torch.equal(first(faces), second.eval()(faces)) and second.stem[0][1].started


@pytest.mark.slow
@pytest.mark.parametrize("started", [False, True])
def test_for_inference_normalisation_is_folded_into_the_convolutions(started):
    net, faces = network(), torch.randn(4, 3, 64, 64)
    if started:
        net.train()(torch.randn(4, 3, 64, 64) + 1)
    with torch.inference_mode():
        before = net.eval()(faces)
        after = for_inference(net, torch.device("cpu"))(faces)
    assert not any(isinstance(module, StartedNorm) for module in net.modules())
    assert before.std() > 0
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)


def test_a_face_of_another_side_keeps_its_vector_roughly():
    net = network()
    faces = torch.nn.functional.interpolate(torch.randn(2, 3, 4, 4), size=(112, 112), mode="bicubic")
    small = torch.nn.functional.interpolate(faces, size=(80, 80), mode="bilinear", antialias=True)
    with torch.inference_mode():
        large, less = net(faces), net(small)
        assert net(faces[:, :, :64, :64]).shape == (2, 128)
    assert torch.cosine_similarity(large, less).min() > 0.8


@pytest.mark.slow
def test_the_filter_over_the_map_keeps_its_sum():
    net = network()
    own = net.places.weight.sum((1, 2, 3))
    assert torch.equal(net._places(7), net.places.weight)
    torch.testing.assert_close(net._places(14).sum((1, 2, 3)), own, rtol=1e-4, atol=1e-5)


def test_the_face_is_rgb_with_the_normalisation_of_imagenet():
    face = registry.spec("mobilefacenet", options()).input
    assert (face.size, face.crop_units, face.center_offset_y, face.colour) == (112, 100.0, 7.0, "rgb")
    blue = np.zeros((1, 112, 112, 3), np.uint8)
    blue[..., 0] = 255  # crops are BGR
    np.testing.assert_allclose(face.prepare(blue)[0, :, 0, 0], [-2.1179, -2.0357, 2.64], atol=1e-4)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"no graph", "cannot be read as an ONNX network"),
        (None, "hold 50 convolutions with weights and biases, but this network has 51"),
    ],
)
def test_another_file_is_refused(tmp_path, content, fault):
    path = tmp_path / "net.onnx"
    if content:
        path.write_bytes(content)
    else:
        net = network()
        net.stem[0][0] = torch.nn.Identity()
        exported(net, path)
    with pytest.raises(WeightsError, match=fault):
        registry.load("mobilefacenet", options(), network(), path)


def test_weights_of_another_shape_are_refused(tmp_path):
    net = network()
    net.fc = torch.nn.Conv2d(512, 64, 1)
    with pytest.raises(WeightsError, match=r"fc\.weight has the shape \(64, 512, 1, 1\)"):
        registry.load("mobilefacenet", options(), network(), exported(net, tmp_path / "net.onnx"))


def test_an_onnx_file_is_for_networks_that_are_published_as_such(tmp_path):
    net = registry.build("expression", registry.options_class("expression").model_validate({"width": 4}))
    path = exported(network(), tmp_path / "net.onnx")
    with pytest.raises(
        WeightsError, match=r"are an ONNX network, but ExpressionNet reads a state dict\. Use `kind: onnx`"
    ):
        registry.load("expression", registry.options_class("expression").model_validate({"width": 4}), net, path)


def test_tensors_outside_the_file_are_not_opened(tmp_path):
    path = exported(network(), tmp_path / "net.onnx")
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="elsewhere.bin", size_threshold=0)
    (tmp_path / "elsewhere.bin").unlink()
    names = [name for name, module in network().named_modules() if isinstance(module, torch.nn.Conv2d)]
    with pytest.raises(WeightsError, match="hold 0 convolutions"):
        onnx_weights.convolutions(path, names)
    assert len(names) == 51 and mobilefacenet.STRIDE * 7 == mobilefacenet.SIDE
