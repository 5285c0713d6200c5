"""The tests of the GPU run without what a bare machine with a GPU lacks; here they run on the CPU."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
ABSENT = (
    "av",
    "hypothesis",
    "insightface",
    "librosa",
    "parselmouth",
    "snakemake",
    "soundfile",
    "tensorboardX",
    "xdist",
)
RUN = f"""
import sys
sys.modules.update(dict.fromkeys({ABSENT}))  # to import one of them fails, as if it were not installed
import pytest
sys.exit(pytest.main(["tests/gpu", "-q", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""


def run(*arguments):
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "CUDA_VISIBLE_DEVICES": ""}
    del environment["PYTEST_CURRENT_TEST"]
    command = [sys.executable, "-c", RUN, *arguments]
    return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.gpu
def test_on_the_cpu():
    """All files of the suite, with the fastest networks alone."""
    found = run("--device", "cpu", "-k", "not (resnet18 or densenet121 or ir_se50 or fbp or gated)")
    assert found.returncode == 0, found.stdout + found.stderr
    passed, skipped = (int(re.search(rf"(\d+) {word}", found.stdout)[1]) for word in ("passed", "skipped"))
    assert (passed, skipped) == (32, 6)  # skipped: speech without librosa, and a memory that is not filled


@pytest.mark.slow
@pytest.mark.gpu
def test_without_a_gpu_they_are_skipped():
    found = run("tests/gpu/test_device.py")
    assert found.returncode == 0, found.stdout + found.stderr
    assert re.search(r"^\d+ skipped in", found.stdout, re.MULTILINE)
