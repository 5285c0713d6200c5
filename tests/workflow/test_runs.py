"""Whole runs: the demo corpus in small, real clips where they are at hand, and what a wrong config is answered."""

import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
import yaml

from emopipe.cache.store import Reader
from emopipe.core.labels import CLASSES
from emopipe.fusion.checks import BASELINES
from tests.conftest import write_clip
from tests.workflow.conftest import REPOSITORY, Workflow, copy_of_the_code, made_once, write_config, write_onnx_net


def new_workflow(folder):
    """The code in folder/code, nothing done in folder/work."""
    (folder / "code").mkdir()
    (folder / "work").mkdir()
    return Workflow(copy_of_the_code(folder / "code"), folder / "work")


@pytest.fixture(scope="module")
def workflow(tmp_path_factory):
    return new_workflow(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """A finished run of configs/smoke.yaml; output.txt has what it said.

    Runs whose processes are started as for a user are those of test_plugins.py and of tests/faults.
    """

    def make(folder):
        output = new_workflow(folder).snakemake("--configfile", str(folder / "code/configs/smoke.yaml"))
        (folder / "output.txt").write_text(output)

    folder = made_once(tmp_path_factory, "smoke", make)
    return Workflow(folder / "code", folder / "work")


def results(workflow, run):
    folder = workflow.work / "results" / run
    return pd.read_csv(folder / "metrics.csv"), pd.read_csv(folder / "ledger.csv", dtype=str, keep_default_na=False)


def test_the_demo_in_small(smoke):
    workflow, output = smoke, (smoke.code.parent / "output.txt").read_text()
    assert "Run smoke" in output and "clips/s, took " in output and "chance (7 classes)" in output
    first = output.partition("Read this first\n")[2].splitlines()
    assert first[:5] == [
        "- Clips: train 14 (7 classes), val 7 (7 classes), test 7 (0 classes, 7 without a label).",
        "- val has only 7 labelled clips: one clip is 14 points of accuracy.",
        "- The splits are those of the corpus.",
        "- 4 people, each in one split.",
        "- val has 1 person: too few for an interval, so nothing can be said of other people.",
    ]
    assert output.index("Read this first") < output.index("Run smoke")
    metrics, ledger = results(workflow, "smoke")
    assert list(metrics.columns) == [
        "model", "split", "n", "n_covered", "coverage", "accuracy", "accuracy_covered", "uar", "macro_f1",
        "waf",
    ]  # fmt: skip
    assert set(metrics["model"]) == {"face_expression", "audio_logmel", "fused_fbp", "ensemble", *BASELINES}
    heads = pd.read_csv(workflow.work / "results/smoke/tables/streams.csv")
    assert heads[["stream", "split"]].to_numpy().tolist() == [
        [stream, split] for stream in ("expression", "logmel") for split in ("train", "val")
    ]
    assert (metrics["split"] == "val").all() and (metrics["n"] == 7).all()
    assert set(ledger["stage"]) == {"decode", "faces", "features/expression", "features/logmel"}
    assert len(ledger) == 4 * 28
    assert (ledger["status"] == "ok").mean() > 0.97
    folder = workflow.work / "results/smoke"
    predictions = pd.read_csv(folder / "predictions/ensemble.csv", keep_default_na=False)
    probabilities = predictions[[f"p_{name}" for name in CLASSES]].to_numpy()
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-9)
    assert (predictions["pred"] == np.array(CLASSES)[probabilities.argmax(1)]).all()
    assert predictions["split"].value_counts().to_dict() == {"val": 7, "test": 7}
    with zipfile.ZipFile(folder / "submission.zip") as archive:
        answers = {name: archive.read(name).decode().strip() for name in archive.namelist()}
    test = predictions[predictions["split"] == "test"]
    assert answers == {f"{clip}.txt": pred for clip, pred in zip(test["clip"], test["pred"], strict=True)}
    assert (folder / "figures/confusion_ensemble_val.png").read_bytes().startswith(b"\x89PNG")
    assert "Nothing to be done" in workflow.snakemake("--configfile", str(workflow.code / "configs/smoke.yaml"))


