"""Rows of a job in order: earlier ones taken over, new ones computed in threads, failures in their places."""

from functools import partial

import numpy as np

from emopipe.cache.failures import FailurePolicy
from emopipe.cache.incremental import making
from emopipe.cache.rows_ahead import rows_ahead
from emopipe.cache.status import FAILED, OK
from emopipe.cache.store import Field, Reader, Row
from emopipe.core.ahead import thread_pool
from emopipe.faces import rows as face_rows
from emopipe.media.decoded import encode_jpeg

FIELDS = {"x": Field("f4", (1,))}


def made(path, clips, compute, policy=None):
    with making(path, FIELDS, stage="test", recipe={}) as output, thread_pool(3) as pool:
        work = [(clip, f"digest of {clip}", partial(compute, clip)) for clip in clips]
        return [row.clip for row in rows_ahead(output, work, policy or FailurePolicy("keep_going"), pool, 3)]


def row(clip):
    return Row(clip, f"digest of {clip}", OK, "", {"x": np.full((1, 1), len(clip), np.float32)})


def test_rows_come_in_order_and_earlier_ones_are_not_computed_again(tmp_path):
    computed = []

    def compute(clip):
        computed.append(clip)
        return row(clip)

    assert made(tmp_path / "0.h5", "ace", compute) == ["a", "c", "e"]
    computed.clear()
    assert made(tmp_path / "0.h5", "abcde", compute) == [*"abcde"]
    assert sorted(computed) == ["b", "d"]
    with Reader(tmp_path / "0.h5") as reader:
        assert reader.clips == [*"abcde"]


def test_a_clip_that_fails_is_a_row_in_its_place(tmp_path):
    def compute(clip):
        return row(clip) if clip != "b" else 1 / 0

    assert made(tmp_path / "0.h5", "abc", compute) == ["a", "b", "c"]
    with Reader(tmp_path / "0.h5") as reader:
        assert [reader.status[clip] for clip in reader.clips] == [OK, FAILED, OK]


def test_frames_are_decoded_once_as_far_as_memory_allows(monkeypatch):
    decoded = []
    decode = face_rows.decode_jpeg
    monkeypatch.setattr(face_rows, "decode_jpeg", lambda jpeg: decoded.append(len(jpeg)) or decode(jpeg))
    jpegs = [np.frombuffer(encode_jpeg(np.full((8, 8, 3), 40 * n, np.uint8), 95), np.uint8) for n in range(4)]
    monkeypatch.setattr(face_rows, "KEPT_BYTES", 2 * 8 * 8 * 3)
    frames = face_rows.Frames(jpegs)
    for number in (0, 1, 2, 3, 0, 1, 2, 3):
        assert abs(int(frames[number][0, 0, 0]) - 40 * number) < 3
    assert len(decoded) == 6  # the first two once, the others at each access
    assert len(frames) == 4
