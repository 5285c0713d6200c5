"""The command `emopipe clip`: what it prints and writes."""

import json
import re

import pytest
from typer.testing import CliRunner

from emopipe.commands.main import app
from emopipe.core.labels import CLASSES
from emopipe.core.notice import NOTICE
from tests import handmade_run


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return handmade_run.make(tmp_path_factory.mktemp("clip"))


def ran(*arguments):
    return CliRunner().invoke(app, ["clip", *map(str, arguments)], env={"COLUMNS": "140"})


@pytest.mark.slow
def test_the_story_in_the_terminal(results, monkeypatch):
    monkeypatch.chdir(results.parents[1])
    done = ran("good", "--run", "small")
    assert done.exit_code == 0, done.output
    for text in (
        "The answer of the run (ensemble) is Angry (40%), which is correct.",
        "path: good.mp4",
        "decode sparse: 6 sampled frames",
        "faces main: The main face was found in 5 of 6 sampled frames.",
        "largest at 1.00 s: 50%, 2.5 times the mean of 5 vectors",
    ):
        assert text in done.output, text
    cells = [re.split(r"\s*│\s*", line.strip("│ ")) for line in done.output.splitlines() if line.startswith("│")]
    assert ["ensemble", "Angry, correct", "40%", "40%", "2 of 2"] in cells
    assert ["fused_b", "Sad, wrong", "40%", "10%", "2 of 2"] in cells


def test_a_clip_that_failed_is_still_answered(results):
    done = ran("empty", "--run", results)
    assert done.exit_code == 0 and "undecodable" in done.output and "The file is empty (0 bytes)." in done.output


def test_facts_as_json(results):
    done = ran("good", "--run", results, "--json")
    found = json.loads(done.stdout)
    assert (found["clip"], found["row"]["label"], found["stages"][1]["status"]) == ("good", "Angry", "ok")
    assert found["faces"]["main"]["found"] == 5 and found["faces"]["main"]["box"][2] == [None] * 4
    assert found["votes"][0]["model"] == "ensemble" and set(found["votes"][0]["probabilities"]) == set(CLASSES)
    assert found["votes"][0]["correct"] is True and set(found["votes"][0]["seeds"]) == {"0", "1"}
    assert found["attention"][2] == {
        "model": "fused_b",
        "stream": "logmel",
        "modality": "audio",
        "time": [0.31, 0.63],
        "weight": [0.25, 0.75],
    }
    assert json.loads(ran("secret", "--run", results, "--json").stdout)["votes"][0]["correct"] is None


@pytest.mark.slow
def test_a_page_and_a_picture_with_and_without_faces(results, tmp_path):
    with_faces, without = tmp_path / "a.html", tmp_path / "b.html"
    assert ran("good", "--run", results, "--html", with_faces, "--png", tmp_path / "a.png").exit_code == 0
    assert ran("good", "--run", results, "--html", without, "--png", tmp_path / "b.png", "--no-faces").exit_code == 0
    assert (tmp_path / "a.png").read_bytes()[:4] == (tmp_path / "b.png").read_bytes()[:4] == b"\x89PNG"
    assert with_faces.read_text().count("data:image/jpeg") == 9 and "data:image/jpeg" not in without.read_text()
    for page in (with_faces, without):
        assert NOTICE in page.read_text() and page.read_text().count("data:image/png") == 2


def test_errors(results, tmp_path):
    done = ran("goods", "--run", results)
    assert done.exit_code == 1 and "It has 5 clips. Similar ids: good." in done.output
    done = ran("good", "--run", results, "--html", tmp_path / "page.txt")
    assert done.exit_code == 1 and "Expected a name that ends in .html." in done.output
    done = ran("good", "--run", tmp_path / "none")
    assert done.exit_code == 1 and "Give the folder of a finished run" in done.output
