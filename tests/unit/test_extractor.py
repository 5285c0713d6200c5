"""Extraction where a device's memory is small, and where one clip of many breaks the network."""

import json
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch

from emopipe.backbones import registry
from emopipe.backbones.classifier import TRAINED_ON, Classifier, Head, read_head, save_classifier
from emopipe.cache.failures import FailurePolicy
from emopipe.cache.incremental import Output
from emopipe.cache.status import FAILED, OK, text
from emopipe.cache.store import Reader, Writer
from emopipe.core.errors import DamagedCacheError, LittleMemoryError
from emopipe.core.fingerprint import digest
from emopipe.core.labels import CLASSES
from emopipe.core.log import LOGGER
from emopipe.extraction import face
from emopipe.extraction.extractor import Extractor
from emopipe.faces.crops import read_crops
from emopipe.faces.rows import FIELDS
from emopipe.media.decoded import decode_jpegs
from emopipe.stages import features
from tests.unit.test_pretraining import write_faces

BATCH = np.random.default_rng(0).normal(size=(13, 1, 32, 32)).astype(np.float32)


def extractor():
    options = registry.options_class("expression").model_validate({"size": 32, "width": 4, "dim": 8})
    where = {"torch_device": torch.device("cpu"), "device": "cpu", "threads": 1}
    return Extractor("expression", options, weights=None, pretrained=None, **where)


def holds(network, most, error):
    """Let the network's device hold so many at once; what it is asked to take."""
    asked = []

    def hook(_module, inputs):
        asked.append(len(inputs[0]))
        if len(inputs[0]) > most:
            raise error

    network._whole.register_forward_pre_hook(hook)
    return asked


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("Failed to allocate memory for requested buffer")],
)
def test_a_batch_that_is_too_large_is_halved_and_said(error, monkeypatch):
    whole, small = extractor(), extractor()
    asked = holds(small, 4, error)
    said = []
    monkeypatch.setattr(LOGGER, "warning", said.append)
    np.testing.assert_allclose(small.embed(-1, BATCH)["x"], whole.embed(-1, BATCH)["x"], atol=1e-5)
    assert asked == [13, 6, 3, 3, 3, 3, 1]
    np.testing.assert_allclose(small.embed(-1, BATCH)["x"], whole.embed(-1, BATCH)["x"], atol=1e-5)
    assert said == [
        f"The memory of cpu is too small for a batch of {n}. The batch size is now {n // 2}." for n in (13, 6)
    ]
    assert asked[7:] == [3, 3, 3, 3, 1]  # what did not fit once is not tried again


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), ValueError("odd")])
def test_what_cannot_be_halved_or_helped_is_raised(error):
    network = extractor()
    holds(network, 0, error)
    with pytest.raises(type(error)):
        network.embed(-1, BATCH)


def with_head(path, known, counts):
    """Weights with a head that knows some classes, and how many samples of each there were; the classifier."""
    options = registry.options_class("expression").model_validate({"size": 32, "width": 4, "dim": 8})
    torch.manual_seed(1)
    model = Classifier(registry.build("expression", options), 8).eval()
    model.restrict(np.isin(CLASSES, known))
    save_classifier(model, path, {TRAINED_ON: json.dumps({"classes": counts})} if counts else {}, half=False)
    return model, options


@pytest.mark.parametrize("known", [CLASSES, ("Angry", "Happy", "Sad")])
def test_the_head_of_the_weights_answers_beside_the_vectors(tmp_path, known):
    model, options = with_head(tmp_path / "w.safetensors", known, {"Happy": 30, "Sad": 10})
    where = {"torch_device": torch.device("cpu"), "device": "cpu", "threads": 1}
    network = Extractor("expression", options, weights=str(tmp_path / "w.safetensors"), pretrained=None, **where)
    found = network.embed(-1, BATCH)
    with torch.inference_mode():
        expected = model(torch.from_numpy(BATCH)).double().softmax(1).numpy()
    np.testing.assert_allclose(np.exp(found["logp"]), np.where(expected > 0, expected, 1e-9), rtol=1e-4)
    assert found["x"].shape == (13, 8) and found["logp"].dtype == np.float32
    np.testing.assert_allclose(network.head.prior, [0, 0, 0, 0.75, 0, 0.25, 0])


def test_without_counts_the_prior_is_equal_over_the_classes_of_the_head(tmp_path):
    with_head(tmp_path / "w.safetensors", ("Angry", "Sad"), {})
    np.testing.assert_allclose(read_head(tmp_path / "w.safetensors").prior, [0.5, 0, 0, 0, 0, 0.5, 0])


def test_networks_without_a_head_give_vectors_alone(tmp_path):
    assert extractor().embed(-1, BATCH).keys() == {"x"}
    assert "logp" in features.fields(8, has_head=True) and "logp" not in features.fields(8, has_head=False)
    network = extractor()
    torch.save(network._whole.state_dict(), tmp_path / "published.pth")
    assert read_head(tmp_path / "published.pth") is None


def test_the_mean_over_patches_is_the_head_on_the_mean_vector():
    rng = np.random.default_rng(0)
    tensors = torch.from_numpy(rng.normal(size=(7, 8))).float(), torch.from_numpy(rng.normal(size=7)).float()
    head = Head(*tensors, torch.ones(7, dtype=torch.bool), np.full(7, 1 / 7))
    patches = torch.from_numpy(rng.normal(size=(5, 8))).float()
    pooled = head.log_probabilities(patches).double().mean(0).log_softmax(0)
    np.testing.assert_allclose(pooled, head.log_probabilities(patches.mean(0)), atol=1e-5)


