"""A run for each kind of label space, from the clips' table to the page and to answers about files.

The clips are drawn ones. Their targets are derived from the class that they show: votes of made-up raters, attributes
(several for each clip), and valence and arousal.
"""

import copy

import numpy as np
import pandas as pd
import pytest
import yaml

import emopipe
from emopipe.core.label_block import space_of
from emopipe.core.labels import CLASSES
from emopipe.scoring.measures import primary
from tests.workflow.conftest import small_config, write_config

pytestmark = pytest.mark.slow

ATTRIBUTES = {
    "Angry": "negative;aroused",
    "Disgust": "negative",
    "Fear": "negative;aroused",
    "Happy": "positive;aroused",
    "Neutral": "(none)",
    "Sad": "negative",
    "Surprise": "aroused",
}
PLANE = {
    "Angry": (-0.6, 0.7),
    "Disgust": (-0.7, 0.2),
    "Fear": (-0.6, 0.6),
    "Happy": (0.8, 0.5),
    "Neutral": (0.0, -0.1),
    "Sad": (-0.7, -0.5),
    "Surprise": (0.3, 0.75),
}
LABELS = {
    "own": {
        "names": ["upset", "glad", "flat"],
        "map": {name: "upset" for name in ("Angry", "Disgust", "Fear", "Sad")} | {"Happy": "glad", "Neutral": "flat"},
        "others": "exclude",
    },
    "votes": {"set": "basic7", "kind": "votes"},
    "multi": {"names": ["negative", "positive", "aroused"], "kind": "multi"},
    "dimensions": {"names": ["valence", "arousal"], "kind": "dimensions"},
}


def targets(kind: str, labels: pd.Series) -> pd.DataFrame:
    """The columns of the clip table with the targets of a kind of label space."""
    draw = np.random.default_rng(0)
    if kind == "votes":
        votes = np.eye(len(CLASSES), dtype=int)[labels.map(CLASSES.index)] * 6
        votes += draw.multinomial(4, np.full(len(CLASSES), 1 / len(CLASSES)), len(labels))
        return pd.DataFrame(votes, columns=[f"votes_{name}" for name in CLASSES])
    if kind == "dimensions":
        values = np.array([PLANE[label] for label in labels]) + draw.normal(0, 0.05, (len(labels), 2))
        return pd.DataFrame(values.round(3), columns=["valence", "arousal"])
    return pd.DataFrame({"label": labels.map(ATTRIBUTES) if kind == "multi" else labels})


def config_of(kind: str, work) -> dict:
    """A config of the clips of the small run, with a face network and a voice network that learned other labels."""
    config = copy.deepcopy(small_config(work))
    table = pd.read_csv(work / "cache/small/clips.csv", dtype=str, keep_default_na=False)
    shown = table["path"].map(lambda path: path.split("/")[1])  # the folder: a run before may have changed the label
    rows = table[["clip", "path", "split", "subject"]].join(targets(kind, shown))
    rows.assign(sex=["female", "male"] * (len(rows) // 2) + ["female"] * (len(rows) % 2)).to_csv(
        work / f"{kind}.csv", index=False
    )
    config |= {"run": kind, "labels": LABELS[kind]}
    config["corpus"] = {"name": "small", "kind": "table", "options": {"table": str(work / f"{kind}.csv")}}
    config["backbones"] = {
        "given": config["backbones"]["given"],
        "voice": {"kind": "speech", "weights": "speech_logmel"},
    }
    models = config["models"]
    config["models"] = {name: models[name] for name in ("face_given", "audio_voice", "fused_two")}
    config["ensemble"] = {"method": "greedy"}
    return config


@pytest.fixture(scope="module", params=LABELS)
def run(request, finished):
    """A finished run of a kind of label space: its folder and its config."""
    config = config_of(request.param, finished.work)
    finished.snakemake("--configfile", write_config(finished.work / f"{request.param}.yaml", config))
    return finished.work / f"results/{request.param}", config


def test_its_tables_and_page_have_the_scores_of_its_kind(run):
    folder, config = run
    space = space_of(config)
    results = pd.read_csv(folder / "tables/results.csv")
    score = results.set_index("model")[primary(space).key]
    assert {"face_given", "audio_voice", "fused_two", "ensemble"} <= set(score.index)
    assert np.isfinite(score).all() and score.between(-1, 1).all()
    assert (results["low"] <= results["high"]).all()
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert primary(space).name in page and all(name in page for name in space.names)
    assert yaml.safe_load((folder / "config.yaml").read_text())["labels"] == config["labels"]


def test_it_answers_about_files_as_the_batch_pipeline_does(run):
    folder, config = run
    space = space_of(config)
    batch = emopipe.load_run(folder).predictions()
    batch = batch[batch["split"] == "val"].set_index("clip")
    table = pd.read_csv(folder.parents[1] / "cache/small/clips.csv", keep_default_na=False).set_index("clip")
    files = [str(folder.parents[1] / "corpus" / table.loc[clip, "path"]) for clip in batch.index]
    answers = emopipe.predict(files, model=folder, threads=2).frame
    np.testing.assert_allclose(answers[space.columns].to_numpy(float), batch[space.columns].to_numpy(float), atol=5e-6)
    if space.kind != "dimensions":  # of which the last digit may differ
        assert list(answers["label"]) == list(batch["pred"])
