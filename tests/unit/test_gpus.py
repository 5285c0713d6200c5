"""Jobs that run at the same time use different GPUs: claims by files that are locked, with devices that are made up."""

import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch

from emopipe.core.errors import DeviceError
from emopipe.core.log import LOGGER
from emopipe.runtime import device as devices
from emopipe.runtime import gpus

JOB = """
import sys
from pathlib import Path
from emopipe.runtime.gpus import claim
found = claim(sys.argv[2:], Path(sys.argv[1]))
print(found.number, found.others, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def job(tmp_path):
    """Starts a process that claims one of the devices and holds it; returns the process and what it got."""
    running = []

    def start(*names):
        process = subprocess.Popen(
            [sys.executable, "-c", JOB, str(tmp_path), *names],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        running.append(process)
        return process, tuple(map(int, process.stdout.readline().split()))

    yield start
    for process in running:
        process.kill()
        process.communicate()


def test_two_processes_get_two_devices_and_a_killed_one_gives_its_own_back(job, tmp_path):
    first, got = job("a", "b")
    assert got == (0, 0)
    assert job("a", "b")[1] == (1, 0)
    first.kill()
    first.wait()
    claimed = gpus.claim(["a", "b"], tmp_path)
    assert (claimed.number, claimed.others) == (0, 0)


def test_more_jobs_than_devices_share_them_evenly(tmp_path):
    held = [gpus.claim(["a", "b", "c"], tmp_path) for _ in range(7)]
    assert [(one.number, one.others) for one in held] == [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1), (0, 2)]
    # Both jobs of the last device end, and the first job of the first one. The next two jobs go to the last device.
    for number in (2, 5, 0):
        held[number].lock.close()
    later = [gpus.claim(["a", "b", "c"], tmp_path) for _ in range(2)]
    assert [one.number for one in later] == [2, 2]


def test_a_process_that_sees_one_device_counts_for_the_processes_that_see_all(tmp_path):
    only = gpus.claim(["b"], tmp_path)
    assert only.number == 0
    assert gpus.claim(["b", "a"], tmp_path).number == 1


def test_a_lock_that_a_cleaner_removed_is_made_again(tmp_path):
    held = gpus.claim(["a"], tmp_path)
    for file in tmp_path.iterdir():
        file.unlink()
    again = gpus.claim(["a"], tmp_path)
    assert gpus._locked(tmp_path / "a.0") is None
    held.lock.close()
    assert gpus._locked(tmp_path / "a.0") is None  # the lock of the file that is there now
    again.lock.close()
    assert gpus._locked(tmp_path / "a.0")


def test_the_folder_is_this_users_own_and_not_that_of_TMPDIR(tmp_path, monkeypatch):  # noqa: N802
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    folder = gpus.lock_folder()
    assert folder == Path(f"/tmp/emopipe-{os.getuid()}")
    assert folder.stat().st_mode & 0o77 == 0
    monkeypatch.setattr(gpus, "Path", lambda *_: tmp_path / "link")
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(PermissionError, match="not a folder of this user"):
        gpus.lock_folder()


class TestDevice:
    @pytest.fixture(autouse=True)
    def machine(self, tmp_path, monkeypatch):
        """A machine whose torch sees two GPUs."""
        monkeypatch.setattr(gpus, "lock_folder", lambda: tmp_path)
        monkeypatch.setattr(gpus, "_CLAIMS", [])
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        monkeypatch.setattr(
            torch.cuda, "get_device_properties", lambda number: types.SimpleNamespace(uuid=f"GPU-{number}")
        )
        self.current = []
        monkeypatch.setattr(torch.cuda, "set_device", self.current.append)
        monkeypatch.setattr(LOGGER, "propagate", True)
        before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
        gpus._claimed.cache_clear()
        yield
        gpus._claimed.cache_clear()
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])

    @pytest.mark.parametrize("name", ["auto", "cuda"])
    def test_a_job_takes_a_free_gpu_and_keeps_it(self, tmp_path, name, caplog):
        caplog.set_level("INFO")
        other = gpus.claim(["GPU-0"], tmp_path)
        assert devices.prepare(name, 1) == torch.device("cuda", 1)
        other.lock.close()
        assert devices.prepare(name, 1) == torch.device("cuda", 1)
        assert self.current == [1, 1]
        assert caplog.text.count("This job uses GPU 1 of 2 (counted from 0).") == 1

    def test_a_shared_gpu_is_reported(self, tmp_path, caplog):
        held = [gpus.claim([f"GPU-{number}"], tmp_path) for number in (0, 1)]
        caplog.set_level("INFO")
        assert devices.prepare("cuda", 1) == torch.device("cuda", 0)
        assert "GPU 0 of 2 (counted from 0). Other jobs that use it: 1." in caplog.text
        assert len(held) == 2

    def test_without_locks_a_job_still_runs(self, monkeypatch, caplog):
        monkeypatch.setattr(gpus, "lock_folder", lambda: Path("/proc/none"))
        assert devices.prepare("cuda", 1) == torch.device("cuda", 0)
        assert "GPUs cannot be claimed" in caplog.text

    def test_the_cpu_claims_nothing(self, tmp_path):
        assert devices.prepare("cpu", 1) == torch.device("cpu")
        assert not list(tmp_path.iterdir())

    def test_other_names_are_refused(self):
        with pytest.raises(DeviceError, match=r"'cuda:1'.*CUDA_VISIBLE_DEVICES"):
            devices.prepare("cuda:1", 1)

    def test_arithmetic_is_that_of_float32(self):
        devices.prepare("cuda", 1)
        assert not torch.backends.cudnn.allow_tf32
        assert not torch.backends.cuda.matmul.allow_tf32
        assert torch.are_deterministic_algorithms_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"]
