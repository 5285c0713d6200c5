"""Fingerprints of code: what counts, what does not, and that every version of Python gives the same."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from emopipe.backbones import registry as backbones
from emopipe.core import fingerprint
from emopipe.core.fingerprint import closure, code_fingerprint, digest, script_closure, script_fingerprint
from emopipe.faces import detectors

REPOSITORY = Path(__file__).parents[2]

STAGE = '''"""A stage."""
import warnings

import numpy as np

from emopipe import maths
from emopipe.maths import twice as double
from emopipe.nets import registry


def run(x: int) -> int:
    """Run."""
    LOGGER.info("running %s", x)
    warnings.warn("odd", stacklevel=2)
    count: int = 1
    if x < 0:
        raise ValueError(f"{x} is negative", "it should not be")
    assert x, "nothing"
    return np.add(maths.f(x), double(count)) + registry.SIZE


def never() -> None:
    maths.unused()
'''
FILES = {
    "__init__.py": "__version__ = '1'\n",
    "stage.py": STAGE,
    "maths.py": '''"""Maths."""
from .deep import g

FACTOR, OTHER = 2, 3


def f(x):
    """Double."""
    return FACTOR * g(x)  # twice


def twice(x):
    return x + x


def unused():
    return OTHER
''',
    "deep.py": "class Base:\n    y: int = 0\n\n\ndef g(x):\n    return Base.y + x\n",
    "apart.py": "y = 1\n",
    "nets/__init__.py": "",
    "nets/registry.py": "SIZE = 1\nKINDS = {'a': 'emopipe.nets.a'}\n",
    "nets/a.py": "z = 1\n",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A little package that stands for emopipe."""
    monkeypatch.setattr(fingerprint, "ROOT", tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("maths.py", "# twice", "# two times"),
        ("maths.py", '"""Maths."""', '"""Mathematics,\n\nexplained."""'),
        ("maths.py", '    """Double."""\n', ""),
        ("maths.py", "return FACTOR * g(x)", "return (FACTOR *\n        g(x))"),
        ("maths.py", "return OTHER", "return OTHER + 1"),
        ("stage.py", "x: int) -> int", "x: float) -> float"),
        ("stage.py", "count: int = 1", "count = 1"),
        ("stage.py", "running %s", "it runs: %s"),
        ("stage.py", '    LOGGER.info("running %s", x)\n', ""),
        ("stage.py", '"odd"', '"very odd"'),
        ("stage.py", "{x} is negative", "{x} is below {0}"),
        ("stage.py", '"nothing"', '"x is 0"'),
        ("stage.py", "it should not be", "expected a positive number"),
        ("stage.py", "maths.unused()", "maths.f(3)"),
        ("apart.py", "y = 1", "y = 2"),
        ("nets/a.py", "z = 1", "z = 2"),
        ("nets/registry.py", "'a': ", "'b': 'emopipe.nets.b', 'a': "),
        ("__init__.py", "1", "2"),
    ],
)
def test_what_does_not_count(package, file, old, new):
    before = code_fingerprint("emopipe.stage:run")
    edit(package / file, old, new)
    assert code_fingerprint("emopipe.stage:run") == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("stage.py", "maths.f(x)", "maths.f(x + 1)"),
        ("stage.py", "maths.f(x)", "maths.twice(x)"),
        ("stage.py", "ValueError", "KeyError"),
        ("stage.py", "import numpy as np", "import scipy as np"),
        ("stage.py", "np.add", "np.subtract"),
        ("stage.py", "count: int = 1", "count: int = 2"),
        ("maths.py", "FACTOR, OTHER = 2, 3", "FACTOR, OTHER = 3, 3"),
        ("maths.py", "return x + x", "return x * 2"),
        ("deep.py", "return Base.y + x", "return Base.y - x"),
        ("deep.py", "y: int = 0", "y: int = 1"),
        ("deep.py", "y: int = 0", "y: float = 0"),  # options are checked by the types of their fields
        ("deep.py", "y: int = 0", "y: int = 0\n    z: int = 1"),
        ("nets/registry.py", "SIZE = 1", "SIZE = 2"),
        ("nets/registry.py", "SIZE = 1", "SIZE = 1\nprint(SIZE)"),
    ],
)
def test_what_counts(package, file, old, new):
    before = code_fingerprint("emopipe.stage:run")
    edit(package / file, old, new)
    assert code_fingerprint("emopipe.stage:run") != before


