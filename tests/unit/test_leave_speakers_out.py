"""The benchmark that trains without some speakers and scores them."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import yaml

from emopipe.cache.metadata import read_metadata
from emopipe.core.errors import ConfigError
from emopipe.core.labels import CLASSES
from emopipe.media.spectrogram import RATE

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "leave_speakers_out.py"
OPTIONS = {"modality": "audio", "calm": "calm", "val_subjects": ["12"], "test_subjects": ["13"]}
RECIPE = {
    "kind": "speech",
    "options": {"width": 2, "dim": 4},
    "classes": [*CLASSES, "Calm"],
    "sources": {"voices": {"kind": "ravdess", "path": "speech", "train": ["train"], "options": OPTIONS}},
    "schedule": [{"sources": ["voices"], "epochs": 1, "batch": 2, "seconds": 0.3, "precision": "float32"}],
}


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("leave_speakers_out", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def write_corpus(folder, actors=("01", "02", "03", "04"), emotions=("02", "03", "05")):
    folder.mkdir()
    rng = np.random.default_rng(0)
    for actor in actors:
        for emotion in emotions:
            wave = 0.1 * rng.standard_normal(RATE // 4)
            soundfile.write(folder / f"03-01-{emotion}-01-01-01-{actor}.wav", wave, RATE)


def run(script, tmp_path, **keys):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(RECIPE))
    script.main(path, tmp_path, tmp_path / "out", device="cpu", threads=1, **keys)
    return pd.read_csv(tmp_path / "out" / "scores.csv", dtype={"subject": str})


@pytest.mark.slow
def test_every_speaker_is_scored_by_a_network_that_never_heard_them(script, tmp_path, capsys):
    write_corpus(tmp_path / "speech")
    found = run(script, tmp_path, folds=2)
    assert sorted(found["subject"]) == ["01", "01", "02", "02", "03", "03", "04", "04"]  # calm is not scored
    assert found["fold"].tolist() == [0, 0, 0, 0, 1, 1, 1, 1] and set(found["label"]) == {"Happy", "Angry"}
    assert set(found["subject"][found["fold"] == 0]) == {"01", "02"}
    np.testing.assert_allclose(np.exp(found[script.LOGS].to_numpy()).sum(1), 1, atol=1e-4)
    for number, heard in enumerate([["ravdess 03", "ravdess 04"], ["ravdess 01", "ravdess 02"]]):
        fold = yaml.safe_load((tmp_path / "out" / f"fold{number}.yaml").read_text())
        trained_on = json.loads(read_metadata(tmp_path / "out" / f"fold{number}.safetensors")["trained_on"])
        assert trained_on["classes"] == {"Angry": 2, "Calm": 2, "Happy": 2}
        assert [speaker.replace("/", " ") for speaker in sorted(trained_on["speakers"])] == heard
        assert fold["sources"]["voices"]["options"]["calm"] == "calm"
    rows = capsys.readouterr().out.splitlines()
    assert [row.split(" | ")[1:3] for row in rows[2:]] == [["01, 02", "4"], ["03, 04", "4"], ["all", "8"]]


def test_the_product_of_two_networks(script):
    """The sum of log-probabilities, on the utterances that both have, whatever their order."""
    ones = np.log([[0.6, 0.3, 0.02, 0.02, 0.02, 0.02, 0.02], [0.4, 0.5, 0.02, 0.02, 0.02, 0.02, 0.02]])
    first = pd.DataFrame(ones, columns=script.LOGS).assign(sample=["a", "b"], subject="1", label=CLASSES[0])
    other = pd.DataFrame(np.vstack([ones[:1], ones]), columns=script.LOGS).assign(sample=["c", "b", "a"])
    product = script.multiplied([first, other])
    assert product["sample"].tolist() == ["a", "b"] and product["label"].tolist() == [CLASSES[0]] * 2
    np.testing.assert_allclose(product[script.LOGS].to_numpy(), [ones[0] + ones[1], ones[1] + ones[0]])


def test_one_fold_alone_and_a_product(script, tmp_path, capsys, monkeypatch):
    write_corpus(tmp_path / "speech", emotions=("03",))
    trained = []
    answers = pd.DataFrame([[-3.0, -2.0, -5.0, -1.0, -3.0, -3.0, -3.0]] * 2, columns=script.LOGS)
    answers = answers.assign(sample=["a", "b"], subject="04", label=["Disgust", "Happy"])
    monkeypatch.setattr(script, "pretrain", lambda recipe, *given: trained.append(yaml.safe_load(recipe.read_text())))
    monkeypatch.setattr(script, "score", lambda *given: answers)
    other = tmp_path / "other.csv"
    answers.assign(log_Disgust=[1.0, -2.0]).to_csv(other, index=False)
    run(script, tmp_path, folds=4, only=[3], product=[other])
    (options,) = [recipe["sources"]["voices"]["options"] for recipe in trained]
    assert options == OPTIONS | {"val_subjects": ["03"], "test_subjects": ["04"]}
    assert trained[0]["sources"]["voices"]["train"] == ["train", "val"] and not trained[0]["sources"]["voices"]["val"]
    rows = [row.split(" | ") for row in capsys.readouterr().out.splitlines()[2:]]
    assert [row[2:] for row in rows] == [
        ["2", "50.0", "50.0 |"],
        ["2", "50.0", "50.0 |"],
        ["2", "100.0", "100.0 |"],
        ["2", "100.0", "100.0 |"],
    ]
    assert [row[0] for row in rows] == ["| recipe", "| recipe", f"| {other}", "| product of all"]


def test_what_cannot_form_folds_is_refused(script):
    with pytest.raises(ConfigError, match=r"There are 3 folds, but only 2 speakers\. Lower --folds"):
        script.blocks(["1", "2"], 3)
    two = {**RECIPE, "sources": RECIPE["sources"] | {"more": RECIPE["sources"]["voices"]}}
    with pytest.raises(ConfigError, match=r"the sources voices, more\. Expected one"):
        script.source(two)
