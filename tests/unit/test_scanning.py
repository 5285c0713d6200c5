"""The corpus as planning sees it."""

import pytest

from emopipe import config as configs
from emopipe import scanning
from emopipe.stages import corpus
from tests.unit.test_sharding import CONFIG


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for split in ("train", "val"):
        for label in ("Happy", "Sad"):
            for name in ("007", "NA"):
                path = tmp_path / "corpus" / split / label / f"{split}_{label}_{name}.avi"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(path.name)
    return configs.parse(CONFIG | {"corpus_root": str(tmp_path / "corpus")})


def test_what_the_corpus_stage_recorded_is_what_was_scanned(config):
    assert scanning.recorded(config) is None
    table = scanning.scan(config)
    corpus.run({"shards": 1}, table, scanning.clip_table(config), [scanning.cache_folder(config) / "shards/00.csv"])
    assert scanning.recorded(config).equals(table)
    assert scanning.recorded(config).dtypes.equals(table.dtypes)