def test_a_moved_module_changes_nothing(package):
    before = code_fingerprint("emopipe.stage:run")
    (package / "room").mkdir()
    (package / "room/__init__.py").write_text("")
    for name in ("maths.py", "deep.py", "stage.py"):
        shutil.move(package / name, package / "room" / name)
    edit(package / "room/stage.py", "from emopipe import maths", "from emopipe.room import maths")
    edit(package / "room/stage.py", "from emopipe.maths", "from emopipe.room.maths")
    assert code_fingerprint("emopipe.room.stage:run") == before


def test_which_of_two_equal_names_is_used_counts(package):
    (package / "here.py").write_text("def f():\n    return 1\n")
    (package / "there.py").write_text("def f():\n    return 2\n")
    text = "from emopipe.here import f\nfrom emopipe.there import f as h\n\n\ndef run():\n    return f() - h()\n"
    (package / "user.py").write_text(text)
    before = code_fingerprint("emopipe.user:run")
    (package / "user.py").write_text(
        text.replace("here", "x").replace("tx", "here").replace("emopipe.x", "emopipe.there")
    )
    assert code_fingerprint("emopipe.user:run") != before


def test_imports_in_functions_and_re_exports_are_followed(package):
    (package / "door.py").write_text("from emopipe.deep import g\n")
    (package / "user.py").write_text("def run():\n    from emopipe.door import g as h\n\n    return h(1)\n")
    before = code_fingerprint("emopipe.user:run")
    assert closure("emopipe.user:run").symbols == {"emopipe.deep": ["Base", "g"], "emopipe.user": ["run"]}
    edit(package / "deep.py", "Base.y + x", "Base.y - x")
    assert code_fingerprint("emopipe.user:run") != before


def test_a_module_that_is_passed_on_counts_whole(package):
    (package / "user.py").write_text("from emopipe import maths\n\n\ndef run(f=maths):\n    return f.unused()\n")
    assert closure("emopipe.user:run").symbols["emopipe.maths"] == ["FACTOR", "OTHER", "f", "twice", "unused"]


def test_a_named_module_counts(package):
    before = code_fingerprint("emopipe.stage:run", "emopipe.nets.a")
    edit(package / "nets/a.py", "z = 1", "z = 2")
    assert code_fingerprint("emopipe.stage:run", "emopipe.nets.a") != before
    with pytest.raises(ModuleNotFoundError, match=r"emopipe\.nets\.none was not found"):
        code_fingerprint("emopipe.nets.none")


def test_libraries_that_are_used(package):
    assert closure("emopipe.stage:run").imports == {"numpy"}


def test_scripts(package):
    script = package / "script.py"
    script.write_text("from emopipe import stage\n\nstage.run(1)  # runs\n")
    before = script_fingerprint(script)
    script.write_text('"""A script."""\nfrom emopipe import stage\n\nstage.run(1)\n')
    assert script_fingerprint(script) == before
    edit(package / "deep.py", "Base.y + x", "Base.y - x")
    assert script_fingerprint(script) != before
    edit(package / "deep.py", "Base.y - x", "Base.y + x")
    script.write_text("from emopipe import stage\n\nstage.run(2)\n")
    assert script_fingerprint(script) != before