def test_cross_validation_with_views_ensembles_and_missing_weights(smoke):
    workflow = smoke
    config = yaml.safe_load((workflow.code / "configs/smoke.yaml").read_text())
    config["run"], config["protocol"], config["baselines"] = "cv", {"kind": "kfold", "folds": 3}, False
    config["backbones"]["expression"]["views"] = ["flip"]
    config["backbones"]["logmel"]["views"] = ["slow", "noise"]
    config["backbones"]["absent"] = {"kind": "ir50", "weights": "weights/ir50.pth", "optional": True}
    fast = {"epochs": 4, "seeds": [0, 1]}
    both = ["expression", "logmel"]
    config["models"] = {
        "face_mean": {"streams": ["expression"], "face_attention": "mean", **fast},
        "face_relation": {"streams": ["expression"], "face_attention": "relation", **fast},
        "face_absent": {"streams": ["absent"]},
        "fused_views": {"streams": both, "fusion": "adaptive_fbp", "augment": True, **fast},
        "fused_search": {
            "streams": both, "fusion": "gmu", "statistics": ["spread"], "normalise": "subject",
            "face_attention": "multihead", "search": {"weight_decay": [0.5, 0.9]}, **fast,
        },
    }  # fmt: skip
    config["ensembles"] = {"ensemble_stacking": {"method": "stacking", "calibrate": True}}
    config["comparisons"] = [{"model": "face_relation", "against": "face_mean", "aim": 3}]
    path = write_config(workflow.work / "cv.yaml", config)
    workflow.snakemake("--configfile", path)
    folder = workflow.work / "results/cv"
    table = pd.read_csv(folder / "tables/results.csv").set_index("model")
    assert list(table.index) == [
        "face_mean", "face_relation", "fused_search", "fused_views", "ensemble", "ensemble_stacking", "face_absent",
        "ensemble (whole)", "ensemble_stacking (whole)",
    ]  # fmt: skip
    ran = table[table["split"].notna()]
    assert len(ran) == 6 and (ran["split"] == "kfold").all() and (ran["n"] == 21).all()
    assert (ran["drawn"] == "subject").all() and (ran["groups"] == 3).all() and ran["low"].isna().all()
    assert (
        "weights/ir50.pth" in table.loc["face_absent", "note"] and "Put the weights" in table.loc["face_absent", "note"]
    )
    pairs = pd.read_csv(folder / "tables/comparisons.csv")
    assert "; the aim of +3.0 points is not shown to be met" in pairs["verdict"][0]  # three people: no interval
    summary = (folder / "summary.md").read_text()
    assert "- The 3 folds are by subject.\n- 3 people, each in one fold.\n- kfold has 3 people: too few" in summary
    assert len(pd.read_csv(folder / "models/fused_search.csv")) == 4  # two candidates, two seeds
    weights = pd.read_csv(folder / "models/ensembles.csv")
    assert set(weights["ensemble"]) == {"ensemble", "ensemble_stacking"} and len(weights) == 2 * (4 + 1)
    for model in ("fused_search", "ensemble"):  # and whatever else combines it
        assert table.loc[model, "note"].startswith("Transductive: sound is normalised by person.")
    assert "are at hand: fused_search, ensemble, ensemble_stacking." in (folder / "summary.md").read_text()
    for name in ("results", "comparisons", "ensembles"):
        assert (folder / f"tables/{name}.md").read_text().startswith("# ")
    assert "Nothing to be done" in workflow.snakemake("--configfile", path)