def refuse_the_first_face(network, faces, clip, error):
    """Let a network raise an error where a batch has the first face of a clip."""
    refused = network.spec.input.prepare(read_crops(faces, clip, network.spec.input))[0]

    def hook(_module, inputs):
        if any(np.array_equal(one, refused) for one in inputs[0].numpy()):
            raise error

    network._whole.register_forward_pre_hook(hook)


def test_one_clip_that_breaks_the_network_costs_no_other(tmp_path):
    names = ["a", "b", "c"]
    write_faces(tmp_path / "0.h5", names, np.random.default_rng(0))
    network = extractor()
    with Reader(tmp_path / "0.h5") as faces:
        refuse_the_first_face(network, faces, "b", ValueError("odd face"))
        rows = list(face.rows(faces, iter(names), network, 64, "", FailurePolicy("keep_going")))
    assert [row.status for row in rows] == [OK, FAILED, OK]
    assert "odd face" in rows[1].reason and not rows[1].arrays
    assert np.isfinite(rows[2].arrays["x"][rows[2].arrays["mask"]]).all()


def undecodable(path, clip):
    """Replace a clip's crops by bytes that are no pictures, under correct checksums."""
    with Reader(path) as reader:
        rows = list(reader.rows())
    with Writer(path, FIELDS, stage="faces", recipe={}) as writer:
        for row in rows:
            crop = np.zeros_like(row.arrays["crop"]) if row.clip == clip else row.arrays["crop"]
            writer.add(replace(row, arrays={**row.arrays, "crop": crop}))


def test_crops_that_cannot_be_decoded_are_a_row_and_cost_no_other(tmp_path):
    names = ["a", "b", "c"]
    write_faces(tmp_path / "0.h5", names, np.random.default_rng(0))
    network = extractor()
    with Reader(tmp_path / "0.h5") as faces:
        before = list(face.rows(faces, iter(names), network, 64, "", FailurePolicy("keep_going")))
    undecodable(tmp_path / "0.h5", "b")
    with Reader(tmp_path / "0.h5") as faces:
        rows = list(face.rows(faces, iter(names), network, 64, "", FailurePolicy("keep_going")))
        with pytest.raises(ValueError, match="is not a JPEG that OpenCV can decode"):
            list(face.rows(faces, iter(names), network, 64, "", FailurePolicy("stop")))
    assert [row.status for row in rows] == [OK, FAILED, OK]
    assert "is not a JPEG that OpenCV can decode" in text(rows[1].reason) and not rows[1].arrays
    for number in (0, 2):
        np.testing.assert_allclose(rows[number].arrays["x"], before[number].arrays["x"], atol=1e-5)


def test_sizes_that_do_not_fit_the_bytes_are_refused():
    with pytest.raises(ValueError, match="3 bytes of cached pictures were found, expected 4"):
        decode_jpegs(np.zeros(3, np.uint8), np.array([4]))


def test_a_damaged_file_ends_the_job(tmp_path):
    path = tmp_path / "0.h5"
    write_faces(path, ["a", "b"], np.random.default_rng(0))
    with Reader(path) as faces:
        crop = faces.field("b", "crop").tobytes()
    content = bytearray(path.read_bytes())
    content[content.index(crop) + 100] ^= 1
    path.write_bytes(content)
    with Reader(path) as faces, pytest.raises(DamagedCacheError, match="crop of the clip b is not what was written"):
        list(face.rows(faces, iter(["a", "b"]), extractor(), 64, "", FailurePolicy("keep_going")))


def test_a_clip_that_needs_more_memory_than_there_is_costs_no_other(tmp_path):
    names = ["a", "b", "c"]
    write_faces(tmp_path / "0.h5", names, np.random.default_rng(0))
    network, policy = extractor(), FailurePolicy("keep_going")
    with Reader(tmp_path / "0.h5") as faces:
        allocator = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."
        refuse_the_first_face(network, faces, "b", RuntimeError(allocator))
        rows = list(face.rows(faces, iter(names), network, 64, "", policy))
    assert [row.status for row in rows] == [OK, FAILED, OK]
    with pytest.raises(LittleMemoryError, match=r"1 of 3 clips: b \("):
        policy.check(0)


@pytest.mark.slow
def test_reused_rows_are_not_held_in_memory_together(tmp_path, monkeypatch):
    names = [f"c{number}" for number in range(12)]
    write_faces(tmp_path / "0.h5", names, np.random.default_rng(0))
    block = {"size": 32, "width": 4, "dim": 8}
    recipe = {
        "stage": "features",
        "kind": "expression",
        "options": block,
        "batch": 4,
        "precision": "float32",
        "view": "",
        "source": digest({}),
    }
    how = {"weights": None, "pretrained": None, "device": "cpu", "threads": 1}
    features.run(recipe, tmp_path / "0.h5", tmp_path / "f.h5", **how)
    whole = (tmp_path / "f.h5").read_bytes()
    given, most, earlier = [], [], Output.earlier

    def spy(self, clip, clip_digest):
        row = earlier(self, clip, clip_digest)
        given.append(weakref.ref(row))
        most.append(sum(one() is not None for one in given))
        return row

    monkeypatch.setattr(Output, "earlier", spy)
    features.run(recipe, tmp_path / "0.h5", tmp_path / "f.h5", **how)
    assert len(given) >= len(names) and max(most) <= 2
    assert (tmp_path / "f.h5").read_bytes() == whole
