"""Where a disk is full, jobs end with what the system says, and leave no half file."""

import errno
import os
import subprocess
import sys

import h5py
import numpy as np
import pandas as pd
import pytest

from emopipe.backbones.base import FaceInput
from emopipe.cache.h5file import ErrorDeferringFile
from emopipe.cache.store import Reader
from emopipe.stills.base import Stills
from emopipe.training import sharded_images

LIMITED = """
import resource, signal, sys
from pathlib import Path
import numpy as np

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    {what}
except OSError as error:
    print("refused", error.errno)
print("end")
"""
"""A process whose files may only grow to so many bytes."""
CACHE = """
    from emopipe.cache.store import Field, Row, Writer
    with Writer(Path(sys.argv[1]), {"x": Field("<f4", (1000,))}, stage="test", recipe={}) as writer:
        for number in range(100):
            writer.add(Row(f"{number}", "", "ok", "", {"x": np.ones((10, 1000), np.float32)}))
"""
"""4 MB in 100 clips."""
ENDED = """
    import os
    from emopipe.cache import h5file
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(3))
    whole = h5file.ErrorDeferringFile.write
    h5file.ErrorDeferringFile.write = lambda *given: os.kill(os.getpid(), signal.SIGTERM) or whole(*given)
    """
"""A process that is asked to end whenever HDF5 writes."""
CHECKPOINT = """
    import torch
    from emopipe.training.checkpoint import Checkpoint
    Checkpoint(Path(sys.argv[1]), "").save({"model": torch.zeros(100_000)})
"""


def limited(what, path, size):
    code = LIMITED.replace("{what}", what.strip())
    run = subprocess.run([sys.executable, "-c", code, path, str(size)], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    return run.stdout


def write(target):
    with h5py.File(target, "w", libver="latest") as file:
        data = file.create_dataset("a", (0, 10), maxshape=(None, 10), chunks=(4, 10), dtype="f4")
        for number in range(20):
            data.resize(5 * (number + 1), axis=0)
            data[5 * number :] = number
        file.attrs["whole"] = True


def test_it_holds_what_was_written_in_the_same_bytes_each_time(tmp_path):
    paths = [tmp_path / "a.h5", tmp_path / "b.h5"]
    for path in paths:
        with ErrorDeferringFile(path) as sink:
            write(sink)
            sink.check()
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with h5py.File(paths[0]) as file:
        assert file.attrs["whole"] and np.array_equal(file["a"], np.repeat(np.arange(20.0), 5)[:, None].repeat(10, 1))


# After the first bytes, among the data, and when the file is ended: all of these crash HDF5 by itself.
@pytest.mark.slow
@pytest.mark.parametrize("size", [0, 100, 300_000, 3_900_000, 4_005_000])
def test_a_refusal_is_raised_as_the_system_said_it_and_the_process_goes_on(tmp_path, size):
    path = tmp_path / "full.h5"
    assert limited(CACHE, path, size) == f"refused {errno.EFBIG}\nend\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_request_to_end_waits_until_hdf5_has_written(tmp_path):
    code = LIMITED.replace("{what}", (ENDED + CACHE).strip())
    run = subprocess.run([sys.executable, "-c", code, tmp_path / "a.h5", "10000000"], capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (3, "", "")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_file_that_fits_is_whole(tmp_path):
    path = tmp_path / "full.h5"
    assert limited(CACHE, path, 10_000_000) == "end\n"
    with Reader(path) as reader:
        assert len(reader.clips) == 100 and reader.flat("x")[0].shape == (1000, 1000)


@pytest.mark.slow
def test_a_checkpoint_says_what_the_system_said(tmp_path):
    assert limited(CHECKPOINT, tmp_path / "a.pt", 100_000) == f"refused {errno.EFBIG}\nend\n"
    assert not list(tmp_path.iterdir())


def test_pixels_take_their_place_on_the_disk_before_they_are_mapped(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    table = pd.DataFrame({"key": ["a"]})
    stills = Stills(table, np.zeros((1, 7), np.float32), lambda _: np.zeros((48, 48, 3), np.uint8))
    geometry = FaceInput(112.0, 48, "gray", (127.5,), (127.5,))
    assert len(sharded_images.prepare(stills, geometry, None, tmp_path / "fits.npy")[0]) == 1
    assert (tmp_path / "fits.npy").stat().st_blocks * 512 >= (tmp_path / "fits.npy").stat().st_size
    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with pytest.raises(OSError, match="No space left"):
        sharded_images.prepare(stills, geometry, None, tmp_path / "full.npy")
    assert not (tmp_path / "full.npy").exists()
