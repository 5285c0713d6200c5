"""The commands of docs/training.md that make weights and evaluate them run as they stand there, on small stand-ins."""

import json
import os
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from emopipe.commands.main import app
from emopipe.core import validation
from emopipe.core.labels import CLASSES
from emopipe.workflow.config import Config
from tests.pages import REPOSITORY, blocks, commands_of

PAGE = "docs/training.md"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with DATA in it, and the recipe, shortened to one epoch a phase."""
    recipe = yaml.safe_load((REPOSITORY / "configs/weights/expression.yaml").read_text())
    for phase in recipe["schedule"]:
        phase["epochs"] = 1
    (tmp_path / "configs/weights").mkdir(parents=True)
    (tmp_path / "configs/weights/expression.yaml").write_text(yaml.safe_dump(recipe))
    data = tmp_path / "DATA"
    (data / "stills").mkdir(parents=True)
    votes = ["picture,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"]
    votes += [f"fer2013/val/{label}/0.png,0,0,0,1,9,0,0,0,0,0" for label in CLASSES]
    (data / "ferplus.csv").write_text("\n".join(votes))
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(data / "fer2013.zip", "w") as file:
        for label in CLASSES:
            (data / "stills" / label).mkdir()
            for split in ("train", "clips", "val"):
                picture = cv2.imencode(".png", rng.integers(0, 256, (48, 48), np.uint8))[1].tobytes()
                file.writestr(f"fer2013/{split}/{label}/0.png", picture)
            (data / "stills" / label / "0.png").write_bytes(picture)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.data
def test_commands_run(place):
    shared = os.environ.get("EMOPIPE_SHARED")
    if shared:
        (place / "DATA/ravdess_av").mkdir()
        for clip in sorted(Path(shared, "data/ravdess_av").glob("*.mp4"))[:2]:
            (place / "DATA/ravdess_av" / clip.name).symlink_to(clip)
    ran = []
    for words in commands_of(PAGE, "emopipe"):
        if "ravdess:DATA/ravdess_av" in words and not shared:
            continue  # needs real clips
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, (words, result.output)
        ran.append((words, result.stdout))
    assert [words[0] for words, _ in ran] == ["pretrain", *["evaluate"] * (3 + bool(shared))]
    assert (place / "expression.safetensors").is_file()
    assert (place / "confusion.png").is_file() == bool(shared)
    assert json.loads(ran[-2][1])["n"] == len(CLASSES)
    assert f"{len(CLASSES)} stills" in ran[-1][1]


def test_the_first_block_trains_on_its_sources():
    shown = yaml.safe_load(blocks(PAGE, "yaml")[0])
    rest = {"run": "x", "corpus": {"name": "x", "kind": "demo"}, "decode": {"x": {"policy": "all"}}}
    config = validation.checked(Config, {**rest, **shown})
    for backbone in config.backbones.values():
        assert backbone.schedule and backbone.pretrain and backbone.weights
        assert {name for phase in backbone.schedule for name in phase["sources"]} == set(config.sources)
