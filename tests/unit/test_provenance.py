"""Fingerprints of code: what counts and what does not."""

import pytest

from emopipe.core import fingerprint
from emopipe.core.fingerprint import code_fingerprint, digest, script_fingerprint


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A little package that stands for emopipe: stage imports maths, relative imports and a registry of strings."""
    monkeypatch.setattr(fingerprint, "ROOT", tmp_path)
    files = {
        "__init__.py": "__version__ = '1'\n",
        "stage.py": "from emopipe import maths\nfrom emopipe.nets import registry\n\ndef run():\n    maths.f(1)\n",
        "maths.py": '"""Maths."""\nfrom .deep import g\n\ndef f(x):\n    """Double."""\n    return 2 * g(x)  # twice\n',
        "deep.py": "def g(x):\n    return x\n",
        "apart.py": "y = 1\n",
        "nets/__init__.py": "",
        "nets/registry.py": "KINDS = {'a': 'emopipe.nets.a'}\n",
        "nets/a.py": "z = 1\n",
    }
    for name, text in files.items():
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
        ("maths.py", "return 2 * g(x)", "return (2 *\n        g(x))"),
        ("apart.py", "y = 1", "y = 2"),
        ("nets/a.py", "z = 1", "z = 2"),
        ("__init__.py", "1", "2"),
    ],
)
def test_what_does_not_count(package, file, old, new):
    before = code_fingerprint("emopipe.stage")
    edit(package / file, old, new)
    assert code_fingerprint("emopipe.stage") == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("stage.py", "f(1)", "f(2)"),
        ("maths.py", "2 * g", "3 * g"),
        ("deep.py", "return x", "return x + 1"),
        ("nets/registry.py", "'a'", "'b'"),
        ("nets/__init__.py", "", "w = 1\n"),
    ],
)
def test_what_counts(package, file, old, new):
    before = code_fingerprint("emopipe.stage")
    edit(package / file, old, new)
    assert code_fingerprint("emopipe.stage") != before


def test_a_named_module_counts(package):
    before = code_fingerprint("emopipe.stage", "emopipe.nets.a")
    edit(package / "nets/a.py", "z = 1", "z = 2")
    assert code_fingerprint("emopipe.stage", "emopipe.nets.a") != before


def test_scripts(package):
    script = package / "script.py"
    script.write_text("from emopipe import stage\n\nstage.run()  # runs\n")
    before = script_fingerprint(script)
    script.write_text('"""A script."""\nfrom emopipe import stage\n\nstage.run()\n')
    assert script_fingerprint(script) == before
    edit(package / "deep.py", "return x", "return -x")
    assert script_fingerprint(script) != before


def test_stages_do_not_know_each_other():
    """A change in one detector or network must not touch the others' recipes."""
    from emopipe.faces import detectors

    prints = {kind: code_fingerprint(module) for kind, module in detectors.KINDS.items()}
    assert len(set(prints.values())) == len(prints)


def test_digest():
    assert digest({"a": 1, "b": [1.5, None, "x"]}) == digest({"b": [1.5, None, "x"], "a": 1})
    assert digest({"a": 1}) != digest({"a": 1.0})
    assert digest({"a": 1}) != digest({"a": "1"})
    with pytest.raises(ValueError, match="JSON"):
        digest({"a": float("nan")})
