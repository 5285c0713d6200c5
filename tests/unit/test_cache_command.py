"""`emopipe cache`: what caches take, what no config asks for, and pictures that are dropped."""

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from emopipe.cache import pictures
from emopipe.cache.incremental import making
from emopipe.cache.store import Field, Reader, Row, Writer, attributes
from emopipe.cache.usage import presets, usages
from emopipe.commands.main import app
from emopipe.core.errors import CacheError
from emopipe.core.fingerprint import digest
from emopipe.workflow import pictures as needed

FACES = {"crop": Field("u1"), "crop_size": Field("i4"), "mask": Field("?")}
DECODED, FOUND = {"stage": "decode"}, {"stage": "faces", "media": digest({"stage": "decode"})}
CONFIG = {
    "run": "x",
    "corpus": {"name": "c", "kind": "folder"},
    "decode": {"few": {"policy": "count", "count": 3}},
    "faces": {"main": {"detector": "mtcnn"}},
    "backbones": {"face": {"kind": "expression", "pretrain": {}, "views": ["flip"]}},
    "models": {},
}


def run(*arguments):
    return CliRunner().invoke(app, ["cache", *map(str, arguments)], env={"COLUMNS": "200"})


def write(path, recipe, fields, arrays):
    with Writer(path, fields, stage=recipe["stage"], recipe=recipe) as writer:
        writer.add(Row("a", "d1", "ok", "", arrays))
        writer.add(Row("b", "d2", "no_face", "", {}))
        writer.note(device="cpu")
    os.utime(path, ns=(1_000, 2_000_000_000))
    return path


