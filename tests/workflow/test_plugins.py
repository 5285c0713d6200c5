"""A whole run in which corpus, detector and backbone are plug-ins of a user's own package."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from emopipe.cache.store import Reader
from tests.conftest import write_clip
from tests.plugin_package import write_package
from tests.workflow.conftest import Workflow, copy_of_the_code, write_config

CLIPS = ("train_s_Happy_1", "train_s_Sad_1", "train_t_Happy_1", "train_t_Sad_1", "val_u_Happy_1")
CONFIG = {
    "run": "plugins",
    "corpus": {"name": "own", "kind": "flat"},
    "shards": 1,
    "decode": {"two": {"policy": "count", "count": 2}},
    "faces": {"middle": {"detector": "centre"}},
    "backbones": {"mean": {"kind": "mean_colour"}},
    "models": {"face_mean": {"streams": ["mean"], "epochs": 1, "seeds": [0]}},
    "protocol": {"folds": 2},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plugins")
    for number, name in enumerate(CLIPS):
        write_clip(folder / f"corpus/{name}.avi", seconds=1 - 0.1 * number)  # equal ones would be refused
    write_package(folder / "site")
    save_file({"scale": torch.tensor([1.0, 2.0, 3.0])}, folder / "mean.safetensors")
    config = {**CONFIG, "corpus_root": str(folder / "corpus")}
    config["backbones"] = {"mean": {"kind": "mean_colour", "weights": str(folder / "mean.safetensors")}}
    (folder / "work").mkdir()
    (folder / "code").mkdir()
    workflow = Workflow(copy_of_the_code(folder / "code"), folder / "work", (folder / "site",))
    write_config(folder / "work/config.yaml", config)
    workflow.snakemake("--configfile", "config.yaml")
    return workflow


def test_they_make_features_and_predictions(finished):
    clips = pd.read_csv(finished.work / "cache/own/clips.csv", dtype=str, keep_default_na=False)
    assert clips["clip"].tolist() == sorted(CLIPS)
    with Reader(finished.work / "cache/own/features/mean/00.h5") as features:
        for clip in CLIPS:
            grey = features.field(clip, "x") / [1, 2, 3] * 255  # each frame of a clip has one level, 4 above the last
            assert grey.shape == (2, 3) and np.ptp(grey, axis=1).max() < 4
            assert 20 <= grey[0].mean() < grey[1].mean() <= 60
    predictions = pd.read_csv(finished.work / "results/plugins/predictions/ensemble.csv")
    assert predictions["clip"].tolist() == ["val_u_Happy_1"]
    assert (finished.work / "results/plugins/summary.md").is_file()


AFTER_FEATURES = ["merge mean", "fusion face_mean", "ensemble", "report", "page"]


@pytest.mark.parametrize(
    ("module", "old", "new", "jobs"),
    [
        ("mean_colour", "# (N, 3, size, size)", "# faces", []),
        ("mean_colour", "x.mean((2, 3))", "x.amax((2, 3))", ["features mean 00", *AFTER_FEATURES]),
        ("centre", "/ 2\n", "/ 3\n", ["faces 00", "features mean 00", *AFTER_FEATURES]),
        ("flat", "sorted(", "list(", []),  # the table counts, not the code that makes it
    ],
)
def test_an_edited_plugin_reruns_what_depends_on_it(finished, module, old, new, jobs):
    path = finished.packages[0] / f"mypackage/{module}.py"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    try:
        assert finished.jobs("--configfile", "config.yaml") == Counter(jobs)
    finally:
        path.write_text(text)
