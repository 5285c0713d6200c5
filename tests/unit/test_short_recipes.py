"""Every recipe in configs/weights makes weights in a short form: on a few real samples, for an epoch a phase."""

import json
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from emopipe.cache.metadata import read_metadata
from emopipe.commands.main import app
from emopipe.core.labels import CLASSES
from tests.pages import REPOSITORY

RECIPES = sorted((REPOSITORY / "configs/weights").glob("*.yaml"))
ACTORS = ("01", "12", "13", "14", "15", "16")
STILLS, UTTERANCES = 4, 1
"""Samples of each split and class, of each actor and emotion."""

pytestmark = [pytest.mark.data, pytest.mark.slow]


@pytest.fixture(scope="module")
def data(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like DATA of the recipes, with few samples and the published networks."""
    few = tmp_path_factory.mktemp("DATA")
    (few / "mobilefacenet.onnx").symlink_to(shared / "weights/mobilefacenet.onnx")
    (few / "whisper_tiny_en_encoder").symlink_to(shared / "weights/whisper_tiny_en_encoder")
    with zipfile.ZipFile(shared / "data/fer2013.zip") as whole, zipfile.ZipFile(few / "fer2013.zip", "w") as part:
        pictures = pd.Series([name for name in whole.namelist() if not name.endswith("/")])
        chosen = pictures.groupby(pictures.str.rpartition("/")[0]).head(STILLS)
        for name in chosen:
            part.writestr(name, whole.read(name))
    votes = pd.read_csv(shared / "data/ferplus.csv")
    votes[votes["picture"].isin(chosen)].to_csv(few / "ferplus.csv", index=False)
    for actor in ACTORS:
        folder = few / f"ravdess_speech/Actor_{actor}"
        folder.mkdir(parents=True)
        sounds = pd.Series(sorted((shared / f"data/ravdess_speech/Actor_{actor}").glob("*.flac")))
        for sound in sounds.groupby(sounds.map(lambda path: path.name.split("-")[2])).head(UTTERANCES):
            (folder / sound.name).symlink_to(sound)
    return few


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_short_form_makes_weights(path, data, tmp_path):
    recipe = yaml.safe_load(path.read_text())
    for phase in recipe["schedule"]:
        phase |= {"epochs": 1, "batch": 8, "precision": "float32"}
    (tmp_path / "short.yaml").write_text(yaml.safe_dump(recipe))
    out = tmp_path / "short.safetensors"
    words = ["pretrain", str(tmp_path / "short.yaml"), "--data", str(data), "--out", str(out), "--threads", "1"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert json.loads(read_metadata(out)["classes"]) == recipe.get("classes", list(CLASSES))
    if "ravdess" in recipe["sources"]:
        corpus = ["--corpus", f"ravdess:{data / 'ravdess_speech'}", "--subject", "16"]
    else:
        corpus = ["--corpus", f"fer2013:{data / 'fer2013.zip'}", "--split", "val"]
    result = CliRunner().invoke(app, ["evaluate", str(out), *corpus, "--json", "--threads", "1"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["n"] >= len(CLASSES)
