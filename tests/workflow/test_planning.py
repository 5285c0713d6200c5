"""What Snakemake's plan refuses and reports before any job; nothing is run, and clips are never opened."""

import re

import pytest
import yaml

from emopipe.core.labels import CLASSES
from tests.pages import REPOSITORY
from tests.workflow.conftest import Workflow, copy_of_the_code


@pytest.fixture(scope="module")
def workflow(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planning")
    (folder / "code").mkdir()
    (folder / "work").mkdir()
    return Workflow(copy_of_the_code(folder / "code"), folder / "work")


def planned(workflow, name, labels, *arguments, text="", clips=10, target="all", extra=None):
    """The output of a dry run of configs/folder.yaml on so many clips of each class."""
    for number, label in enumerate(list(labels) * clips):
        path = workflow.work / name / label / f"{label}{number:03d}.avi"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
    config = yaml.safe_load((REPOSITORY / "configs/folder.yaml").read_text())
    config |= {"corpus_root": str(workflow.work / name), "corpus": {"name": name, "kind": "folder"}, **(extra or {})}
    (workflow.work / f"{name}.yaml").write_text(yaml.safe_dump(config) + text)
    given = ["--dry-run", target, "--configfile", str(workflow.work / f"{name}.yaml"), *arguments]
    return workflow.snakemake(*given, check=False)


def test_a_drawn_val_split_is_reported_once(workflow):
    output = planned(workflow, "all", CLASSES)
    assert re.findall(r"The corpus has no val split of its own: \d+ of 70 clips become val \(drawn from each class by "
                      r"val_fraction: 0\.2, seed: 0\)\.", output) and output.count("has no val split") == 1  # fmt: skip
    assert "rule fusion" in output


def test_clips_of_one_class_are_refused(workflow):
    output = planned(workflow, "one", ["Happy"])
    assert re.search(r"All \d+ clips to train on are of the class Happy, so every prediction would be Happy\.", output)
    assert "Traceback" not in output and "rule " not in output


def test_cuda_is_refused_where_there_is_no_gpu(workflow, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    output = planned(workflow, "cuda", CLASSES, "--config", "device=cuda")
    assert "device is cuda, but no GPU was found on this machine." in output and "Traceback" not in output
    output = planned(workflow, "cuda", CLASSES, "--config", "device=cuda", "--jobs", "100", "--executor", "slurm")
    assert "device is cuda" not in output


def test_clips_without_a_label_have_features_but_no_models(workflow):
    """The same clips: features are planned, and models are refused in one sentence."""
    for number in range(8):
        path = workflow.work / "flat" / f"{number}.avi"
        path.parent.mkdir(exist_ok=True)
        path.write_text(path.name)
    whole = planned(workflow, "flat", [])
    assert "None of the 8 clips has a label, so no model can be trained. Label them" in whole
    assert not re.search(r"Traceback|Wildcards|Exception|rule ", whole)
    features = planned(workflow, "flat", [], target="extract")
    assert "rule merge" in features and "rule fusion" not in features and "no model" not in features


def test_classes_that_train_lacks_are_reported_once(workflow):
    for label, split in (("Happy", "train"), ("Sad", "train"), ("Happy", "val"), ("Fear", "val")):
        for number in range(10):
            path = workflow.work / "four" / split / label / f"{split}{label}{number}.avi"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(path.name)
    output = planned(workflow, "four", [])
    assert output.count("No training clip shows Angry, Disgust, Fear, Neutral, Surprise, so models give them") == 1
    assert "count as wrong: 10 of 20 labelled val clips (Fear 10)." in output and "rule fusion" in output


def test_networks_of_all_seeds_of_a_backbone_are_planned(workflow):
    face = {"kind": "expression", "weights": "expression"}
    voice = {"kind": "speech", "weights": "speech_logmel", "pretrain": {"seeds": [0, 5]}}
    keys = {"backbones": {"face": face, "voice": voice}}
    output = planned(workflow, "seeds", CLASSES, extra=keys)
    assert set(re.findall(r"weights/([\w.]+)\.safetensors", output)) == {"voice", "voice.seed5"}
    fusion = next(part for part in output.split("rule ") if part.startswith("fusion:") and "audio_only" in part)
    assert set(re.findall(r"features/([\w.]+)\.h5", fusion)) == {"voice", "voice.seed5"}
    keys["models"] = {"audio_only": {"streams": ["voice"], "seeds": [0]}}
    output = planned(workflow, "seeds", CLASSES, extra=keys)
    assert "models.audio_only.seeds has 1 of the at least 2 seeds" in output and "rule " not in output


def test_a_key_that_is_there_twice_is_refused(workflow):
    output = planned(workflow, "twice", CLASSES, text="run: other\n")
    assert re.search(r"twice\.yaml is not valid YAML in line \d+, column 1: the key 'run' is there twice", output)
    assert "Traceback" not in output


def test_a_submission_by_the_first_available_network(workflow):
    """The paper's config shrunk: which network face is is reported, and `--config protocol=` trains on val as well."""
    config = yaml.safe_load((REPOSITORY / "configs/folder.yaml").read_text())
    config["backbones"]["best"] = {"kind": "ir50", "weights": "weights/ir50.pth", "optional": True}
    extra = {"backbones": config["backbones"], "first_available": {"who": ["best", "face"]},
             "models": {"fused_both": {"streams": ["who", "voice"], "optimizer": "sgd", "lr": 0.004,
                                        "weight_decay": 0.0001}}}  # fmt: skip
    output = planned(workflow, "final", CLASSES, "--config", "protocol={kind: final}", extra=extra)
    assert output.count("The first available backbones: who is face.") == 1
    assert re.search(r"rule fusion:.*?model=fused_both", output, re.DOTALL) and "features/face.h5" in output
    assert "features/best.h5" not in output and "Traceback" not in output
