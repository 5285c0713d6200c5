"""What tests share: where real data lies, and short clips made on the spot."""

import contextlib
import os
import resource
from collections.abc import Iterator
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

# Tests run side by side: threads that wait should sleep, not spin. Read when OpenMP is loaded, so set before anything.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import av
import cv2
import numpy as np
import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("fuzz", max_examples=3000)  # for --hypothesis-profile=fuzz, see tests/wild/test_fuzz.py


RUNS = ("faults", "workflow")
"""Folders of tests that run Snakemake, which take longest."""
SECOND_HALF = ("test_rerun", "test_predict", "test_chain_runs", "test_clusters", "test_planning", "test_runs")
"""Their files that the second process begins with; the first one begins with the others."""


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items):
    """Tests of real data are marked by what they use. Of two processes, each begins with half of the long tests.

    Each process gets one half of the list, and the one that ends first takes over from the end of the other's.
    """
    for item in items:
        if "shared" in getattr(item, "fixturenames", ()):
            item.add_marker("data")
    yield  # the tests that `-m` does not select are removed
    long = [item for item in items if item.path.parent.name in RUNS]
    second = [item for item in long if item.path.stem in SECOND_HALF]
    first = [item for item in long if item.path.stem not in SECOND_HALF]
    short = [item for item in items if item.path.parent.name not in RUNS]
    fill = max(0, len(items) // 2 - len(first))
    items[:] = [*first, *short[:fill], *second, *short[fill:]]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Commands that ran inside this process may have left more threads, which sum in another order."""
    if torch.get_num_threads() != 1:
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """A group photo of six, 1280 x 886; each face about 110 pixels wide."""
    spec = find_spec("insightface")
    path = Path(spec.submodule_search_locations[0]) / "data" / "images" / "t1.jpg" if spec else Path("none")
    if not path.is_file():
        pytest.skip("the package insightface and its example photo are not here")
    return cv2.imread(str(path))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and weights."""
    if "EMOPIPE_SHARED" not in os.environ:
        pytest.skip("EMOPIPE_SHARED is not set: it names the folder that holds data/, weights/ and tools/")
    return Path(os.environ["EMOPIPE_SHARED"])


@contextlib.contextmanager
def too_many_open_files() -> Iterator[None]:
    """A process that can open no further file: the system refuses each with EMFILE."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, before[1]))
    with contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        with contextlib.suppress(OSError):
            while True:
                stack.enter_context(open(os.devnull))
        yield


def write_clip(
    path: Path,
    *,
    seconds: float = 1.0,
    fps: int = 10,
    size: tuple[int, int] = (64, 48),
    video: str | None = "mpeg4",
    audio: str | None = "mp3",
    rate: int = 44_100,
    layout: str = "mono",
    times: list[int] | None = None,
) -> Path:
    """A clip whose frame k has the grey level 20 + 4 k and whose sound is a tone of 440 Hz.

    `times` are the frames' stamps in ticks of 1/fps, for a variable frame rate.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stamps = list(range(round(seconds * fps))) if times is None else times
    with av.open(str(path), "w") as out:
        pictures = out.add_stream(video, rate=fps) if video else None
        sound = out.add_stream(audio, rate=rate, layout=layout) if audio else None
        if pictures is not None:
            pictures.width, pictures.height, pictures.pix_fmt = *size, "yuv420p"
            pictures.bit_rate = 2_000_000
            for number, stamp in enumerate(stamps):
                frame = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), 20 + 4 * number, np.uint8), "bgr24")
                frame.pts, frame.time_base = stamp, Fraction(1, fps)
                out.mux(pictures.encode(frame))
            out.mux(pictures.encode())
        if sound is not None:
            wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)
            channels = len(av.AudioLayout(layout).channels)
            step = sound.codec_context.frame_size or 1152
            for start in range(0, len(wave), step):
                block = np.repeat(wave[None, start : start + step], channels, 0).astype(np.float32)
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), "fltp", layout)
                frame.rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
                out.mux(sound.encode(frame))
            out.mux(sound.encode())
    return path
