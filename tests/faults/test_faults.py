"""A few of the faults, in every run of the tests; `make test-faults` injects all."""

import pytest

from tests.faults.__main__ import SHORT, faults
from tests.faults.breakages import SHORT as BREAKAGES
from tests.faults.runs import Killable, finished
from tests.workflow.conftest import made_once
from tests.workflow.test_chain_runs import draw_stills

NAMES = [*(f"{victim} killed in {name}" for name, victim in SHORT), *(fault.__name__ for fault in BREAKAGES)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = made_once(tmp_path_factory, "faults", lambda folder: finished(folder, draw_stills), copied=False)
    return Killable(folder / "code", folder / "undisturbed")


@pytest.mark.slow
@pytest.mark.parametrize("fault", faults(short=True, seed=0), ids=NAMES)
def test_a_fault_is_survived(whole, fault):
    outcome = fault(whole)
    assert outcome.survived and not outcome.lost, outcome
