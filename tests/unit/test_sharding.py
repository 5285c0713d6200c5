"""How many parts a corpus is cut into, and that a cache keeps its number."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emopipe.core import tables
from emopipe.core.errors import CacheError, CorpusError
from emopipe.core.hashing import bucket
from emopipe.stages import corpus
from emopipe.workflow import config as configs
from emopipe.workflow import sharding
from emopipe.workflow.plan import Plan

CONFIG = {
    "run": "x",
    "corpus": {"name": "c", "kind": "folder"},
    "corpus_root": "/data",
    "decode": {"some": {"policy": "count", "count": 4}},
    "faces": {"main": {"detector": "mtcnn"}},
    "backbones": {"face": {"kind": "expression", "pretrain": {"epochs": 1}}},
}


def table(clips):
    names = [f"clip_{number:05d}" for number in range(clips)]
    return pd.DataFrame(
        {"clip": names, "path": names, "split": "train", "label": "Sad", "subject": "", "digest": names}
    )


def plan(clips, cores=8, **more):
    return Plan(configs.parse(CONFIG | more), table(clips), Path(), cores)


def run_corpus_stage(planned):
    shards = [Path(f"cache/c/shards/{name}.csv") for name in planned.shards]
    corpus.run({"shards": planned.shard_count}, planned.table, Path("cache/c/clips.csv"), shards)
    return shards


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("clips", "cores", "shards"),
    [
        # as many as there are cores, but at least 8 clips in each
        (0, 8, 1), (1, 8, 1), (13, 2, 1), (13, 64, 1), (16, 2, 2), (16, 64, 2), (100, 2, 2), (500, 64, 62), (773, 1, 2),
        (4096, 64, 64),
        # at most 512 clips in each
        (512, 1, 1), (513, 1, 2), (4096, 2, 8), (4097, 2, 16), (8193, 2, 32), (100_000, 64, 256), (1_000_000, 2, 2048),
        # on a cluster
        (13, None, 1), (127, None, 1), (128, None, 2), (773, None, 8), (4096, None, 8), (4097, None, 16),
        (1_000_000, None, 2048),
    ],
)  # fmt: skip
def test_automatic(clips, cores, shards):
    assert sharding.automatic(clips, cores) == shards


@given(st.integers(0, 10**8), st.integers(1, 1000))
def test_no_automatic_shard_is_too_large_and_small_ones_have_a_processor_each(clips, cores):
    count = sharding.automatic(clips, cores)
    assert clips <= count * sharding.MAX_CLIPS
    assert count == 1 or count & (count - 1) == 0 or (count <= cores and clips >= count * sharding.MIN_CLIPS)


def test_cut_is_by_the_clips_own_hash():
    whole = table(50)
    parts = sharding.cut(whole, 64)
    assert len(parts) < 50 and list(parts) == sorted(parts) and not any(part.empty for part in parts.values())
    assert all(list(part.columns) == list(whole.columns) for part in parts.values())
    assert all(bucket(clip, 64) == int(name) for name, part in parts.items() for clip in part["clip"])
    pd.testing.assert_frame_equal(pd.concat(parts.values()).sort_index(), whole)


@pytest.mark.slow
def test_a_new_corpus_gets_as_many_as_it_needs():
    assert plan(13).shards == ["00"]
    assert plan(64, cores=2).shards == ["00", "01"]
    large = plan(60_000)
    assert len(large.shards) == 128 and large.shards[0] == "000" and large.shards[-1] == "127"
    assert large.corpus()["shards"] == 128


def test_empty_shards_are_no_jobs():
    few = plan(3, shards=50)
    assert few.shard_count == 50 and len(few.shards) == 3
    assert sum(len(few.shard_table(name)) for name in few.shards) == 3
    run_corpus_stage(few)
    assert len(list(Path("cache/c/shards").glob("*.csv"))) == 3
    assert plan(0).shards == ["00"]


def test_a_number_in_the_config_wins():
    assert plan(10, shards=3).shards == ["00", "01", "02"]
    run_corpus_stage(plan(10, shards=3))
    assert plan(10, shards=5).shard_count == 5


@pytest.mark.slow
def test_a_cache_keeps_its_number_until_its_corpus_has_grown_tenfold():
    run_corpus_stage(plan(80, cores=2))
    assert [len(plan(clips, cores=64).shards) for clips in (80, 300, 799, 800)] == [2, 2, 2, 64]
    for path in run_corpus_stage(plan(700, cores=64)):  # it grows in steps
        path.unlink()  # as Snakemake does before it runs the stage again
    Path("cache/c/clips.csv").unlink()
    assert len(plan(799, cores=64).shards) == 2
    run_corpus_stage(plan(800, cores=64))
    assert len(plan(7999, cores=2).shards) == 64  # the number of another machine's processors changes nothing
    assert len(plan(8000, cores=1).shards) == 64  # never fewer
    run_corpus_stage(plan(5000, shards=32))
    assert len(plan(5000).shards) == 32


def test_a_cache_of_the_release_before_keeps_its_number():
    run_corpus_stage(plan(100, shards=8))
    Path("cache/c/shards/count").write_text("8\n")
    assert len(plan(5000).shards) == 8
    assert len(plan(8 * 512 * 10, cores=2).shards) == 128


def test_old_tables_of_shards_go():
    run_corpus_stage(plan(100, shards=8))
    run_corpus_stage(plan(100, shards=2))
    assert sorted(path.name for path in Path("cache/c/shards").glob("*.csv")) == ["00.csv", "01.csv"]


def test_a_clip_that_is_added_while_the_run_starts_has_a_shard_or_is_told():
    few = plan(3, shards=50)
    shards = [Path(f"cache/c/shards/{name}.csv") for name in few.shards]
    with pytest.raises(CorpusError, match=r"The clips .*clip_000.* were added .* Run again"):
        corpus.run({"shards": 50}, table(9), Path("cache/c/clips.csv"), shards)
    assert not Path("cache/c/clips.csv").exists()


def test_the_corpus_stage_writes_every_clip_once():
    shards = run_corpus_stage(plan(20))
    parts = [tables.read(path) for path in shards]
    assert sorted(clip for part in parts for clip in part["clip"]) == table(20)["clip"].tolist()
    assert tables.read(Path("cache/c/clips.csv")).equals(table(20).astype(str))


@pytest.mark.slow
@pytest.mark.parametrize("text", ["", "eight", "0", "-8", "8.0", "\udc80", "8 x", "8 0", "8 80 8"])
def test_a_damaged_number_is_told(text):
    run_corpus_stage(plan(80))
    Path("cache/c/shards/count").write_text(text, errors="surrogateescape")
    with pytest.raises(CacheError, match=r"cache/c/shards/count holds .*8 tables of shards"):
        _ = plan(80).shards
    assert len(plan(80, shards=8).shards) == 8
