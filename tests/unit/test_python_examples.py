"""The examples in Python of docs/predict.md and the notebooks run as they stand."""

import nbformat
import pytest

from emopipe.demo.plan import DemoOptions, plan
from emopipe.demo.video import draw_clip
from tests.pages import REPOSITORY, blocks


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder, in which plots are not shown."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    return tmp_path


def run_cells(name):
    """Run the code of a notebook here. Return the names that it defines."""
    notebook = nbformat.read(REPOSITORY / f"docs/{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    names = {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            exec(cell.source, names)
    return names


@pytest.mark.slow
def test_the_page_on_new_clips(here):
    draw_clip(next(each for each in plan(DemoOptions()) if each.container == "mp4"), here / "clip.mp4")
    names = {}
    exec(blocks("docs/predict.md", "python")[0], names)
    assert names["answers"][0].status == "ok" and len(names["talk"].timeline()) >= 2
    assert names["axes"].get_title() == "clip.mp4"


@pytest.mark.slow
def test_the_notebook(here):
    names = run_cells("first_answer")
    assert names["answers"][0].label and (here / "happy.mp4").is_file()
    assert len(names["over_time"].timeline(0)) >= 2 and "<table>" in names["answers"]._repr_html_()


@pytest.mark.slow
def test_the_tutorial(here, capfd):
    names = run_cells("tutorial")
    said = capfd.readouterr().out
    assert "clips    21: 14 train, 7 val" in said and "All results are in results/clips/" in said
    assert set(names["run"].models) == {"face_only", "audio_only", "fused_both", "ensemble"}
    assert names["confusion"].to_numpy().sum() == 7 and 0 <= names["right"] <= 7
    assert names["said"]["covered"].eq(1).all() and len(names["faces"].crops) > 0
    assert names["attention"].groupby("stream")["weight"].sum().round(3).eq(1).all()
    assert names["answers"][0].status == "ok" and str(here) not in said
