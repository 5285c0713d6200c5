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


def planned(workflow, name, labels, *arguments, text="", clips=10):
    """The output of a dry run of configs/folder.yaml on so many clips of each class."""
    for number, label in enumerate(list(labels) * clips):
        path = workflow.work / name / label / f"{label}{number:03d}.avi"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
    config = yaml.safe_load((REPOSITORY / "configs/folder.yaml").read_text())
    config |= {"corpus_root": str(workflow.work / name), "corpus": {"name": name, "kind": "folder"}}
    (workflow.work / f"{name}.yaml").write_text(yaml.safe_dump(config) + text)
    return workflow.snakemake("--dry-run", "--configfile", str(workflow.work / f"{name}.yaml"), *arguments, check=False)


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


def test_a_key_that_is_there_twice_is_refused(workflow):
    output = planned(workflow, "twice", CLASSES, text="run: other\n")
    assert re.search(r"twice\.yaml is not valid YAML in line \d+, column 1: the key 'run' is there twice", output)
    assert "Traceback" not in output
