"""Label spaces: labels as texts, vectors and answers, and the key `labels` of a config."""

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from emopipe.core.label_block import LabelsBlock, space_of
from emopipe.core.labels import BASIC7, NOTHING, LabelSpace, in_recipe, of_recipe, shared

MULTI = LabelSpace(("Happy", "Sad", "Fear"), "multi")
VOTES = LabelSpace(("Happy", "Sad", "Fear"), "votes")
PLANE = LabelSpace(("valence", "arousal"), "dimensions")


def test_labels_become_vectors_and_vectors_become_labels():
    assert BASIC7.vector("Fear").tolist() == [0, 0, 1, 0, 0, 0, 0]
    assert MULTI.vector("Happy;Fear").tolist() == [1, 0, 1] and MULTI.vector(NOTHING).tolist() == [0, 0, 0]
    assert PLANE.vector("0.5;-0.25").tolist() == [0.5, -0.25]
    assert all(np.isnan(space.vector("")).all() for space in (BASIC7, MULTI, VOTES, PLANE))
    for space, label in ((BASIC7, "Sad"), (MULTI, "Sad;Fear"), (MULTI, NOTHING), (PLANE, "0.5;-0.25"), (VOTES, "Sad")):
        assert space.label(space.vector(label)) == label


def test_targets_of_votes_are_their_shares_and_a_tie_is_not_a_class():
    columns = {"votes_Happy": ["3", "1", ""], "votes_Sad": ["1", "1", ""], "votes_Fear": ["0", "0", "0"]}
    table = pd.DataFrame({"label": ["Happy", VOTES.label(np.array([1, 1, 0])), "Fear"], **columns})
    assert table["label"][1] == "Happy;Sad"
    np.testing.assert_allclose(VOTES.targets(table), [[0.75, 0.25, 0], [0.5, 0.5, 0], [0, 0, 1]])


def test_answers_name_the_likeliest_class_all_likely_ones_or_the_numbers():
    p = np.array([[0.2, 0.6, 0.5], [0.1, 0.3, 0.2]])
    assert VOTES.answers(p) == ["Sad", "Sad"]
    assert MULTI.answers(p) == ["Sad;Fear", NOTHING]
    assert PLANE.answers(np.array([[0.1234567, -1.0]])) == ["0.123457;-1"]


@pytest.mark.parametrize("space", [BASIC7, MULTI, VOTES, PLANE, LabelSpace(("a", "b"), "dimensions", 1.0, 5.0)])
def test_recipes_give_back_the_space(space: LabelSpace):
    assert of_recipe(in_recipe(space)) == space
    assert (in_recipe(space) == {}) == (space == BASIC7)


def test_a_network_serves_the_classes_that_the_space_shares():
    assert shared(BASIC7.names, LabelSpace(("bored", "Happy", "Angry"))) == ["Happy", "Angry"]
    assert shared(BASIC7.names, PLANE) == []


def test_the_key_labels_is_a_set_a_list_or_a_block():
    assert space_of({}) == space_of({"labels": "basic7"}) == BASIC7
    assert space_of({"labels": ["bored", "engaged"]}) == LabelSpace(("bored", "engaged"))
    assert len(space_of({"labels": "affectnet8"})) == 8 and len(space_of({"labels": "mafw11"})) == 11
    assert len(space_of({"labels": {"kind": "dimensions", "names": ["sentiment"], "range": [-3, 3]}})) == 1
    block = {"kind": "dimensions", "names": ["valence", "arousal"], "range": [1, 5]}
    assert space_of({"labels": block}) == LabelSpace(("valence", "arousal"), "dimensions", 1.0, 5.0)


@pytest.mark.parametrize(
    "value, found",
    [
        ("basic8", "basic8"),
        (["a"], "at least 2"),
        (["a", "A"], "twice"),
        (["a;b", "c"], "a;b"),
        ({"set": "basic7", "names": ["a", "b"]}, "both"),
        ({"kind": "dimensions"}, "needs names"),
        ({"names": ["a", "b"], "kind": "dimensions", "range": [1, 1]}, "range"),
        ({"naems": ["a", "b"]}, "naems"),
    ],
)
def test_a_wrong_key_is_refused_by_its_name(value: object, found: str):
    with pytest.raises(ValidationError, match=found):
        LabelsBlock.model_validate(value)