def crops():
    return {"crop": np.arange(50, dtype="u1"), "crop_size": np.array([20, 30], "i4"), "mask": np.array([True, True])}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The cache of a corpus c, in which vectors have been made from faces, and faces from media."""
    monkeypatch.chdir(tmp_path)
    folder = Path("cache/c")
    media = {"jpeg": Field("u1"), "audio": Field("i2")}
    write(folder / "media/few/00.h5", DECODED, media, {"jpeg": np.zeros(1000, "u1"), "audio": np.arange(9, dtype="i2")})
    write(folder / "media/few/00.status.h5", DECODED, {}, {})
    write(folder / "faces/main/00.h5", FOUND, FACES, crops())
    vectors = {"stage": "features", "source": digest(FOUND)}
    write(folder / "features/face/00.h5", vectors, {"x": Field("f4", (3,))}, {"x": np.ones((2, 3), "f4")})
    for name in ("features/face.h5", "weights/face.safetensors", "weights/face.csv", "logs/a.log"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x" * 10)
    Path("c.yaml").write_text(yaml.safe_dump(CONFIG))
    return folder


def tree(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


# --- what they take


def test_sizes_by_stage_and_preset(cache):
    found = {(usage.stage, usage.preset): usage for usage in usages(cache)}
    assert [*found] == [("media", "few"), ("faces", "main"), ("features", "face"), ("weights", "face"), ("logs", "")]
    media, vectors = found["media", "few"], found["features", "face"]
    assert (media.shards, media.files, media.clips) == (1, 2, 2)
    assert (vectors.shards, vectors.files, vectors.clips) == (1, 2, 2)
    assert found["weights", "face"].bytes == 20 and found["weights", "face"].clips is None
    assert sum(usage.bytes for usage in found.values()) == sum((cache / name).stat().st_size for name in tree(cache))


def test_a_hard_link_takes_no_space(cache):
    before = sum(usage.bytes for usage in usages(cache))
    (cache / "weights/.face.made").mkdir()
    os.link(cache / "weights/face.safetensors", cache / "weights/.face.made/0.safetensors")
    assert sum(usage.bytes for usage in usages(cache)) == before


def test_the_table(cache):
    output = run().output
    lines = [line.split() for line in output.splitlines()]
    assert ["stage", "preset", "shards", "files", "clips", "size"] in lines
    assert ["features", "face", "1", "2", "2"] in [line[:5] for line in lines]
    assert "cache/c: " in output and " MB in all" in output
    assert run(cache).output == run("c.yaml").output == output


def test_no_cache_and_what_is_not_one(cache, tmp_path):
    assert run(tmp_path).output == f"{tmp_path} is not a cache. Name a folder in cache/, such as cache/demo.\n"
    Path("c.yaml").write_text(yaml.safe_dump(CONFIG | {"corpus": {"name": "new", "kind": "folder"}}))
    assert run("c.yaml").output.startswith("There is no cache cache/new.")
    assert run("none.yaml").exit_code == 1


@pytest.mark.parametrize(
    "name",
    ["a.b.safetensors", "a.b.csv", "a.b.step0.png", ".a.b.parts", ".a.b.made", "a.b.step1.safetensors.work",
     ".a.b.step0.made", "a.b.safetensors.damaged", ".a.b.12.tmp.safetensors"],
)  # fmt: skip
def test_files_of_weights_belong_to_their_backbone(tmp_path, name):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / name).touch()
    assert presets(tmp_path / "weights") == {"a.b": [tmp_path / "weights" / name]}


# --- prune


def leave_behind(cache):
    """Files of presets that the config does not have."""
    features = ("other/00.h5", "other.h5", "face@flip/00.h5", ".other.parts/lock")
    weights = ("other.step0.safetensors", ".other.parts/all.pt")
    for name in (
        "media/old/00.h5",
        *(f"features/{name}" for name in features),
        *(f"weights/{name}" for name in weights),
    ):
        (cache / name).parent.mkdir(parents=True, exist_ok=True)
        (cache / name).write_bytes(b"y" * 100)


def test_prune_deletes_what_no_config_asks_for(cache):
    before = tree(cache)
    leave_behind(cache)
    result = run("--prune", "c.yaml", "--yes")
    assert result.exit_code == 0, result.output
    assert tree(cache) == before | {"features/face@flip/00.h5"}
    assert "cache/c/features: other, 0.0 MB (.other.parts, other, other.h5)" in result.output
    assert "cache/c/media: old" in result.output and "were deleted." in result.output
    assert run("--prune", "c.yaml").output == "The given configs ask for all that there is. Nothing is deleted.\n"


def test_prune_keeps_what_any_config_asks_for(cache):
    leave_behind(cache)
    before = tree(cache)
    more = CONFIG | {"decode": {**CONFIG["decode"], "old": {"policy": "all"}}, "backbones": {
        "face": {"kind": "expression", "pretrain": {}, "faces": "main"},
        "other": {"kind": "ir50", "weights": "nowhere.pth", "optional": True, "faces": "main"},
    }, "faces": {"main": {"detector": "mtcnn", "decode": "few"}}}  # fmt: skip
    Path("more.yaml").write_text(yaml.safe_dump(more))
    result = run("--prune", "c.yaml", "more.yaml")
    assert result.output == "The given configs ask for all that there is. Nothing is deleted.\n"
    assert tree(cache) == before


def test_prune_asks_first(cache, monkeypatch):
    leave_behind(cache)
    before = tree(cache)
    result = run("--prune", "c.yaml")
    assert result.exit_code == 1 and "Give --yes" in result.output and tree(cache) == before
    monkeypatch.setattr("emopipe.commands.cache._is_terminal", lambda: True)
    answered = CliRunner().invoke(app, ["cache", "--prune", "c.yaml"], input="n\n")
    assert answered.exit_code == 0 and "Nothing was deleted." in answered.output and tree(cache) == before
    answered = CliRunner().invoke(app, ["cache", "--prune", "c.yaml"], input="y\n")
    assert answered.exit_code == 0 and len(tree(cache)) < len(before)


def test_prune_needs_a_config_of_the_cache(cache):
    before = tree(cache)
    assert "--prune needs the configs" in run("--prune", "--yes").output
    Path("cache/other").mkdir()
    result = run("--prune", "--yes", "c.yaml", "cache/other")
    assert result.exit_code == 1 and "No given config has the cache cache/other" in result.output
    assert "Give one of them" in run("--prune", "--faces", "c.yaml").output
    assert tree(cache) == before


def test_prune_follows_no_link(cache, tmp_path):
    outside = tmp_path / "outside"
    for name in ("stage/old", "preset", "inner"):
        (outside / name).mkdir(parents=True)
        (outside / name / "precious").touch()
    (cache / "media/old").mkdir()
    (cache / "media/old/00.h5").touch()
    (cache / "media/old/link").symlink_to(outside / "inner")
    (cache / "media/linked").symlink_to(outside / "preset")
    assert run("--prune", "c.yaml", "--yes").exit_code == 0
    assert not (cache / "media/old").exists() and (cache / "media/linked").is_symlink()
    (cache / "media").rename(cache / "moved")
    (cache / "media").symlink_to(outside / "stage")
    result = run("--prune", "c.yaml", "--yes")
    assert result.exit_code == 1 and "is a link to" in result.output
    assert len([*outside.rglob("precious")]) == 3


def test_a_cache_that_is_a_link_is_shown_and_not_touched(cache, tmp_path):
    cache.rename(tmp_path / "elsewhere")
    cache.symlink_to(tmp_path / "elsewhere")
    assert run(cache).exit_code == 0
    for option in (["--faces", cache], ["--prune", "c.yaml"]):
        result = run(*option, "--yes")
        assert result.exit_code == 1 and "nothing outside of cache/ is deleted" in result.output
    assert (tmp_path / "elsewhere/media/few/00.h5").is_file()


# --- drop pictures


def test_pictures_are_dropped_and_all_else_stays(cache):
    files = {"jpeg": cache / "media/few/00.h5", "crop": cache / "faces/main/00.h5"}
    before = {field: (attributes(path), Reader(path)["a"].arrays) for field, path in files.items()}
    result = run("--faces", "--yes")
    assert result.exit_code == 0 and result.output.splitlines()[:2] == [
        "media: pictures in 1 files, 0.0 MB",
        "faces: pictures in 1 files, 0.0 MB",
    ]
    for field, path in files.items():
        attributes_before, arrays = before[field]
        with Reader(path) as reader:
            assert reader.status == {"a": "ok", "b": "no_face"} and reader.field_bytes(field) == 0
            for name, rows in arrays.items():
                assert reader["a"].arrays[name].tolist() == ([] if name == field else rows.tolist())
            with pytest.raises(CacheError, match=r"dropped by `emopipe cache --faces`.* Delete the file and run again"):
                reader.field("a", field)
        now = attributes(path)
        assert path.stat().st_mtime_ns == 2_000_000_000
        assert {key for key in now if now[key] != attributes_before.get(key)} == {"dropped", "drops", "index_digest"}
    assert run("--faces").output.startswith("There are no pictures that can be dropped")


def test_pictures_that_nothing_was_made_from_are_kept(cache):
    """Vectors of other clips or shards, or of other faces, do not count."""
    (cache / "features/face/00.h5").unlink()
    for name, source, clip in (("01", digest(FOUND), "a"), ("00", "another", "a"), ("00", digest(FOUND), "new")):
        recipe = {"stage": "features", "source": source}
        with Writer(cache / f"features/face/{name}.h5", {}, stage="features", recipe=recipe) as writer:
            writer.add(Row(clip, "d1", "ok", "", {}))
            writer.add(Row("b", "d2", "no_face", "", {}))
        assert [each.field for each in pictures.droppable(cache)] == ["jpeg"]
    (cache / "faces/main/00.h5").unlink()
    assert pictures.droppable(cache) == []


def test_a_full_disk_changes_no_file(cache, monkeypatch):
    def full(path, field):
        raise OSError(errno.ENOSPC, "No space left on device")

    before = {name: (cache / name).read_bytes() for name in tree(cache)}
    monkeypatch.setattr(pictures, "drop", full)
    result = run("--faces", "--yes")
    assert result.exit_code == 1
    assert "cache/c/media/few/00.h5 cannot be rewritten (No space left on device)" in result.output
    assert {name: (cache / name).read_bytes() for name in tree(cache)} == before


def test_faces_without_pictures_are_not_reused(cache):
    """The job makes them again, and the file remembers how often they were dropped."""
    file = cache / "faces/main/00.h5"
    for times in (1, 2):
        pictures.drop(file, "crop")
        assert pictures.drops(attributes(file)) == times
        with making(file, FACES, stage="faces", recipe=FOUND) as output:
            assert output.earlier("a", "d1") is None
            output.add(Row("a", "d1", "ok", "", crops()))
            output.add(Row("b", "d2", "no_face", "", {}))
        found = attributes(file)
        assert not pictures.are_dropped(found) and pictures.drops(found) == times
    with making(file, FACES, stage="faces", recipe=FOUND) as output:
        assert output.earlier("a", "d1") is not None
        output.take(output.earlier("a", "d1"))


def planned(cache, faces_recipe):
    """A plan that searches faces by this recipe, as far as `emopipe.workflow.pictures` asks."""
    config = SimpleNamespace(corpus=SimpleNamespace(name="c"), faces={"main": SimpleNamespace(decode="few")})
    clips = attributes(cache / "media/few/00.h5")["clips_digest"]
    return SimpleNamespace(
        config=config, backbones={}, faces=lambda name: faces_recipe, shard_digest=lambda shard: clips
    )


@pytest.mark.parametrize(
    ("is_dropped", "faces_recipe", "stays"),
    [(True, FOUND, True), (True, {"stage": "faces", "detector": "another"}, False), (False, {"stage": "faces"}, True)],
    ids=["nothing-needs-them", "a-failed-job-needed-them", "they-are-there"],
)
def test_after_a_failed_run_a_file_without_needed_pictures_is_deleted(cache, is_dropped, faces_recipe, stays):
    """Else Snakemake, which has recorded that the job ran, takes the old file for the new one."""
    file = cache / "media/few/00.h5"
    if is_dropped:
        pictures.drop(file, "jpeg")
    needed.discard_unmade(planned(cache, faces_recipe), "media", "few", "00")
    assert file.exists() == stays
    assert (cache / "faces/main/00.h5").exists()


def test_no_file_is_no_error_after_a_failed_run(cache):
    needed.discard_unmade(planned(cache, FOUND), "media", "few", "01")
    assert not (cache / "media/few/01.h5").exists()