def test_a_plugins_package_is_followed_without_being_imported(package, tmp_path, monkeypatch):
    folder = tmp_path / "elsewhere"
    (folder / "ours").mkdir(parents=True)
    (folder / "ours/__init__.py").write_text("raise RuntimeError('imported')\n")
    (folder / "ours/net.py").write_text("from emopipe.maths import f\nfrom ours.parts import h\n\nx = f(h())\n")
    (folder / "ours/parts.py").write_text("def h():\n    return 1\n")
    (folder / "single.py").write_text("y = 1\n")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(fingerprint, "PLUGINS", set())
    with pytest.raises(ModuleNotFoundError):
        code_fingerprint("ours.net")
    fingerprint.follow("ours.net")
    fingerprint.follow("single")
    found = closure("ours.net")
    assert {
        "ours.net": ["x"],
        "ours.parts": ["h"],
    }.items() <= found.symbols.items() and "emopipe.maths" in found.symbols
    for path, old, new in [(folder / "ours/parts.py", "1", "2"), (package / "deep.py", "Base.y + x", "Base.y - x")]:
        edit(path, old, new)
        assert code_fingerprint("ours.net") != found.fingerprint
        found = closure("ours.net")
    before = code_fingerprint("single")
    edit(folder / "single.py", "1", "2")
    assert code_fingerprint("single") != before


SAMPLE = r"""
import numpy as np

TEXT = "a" "b" f"{{c}} {1 + 1:>{2}} d" "e"


@np.vectorize
def f(x: "int", /, *args: int, k: float = 1e-3, **more) -> float:
    match x:
        case {"a": [1, *rest]} if rest:
            return 0
    with open("f") as a, open("g") as b:
        y = [i async for i in a] if (z := b) else {*x, -1}
    try:
        return lambda: (yield)
    except* ValueError as error:
        raise TypeError(f"{error!r}") from None


class C[T] if False else object: pass
""".replace(
    "class C[T] if False else object: pass", "class C(dict, metaclass=type):\n    n: int = None\n    s: bytes = b'x'"
)
SAMPLE_DIGEST = "1bbc5b13c6449b73b463de5a13d3c5722181b414c10116bdde849ea9e64546c5"


def test_the_sample_has_the_digest_that_other_versions_of_python_gave_it(tmp_path):
    (tmp_path / "sample.py").write_text(SAMPLE)
    assert script_fingerprint(tmp_path / "sample.py") == SAMPLE_DIGEST


def other_pythons():
    """Interpreters of other versions, wherever they are usually installed."""
    versions = [f"3.{minor}" for minor in range(11, 16) if minor != sys.version_info.minor]
    folders = [
        Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions"),
        Path("/opt/hostedtoolcache/Python"),
    ]
    for version in versions:
        found = [
            *sorted(folders[0].glob(f"{version}*/bin/python")),
            *sorted(folders[1].glob(f"{version}*/*/bin/python")),
        ]
        if found or (path := shutil.which(f"python{version}")):
            yield pytest.param(found[0] if found else path, id=version)


