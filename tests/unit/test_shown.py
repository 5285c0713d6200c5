"""Frames are stored as players show them: turned, mirrored, with square pixels, whatever changes in the middle."""

from fractions import Fraction
from functools import cache

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emopipe.media.clip import read_clip
from emopipe.media.decoded import DecodeOptions
from emopipe.media.shown import oriented
from tests.wild.streams import chained, encoded, filtered, muxed, patched_matrix

COLOURS = np.array([[[40, 40, 220], [40, 220, 40]], [[220, 40, 40], [220, 220, 220]]], np.uint8)
"""Of the quarters of a stored frame: red, green; blue, white."""
PICTURE = COLOURS.repeat(24, 0).repeat(32, 1)
MATRICES = {
    "as it is": (1, 0, 0, 1), "90 clockwise": (0, 1, -1, 0), "180": (-1, 0, 0, -1), "270 clockwise": (0, -1, 1, 0),
    "mirrored": (-1, 0, 0, 1), "upside down": (1, 0, 0, -1), "transposed": (0, 1, 1, 0), "transversed": (0, -1, -1, 0),
}  # fmt: skip
"""How frames are shown -> matrix (a, b, c, d): a stored (x, y) is shown at (a x + c y, b x + d y)."""


def pictures(path, **options):
    media = read_clip(path, DecodeOptions(policy="count", **{"count": 3, **options}))
    return [cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) for jpeg in media.jpegs]


