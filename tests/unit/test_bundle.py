"""Bundles: a run that predicts by itself, with the same answers, and nothing in it that is not meant for others."""

import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
import yaml
from typer.testing import CliRunner

import emopipe
from emopipe.cache.clip_rows import RowsInMemory
from emopipe.cache.store import Row, Writer
from emopipe.cache.tensors import read
from emopipe.commands.main import app
from emopipe.core.atomic import sha256
from emopipe.core.errors import BundleError, CacheError, ConfigError, WeightsError
from emopipe.core.notice import NOTICE
from emopipe.export import bundle, formats
from emopipe.export.card import Card
from emopipe.inference import unpacking
from emopipe.inference.bundle import Bundle
from emopipe.inference.cached import load_features
from emopipe.inference.finished_run import FinishedRun
from emopipe.inference.streams import Streams
from emopipe.media import rows as media_rows
from emopipe.media.decoded import Media
from emopipe.scoring.predictions import PROBABILITIES
from tests.conftest import write_clip
from tests.pages import REPOSITORY
from tests.unit import small_run
from tests.unit.test_backbones_hub import needs_transformers, save_tiny

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return small_run.make(tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def made(run, tmp_path_factory):
    """The bundle of the run as a folder; its zip lies beside it."""
    folder = tmp_path_factory.mktemp("made") / "small"
    assert bundle.write(run, folder) == []
    assert bundle.write(run, folder.with_suffix(".zip")) == []
    return folder


@pytest.fixture
def copy(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "copy"))


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("sound") / "tone.wav", video=None, audio="pcm_s16le")


def files_of(folder):
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


# -- the same answers ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_folder_and_zip_predict_what_the_run_predicts(run, made, sound):
    wanted, folder, zipped = (
        emopipe.Predictor(model, threads=1).predict([sound, sound.with_name("nothing.wav")])
        for model in (run, made, str(made.with_suffix(".zip")))
    )
    assert wanted[0].answered and set(wanted[0].models) == {"audio_both", "audio_one"}
    assert list(folder) == list(wanted) and list(zipped) == list(wanted)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["mean", "greedy", "stacking"])
def test_every_method_of_the_ensemble_gives_the_same_numbers(method, tmp_path, sound):
    run = small_run.make(tmp_path, config={"ensemble": {"method": method, "calibrate": True}})
    bundle.write(run, tmp_path / "made")
    wanted, found = (emopipe.Predictor(model, threads=1).predict(sound) for model in (run, tmp_path / "made"))
    assert wanted[0].answered and list(found) == list(wanted)


@pytest.mark.slow
@needs_transformers
def test_a_network_that_is_a_folder(tmp_path, sound):
    save_tiny(tmp_path / "net")
    backbones = small_run.CONFIG["backbones"] | {"voice": {"kind": f"hf:{tmp_path / 'net'}"}}
    run = small_run.make(tmp_path, config={"backbones": backbones}, dims={"voice": 16})
    bundle.write(run, tmp_path / "made")
    wanted = emopipe.Predictor(run, threads=1).predict(sound)
    (tmp_path / "net").rename(tmp_path / "moved")
    assert wanted[0].answered and list(emopipe.Predictor(tmp_path / "made", threads=1).predict(sound)) == list(wanted)
    text = (tmp_path / "made/README.md").read_text()
    assert "the backbone voice is not there as ONNX: it is not a network of torch (kind hf)." in text
    assert str(tmp_path) not in text and str(tmp_path) not in (tmp_path / "made/config.yaml").read_text()