def test_make_demo_is_the_default_config(workflow):
    """`make demo` itself takes minutes; that it asks for the whole of config.yaml is seen from a dry run."""
    recipe = subprocess.run(["make", "-n", "demo"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    assert "snakemake --cores" in recipe and "--configfile" not in recipe
    config = yaml.safe_load((workflow.code / "config.yaml").read_text())
    planned = workflow.jobs()
    assert {job for job in planned if job.startswith("fusion")} == {
        f"fusion {model}" for model in [*config["models"], *BASELINES]
    }
    assert {job for job in planned if job.startswith("pretrain")} == {
        f"pretrain {name}" for name, block in config["backbones"].items() if "pretrain" in block
    }
    assert sum(job.startswith("decode") for job in planned) == config["shards"]


def test_two_runs_from_scratch_give_equal_bytes(smoke, tmp_path):
    # A run by another protocol on this copy may have left weights of other folds.
    smoke.snakemake("extract", "--configfile", str(smoke.code / "configs/smoke.yaml"))
    made = [path for path in (smoke.work / "cache/smoke").rglob("*.h5") if "@" not in str(path)]  # no views
    kept = {path.relative_to(smoke.work): path.read_bytes() for path in made}
    assert any("features" in path.parts for path in kept)
    again = Workflow(smoke.code, tmp_path)
    again.snakemake("extract", "--configfile", str(smoke.code / "configs/smoke.yaml"))
    for path, content in kept.items():
        assert (again.work / path).read_bytes() == content, path


def test_broken_clips_are_rows_and_one_modality_suffices(workflow):
    """Clips without sound, without pictures, empty, cut off; others without a face, which drawn grey frames are."""
    corpus = workflow.work / "broken"
    for number in range(4):
        for name in ("Happy", "Sad"):
            write_clip(corpus / f"train/{name}/{name}_{number}.avi")
    write_clip(corpus / "val/Happy/grey.avi")
    write_clip(corpus / "val/Happy/silent.avi", audio=None)
    write_clip(corpus / "val/Happy/blind.mp4", video=None, audio="aac")
    whole = (corpus / "val/Happy/grey.avi").read_bytes()
    for name, content in {"empty": b"", "head": whole[:700], "half": whole[: len(whole) // 2]}.items():
        (corpus / f"val/Happy/{name}.avi").write_bytes(content)
    config = {
        "run": "broken",
        "corpus": {"name": "broken", "kind": "folder", "duplicates": "keep"},
        "corpus_root": str(corpus),
        "shards": 2,
        "decode": {"few": {"policy": "count", "count": 3}},
        "faces": {"main": {"detector": "mtcnn"}},
        "backbones": {
            "face": {
                "kind": "onnx",
                "options": {"weights": str(write_onnx_net(workflow.work / "net.onnx", 0)), "size": 16},
            },
            "voice": {
                "kind": "audio_alexnet",
                "options": {"width": 0.05, "spectrum": {"kind": "logmel"}},
                "pretrain": {"folds": 2, "epochs": 1},
            },
        },
        "models": {
            "face_one": {"streams": ["face"], "epochs": 2, "seeds": [0]},
            "audio_one": {"streams": ["voice"], "epochs": 2, "seeds": [0]},
            "fused_two": {"streams": ["face", "voice"], "epochs": 2, "seeds": [0]},
        },
    }
    workflow.snakemake("--configfile", write_config(workflow.work / "broken.yaml", config))
    metrics, ledger = results(workflow, "broken")
    fates = ledger[ledger["split"] == "val"].pivot(index="clip", columns="stage", values="status").to_dict("index")
    undecodable = dict.fromkeys(("decode", "faces", "features/face", "features/voice"), "undecodable")
    assert fates == {
        "grey": {"decode": "ok", "faces": "no_face", "features/face": "no_face", "features/voice": "ok"},
        "silent": {"decode": "no_audio", "faces": "no_face", "features/face": "no_face", "features/voice": "no_audio"},
        "blind": {"decode": "no_video", "faces": "no_video", "features/face": "no_video", "features/voice": "ok"},
        "empty": undecodable,
        "head": undecodable,
        "half": undecodable,
    }
    assert (ledger.loc[ledger["status"] != "ok", "reason"] != "").all()
    covered = metrics.set_index("model")["n_covered"].to_dict()
    assert covered == {"face_one": 0, "audio_one": 2, "fused_two": 2, "ensemble": 2}
    assert (metrics["n"] == 6).all()


def test_ravdess(workflow, shared):
    """26 real clips of one actor, split by repetition, to predictions."""
    config = yaml.safe_load((workflow.code / "configs/ravdess.yaml").read_text())
    config["backbones"]["expression"]["pretrain"] = {"folds": 2, "epochs": 2}
    for model in config["models"].values():
        model |= {"epochs": 3, "seeds": [0]}
    config |= {"corpus_root": str(shared / "data/ravdess_av"), "shards": 1, "threads": 2}
    workflow.snakemake("--configfile", write_config(workflow.work / "ravdess.yaml", config))
    metrics, ledger = results(workflow, "ravdess")
    assert len(ledger) == 4 * 26 and (ledger["status"] == "ok").all()
    assert (metrics["n"] == 13).all() and (metrics["coverage"] == 1).all()
    assert not (workflow.work / "results/ravdess/submission.zip").exists()


def test_planted_faults_of_an_afew_shaped_corpus(workflow, shared):
    """AFEW's folders, containers and codecs, with a clip of each fault: the ledger names them, none is lost."""
    corpus, data = workflow.work / "AFEW", shared / "data"
    command = [sys.executable, shared / "tools/make_paired_corpus.py", corpus, "--faces", data / "fer2013.zip"]
    command += ["--speech", data / "ravdess_speech", "--train", "21", "--val", "14", "--test", "4", "--faults", "1"]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    truth = pd.read_csv(f"{corpus}.truth.csv", dtype=str, keep_default_na=False).set_index("id")
    config = yaml.safe_load((workflow.code / "configs/afew.yaml").read_text())
    config["backbones"]["speech"]["pretrain"] = {"folds": 2, "epochs": 1}
    for model in config["models"].values():
        model |= {"epochs": 2, "seeds": [0]}
    config |= {"corpus_root": str(corpus), "shards": 2, "threads": 2}
    workflow.snakemake("--configfile", write_config(workflow.work / "afew.yaml", config))
    metrics, ledger = results(workflow, "afew")
    fates = ledger.pivot(index="clip", columns="stage", values="status")
    assert set(fates.index) == set(truth.index)
    for clip, fault in truth["fault"].items():
        found = set(fates.loc[clip])
        expected = {"no_face": {"ok", "no_face"}, "no_audio": {"ok", "no_audio"}}
        if fault:
            assert found == expected.get(fault, {"undecodable"}), (clip, fault)
    good = ledger[ledger["clip"].map(truth["fault"]) == ""]
    assert (good["status"] == "ok").mean() >= 0.97
    assert set(metrics["model"]) == {*config["models"], *BASELINES, "ensemble"}
    with zipfile.ZipFile(workflow.work / "results/afew/submission.zip") as archive:
        test = truth.index[truth["split"] == "Test_vid_Distribute"]
        assert set(archive.namelist()) == {f"{clip}.txt" for clip in test}


def test_cremad_to_features(workflow, shared):
    """Six real clips, a class each: nothing to hold out, so to features."""
    config = yaml.safe_load((workflow.code / "configs/cremad.yaml").read_text())
    config |= {"corpus_root": str(shared / "data/crema_d"), "shards": 1, "threads": 2}
    workflow.snakemake("extract", "--configfile", write_config(workflow.work / "cremad.yaml", config))
    for backbone in config["backbones"]:
        with Reader(workflow.work / f"cache/cremad/features/{backbone}.h5") as features:
            assert len(features.clips) == 6
            assert set(features.status.values()) == {"ok"}
    with Reader(workflow.work / "cache/cremad/faces/main/00.h5") as faces:
        for clip in faces.clips:
            assert faces.field(clip, "mask").all()
            assert (faces.field(clip, "track") >= 0).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config", "shrads=3"], ["Unknown key shrads", "Did you mean 'shards'?"]),
        (["--config", "run=7"], ["run is 7 (int)"]),
        (["--configfile", "configs/afew.yaml"], ["corpus_root is not set", "corpus_root="]),
        (["--configfile", "configs/afew.yaml", "--config", "corpus_root=/no/such"], ["/no/such does not exist"]),
    ],
)
def test_a_wrong_config_is_told_in_a_sentence(workflow, arguments, words):
    arguments = [str(workflow.code / word) if word.startswith("configs/") else word for word in arguments]
    output = workflow.snakemake("--dry-run", *arguments, check=False)
    for word in words:
        assert word in output
    assert "Traceback" not in output


def test_missing_weights_are_told_in_a_sentence(workflow):
    config = yaml.safe_load((workflow.code / "configs/smoke.yaml").read_text())
    config["backbones"]["expression"] = {"kind": "onnx", "options": {"weights": "/no/net.onnx"}}
    path = write_config(workflow.work / "weights.yaml", config)
    output = workflow.snakemake("--dry-run", "--configfile", path, check=False)
    assert "The ONNX network /no/net.onnx is missing" in output


def test_missing_weights_to_start_from_are_told_in_a_sentence(workflow):
    config = yaml.safe_load((workflow.code / "configs/smoke.yaml").read_text())
    config["backbones"]["expression"]["weights"] = "/no/start.safetensors"
    config["faces"]["main"]["detector"] = "scrfd"
    path = write_config(workflow.work / "weights.yaml", config)
    output = workflow.snakemake("--dry-run", "--configfile", path, check=False)
    assert "The SCRFD face detector needs a weights file, but the config names none" in output
    config["faces"]["main"]["detector"] = "mtcnn"
    output = workflow.snakemake(
        "--dry-run", "--configfile", write_config(workflow.work / "weights.yaml", config), check=False
    )
    assert "backbones.expression.weights names /no/start.safetensors, which does not exist" in output
    assert "Traceback" not in output


def test_a_configfile_replaces_the_demo(workflow):
    """Nothing of config.yaml may survive under another config."""
    corpus = workflow.work / "two"
    for name in ("train/Happy/a", "train/Happy/b", "train/Sad/c", "train/Sad/d", "val/Sad/e"):
        write_clip(corpus / f"{name}.avi")
    config = {
        "run": "two",
        "protocol": {"folds": 2},
        "corpus": {"name": "two", "kind": "folder", "duplicates": "keep"},
        "corpus_root": str(corpus),
        "shards": 1,
        "decode": {"few": {"policy": "count", "count": 3}},
        "backbones": {"voice": {"kind": "audio_alexnet", "pretrain": {"folds": 2}}},
        "models": {"audio_one": {"streams": ["voice"]}},
    }
    planned = workflow.jobs("--configfile", write_config(workflow.work / "two.yaml", config))
    voice = ["pretrain voice", "features voice 00", "merge voice", "fusion audio_one"]
    assert set(planned) == {"corpus", "decode 00", *voice, "ensemble", "report", "page"}
    shutil.rmtree(corpus)
