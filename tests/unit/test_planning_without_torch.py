"""A run is planned without torch: Snakemake plans at each start, and in each job of a cluster."""

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, save
from safetensors.numpy import save_file

from emopipe.backbones import registry
from emopipe.cache.metadata import HEAD

REPOSITORY = Path(__file__).parents[2]
IMPORTING = ("timm",)
"""Kinds that are not planned without torch: timm reads a network's shapes from the network itself."""
PACKAGES = {"hf": "transformers", "opensmile": "opensmile"}

PLANNING = f"""
import json, re, sys
from pathlib import Path
import pandas as pd
rules = Path({str(REPOSITORY)!r}, "rules/common.smk").read_text()
exec("\\n".join(re.findall(r"^from emopipe.*", rules, re.M)))
table = pd.DataFrame({{
    "clip": list("abcdefgh"), "path": list("abcdefgh"), "split": ["train"] * 6 + ["val"] * 2,
    "label": ["Happy", "Sad"] * 4, "subject": list("11223344"), "digest": list("abcdefgh"),
}})
plan = Plan(configs.parse(json.load(sys.stdin)), table, Path({str(REPOSITORY)!r}, "workflow_scripts"))
preconditions.check_clips(plan.config, table)
plan.check_weights()
plan.report()
print(sorted(plan.backbones), "torch" in sys.modules)
"""
"""Imports what the workflow imports of emopipe, and plans the config of its input."""


def installed(package):
    try:
        return bool(importlib.metadata.version(package))
    except importlib.metadata.PackageNotFoundError:
        return False


def onnx_network(path):
    """A network of ONNX that returns what it is given."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3, 112, 112]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", ends[:1], ends[1:])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return {"kind": "onnx", "options": {"weights": str(path), "dim": 3 * 112 * 112}}


def hf_folder(folder):
    """A folder of HuBERT as far as a plan reads it."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "hubert"}))
    (folder / "preprocessor_config.json").write_text(json.dumps({"sampling_rate": 16_000}))
    save_file({"x": np.zeros(1, np.float32)}, folder / "model.safetensors")
    return {"kind": f"hf:{folder}"}


@pytest.mark.slow
@pytest.mark.parametrize("training", [{}, {"pretrain": {"folds": 2}}], ids=["given weights", "pretrained"])
def test_a_run_with_every_kind_of_backbone_is_planned_without_torch(tmp_path, training):
    weights = tmp_path / "net.safetensors"
    save_file({f"{HEAD}weight": np.zeros((7, 2), np.float32)}, weights)
    kinds = [kind for kind in registry.KINDS if kind not in IMPORTING]
    blocks = {kind: {"kind": kind, **(training or {"weights": str(weights)})} for kind in kinds}
    blocks |= {"onnx": onnx_network(tmp_path / "net.onnx"), "hf": hf_folder(tmp_path / "hubert")}
    blocks |= {"opensmile": {"kind": "opensmile"}}
    blocks = {kind: block for kind, block in blocks.items() if kind not in PACKAGES or installed(PACKAGES[kind])}
    config = {
        "run": "r",
        "corpus_root": "nowhere",
        "corpus": {"name": "c", "kind": "folder"},
        "decode": {"sparse": {"policy": "count", "count": 4}},
        "faces": {"main": {"detector": "mtcnn"}},
        "backbones": blocks,
        "models": {"fused_heads": {"streams": ["expression", "speech"], "fusion": "mean_of_heads"}},
        "protocol": {"folds": 2},
    }
    command = [sys.executable, "-c", PLANNING]
    done = subprocess.run(command, input=json.dumps(config), capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{sorted(blocks)} False"
