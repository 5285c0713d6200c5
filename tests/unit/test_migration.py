"""`emopipe migrate`: caches of release 0.1.0 get the recipes of now, and keep their data."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from emopipe.backbones import crossfit
from emopipe.cache import metadata, store
from emopipe.cache.store import Field, Row, Writer
from emopipe.cache.tensors import read
from emopipe.commands.main import app
from emopipe.core import tables
from emopipe.core.atomic import sha256
from emopipe.core.fingerprint import digest, recipe_text
from emopipe.corpora import demo
from emopipe.demo.plan import DemoOptions
from emopipe.demo.plan import plan as demo_plan
from emopipe.workflow import config as configs
from emopipe.workflow import migration
from emopipe.workflow.plan import Plan

SCRIPTS = Path(__file__).parents[2] / "workflow_scripts"

CONFIG = {
    "run": "r",
    "corpus_root": "nowhere",
    "corpus": {"name": "c", "kind": "folder"},
    "decode": {"sparse": {"policy": "count", "count": 4}},
    "faces": {"main": {"detector": "mtcnn"}},
    "backbones": {
        "expression": {"kind": "expression", "weights": "expression"},
        "logmel": {"kind": "audio_alexnet", "pretrain": {"folds": 2}},
    },
}
TABLE = pd.DataFrame(
    {
        "clip": ["a", "b"], "path": ["a.mp4", "b.mp4"], "split": ["train", "val"], "label": ["Happy", "Sad"],
        "subject": ["1", "2"], "digest": ["d1", "d2"],
    }
)  # fmt: skip
ROWS = [("a", "d1"), ("b", "d2")]
LEARNED = "cache/c/weights/logmel.safetensors"


@pytest.fixture(autouse=True)
def same_numbers(monkeypatch, tmp_path):
    """The code of now is taken to compute what release 0.1.0 did, whatever was changed since."""
    monkeypatch.chdir(tmp_path)
    now = {entry: migration._fingerprint(SCRIPTS, entry) for entry in migration.entries()}
    table = {**migration._table(), "same_numbers": now}
    monkeypatch.setattr(migration, "_table", lambda: table)
    return now


@pytest.fixture
def plan():
    return Plan(configs.parse(CONFIG), TABLE, SCRIPTS)


def old_recipes(plan):
    """Path below the cache -> the recipe that release 0.1.0 wrote there, and the recipe of now."""
    pairs, digests = {}, {}

    def add(path, new):
        old = {key: value for key, value in new.items() if key != "libraries"}
        for key in ("media", "source", "learned", "features"):
            if new.get(key):
                old[key] = digests[new[key]]
        if "options" in old and "crop_units" in old["options"]:
            named = {"crop_units": "side_units", "center_offset_y": "down"}
            old["options"] = {named.get(key, key): value for key, value in old["options"].items()}
        old["code"] = min(migration._old_codes(old["stage"], migration._modules(old)[0]))
        digests[digest(new)] = digest(old)
        pairs[path] = old, new

    add("media/sparse/00.h5", plan.decode("sparse"))
    add("media/sparse/00.status.h5", plan.decode("sparse"))
    add("faces/main/00.h5", plan.faces("main"))
    add("weights/logmel.safetensors", plan.pretrain("logmel"))
    for name in ("expression", "logmel"):
        add(f"features/{name}/00.h5", plan.features(name))
        add(f"features/{name}.h5", plan.merge(name))
    return pairs


@pytest.fixture
def cache(plan):
    """The cache as release 0.1.0 left it; (path, old recipe, new recipe) of each file."""
    tables.write(TABLE, Path("cache/c/clips.csv"))
    pairs = old_recipes(plan)
    state = {"w": torch.arange(6.0).reshape(2, 3)}
    for name, (old, _) in pairs.items():
        path = Path("cache/c", name)
        if path.suffix == ".safetensors":
            about = {"recipe": recipe_text(old), "recipe_digest": digest(old), "device": "cpu"}
            crossfit.save(
                crossfit.CrossfitWeights(state, [{"w": state["w"] + 1}], [np.eye(3, 2)], {"a": 0}), path, about
            )
    for name, (old, _) in pairs.items():
        path = Path("cache/c", name)
        if path.suffix == ".h5":
            with Writer(path, {"x": Field("f4", (2,))}, stage=old["stage"], recipe=old) as writer:
                for number, (clip, content) in enumerate(ROWS):
                    writer.add(Row(clip, content, "ok", "a sentence", {"x": np.full((number + 1, 2), number)}))
                if "logmel" in name:
                    writer.note(learned_sha256=sha256(Path(LEARNED)))
        os.utime(path, ns=(10**18, 10**18))
    return pairs


def content(path):
    """The data of a file, without what made it."""
    if path.suffix == ".h5":
        with store.Reader(path) as reader:
            return [(row.clip, row.digest, row.status, row.reason, row.arrays["x"].tolist()) for row in reader.rows()]
    return {key: tensor.tolist() for key, tensor in read(path, sealed=True)[0].items()}


def made_by(path, recipe):
    return (store if path.suffix == ".h5" else metadata).made_by(path, recipe)


def migrate():
    return {str(outcome.path): outcome.why for outcome in migration.migrate(Path("cache/c"), SCRIPTS)}


REUSED = {"media/sparse/00.h5", "media/sparse/00.status.h5", "faces/main/00.h5"}


@pytest.mark.slow
def test_media_and_faces_get_the_recipes_of_now_and_features_and_weights_are_computed_again(cache):
    """Features of 0.1.0 lack log-probabilities, and its weights do not say what they were trained on."""
    before = {name: content(Path("cache/c", name)) for name in cache}
    found = migrate()
    assert set(found) == {f"cache/c/{name}" for name in cache}
    for name, (old, new) in cache.items():
        path = Path("cache/c", name)
        assert (found[f"cache/c/{name}"] == "") == (name in REUSED), name
        assert made_by(path, new if name in REUSED else old), name
        assert content(path) == before[name] and path.stat().st_mtime_ns == 10**18
    for path, stage in (("features/expression/00.h5", "features"), ("weights/logmel.safetensors", "pretrain")):
        assert f"This version computes other numbers (script {stage})" in found[f"cache/c/{path}"]
    assert "was made from is missing or needs a rebuild" in found["cache/c/features/expression.h5"]
    assert store.stands_for(
        Path("cache/c/media/sparse/00.h5"), cache["media/sparse/00.h5"][1], store.clips_digest(ROWS)
    )


@pytest.mark.slow
def test_a_second_time_nothing_is_rewritten(cache):
    first = migrate()
    found = {name: Path("cache/c", name).read_bytes() for name in cache}
    assert migrate() == {name: why for name, why in first.items() if why}
    assert found == {name: Path("cache/c", name).read_bytes() for name in cache}


@pytest.mark.slow
def test_files_of_changed_code_are_left(cache):
    path = Path("cache/c/media/sparse/00.h5")
    changed = {**cache["media/sparse/00.h5"][0], "code": "another"}
    for name in ("00.h5", "00.status.h5"):
        store.relabel(path.with_name(name), changed)
    found = migrate()
    assert "did not make it" in found["cache/c/media/sparse/00.h5"]
    assert "was made from is missing" in found["cache/c/faces/main/00.h5"]
    assert made_by(path, changed)


@pytest.mark.slow
def test_what_this_version_computes_otherwise_needs_a_rebuild(cache, same_numbers):
    same_numbers["emopipe.faces.detectors.mtcnn"] = "another"
    found = migrate()
    assert "This version computes other numbers (emopipe.faces.detectors.mtcnn)" in found["cache/c/faces/main/00.h5"]
    assert {name for name, why in found.items() if not why} == {f"cache/c/{name}" for name in REUSED if "media" in name}


@pytest.mark.slow
def test_the_command(cache):
    told = CliRunner().invoke(app, ["migrate", "cache/c"])
    assert told.exit_code == 0 and "3 of 8 files in cache/c are reused." in told.output
    again = CliRunner().invoke(app, ["migrate", "cache/c"])
    assert again.exit_code == 0 and "0 of 5 files in cache/c are reused." in again.output


@pytest.mark.slow
def test_a_folder_that_is_not_a_cache():
    Path("cache/d").mkdir(parents=True)
    told = CliRunner().invoke(app, ["migrate", "cache/d"])
    assert told.exit_code == 1 and "cache/d is not a corpus' cache" in told.output


# --- versions of libraries


def plan_with(choice, monkeypatch, **versions):
    from emopipe.core import libraries

    real = libraries._version
    monkeypatch.setattr(libraries, "_version", lambda name: versions.get(name) or real(name))
    return Plan(configs.parse({**CONFIG, "library_changes": choice}), TABLE, SCRIPTS)


@pytest.mark.slow
def test_another_version_of_a_library_is_reported_and_recomputed_or_kept(plan, monkeypatch):
    for stage, made in {"media/sparse": plan.decode("sparse"), "faces/main": plan.faces("main")}.items():
        with Writer(Path("cache/c", stage, "00.h5"), {}, stage=stage, recipe=made):
            pass
    assert plan.library_changes() == []
    recompute = plan_with("recompute", monkeypatch, opencv="99.1")
    assert recompute.decode("sparse")["libraries"]["opencv"] == "99.1"
    assert recompute.faces("main") != plan.faces("main")
    (said,) = recompute.library_changes()  # of the first stage; the others follow from it
    old = plan.decode("sparse")["libraries"]["opencv"]
    assert f"cache/c/media/sparse was made with opencv {old}; opencv 99.1 is installed." in said
    keep = plan_with("keep", monkeypatch, opencv="99.1")
    assert (keep.decode("sparse"), keep.faces("main")) == (plan.decode("sparse"), plan.faces("main"))
    assert len(keep.library_changes()) == 2 and "It is kept" in keep.library_changes()[0]


@pytest.mark.slow
def test_versions_are_kept_only_if_they_are_all_that_differs(plan, monkeypatch):
    """What is computed again for another reason is computed, and recorded, with what is installed."""
    with Writer(Path("cache/c/media/sparse/00.h5"), {}, stage="decode", recipe={**plan.decode("sparse"), "code": "x"}):
        pass
    keep = plan_with("keep", monkeypatch, opencv="99.1")
    assert keep.decode("sparse")["libraries"]["opencv"] == "99.1"


@pytest.mark.slow
def test_a_damaged_file_says_nothing_of_libraries(plan):
    Path("cache/c/faces/main").mkdir(parents=True)
    Path("cache/c/faces/main/00.h5").write_bytes(b"nothing")
    assert plan.library_changes() == []


@pytest.mark.slow
def test_the_demos_clips_get_the_names_and_digests_of_now():
    """Clips that are drawn have the digest of the code that draws them, and their files are named by it."""
    options = DemoOptions(subjects=3, val_subjects=1, test_subjects=1, takes=1)
    code = migration._old_fingerprints(["emopipe.demo.video"])[-1]
    now = demo.scan(Path(), options)
    plans = {each.clip: each for each in demo_plan(options)}
    was = [hashlib.sha256(f"{plans[clip].digest()}/{code}".encode()).hexdigest() for clip in now["clip"]]
    paths = [f"{clip}.{old[:8]}.{plans[clip].container}" for clip, old in zip(now["clip"], was, strict=True)]
    tables.write(now.assign(digest=was, path=paths), Path("cache/c/clips.csv"))
    Path("cache/c/clips").mkdir()
    for path in paths:
        Path("cache/c/clips", path).touch()
    old = {"stage": "decode", "schema": 2, "options": CONFIG["decode"]["sparse"]}
    old |= {"code": min(migration._old_codes("decode", []))}
    with Writer(Path("cache/c/media/sparse/00.h5"), {}, stage="decode", recipe=old) as writer:
        for clip, content_digest in zip(now["clip"], was, strict=True):
            writer.add(Row(clip, content_digest, "ok", "", {}))
    assert migrate() == {"cache/c/media/sparse/00.h5": ""}
    with store.Reader(Path("cache/c/media/sparse/00.h5")) as reader:
        assert list(reader.digest.items()) == list(zip(now["clip"], now["digest"], strict=True))
        assert reader.attributes["clips_digest"] == store.clips_digest([*reader.digest.items()])
    assert sorted(path.name for path in Path("cache/c/clips").iterdir()) == sorted(now["path"])
