"""Clips with bytes flipped, cut out and put in: each gets a status, within its time, and harms nobody.

`pytest tests/wild/test_fuzz.py --hypothesis-profile=fuzz` tries many more.
"""

import os
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emopipe.media.decoded import DecodeOptions
from emopipe.media.sandbox import ClipReader
from tests.wild.making import as_avi, beginning_of_flv, shortened, whole

pytestmark = pytest.mark.data  # more files and weights where EMOPIPE_SHARED is set

EXAMPLES = settings.default.max_examples if settings.get_current_profile_name() == "fuzz" else 60
SECONDS = 20

PLACE = st.floats(0, 1) | st.floats(0, 0.03)  # headers are short and matter most
EDITS = st.lists(
    st.tuples(st.sampled_from(["flip", "put in", "cut out", "cut off"]), PLACE, st.binary(min_size=1, max_size=8)),
    min_size=1,
    max_size=8,
)


@pytest.fixture(scope="module")
def clips():
    """A small clip of each container: real ones where they are at hand."""
    shared = os.environ.get("EMOPIPE_SHARED")
    if not shared:
        return {container: whole(container) for container in ("mp4", "flv", "avi")}
    ravdess = sorted(Path(shared, "data/ravdess_av").glob("*.mp4"))[0]
    cremad = sorted(Path(shared, "data/crema_d").glob("*.flv"))[0]
    return {
        "mp4": shortened(ravdess, "mp4", 0.5),
        "flv": beginning_of_flv(cremad.read_bytes(), 0.25, 0.2),
        "avi": as_avi(ravdess, 0.5),
    }


@pytest.fixture(scope="module")
def read():
    with ClipReader(DecodeOptions(policy="count", count=3, clip_seconds=SECONDS, clip_memory_mb=1024)) as reader:
        yield reader


def edited(data, edits):
    for kind, place, value in edits:
        at = int(place * len(data))
        if kind == "flip":
            old = data[at : at + len(value)]
            data = data[:at] + bytes(a ^ b for a, b in zip(old, value, strict=False)) + data[at + len(old) :]
        elif kind == "put in":
            data = data[:at] + value + data[at:]
        elif kind == "cut out":
            data = data[:at] + data[at + len(value) :]
        elif value[0] < 64:  # else nothing would be left of most
            data = data[:at]
    return data


@pytest.mark.parametrize("container", ["mp4", "flv", "avi"])
def test_it_is_decoded_as_it_is(container, clips, read, tmp_path):
    (tmp_path / "clip").write_bytes(clips[container])
    assert read(tmp_path / "clip").status == "ok"


@pytest.mark.parametrize("container", ["mp4", "flv", "avi"])
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=EDITS)
def test_damage_has_a_status(container, clips, read, tmp_path, edits):
    (tmp_path / "clip").write_bytes(edited(clips[container], edits))
    begin = time.monotonic()
    media = read(tmp_path / "clip")
    assert time.monotonic() - begin < SECONDS
    assert media.status in ("ok", "no_audio", "no_video", "undecodable")
    assert (len(media.jpegs) > 0) == (media.status in ("ok", "no_audio"))
    assert (len(media.audio) > 0) == (media.status in ("ok", "no_video"))
    assert media.status == "ok" or media.reason
    assert len(media.times) == len(media.jpegs) <= 3 and np.isfinite([*media.times, media.audio_start]).all()
    assert all(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) is not None for jpeg in media.jpegs)
