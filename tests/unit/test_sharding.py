"""How many parts a corpus is cut into, and that a cache keeps its number."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emopipe.core import tables
from emopipe.core.errors import CacheError
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


def plan(clips, **more):
    return Plan(configs.parse(CONFIG | more), table(clips), Path())


def run_corpus_stage(planned):
    shards = [Path(f"cache/c/shards/{name}.csv") for name in planned.shards]
    corpus.run({"shards": planned.shard_count}, planned.table, Path("cache/c/clips.csv"), shards)
    return shards


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("clips", "shards"),
    [(0, 8), (1, 8), (4096, 8), (4097, 16), (8192, 16), (8193, 32), (100_000, 256), (1_000_000, 2048)],
)
def test_automatic(clips, shards):
    assert sharding.automatic(clips) == shards


@given(st.integers(0, 10**8))
def test_automatic_is_the_least_power_of_two_that_suffices(clips):
    count = sharding.automatic(clips)
    assert count & (count - 1) == 0
    assert clips <= count * sharding.MAX_CLIPS
    assert count == sharding.MIN_SHARDS or clips > count // 2 * sharding.MAX_CLIPS


def test_cut_is_by_the_clips_own_hash():
    whole = table(50)
    parts = sharding.cut(whole, 64)
    assert len(parts) == 64 and any(part.empty for part in parts)
    assert all(list(part.columns) == list(whole.columns) for part in parts)
    assert all(bucket(clip, 64) == number for number, part in enumerate(parts) for clip in part["clip"])
    pd.testing.assert_frame_equal(pd.concat(parts).sort_index(), whole)


def test_a_new_corpus_gets_as_many_as_it_needs():
    assert plan(10).shards == [f"0{number}" for number in range(8)]
    large = plan(60_000)
    assert len(large.shards) == 128 and large.shards[0] == "000" and large.shards[-1] == "127"
    assert large.corpus()["shards"] == 128


def test_a_number_in_the_config_wins():
    assert plan(10, shards=3).shards == ["00", "01", "02"]
    run_corpus_stage(plan(10, shards=3))
    assert len(plan(10, shards=5).shards) == 5


def test_a_cache_keeps_its_number_though_the_corpus_grows():
    run_corpus_stage(plan(10))
    grown = plan(5000)
    assert sharding.automatic(5000) == 16 and len(grown.shards) == 8
    for path in run_corpus_stage(grown):
        path.unlink()  # as Snakemake does before it runs the stage again
    Path("cache/c/clips.csv").unlink()
    assert len(plan(5000).shards) == 8
    run_corpus_stage(plan(5000, shards=32))
    assert len(plan(5000).shards) == 32


def test_the_corpus_stage_writes_every_clip_once():
    shards = run_corpus_stage(plan(20))
    parts = [tables.read(path) for path in shards]
    assert sorted(clip for part in parts for clip in part["clip"]) == table(20)["clip"].tolist()
    assert tables.read(Path("cache/c/clips.csv")).equals(table(20).astype(str))


@pytest.mark.parametrize("text", ["", "eight", "0", "-8", "8.0", "\udc80"])
def test_a_damaged_number_is_told(text):
    run_corpus_stage(plan(10))
    Path("cache/c/shards/count").write_text(text, errors="surrogateescape")
    with pytest.raises(CacheError, match=r"cache/c/shards/count holds .*8 tables of shards"):
        _ = plan(10).shards
    assert len(plan(10, shards=8).shards) == 8
