"""The examples in Python of docs/predict.md and the notebook run as they stand."""

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


@pytest.mark.slow
def test_the_page_on_new_clips(here):
    draw_clip(next(each for each in plan(DemoOptions()) if each.container == "mp4"), here / "clip.mp4")
    names = {}
    exec(blocks("docs/predict.md", "python")[0], names)
    assert names["answers"][0].status == "ok" and len(names["talk"].timeline()) >= 2
    assert names["axes"].get_title() == "clip.mp4"


@pytest.mark.slow
def test_the_notebook(here):
    notebook = nbformat.read(REPOSITORY / "docs/first_answer.ipynb", as_version=4)
    nbformat.validate(notebook)
    names = {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            exec(cell.source, names)
    assert names["answers"][0].label and (here / "happy.mp4").is_file()
    assert len(names["over_time"].timeline(0)) >= 2 and "<table>" in names["answers"]._repr_html_()
