"""The examples in docstrings hold."""

import doctest
import importlib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
MODULES = [
    ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((REPOSITORY / "emopipe").rglob("*.py"))
    if ">>> " in (text := path.read_text()) and "doctest: +SKIP" not in text
]


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES)
def test_examples(module):
    done = doctest.testmod(importlib.import_module(module))
    assert done.attempted > 0 and done.failed == 0
