"""Files that appear whole: the names that their halves have meanwhile."""

import os

import pytest

from emopipe.core.atomic import is_temporary, replacing, temporaries


def left_behind(path):
    """What a killed process leaves of a file that it was writing."""
    with replacing(path) as temporary:
        temporary.write_bytes(b"half")
        os.link(temporary, temporary.with_name(f"{temporary.name}.kept"))
    path.unlink()
    return temporary.with_name(f"{temporary.name}.kept").rename(temporary)


@pytest.fixture
def halves(tmp_path):
    names = ["a.h5", "a.b.h5", "a.csv", "b.h5", "a", "a.status.h5", "step0.a.safetensors"]
    found = {name: left_behind(tmp_path / name) for name in names}
    for name in ("a.h5", ".a.tmp.h5", ".a.x.tmp.h5", ".a.1.tmp.h5.damaged", "a.1.tmp.h5", ".a.1.h5"):
        (tmp_path / name).touch()
    return found


@pytest.mark.parametrize("name", ["a.h5", "a.b.h5", "a.csv", "b.h5", "a", "a.status.h5"])
def test_of_one_file_no_other_files_halves_are_found(tmp_path, halves, name):
    assert temporaries(tmp_path / name) == [halves[name]]


@pytest.mark.parametrize("name", ["take [1].h5", "*.h5", "?.h5", "[ab].h5", "a.h[5]"])
def test_a_name_is_not_a_pattern(tmp_path, halves, name):
    assert temporaries(tmp_path / name) == []
    left = left_behind(tmp_path / name)
    assert temporaries(tmp_path / name) == [left]


def test_a_half_is_told_by_its_name(tmp_path, halves):
    assert {path for path in tmp_path.iterdir() if is_temporary(path)} == set(halves.values())