def quarters(image):
    """The colour in the middle of each quarter, (2, 2, 3), to the nearest of the four."""
    height, width = image.shape[:2]
    found = image[[height // 4, 3 * height // 4]][:, [width // 4, 3 * width // 4]].astype(int)
    near = np.abs(found[:, :, None] - COLOURS.reshape(-1, 3)[None, None]).sum(-1).argmin(-1)
    return near.tolist()


def expected(matrix):
    """Which stored quarter is where, by the definition of the matrix: quarters lie at (-1 or 1, -1 or 1)."""
    a, b, c, d = matrix
    shown = [[-1, -1], [-1, -1]]
    for y in (-1, 1):
        for x in (-1, 1):
            to_x, to_y = np.sign(a * x + c * y), np.sign(b * x + d * y)
            shown[int(to_y > 0)][int(to_x > 0)] = 2 * (y > 0) + (x > 0)
    return shown


def h264(**keys):
    return encoded("libx264", range(6), image=PICTURE, options={"crf": "5"}, **keys)


@pytest.mark.slow
@pytest.mark.parametrize("container", ["mp4", "mov"])
@pytest.mark.parametrize("name", MATRICES)
def test_display_matrices_of_a_container(tmp_path, name, container):
    matrix = MATRICES[name]
    data = muxed(container, "libx264", h264())
    (tmp_path / "a").write_bytes(patched_matrix(data, matrix))
    for image in pictures(tmp_path / "a"):
        assert quarters(image) == expected(matrix)
        assert image.shape[:2] == ((48, 64) if matrix[0] else (64, 48))


@pytest.mark.parametrize("name", MATRICES)
def test_display_matrices_of_matroska(tmp_path, name):
    a, b, c, d = (value << 16 for value in MATRICES[name])
    data = muxed("matroska", "libx264", h264(), matrix=(a, b, 0, c, d, 0, 0, 0, 1 << 30))
    (tmp_path / "a").write_bytes(data)
    for image in pictures(tmp_path / "a"):
        assert quarters(image) == expected(MATRICES[name])


@pytest.mark.parametrize(
    ("orientation", "matrix"),
    [
        ({"rotate": "90"}, (0, -1, 1, 0)),  # anticlockwise
        ({"rotate": "270"}, (0, 1, -1, 0)),
        ({"flip": "horizontal"}, (-1, 0, 0, 1)),
        ({"flip": "vertical"}, (1, 0, 0, -1)),
    ],
)
def test_a_message_in_the_stream_holds_up_to_the_next_keyframe(tmp_path, orientation, matrix):
    packets = filtered("mpegts", "libx264", h264(), "h264_metadata", display_orientation="insert", **orientation)
    (tmp_path / "a.ts").write_bytes(muxed("mpegts", "libx264", chained(packets, h264())))
    shown = [quarters(image) for image in pictures(tmp_path / "a.ts", count=12)]
    assert shown == [expected(matrix)] * 6 + [[[0, 1], [2, 3]]] * 6


@pytest.mark.parametrize("degrees", [-30, 30, 100, 170, 300])
@pytest.mark.parametrize("is_mirrored", [False, True])
def test_other_angles_go_to_the_nearest_quarter_turn(degrees, is_mirrored):
    def turned(angle):
        cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
        return np.array([[-cos, -sin] if is_mirrored else [cos, sin], [-sin, cos]])

    assert np.array_equal(oriented(PICTURE, turned(degrees)), oriented(PICTURE, turned(90 * round(degrees / 90))))


@pytest.mark.parametrize("matrix", [((0, 0), (0, 0)), ((0, 0), (0, 1))])
def test_a_matrix_without_a_direction_changes_nothing(matrix):
    assert np.array_equal(oriented(PICTURE, np.array(matrix, float)), PICTURE)


@pytest.mark.parametrize(("aspect", "width"), [(Fraction(2), 128), (Fraction(1, 2), 32), (Fraction(12, 11), 70)])
@pytest.mark.parametrize("container", ["mp4", "mpegts", "matroska"])
def test_pixels_become_square(tmp_path, container, aspect, width):
    (tmp_path / "a").write_bytes(muxed(container, "libx264", h264(aspect=aspect), aspect=aspect))
    assert {image.shape[:2] for image in pictures(tmp_path / "a")} == {(48, width)}


def test_what_the_container_states_of_pixels_comes_first(tmp_path):
    (tmp_path / "a.mp4").write_bytes(muxed("mp4", "libx264", h264(aspect=Fraction(3)), aspect=Fraction(2)))
    (tmp_path / "b.mp4").write_bytes(
        muxed("mp4", "libx264", chained(h264(aspect=Fraction(2)), h264()), aspect=Fraction(2))
    )
    for name in "ab":
        assert {image.shape[:2] for image in pictures(tmp_path / f"{name}.mp4", count=12)} == {(48, 128)}


@pytest.mark.parametrize(
    ("matrix", "shape"), [((0, 1, -1, 0), (128, 48)), ((0, 1, 1, 0), (128, 48)), ((-1, 0, 0, 1), (48, 128))]
)
def test_stored_pixels_become_square_before_the_frame_is_turned(tmp_path, matrix, shape):
    data = muxed("mp4", "libx264", h264(aspect=Fraction(2)), aspect=Fraction(2))
    (tmp_path / "a.mp4").write_bytes(patched_matrix(data, matrix))
    for image in pictures(tmp_path / "a.mp4"):
        assert image.shape[:2] == shape and quarters(image) == expected(matrix)
    assert {image.shape[:2] for image in pictures(tmp_path / "a.mp4", max_side=64)} == {tuple(n // 2 for n in shape)}


@pytest.mark.parametrize(
    ("codec", "container", "ratios"),
    [
        ("libx264", "mpegts", (1, 2, 1)),
        ("libx264", "matroska", (2, 1)),
        ("libx264", "mp4", (Fraction(3, 2), 2, 1)),
        ("libx265", "mpegts", (2, 1)),
        ("mpeg4", "mpegts", (1, Fraction(3, 2))),
    ],
)
def test_pixels_that_change_their_shape_in_the_middle(tmp_path, codec, container, ratios):
    """Also where frames are shown in another order than that of their packets."""
    options = {"bf": "2", "b_strategy": "0"} if codec == "libx264" and container == "mpegts" else None
    parts = [encoded(codec, range(6), image=PICTURE, aspect=Fraction(ratio), options=options) for ratio in ratios]
    packets = [packet for n, part in enumerate(parts) for packet in moved(part, 6 * n)]
    (tmp_path / "a").write_bytes(muxed(container, codec, packets))
    widths = [image.shape[1] for image in pictures(tmp_path / "a", count=6 * len(ratios))]
    assert widths == [round(64 * ratio) for ratio in ratios for _ in range(6)]


def moved(packets, ticks):
    for packet in packets:
        packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
    return packets


@pytest.mark.parametrize(
    ("codec", "container"),
    [("libx264", "mpegts"), ("libx264", "matroska"), ("mpeg4", "mpegts"), ("libvpx", "webm"), ("flv", "flv")],
)
def test_frames_that_change_their_size_keep_each_their_own(tmp_path, codec, container):
    parts = chained(encoded(codec, range(6)), encoded(codec, range(6), size=(96, 80)), encoded(codec, range(6)))
    (tmp_path / "a").write_bytes(muxed(container, codec, parts))
    shapes = [image.shape[:2] for image in pictures(tmp_path / "a", count=18)]
    assert shapes == [(48, 64)] * 6 + [(80, 96)] * 6 + [(48, 64)] * 6
    small = [image.shape[:2] for image in pictures(tmp_path / "a", count=18, max_side=48)]
    assert small == [(36, 48)] * 6 + [(40, 48)] * 6 + [(36, 48)] * 6


SEGMENTS = st.lists(
    st.tuples(st.sampled_from([(64, 48), (96, 80), (48, 96)]), st.sampled_from([1, 2, Fraction(3, 2)])),
    min_size=2,
    max_size=5,
)


@cache
def segment(size, aspect):
    return encoded("libx264", range(4), size=size, aspect=Fraction(aspect))


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SEGMENTS, st.sampled_from(["mpegts", "matroska"]))
def test_whatever_changes_each_frame_keeps_its_shape(tmp_path, segments, container):
    (tmp_path / "a").write_bytes(muxed(container, "libx264", chained(*(segment(*each) for each in segments))))
    shapes = [image.shape[:2] for image in pictures(tmp_path / "a", count=4 * len(segments))]
    assert shapes == [(height, round(width * aspect)) for (width, height), aspect in segments for _ in range(4)]
