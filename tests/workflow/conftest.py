"""A copy of the workflow whose code can be edited, a corpus of real video files, and what Snakemake would run."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from filelock import FileLock
from onnx import TensorProto, helper, numpy_helper

from emopipe.core import fingerprint
from emopipe.demo.plan import DemoOptions, plan
from emopipe.demo.video import draw_clip
from tests.workflow import in_process

REPOSITORY = Path(__file__).parents[2]
PARTS = ("Snakefile", "config.yaml", "configs", "rules", "workflow_scripts", "profiles", "emopipe", "environment.yml")
TIMEOUT_SECONDS = 800


@dataclass
class Workflow:
    """A checkout with a folder to run in."""

    code: Path
    work: Path
    packages: tuple[Path, ...] = ()
    """Folders of further installed packages."""

    def snakemake(self, *arguments: str, check: bool = True, start: bool = False) -> str:
        """Run Snakemake on this checkout; its output.

        Args:
            arguments: Further ones of the command line.
            check: Fail if it fails.
            start: Start Snakemake and its jobs as a user would, with this checkout's package, not within this process.
        """
        words = ["--snakefile", self.code / "Snakefile", "--directory", self.work, *arguments]
        words = [*map(str, words), "--cores", "2", "--resources", "gpu=1"]
        code, output = self._started(words) if start or self.packages else self._here(words)
        if check and code:
            pytest.fail(f"snakemake {' '.join(arguments)} ended with {code}:\n{output[-6000:]}")
        return output

    def _here(self, words: list[str]) -> tuple[int, str]:
        """The package is the tests' own; of the checkout's, the code is read for its fingerprints."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fingerprint, "ROOT", self.code / "emopipe")
            return in_process.snakemake(words, self.work)

    def _started(self, words: list[str]) -> tuple[int, str]:
        result = subprocess.run(
            [sys.executable, "-m", "snakemake", *words],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            cwd=self.work,  # not the repository, whose package Python would find first
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (self.code, *self.packages)))},
            check=False,
        )
        return result.returncode, result.stdout + result.stderr

    def jobs(self, *arguments: str) -> Counter[str]:
        """What would run: jobs such as `decode 01` or `fusion face_a`, with how often; targets left out."""
        blocks = re.split(r"\n(?:local)?rule ", self.snakemake("--dry-run", *arguments))[1:]
        return Counter(filter(None, map(_job, blocks)))


def _job(block: str) -> str:
    rule = block.partition(":")[0]
    if rule in ("all", "extract"):
        return ""
    found = re.search(r"wildcards: (.*)", block)
    wildcards = dict(pair.split("=") for pair in found[1].split(", ")) if found else {}
    names = [wildcards[key] for key in ("backbone", "model", "shard") if key in wildcards]
    return " ".join([rule, *names])


def copy_of_the_code(folder: Path) -> Path:
    for part in PARTS:
        source = REPOSITORY / part
        ignore = shutil.ignore_patterns("__pycache__")
        (
            shutil.copytree(source, folder / part, ignore=ignore)
            if source.is_dir()
            else shutil.copy(source, folder / part)
        )
    return folder


def write_onnx_net(path: Path, seed: int) -> Path:
    """A tiny embedding net: 3 x 16 x 16 to 8 numbers."""
    weight = np.random.default_rng(seed).normal(size=(768, 8)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["y"])],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 8])],
        [numpy_helper.from_array(weight, "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def draw_folder_corpus(root: Path) -> Path:
    """train/<class>/ of two subjects and val/<class>/ of one, drawn and spoken."""
    options = DemoOptions(subjects=4, val_subjects=1, test_subjects=1, takes=1)
    for clip in plan(options):
        if clip.split != "test":
            path = root / clip.split / clip.label / f"{clip.clip}.{clip.container}"
            path.parent.mkdir(parents=True, exist_ok=True)
            draw_clip(clip, path)
    return root


def small_config(work: Path) -> dict:
    """Every kind of stage at its smallest: a face network that is pretrained, one that is not, and an audio network."""
    tiny = {"folds": 2, "epochs": 1, "batch": 8}
    fast = {"epochs": 2, "seeds": [0]}
    return {
        "run": "first",
        "corpus": {"name": "small", "kind": "folder"},
        "corpus_root": str(work / "corpus"),
        "shards": 2,
        "threads": 2,
        "baselines": False,
        "decode": {"few": {"policy": "count", "count": 3}},
        "faces": {"main": {"detector": "mtcnn"}},
        "backbones": {
            "learned": {"kind": "expression", "options": {"size": 32, "width": 4, "dim": 8}, "pretrain": dict(tiny)},
            "given": {"kind": "onnx", "options": {"weights": str(work / "net.onnx"), "size": 16}},
            "voice": {
                "kind": "audio_alexnet",
                "options": {"width": 0.05, "spectrum": {"kind": "logmel"}},
                "pretrain": tiny,
            },
        },
        "models": {
            "face_learned": {"streams": ["learned"], **fast},
            "face_given": {"streams": ["given"], **fast},
            "audio_voice": {"streams": ["voice"], **fast},
            "fused_two": {"streams": ["given", "voice"], "fusion": "fbp", **fast},
        },
    }


def write_config(path: Path, config: dict) -> str:
    path.write_text(yaml.safe_dump(config))
    return str(path)


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None], *, copied: bool = True) -> Path:
    """A folder that the first process of the tests makes while others wait; each gets a copy, unless it only reads."""
    root = factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    first, made = root / f"{name} made once", root / f"{name} is made"
    with FileLock(root / f"{name}.lock"):
        if not made.exists():
            shutil.rmtree(first, ignore_errors=True)
            first.mkdir()
            make(first)
            made.touch()
    return shutil.copytree(first, factory.mktemp(name) / "copy", symlinks=True) if copied else first


def finish_small_run(folder: Path) -> None:
    """Run the small config to its end, in folder/work with the code in folder/code."""
    work = folder / "work"
    draw_folder_corpus(work / "corpus")
    write_onnx_net(work / "net.onnx", seed=0)
    write_config(work / "small.yaml", small_config(work))
    (folder / "code").mkdir()
    workflow = Workflow(copy_of_the_code(folder / "code"), work)
    workflow.snakemake("--configfile", str(work / "small.yaml"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Workflow:
    """A finished run of the small config, which tests may change."""
    folder = made_once(tmp_path_factory, "small", finish_small_run)
    write_config(folder / "work/small.yaml", small_config(folder / "work"))
    return Workflow(folder / "code", folder / "work")