@pytest.mark.slow
def test_it_needs_neither_corpus_nor_cache_nor_home_nor_snakemake(run, made, sound, tmp_path):
    (tmp_path / "stubs").mkdir()
    (tmp_path / "stubs/snakemake.py").write_text("raise ImportError('snakemake must not be imported')\n")
    here = Path(shutil.copy(made.with_suffix(".zip"), tmp_path / "alone.zip"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "home").mkdir()
    program = "from emopipe.commands.main import app; app()"
    words = ["predict", str(sound), "--model", str(here), "--json", "--threads", "1"]
    found = subprocess.run(
        [sys.executable, "-c", program, *words],
        cwd=tmp_path / "empty",
        env={
            "HOME": str(tmp_path / "home"),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join([str(tmp_path / "stubs"), str(REPOSITORY)]),
            "TMPDIR": str(tmp_path / "home"),
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert not found.returncode, found.stderr
    (wanted,) = emopipe.Predictor(run, threads=1).predict(sound)
    assert json.loads(found.stdout) == json.loads(wanted.to_json())
    assert not list((tmp_path / "empty").iterdir())
    assert not list((tmp_path / "home").glob("emopipe-bundle-*")), "what was unpacked is removed at the end"


@pytest.mark.slow
def test_the_evidence_of_heads_is_that_of_the_run(tmp_path):
    """It is relative to the prior of each head, which files of features have, and rows in memory do not."""
    run = small_run.make(tmp_path, audio_inputs=["vectors", "evidence"])
    bundle.write(run, tmp_path / "made")
    model = FinishedRun(run, CPU)
    vectors, streams = vectors_of_a_sound(model)
    for name, rows in vectors.items():
        head = streams._network(name, model.streams[name]).head
        with Writer(tmp_path / f"{name}.h5", rows.fields, stage="merge", recipe={}) as writer:
            writer.add(Row("tone", "", "ok", "", {field: rows.field("tone", field) for field in rows.fields}))
            writer.note(head_prior=json.dumps(head.prior.tolist()))
    features = {name: load_features(tmp_path / f"{name}.h5") for name in vectors}
    wanted = emopipe.load_run(run).model("audio_both").predict(features)[PROBABILITIES].to_numpy(float)
    for answering in (model, Bundle(tmp_path / "made", CPU)):
        found, _ = answering.answer(["tone"], vectors).parts["audio_both"]
        np.testing.assert_array_equal(found, wanted)
    model.__dict__["heads"] = {}
    found, _ = model.answer(["tone"], vectors).parts["audio_both"]
    assert np.abs(found - wanted).max() > 1e-3, "the priors count"


# -- what is inside ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_nothing_names_people_clips_or_paths_of_the_machine(run, made):
    private = [
        small_run.PERSON,
        "private/corpus",
        str(run.parents[1]),
        str(Path.home()),
        str(REPOSITORY),
        "0123456789abcdef",
    ]
    for name, path in files_of(made).items():
        content = path.read_bytes()
        assert [text for text in private if text.encode() in content] == [], name
    config = yaml.safe_load((made / "config.yaml").read_text())
    assert config["corpus"] == {"name": "private", "kind": "folder"} and "corpus_root" not in config
    assert config["models"] == small_run.CONFIG["models"]


@pytest.mark.slow
def test_the_run_s_own_network_is_the_one_for_all_clips(run, made):
    tensors, about = read(made / "weights/own.safetensors", sealed=True)
    whole, _ = read(run.parents[1] / "cache/private/weights/own.safetensors")
    assert all(torch.equal(whole[f"all.{key}"], tensor) for key, tensor in tensors.items())
    assert len(tensors) == sum(key.startswith("all.") for key in whole)
    assert about == {"trained_on": '{"classes":{"Angry":8}}'}


@pytest.mark.slow
def test_the_card_says_what_it_is(made):
    text = (made / "README.md").read_text()
    assert NOTICE in text and "# `small`: a bundle of emopipe" in text
    assert "| `ensemble` | val | 12 | 50.0 [25.0, 75.0] | 50.0 [20.0, 80.0] | 6 subjects (bootstrap) |" in text
    assert "24 clips of the corpus `private` (kind `folder`): Angry 12, Disgust 12." in text
    assert "- the audio network own: trained by the run on the corpus private." in text
    assert "for non-commercial use only, because of the weights of the audio network voice." in text
    assert json.loads((made / "labels.json").read_text())[0] == "Angry"
    terms = (made / "LICENSES/README.md").read_text()
    assert "`weights/voice/speech_logmel.safetensors` (the audio network voice): CC BY-NC-SA 4.0" in terms
    assert (made / "LICENSES/MIT-emopipe.txt").read_text() == (REPOSITORY / "LICENSE").read_text()
    own_terms = REPOSITORY / "emopipe/weights/files/LICENSE-weights.md"
    assert (made / "LICENSES/LICENSE-weights.md").read_bytes() == own_terms.read_bytes()


def test_the_card_omits_scores_of_models_that_did_not_run():
    ran = {"model": "fused", "split": "val", "n": 12.0, "accuracy": 0.5, "uar": 0.5, "groups": 6, "drawn": "subject"}
    results = pd.DataFrame([ran, {"model": "other", "note": "Its weights are missing."}])
    results = results.assign(low=np.nan, uar_low=np.nan, interval="none")
    shown = Card(None, results, pd.DataFrame(), [], {}, {})._scores()
    assert "| `fused` | val | 12 | 50.0 | 50.0 | none: 6 subjects are too few |" in shown
    assert "other" not in shown.partition("UAR is")[0] and "nan" not in shown
    assert "no split with labels" in Card(None, results.tail(1), pd.DataFrame(), [], {}, {})._scores()


@pytest.mark.slow
def test_equal_runs_give_equal_bytes(run, made, tmp_path):
    bundle.write(run, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == made.with_suffix(".zip").read_bytes()


# -- ONNX ----------------------------------------------------------------------------------------------------------


def vectors_of_a_sound(model):
    """Stream -> rows of vectors, and the streams that computed them."""
    streams = Streams(model, CPU, "cpu", 1)
    wave = (0.3 * 32767 * np.sin(2 * np.pi * 440 * np.arange(32_000) / 16_000)).astype(np.int16)
    row = media_rows.row("tone", "", Media("no_video", "", [], np.empty(0), wave, 0.0))
    return streams.vectors({"frames": RowsInMemory([row], media_rows.FIELDS)}, {}), streams


@pytest.mark.slow
def test_onnx_gives_what_the_run_gives_on_a_real_sound(run, made):
    """From the vectors of a sound to the probabilities of a model, by onnxruntime alone."""
    model = FinishedRun(run, CPU)
    vectors, _ = vectors_of_a_sound(model)
    answers = model.answer(["tone"], vectors)
    for name in ("audio_both", "audio_one"):
        session = onnxruntime.InferenceSession(str(made / f"onnx/{name}.onnx"))
        given = {}
        for stream in small_run.CONFIG["models"][name]["streams"]:
            given[f"{stream}.x"] = vectors[stream].field("tone", "x")[None]
            given[f"{stream}.mask"] = np.ones(given[f"{stream}.x"].shape[:2], bool)
        (found,) = session.run(["probabilities"], given)
        np.testing.assert_allclose(found, answers.parts[name][0], atol=1e-5)


@pytest.mark.slow
def test_the_manifest_says_what_onnx_takes_and_gives(made):
    listed = json.loads((made / "manifest.json").read_text())
    assert set(listed["onnx"]) == {name for name in listed["files"] if name.endswith(".onnx")}
    for path, about in listed["onnx"].items():
        session = onnxruntime.InferenceSession(str(made / path))
        for told, found in ((about["inputs"], session.get_inputs()), (about["outputs"], session.get_outputs())):
            types = {"float32": "tensor(float)", "float64": "tensor(double)", "bool": "tensor(bool)"}
            expected = [(each["name"], types[each["dtype"]], each["shape"]) for each in told]
            assert expected == [(each.name, each.type, each.shape) for each in found]
    assert listed["not_in_onnx"] == {}


# -- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["models/audio_one.safetensors", "bundle.json", "weights/own.safetensors", "README.md"]
)
def test_a_changed_file_is_refused_by_name(copy, name):
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(BundleError, match=rf"{name} has changed since the bundle was written"):
        Bundle(copy, CPU)
    (copy / name).unlink()
    with pytest.raises(BundleError, match=rf"{name} is missing"):
        Bundle(copy, CPU)


def listed_as(folder, change):
    """Change the manifest of a bundle."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


@pytest.mark.slow
def test_a_manifest_that_does_not_fit_is_refused(copy, made):
    listed_as(copy, lambda m: m["files"].update({"../outside.txt": "0" * 64}))
    (copy.parent / "outside.txt").write_text("")
    with pytest.raises(BundleError, match="not a plain path inside"):
        Bundle(copy, CPU)
    shutil.copy(made / "manifest.json", copy)
    listed_as(copy, lambda m: m["files"].pop("models/audio_one.safetensors"))
    with pytest.raises(BundleError, match=r"models/audio_one\.safetensors is not listed"):
        Bundle(copy, CPU)
    listed_as(copy, lambda m: m.update(emopipe_bundle=2))
    with pytest.raises(BundleError, match="emopipe_bundle"):
        Bundle(copy, CPU)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stray.txt", "weights/own.py", "models/more/x.safetensors"])
def test_a_file_that_the_manifest_does_not_list_is_refused(copy, name):
    (copy / name).parent.mkdir(exist_ok=True)
    (copy / name).write_text("")
    with pytest.raises(BundleError, match=f"{name} is not listed in its manifest.json. Remove the file"):
        Bundle(copy, CPU)


@pytest.mark.slow
def test_a_link_out_of_the_bundle_is_refused(copy):
    outside = shutil.move(copy / "labels.json", copy.parent / "labels.json")
    (copy / "labels.json").symlink_to(outside)
    with pytest.raises(BundleError, match=r"'labels\.json', which is not a plain path"):
        Bundle(copy, CPU)


MEMBERS = {
    "../outside.txt": "not a plain path",
    "/outside.txt": "not a plain path",
    "a/../../outside.txt": "not a plain path",
    "C:outside.txt": "not a plain path",
    "..\\outside.txt": "not a plain path",
}


@pytest.mark.parametrize(("name", "fault"), MEMBERS.items())
def test_names_that_lead_out_of_a_zip_are_refused(name, fault, tmp_path):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("manifest.json", "{}")
        archive.writestr(name, "harm")
    (tmp_path / "into").mkdir()
    with pytest.raises(BundleError, match=fault):
        unpacking.unpack(tmp_path / "bad.zip", tmp_path / "into")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.zip", "into"]
    assert not list((tmp_path / "into").iterdir())


def test_links_copies_and_large_files_in_a_zip_are_refused(tmp_path, monkeypatch):
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    (tmp_path / "into").mkdir()

    def refused(fault, *members):
        with zipfile.ZipFile(tmp_path / "bad.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members:
                archive.writestr(name, content)
        with pytest.raises(BundleError, match=fault):
            unpacking.unpack(tmp_path / "bad.zip", tmp_path / "into")

    refused("a link or a special file", (link, "/etc/passwd"))
    refused("holds 'README.MD' twice", ("README.md", "a"), ("README.MD", "b"))
    monkeypatch.setattr(unpacking, "MOST_BYTES", 1000)
    refused("at most 1000 are allowed", ("zeros", bytes(10_000)))
    monkeypatch.setattr(unpacking, "MOST_FILES", 2)
    refused("holds 3 files, at most 2", ("a", ""), ("b", ""), ("c", ""))
    assert not list((tmp_path / "into").iterdir())


def test_a_zip_that_lies_about_its_sizes_is_refused(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(100_000))
    content = (tmp_path / "bad.zip").read_bytes()
    size = (100_000).to_bytes(4, "little")
    assert content.count(size) == 2
    (tmp_path / "bad.zip").write_bytes(content.replace(size, (10).to_bytes(4, "little")))
    (tmp_path / "into").mkdir()
    with pytest.raises(BundleError, match="not a readable zip file"):
        unpacking.unpack(tmp_path / "bad.zip", tmp_path / "into")
    assert sum(path.stat().st_size for path in (tmp_path / "into").iterdir()) <= 10


def test_a_zip_of_the_folder_itself_is_read_too(tmp_path):
    with zipfile.ZipFile(tmp_path / "good.zip", "w") as archive:
        archive.writestr("demo/manifest.json", "{}")
    (tmp_path / "into").mkdir()
    assert unpacking.unpack(tmp_path / "good.zip", tmp_path / "into") == tmp_path / "into/demo"


def test_what_is_not_a_bundle_is_refused(tmp_path):
    (tmp_path / "text.zip").write_text("This is not a zip file.")
    for name, fault in {"text.zip": "not a readable zip file", "nothing.zip": "does not exist"}.items():
        with pytest.raises(BundleError, match=fault):
            emopipe.Predictor(tmp_path / name, threads=1)


@pytest.mark.slow
def test_runs_that_cannot_be_a_bundle_are_refused(run, tmp_path):
    with pytest.raises(CacheError, match=r"has no metrics\.csv"):
        bundle.write(tmp_path, tmp_path / "out")
    unfinished = Path(shutil.copytree(run, tmp_path / "results/small"))
    (unfinished / "config.yaml").unlink()
    with pytest.raises(CacheError, match=r"has no config\.yaml"):
        bundle.write(unfinished, tmp_path / "out")
    shutil.copy(run / "config.yaml", unfinished)
    with pytest.raises(CacheError, match="holds the weights of the backbone own"):
        bundle.write(unfinished, tmp_path / "out")
    with pytest.raises(ConfigError, match="inside of the run"):
        bundle.write(run, run / "bundle")
    assert {path.name for path in tmp_path.iterdir()} == {"results"}


@pytest.mark.slow
def test_an_answer_that_needs_other_clips_of_a_person_is_refused(tmp_path):
    run = small_run.make(tmp_path, normalise="subject")
    with pytest.raises(ConfigError, match=r"comes from audio_both, audio_one, which normalises sound by person"):
        bundle.write(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# -- the command ---------------------------------------------------------------------------------------------------


def exported(run, out, *more):
    arguments = ["export", str(run), "--to", "bundle", "--out", str(out), *more]
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "300"})


@pytest.mark.slow
def test_the_command_replaces_only_what_it_wrote(run, tmp_path):
    out = tmp_path / "made"
    out.mkdir()  # an empty folder is free
    done = exported(run, out)
    assert done.exit_code == 0 and done.output == f"{out} is written.\n"
    (out / "stray.txt").write_text("")
    refused = exported(run, out)
    assert refused.exit_code == 1 and "exists already. Give another path, or add --force" in refused.output
    assert exported(run, out, "--force").exit_code == 0 and not (out / "stray.txt").exists()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    refused = exported(run, mine, "--force")
    assert refused.exit_code == 1 and "no earlier export wrote" in refused.output
    assert (mine / "thesis.txt").read_text() == "years of work"
    assert {path.name for path in tmp_path.iterdir()} == {"made", "mine"}, "no temporary folders are left"


def test_an_unknown_format_is_refused():
    done = CliRunner().invoke(app, ["export", "results/demo", "--to", "excel", "--out", "x"])
    assert done.exit_code == 1 and f"Expected one of {', '.join(formats.FORMATS)}" in done.output


def described_as(folder, change):
    """Change the description of a bundle, and its manifest with it."""
    path = folder / "bundle.json"
    about = json.loads(path.read_text())
    change(about)
    path.write_text(json.dumps(about))
    listed_as(folder, lambda m: m["files"].update({"bundle.json": sha256(path)}))


FAULTS = {
    "has a path in the options of voice": lambda a: a["streams"]["voice"]["options"].update(weights="/etc/passwd"),
    "its models read own, which": lambda a: a["streams"].pop("own"),
    "reads the preset frames, which is not described": lambda a: a.update(decode={}),
    "has the member other, which is not one of its models": lambda a: a["members"].append("other"),
    "has 1 weights for 2 selected members": lambda a: a["ensemble"]["combine"]["weights"].pop(),
    "has several members, but no ensemble": lambda a: a.update(ensemble=None),
    "expected Angry": lambda a: a["classes"].reverse(),
    "other is not listed": lambda a: a["streams"]["own"].update(weights={"path": "weights/other"}),
    "run: Field required": lambda a: a.pop("run"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "change"), FAULTS.items(), ids=[*FAULTS])
def test_a_description_that_contradicts_itself_is_refused(copy, fault, change):
    described_as(copy, change)
    with pytest.raises(BundleError, match=fault):
        Bundle(copy, CPU)


@pytest.mark.slow
def test_weights_that_are_only_named_have_to_be_there(copy, tmp_path, monkeypatch):
    monkeypatch.setenv("EMOPIPE_WEIGHTS", str(tmp_path / "none"))
    described_as(copy, lambda a: a["streams"]["voice"].update(weights={"name": "ir_se50_msceleb"}))
    with pytest.raises(WeightsError, match=r"stream voice of the bundle needs the weights ir_se50_msceleb: .*fetch"):
        Bundle(copy, CPU)
    monkeypatch.setenv("EMOPIPE_WEIGHTS", str(tmp_path))
    described_as(copy, lambda a: a["streams"]["voice"].update(weights={"name": "yunet", "sha256": "0" * 64}))
    (tmp_path / "face_detection_yunet_2023mar.onnx").write_text("another file")
    with pytest.raises(WeightsError, match="is not the file of the weights yunet"):
        Bundle(copy, CPU)
