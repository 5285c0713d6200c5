"""The site of `make docs`: its navigation lists every page, links lead somewhere, and notebooks become pages."""

import importlib.util
import json
import posixpath
import re
import sys
import tomllib
import types

import pytest
import yaml

from tests.pages import REPOSITORY

NOTEBOOKS = sorted((REPOSITORY / "docs").glob("*.ipynb"))
CONFIG = yaml.safe_load((REPOSITORY / "mkdocs.yml").read_text())


def load_hook():
    spec = importlib.util.spec_from_file_location("site_hook", REPOSITORY / "docs/site_hook.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hook = load_hook()


def pages():
    """Place in the site -> source in the repository, of every page."""
    found = {path.name: f"docs/{path.name}" for path in (REPOSITORY / "docs").glob("*.md")}
    found |= {place: source for source, place in hook.OTHERS.items() if place.endswith(".md")}
    return found | {f"{path.stem}.md": f"docs/{path.name}" for path in NOTEBOOKS}


def listed(nav):
    for entry in nav:
        for value in entry.values():
            yield from listed(value) if isinstance(value, list) else [value]


def test_the_navigation_lists_every_page_once():
    assert sorted(listed(CONFIG["nav"])) == sorted(pages())


@pytest.mark.parametrize(("place", "source"), pages().items())
def test_links_lead_to_files_of_the_site(place, source):
    path = REPOSITORY / source
    text = hook.notebook(path)[0] if path.suffix == ".ipynb" else path.read_text()
    there = {*pages(), *hook.OTHERS.values(), *(path.name for path in (REPOSITORY / "docs").glob("*.[jps][pnv]g"))}
    there |= {name for each in NOTEBOOKS for name in hook.notebook(each)[1]}
    for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)", hook.rewritten(text, source)):
        wanted = posixpath.normpath(posixpath.join(posixpath.dirname(place), link))
        assert "://" in link or wanted in there, link


def test_links_are_translated():
    text = "[a](docs/config.md#tables) [b](LICENSE) ![c](docs/speed.png) [d](https://x.org/a.md) [e](#here)"
    made = "[a](config.md#tables) [b](LICENSE.txt) ![c](speed.png) [d](https://x.org/a.md) [e](#here)"
    assert hook.rewritten(text, "README.md") == made
    text = "[a](../CONTRIBUTING.md#x) [b](first_answer.ipynb) [c](../emopipe/inference/shipped.md)"
    assert hook.rewritten(text, "docs/weights.md") == "[a](contributing.md#x) [b](first_answer.md) [c](shipped.md)"


def test_a_notebook_becomes_a_page_with_pictures(tmp_path):
    outputs = [
        {"output_type": "stream", "text": ["\x1b[1mbold\x1b[0m\n"]},
        {"output_type": "display_data", "data": {"image/png": "aGVsbG8=", "text/plain": "<Figure>"}},
        {"output_type": "execute_result", "data": {"text/html": ["<table></table>"], "text/plain": "x"}},
    ]
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "text"]},
        {"cell_type": "code", "source": ["x = 1"], "outputs": outputs},
    ]
    (tmp_path / "n.ipynb").write_text(json.dumps({"cells": cells}))
    page, pictures = hook.notebook(tmp_path / "n.ipynb")
    assert page.startswith("# Title\ntext\n\n````python\nx = 1\n````\n\n````text\nbold\n````\n\n![Output](n_0.png)")
    assert "<div>\n<table></table>\n</div>" in page and pictures == {"n_0.png": b"hello"}


def test_a_page_that_loads_from_the_network_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "mkdocs.exceptions", types.SimpleNamespace(PluginError=RuntimeError))
    page = types.SimpleNamespace(file=types.SimpleNamespace(src_uri="a.md"))
    fine = '<a href="https://x.org">x</a><script src="assets/a.js"></script><link href="a.css">'
    assert hook.on_post_page(fine, page) == fine
    for bad in ('<script async src="https://cdn.x.org/a.js">', '<link rel=stylesheet href="https://fonts.x.org">'):
        with pytest.raises(RuntimeError, match=r"a\.md loads from the network"):
            hook.on_post_page(fine + bad, page)
    assert CONFIG["theme"]["font"] is False and "repo_url" not in CONFIG


def test_the_packages_of_the_site_are_pinned_apart():
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    pins = [line for line in (REPOSITORY / "docs/constraints.txt").read_text().splitlines() if "#" not in line]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in pins)
    assert set(extras["docs"]) <= {line.partition("==")[0] for line in pins}
    assert "mkdocs" not in (REPOSITORY / "constraints.txt").read_text()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_stored_outputs_are_small_and_name_no_machine(path):
    assert path.stat().st_size < 300_000
    assert not re.search(r"(?<![\w.])/(?:tmp|home|root|work|Users)/", path.read_text())
