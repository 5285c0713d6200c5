"""The rooms of the package: no import runs up, and no single files lie outside of the rooms."""

import ast

import pytest

from tests.rooms import LAYERS, REPOSITORY, arrows, best_order, imports, module_of, room, sources, upward


@pytest.fixture(scope="module")
def files():
    return sources()


@pytest.mark.slow
def test_no_import_runs_up(files):
    rank = {name: number for number, name in enumerate(LAYERS)}
    up = [
        (one, other)
        for one, other in imports(files)
        if room(one) and room(other) and room(one) != room(other) and rank[room(other)] >= rank[room(one)]
    ]
    assert not up
    assert not upward(arrows(files), LAYERS)


def test_every_module_has_a_room(files):
    assert {room(module_of(path)) for path in files} <= {"", *LAYERS}
    assert [path for path in files if path.count("/") == 1] == ["emopipe/__init__.py"]
    for name in LAYERS:
        folder = REPOSITORY / "emopipe" / name
        assert not folder.exists() or ast.get_docstring(ast.parse((folder / "__init__.py").read_text())), (
            f"{name} says what it is"
        )


def test_an_import_in_a_function_that_runs_up_is_found():
    made = {
        "emopipe/__init__.py": "",
        "emopipe/core/__init__.py": "",
        "emopipe/core/a.py": "def f():\n    from emopipe.media import clip\n",
        "emopipe/media/__init__.py": "",
        "emopipe/media/clip.py": "from ..core.a import f\n",
    }
    found = arrows(made)
    assert dict(found) == {("core", "media"): 2, ("media", "core"): 1}
    assert upward(found, LAYERS) == [("core", "media")]
    assert len(upward(found, best_order(found))) == 1
