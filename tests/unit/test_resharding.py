"""Another number of shards: the rows of the old ones are found, and nothing is computed again."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emopipe.cache.incremental import making
from emopipe.cache.store import Field, Reader, Row, Writer
from emopipe.core.log import LOGGER
from emopipe.stages import corpus
from emopipe.workflow import after_failure, resharding, sharding

RECIPE = {"stage": "features", "lr": 0.1, "options": {"size": 3}}
FIELDS = {"x": Field("<f4", (2,))}
FOLDERS = ("media/some", "faces/main", "features/face@flip")
CACHE = Path("cache/c")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def table(clips):
    names = [f"clip_{number:03d}" for number in range(clips)]
    return pd.DataFrame({"clip": names, "path": names, "split": "train", "label": "Sad", "digest": names}, dtype=str)


def run_corpus_stage(clips, count):
    parts = sharding.cut(table(clips), count)
    corpus.run({"shards": count}, table(clips), CACHE / "clips.csv", [CACHE / f"shards/{name}.csv" for name in parts])
    return parts


def row(clip):
    return Row(clip, clip, "ok", "", {"x": np.full((3, 2), int(clip[-3:]), np.float32)})


def run_stages(parts):
    """What the jobs of the other stages do; the clips that they compute."""
    computed = []
    for folder, (name, part) in itertools.product(FOLDERS, parts.items()):
        with making(CACHE / folder / f"{name}.h5", FIELDS, stage="x", recipe=RECIPE, device="cpu") as output:
            for clip in part["clip"]:
                if found := output.earlier(clip, clip):
                    output.take(found)
                else:
                    output.add(row(clip))
                    computed.append(clip)
    return computed


def held(folder, parts):
    found = {}
    for name in parts:
        with Reader(CACHE / folder / f"{name}.h5") as reader:
            assert reader.attributes["device"] == "cpu"
            found |= {clip: reader[clip].arrays["x"].tolist() for clip in reader.clips}
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [(1, 4), (2, 8), (3, 5), (8, 2), (5, 120), (120, 7)])
def test_all_rows_are_taken_over(before, after):
    assert len(run_stages(run_corpus_stage(40, before))) == 3 * 40
    parts = run_corpus_stage(40, after)
    assert run_stages(parts) == []
    for folder in FOLDERS:
        assert held(folder, parts) == {clip: row(clip).arrays["x"].tolist() for clip in table(40)["clip"]}
        assert {path.stem for path in (CACHE / folder).glob("[0-9]*.h5")} == set(parts)
        assert not list((CACHE / folder).glob(".*.parts"))


@pytest.mark.slow
def test_a_corpus_that_has_grown_tenfold_computes_new_clips_alone():
    run_stages(run_corpus_stage(20, 1))
    assert sorted(run_stages(run_corpus_stage(200, 16))) == sorted(3 * table(200)["clip"].tolist()[20:])


@pytest.mark.slow
def test_an_interrupted_move_and_what_killed_jobs_left_are_continued(monkeypatch):
    run_stages(run_corpus_stage(40, 3))
    move, calls = resharding._move, itertools.count()

    def killed(*given):
        if next(calls) == 4:
            raise KeyboardInterrupt
        move(*given)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(resharding, "_move", killed)
        run_corpus_stage(40, 5)
    assert sharding.recorded(CACHE).shards == 3
    old = CACHE / "features/face@flip/01.h5"
    after_failure.stash_stale_output(old, RECIPE, "the clips of the new shard 01")  # as at the end of a failed run
    assert not old.exists()
    assert run_stages(run_corpus_stage(40, 5)) == []


@pytest.mark.slow
def test_statuses_of_shards_that_are_no_more_go():
    run_stages(run_corpus_stage(40, 3))
    for name in ("00", "02"):
        with Writer(CACHE / f"media/some/{name}.status.h5", {}, stage="x", recipe=RECIPE):
            pass
    run_corpus_stage(40, 2)
    assert [path.name for path in (CACHE / "media/some").glob("*.status.h5")] == ["00.status.h5"]


def test_the_same_number_moves_nothing(monkeypatch):
    run_stages(run_corpus_stage(40, 3))
    monkeypatch.setattr(resharding, "move_rows", None)
    run_corpus_stage(41, 3)


@pytest.mark.slow
def test_rows_of_clips_that_are_gone_go():
    run_stages(run_corpus_stage(40, 3))
    parts = run_corpus_stage(10, 2)
    assert run_stages(parts) == [] and not list(CACHE.glob("features/*/.*.parts"))


@pytest.mark.slow
def test_a_damaged_file_stays_and_the_others_are_taken_over(caplog, monkeypatch):
    monkeypatch.setattr(LOGGER, "propagate", True)
    parts = run_corpus_stage(40, 2)
    run_stages(parts)
    (CACHE / "faces/main/01.h5").write_bytes(b"no cache file")
    assert sorted(run_stages(run_corpus_stage(40, 3))) == sorted(parts["01"]["clip"])
    assert "faces/main/01.h5 is damaged" in caplog.text and "not taken over" in caplog.text


@pytest.mark.slow
def test_rows_of_another_recipe_are_not_taken_over():
    run_corpus_stage(4, 1)
    with Writer(CACHE / "media/some/00.h5", FIELDS, stage="x", recipe={**RECIPE, "lr": 1}) as writer:
        for clip in table(4)["clip"]:
            writer.add(row(clip))
        writer.note(device="cpu")
    assert len(run_stages(run_corpus_stage(4, 2))) == 3 * 4
