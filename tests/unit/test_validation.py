"""Checks of a config's blocks: old names of keys are read for one release, with a sentence that gives the new one."""

from typing import ClassVar

import pytest
from pydantic import Field, model_validator

from emopipe.core.errors import ConfigError, CorpusError
from emopipe.core.log import LOGGER
from emopipe.core.options import Options
from emopipe.core.validation import Faults, all_known, checked, known


class Inner(Options):
    renamed: ClassVar = {"turn": "rotation"}
    rotation: int = 0


class Outer(Options):
    renamed: ClassVar = {"chain": "schedule"}
    schedule: list[Inner] = Field(default_factory=list)
    presets: dict[str, Inner] = Field(default_factory=dict)
    one: Inner | None = None


@pytest.fixture
def warnings(monkeypatch):
    said = []
    monkeypatch.setattr(LOGGER, "warning", said.append)
    return said


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ({"chain": []}, {"schedule": []}, "backbones.a.chain is now called schedule."),
        (
            {"schedule": [{"turn": 3}]},
            {"schedule": [{"rotation": 3}]},
            "backbones.a.schedule.0.turn is now called rotation.",
        ),
        (
            {"presets": {"x": {"turn": 3}}},
            {"presets": {"x": {"rotation": 3}}},
            "backbones.a.presets.x.turn is now called",
        ),
        ({"one": {"turn": 3}}, {"one": {"rotation": 3}}, "backbones.a.one.turn is now called rotation."),
    ],
)
def test_old_names_are_read_and_reported(warnings, old, new, key):
    assert checked(Outer, old, "backbones.a") == Outer.model_validate(new)
    assert len(warnings) == 1 and warnings[0].startswith(key)


def test_new_names_are_not_reported(warnings):
    checked(Outer, {"schedule": [{"rotation": 1}], "presets": {"turn": {"rotation": 2}}, "one": None})
    assert not warnings


def test_old_names_in_files_that_no_user_edits_are_read_without_a_warning(warnings):
    old, new = {"chain": [{"turn": 1}]}, {"schedule": [{"rotation": 1}]}
    assert checked(Outer, old, "net.safetensors", warn=False) == Outer.model_validate(new)
    assert not warnings


def test_both_names_are_refused():
    with pytest.raises(ConfigError, match=r"one\.turn is the old name of rotation, and both are set"):
        checked(Outer, {"one": {"turn": 1, "rotation": 2}})


@pytest.mark.parametrize("wrong", [{"schedule": 3}, {"schedule": [3]}, {"presets": [1]}, {"one": "x"}])
def test_ill_typed_blocks_are_still_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        checked(Outer, wrong)


def test_faults_are_collected_and_raised_together():
    faults = Faults()
    faults.raise_all()
    for text in ("first", "second", "first"):
        with faults.collected():
            raise CorpusError(text)
    with pytest.raises(CorpusError, match=r"^first\nsecond$"):
        faults.raise_all()


def test_errors_that_no_user_can_fix_are_not_collected():
    with pytest.raises(ZeroDivisionError), Faults().collected():
        _ = 1 / 0


def test_all_unknown_names_are_reported():
    all_known("streams", ["a"], ["a", "b"])
    with pytest.raises(ConfigError) as caught:
        all_known("streams", ["a", "c", "d"], iter(["a", "b"]))
    assert [line.partition(",")[0] for line in str(caught.value).splitlines()] == ["streams is 'c'", "streams is 'd'"]


def test_what_is_known_is_listed_and_the_nearest_name_proposed():
    def message(value, names):
        with pytest.raises(ConfigError) as caught:
            known("key", value, names)
        return str(caught.value)

    assert message("x", []) == "key is 'x', which does not exist. Known names: none."
    assert message("zz", ["aa", "bb"]) == "key is 'zz', which does not exist. Known names: aa, bb."
    assert message("fasce", ["faces", "face"]) == (
        "key is 'fasce', which does not exist. Known names: faces, face. Did you mean 'face'?"
    )


def test_several_faults_are_of_the_first_ones_class():
    faults = Faults()
    for error in (CorpusError("first"), ConfigError("second")):
        with faults.collected():
            raise error
    with pytest.raises(CorpusError, match=r"^first\nsecond$"):
        faults.raise_all()


class Checked(Options):
    name: str = ""
    count: int = 0

    @model_validator(mode="after")
    def _no_both(self):
        if self.name and self.count:
            raise ValueError("name and count are both set...")
        return self


@pytest.mark.parametrize(
    ("values", "where", "message"),
    [
        ({"name": "a", "count": 1}, "", "config: name and count are both set."),
        ({"name": "a", "count": 1}, "block", "block: name and count are both set."),
        ({"name": 7}, "", "name is 7 (int): the value should be a valid string (to write it as text, put it in quotes: "
         '"7").'),
        ({"count": "x"}, "b", "b.count is 'x' (str): the value should be a valid integer."),
        ({"name": 7, "count": "x"}, "", "name is 7 (int): the value should be a valid string (to write it as text, put "
         "it in quotes: \"7\").\ncount is 'x' (str): the value should be a valid integer."),
    ],
)  # fmt: skip
def test_a_fault_is_one_sentence_with_its_key(values, where, message):
    with pytest.raises(ConfigError) as caught:
        checked(Checked, values, where)
    assert str(caught.value) == message