ALL = """
import json, sys
from pathlib import Path
from emopipe.core.fingerprint import script_fingerprint
print(json.dumps({p.stem: script_fingerprint(p) for p in sorted(Path(sys.argv[1]).glob("*.py"))}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("python", list(other_pythons()) or [pytest.param(None, id="none")])
def test_every_version_of_python_gives_the_same(python):
    if python is None:
        pytest.skip("no other version of Python was found")
    scripts = REPOSITORY / "workflow_scripts"
    given = {"PYTHONPATH": str(REPOSITORY), "PATH": os.environ["PATH"]}
    run = subprocess.run([python, "-c", ALL, scripts], env=given, capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == {path.stem: script_fingerprint(path) for path in sorted(scripts.glob("*.py"))}


# --- what each stage's numbers depend on

ROOMS = {
    "decode": ["media", "stages"],
    "faces": ["faces", "media", "stages"],
    "features": ["backbones", "core", "extraction", "runtime", "stages"],
    "merge": ["stages"],
    "ensemble": ["core", "fusion", "scoring", "stages"],
    "report": ["backbones", "core", "corpora", "fusion", "media", "report", "scoring", "stages", "weights"],
    "page": ["core", "corpora", "faces", "media", "report", "scoring", "stages"],
}
"""Stage -> the rooms that hold its code; modules that it looks up by name (networks, detectors) come on top."""

MOST_NAMES = {
    "corpus": 580, "decode": 240, "faces": 85, "features": 30, "merge": 10, "pretrain": 110, "chain": 510,
    "fusion": 290, "ensemble": 90, "report": 340, "page": 360,
}  # fmt: skip
"""Stage -> the most names (functions, classes, constants) that its numbers may depend on."""


@pytest.mark.parametrize("stage", MOST_NAMES)
def test_closures_are_small(stage):
    found = script_closure(REPOSITORY / f"workflow_scripts/{stage}.py")
    names = [f"{module}.{name}" for module, inside in found.symbols.items() for name in inside]
    assert 5 <= len(names) <= MOST_NAMES[stage], names
    if stage in ROOMS:
        rooms = {module.split(".")[1] for module in found.symbols if module.startswith("emopipe.")}
        assert sorted(rooms) == ROOMS[stage]


@pytest.mark.parametrize("stage", ["decode", "faces", "features", "merge"])
def test_caches_do_not_depend_on_corpora_messages_or_class_names(stage):
    """Of features, the log-probabilities of emotion heads are in the order of the classes."""
    found = script_closure(REPOSITORY / f"workflow_scripts/{stage}.py")
    forbidden = ("emopipe.corpora", "emopipe.cache", "emopipe.core", "emopipe.commands", "emopipe.workflow")
    used = {module for module in found.symbols if module.startswith(forbidden)}
    assert used == ({"emopipe.core.labels"} if stage == "features" else set())


@pytest.mark.parametrize("kinds", [detectors.KINDS, backbones.KINDS], ids=["detectors", "backbones"])
def test_kinds_do_not_know_each_other(kinds):
    """An edit of one detector or network reruns nothing of another; VGGFace is a VGG-16 with weights of its own."""
    modules = {row.module for row in kinds.values()}
    knows = {module: modules & {own.replace(".nets.", ".") for own in closure(module).symbols} for module in modules}
    assert len(modules) >= 4
    assert {module: known - {module} for module, known in knows.items() if known != {module}} == (
        {"emopipe.backbones.vggface": {"emopipe.backbones.vgg16"}} if kinds is backbones.KINDS else {}
    )


def test_a_kind_counts_with_its_network():
    """Kinds import their networks only when they build them, and these rerun their features all the same."""
    nets = {f"emopipe.backbones.nets.{path.stem}" for path in (REPOSITORY / "emopipe/backbones/nets").glob("[!_]*.py")}
    counted = {row.module: {*closure(row.module).symbols} for row in backbones.KINDS.values()}
    own = {module: module.replace(".backbones.", ".backbones.nets.") for module in counted}
    assert len(nets) >= 12
    assert [module for module, net in own.items() if net in nets - counted[module]] == []
    assert nets <= set().union(*counted.values())


STAGES = ("corpus", "decode", "faces", "chain", "pretrain", "features", "merge", "fusion", "ensemble", "report", "page")


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_stages_do_not_know_each_other(stage):
    """They may share what a stage's file format is: the names of its fields, in capital letters."""
    found = script_closure(REPOSITORY / f"workflow_scripts/{stage}.py").symbols
    assert "run" in found[f"emopipe.stages.{stage}"]
    others = {name: inside for name, inside in found.items() if name.startswith("emopipe.stages.")}
    others.pop(f"emopipe.stages.{stage}")
    assert [name for inside in others.values() for name in inside if not name.isupper()] == []


def test_what_is_not_counted_exists():
    for module in fingerprint.UNCOUNTED:
        path = REPOSITORY / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__init__.py").is_file(), module


def test_digest():
    assert digest({"a": 1, "b": [1.5, None, "x"]}) == digest({"b": [1.5, None, "x"], "a": 1})
    assert digest({"a": 1}) != digest({"a": 1.0})
    assert digest({"a": 1}) != digest({"a": "1"})
    with pytest.raises(ValueError, match="JSON"):
        digest({"a": float("nan")})
