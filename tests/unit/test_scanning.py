"""The corpus as planning sees it."""

import subprocess

import pytest
from typer.testing import CliRunner

from emopipe.commands.main import app
from emopipe.core import tables
from emopipe.core.errors import CorpusError, DamagedCacheError
from emopipe.core.log import LOGGER
from emopipe.stages import corpus
from emopipe.workflow import config as configs
from emopipe.workflow import scan
from emopipe.workflow.job import job_log
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


def run_corpus_stage(config):
    table = scan.scan(config)
    shards = [scan.cache_folder(config) / f"shards/{number:02d}.csv" for number in range(2)]
    corpus.run({"shards": 2}, table, scan.clip_table(config), shards)
    return table


def test_what_the_corpus_stage_recorded_is_what_was_scanned(config):
    assert scan.recorded(config) is None
    table = run_corpus_stage(config)
    assert scan.recorded(config).equals(table)
    assert scan.recorded(config).dtypes.equals(table.dtypes)


DAMAGES = {
    "empty": lambda whole: b"",
    "zeros": lambda whole: bytes(len(whole)),
    "no digests": lambda whole: b"clip,path\na,b\n",
    "open quote": lambda whole: whole + b'"x',
    "cut at a line's end": lambda whole: b"".join(whole.splitlines(keepends=True)[:-1]),
    "flipped": lambda whole: whole.replace(b"Happy", b"Hapqy", 1),
}


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_clip_table_does_not_stop_planning(config, caplog, monkeypatch, damage):
    monkeypatch.setattr(LOGGER, "propagate", True)
    table, path = run_corpus_stage(config), scan.clip_table(config)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    assert scan.scan(config).equals(table)
    assert "clips.csv is damaged and was ignored; the corpus was scanned again. Delete it" in caplog.text
    assert scan.recorded(config) is None
    run_corpus_stage(config)
    assert scan.recorded(config).equals(table)


@pytest.mark.parametrize("damage", ["empty", "no digests", "open quote"])
def test_a_damaged_clip_table_without_a_digest_does_not_stop_planning(config, damage):
    table, path = run_corpus_stage(config), scan.clip_table(config)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    path.with_name(tables.SUMS).unlink()
    assert scan.scan(config).equals(table)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["clips.csv", "shards/00.csv", "shards/01.csv"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_job_puts_a_damaged_table_aside(config, name, damage):
    run_corpus_stage(config)
    path = scan.cache_folder(config) / name
    path.write_bytes(DAMAGES[damage](path.read_bytes().replace(b"Sad", b"Happy")))
    with pytest.raises(SystemExit), job_log("a.log"):
        tables.read(path)
    assert not path.exists() and path.with_name(f"{path.name}.damaged").exists()


def test_verify_reads_tables(config):
    run_corpus_stage(config)
    result = CliRunner().invoke(app, ["verify", "cache"])
    assert result.exit_code == 0 and "3 of 3 files are intact" in result.output  # not what the scan remembers
    path = scan.clip_table(config)
    path.write_bytes(path.read_bytes()[:-1])
    result = CliRunner().invoke(app, ["verify", "cache"])
    assert result.exit_code == 1 and "clips.csv is damaged: it is not the table that was written" in result.output
    assert not path.exists()


def test_a_table_is_read_whatever_became_of_its_digest(config):
    table, path = run_corpus_stage(config), scan.clip_table(config)
    sums = path.with_name(tables.SUMS)
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", sums.name], cwd=path.parent, check=True)
    for text in (b"", b"\xff", b"\n\n", sums.read_bytes().replace(b"clips", b"clipt")):
        sums.write_bytes(text)
        assert tables.read(path).equals(table)
    sums.unlink()
    assert tables.read(path).equals(table)


def test_another_corpus_is_still_told(config):
    path = scan.clip_table(config)
    run_corpus_stage(config)
    other = scan.scan(config).assign(digest="0" * 64)
    tables.write(other, path)
    with pytest.raises(DamagedCacheError):
        tables.read(path)
    tables.seal([path])
    with pytest.raises(CorpusError, match="is the cache of another corpus"):
        scan.scan(config)
