"""A few of the faults, in every run of the tests; `make test-faults` injects all."""

import pytest

from tests.faults.__main__ import outcomes
from tests.faults.runs import finished
from tests.workflow.test_chain_runs import draw_stills


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return finished(tmp_path_factory.mktemp("faults"), draw_stills)


def test_a_few_faults_are_survived(whole):
    found = list(outcomes(whole, short=True, seed=0))
    assert len(found) == 11
    for outcome in found:
        assert outcome.survived and not outcome.lost, outcome
