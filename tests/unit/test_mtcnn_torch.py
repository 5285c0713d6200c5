"""MTCNN by torch: its parts give what OpenCV and onnxruntime give, and batches give what single frames give."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import onnxruntime
import pytest
import torch

from emopipe.core.errors import WeightsError
from emopipe.faces import mtcnn_networks, rows
from emopipe.faces.detectors import mtcnn
from emopipe.faces.mtcnn_torch import TorchMtcnn
from emopipe.faces.patches import patches, summed

FILES = mtcnn.net_files(mtcnn.DetectorOptions())


@pytest.fixture(scope="module")
def frames(photo):
    """Four frames of one size: a group photo, its mirror, a part of it, and one face that fills the frame."""
    size = photo.shape[1::-1]
    face = cv2.resize(photo[62:199, 907:1010], size)
    return [photo, photo[:, ::-1].copy(), cv2.resize(photo[:, :900], size), face]


@pytest.fixture(scope="module")
def by_torch():
    return TorchMtcnn(mtcnn.DetectorOptions(), FILES, "cpu", 1)


@pytest.mark.parametrize("side", [24, 48])
def test_patches_are_those_of_opencv(side):
    rng = np.random.default_rng(side)
    images = rng.integers(0, 256, (2, 90, 120, 3), dtype=np.uint8)
    corner, span = rng.integers(-60, 110, (200, 2)), rng.integers(1, 130, (200, 1))
    boxes = np.hstack([corner, corner + span])  # square, as the cascade makes them
    of = rng.integers(0, 2, 200)
    found = patches(summed(torch.from_numpy(images)), torch.from_numpy(of), torch.from_numpy(boxes), side).numpy()
    for n, (x1, y1, x2, y2) in enumerate(boxes):
        wide = cv2.copyMakeBorder(images[of[n]], 200, 200, 200, 200, cv2.BORDER_CONSTANT)
        expected = cv2.resize(
            wide[y1 + 200 : y2 + 200, x1 + 200 : x2 + 200], (side, side), interpolation=cv2.INTER_AREA
        )
        assert np.abs(found[n] - expected).max() <= 1
        # Values in the middle between two are rounded otherwise; OpenCV enlarges with weights of 11 bits.
        assert np.mean(found[n] != expected) < (0.08 if x2 - x1 >= side else 0.3)


def test_an_empty_box_gives_a_black_patch():
    table = summed(torch.full((1, 8, 8, 3), 255, dtype=torch.uint8))
    assert not patches(table, torch.zeros(1, dtype=int), torch.tensor([[3, 3, 3, 3]]), 24).any()


@pytest.mark.parametrize(("make", "file", "side"), [
    (mtcnn_networks.proposal_network, FILES[0], 37),
    (mtcnn_networks.refinement_network, FILES[1], 24),
    (mtcnn_networks.output_network, FILES[2], 48),
])  # fmt: skip
def test_the_networks_give_what_onnxruntime_gives(make, file, side):
    x = np.random.default_rng(0).uniform(-1, 1, (3, side, side, 3)).astype(np.float32)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    expected = session.run(None, {session.get_inputs()[0].name: x})
    with torch.inference_mode():
        *rest, logits = make(file)(torch.from_numpy(x).permute(0, 3, 1, 2))
    found = [*rest, logits.softmax(1)]
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        other = other.transpose(0, 3, 1, 2) if other.ndim == 4 else other
        np.testing.assert_allclose(one.numpy(), other, atol=1e-5)


def test_another_file_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="is not a network of MTCNN"):
        mtcnn_networks.proposal_network(FILES[1])
    (tmp_path / "pnet.onnx").write_bytes(b"no network")
    with pytest.raises(WeightsError, match="is not a network of MTCNN"):
        mtcnn_networks.proposal_network(tmp_path / "pnet.onnx")


@pytest.mark.slow
def test_it_finds_what_onnxruntime_finds(frames, by_torch):
    by_onnx = mtcnn.build(mtcnn.DetectorOptions())
    for frame, found in zip(frames, by_torch.many(frames), strict=True):
        expected = by_onnx(frame)
        assert len(found) == len(expected) > 0
        eyes = np.linalg.norm(expected.landmarks[:, 0] - expected.landmarks[:, 1], axis=1)
        # Both sort by score, and scores differ by rounding: each face is compared with the one at its place.
        nearest = np.linalg.norm(found.landmarks[None, :, 2] - expected.landmarks[:, None, 2], axis=2).argmin(1)
        off = np.linalg.norm(found.landmarks[nearest] - expected.landmarks, axis=2).mean(1)
        assert (off < 0.08 * eyes).all()


@pytest.mark.slow
def test_a_batch_gives_what_single_frames_give(frames, by_torch):
    for frame, found in zip(frames, by_torch.many(frames), strict=True):
        alone = by_torch(frame)
        np.testing.assert_allclose(found.landmarks, alone.landmarks, atol=1e-2)
        np.testing.assert_allclose(found.box, alone.box, atol=1e-2)
        np.testing.assert_allclose(found.score, alone.score, atol=1e-4)


def test_frames_without_faces(by_torch):
    assert [len(found) for found in by_torch.many([np.zeros((40, 60, 3), np.uint8)] * 3)] == [0, 0, 0]
    assert by_torch.many([]) == []
    assert len(by_torch(np.zeros((1, 900, 3), np.uint8))) == 0


@pytest.mark.parametrize(("device", "usable", "expected"), [
    ("cpu", True, mtcnn.Mtcnn),
    ("auto", False, mtcnn.Mtcnn),
    ("auto", True, TorchMtcnn),
])  # fmt: skip
def test_which_form_runs(monkeypatch, device, usable, expected):
    monkeypatch.setattr(mtcnn, "usable_by_torch", lambda: usable)
    assert type(mtcnn.build(mtcnn.DetectorOptions(), device=device)) is expected


@pytest.mark.parametrize("batch", [2, 16])
def test_frames_of_a_clip_go_to_a_batch_detector_by_their_size(monkeypatch, batch):
    """A clip may change its size in the middle; answers keep the order of the frames."""
    asked = []

    class Recording:
        device = "cpu"

        def __init__(self):
            self.batch = batch

        def __call__(self, frame):
            raise AssertionError("frames are not searched one by one")

        def many(self, frames):
            assert len({frame.shape for frame in frames}) == 1
            asked.append(len(frames))
            return [frame[0, 0, 0] for frame in frames]  # in place of faces

    monkeypatch.setattr(rows.detectors, "build", lambda *_, **__: Recording())
    frames = [np.full((4 + number % 2, 5, 3), number, np.uint8) for number in range(10)]
    detect = rows.DetectorPerThread("mtcnn", {}, None, "cpu")
    with ThreadPoolExecutor(2) as pool:
        assert detect.in_threads(pool, frames, range(1, 10)) == list(range(1, 10))
    assert max(asked) <= batch and sum(asked) == 9 and detect.device == "cpu"
