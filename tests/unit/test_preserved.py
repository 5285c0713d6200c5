"""What a job leaves where it outlives its run: the same job alone takes it up, once Snakemake deleted its outputs."""

import functools
import os

import pytest

from emopipe.cache import preserved
from emopipe.cache.preserved import PreservedOutputs
from emopipe.core.atomic import write_text
from emopipe.core.labels import CLASSES
from emopipe.fusion.options import FusionOptions, Protocol
from emopipe.stages import fusion
from tests.conftest import too_many_open_files
from tests.unit.test_fusion_protocol import FAST, corpus, run


def made(folder, text="made"):
    outputs = [folder / "models/one.safetensors", folder / "models/one.csv", folder / "predictions/one.csv"]
    for number, path in enumerate(outputs):
        write_text(path, f"{text} {number}")
    return outputs


def deleted(outputs):
    for path in outputs:
        path.unlink()
    return outputs


@pytest.mark.parametrize("links", [True, False])
def test_outputs_that_snakemake_deletes_come_back(tmp_path, monkeypatch, links):
    def refuse(*_):
        raise OSError("no links here")

    if not links:
        monkeypatch.setattr(preserved.os, "link", refuse)
    outputs = made(tmp_path)
    os.utime(outputs[0], (0, 0))
    PreservedOutputs(outputs, "a").save()
    deleted(outputs)
    assert PreservedOutputs(outputs, "a").restore()
    assert [path.read_text() for path in outputs] == ["made 0", "made 1", "made 2"]
    assert outputs[0].stat().st_mtime > 1e9  # made now, as Snakemake sees it
    deleted(outputs)
    assert PreservedOutputs(outputs, "a").restore()  # should it be killed again


def test_a_copy_that_cannot_be_read_just_now_is_not_a_missing_one(tmp_path):
    outputs = made(tmp_path)
    PreservedOutputs(outputs, "a").save()
    deleted(outputs)
    with too_many_open_files(), pytest.raises(OSError, match="Too many open files"):
        PreservedOutputs(outputs, "a").restore()
    assert PreservedOutputs(outputs, "a").restore()


def test_nothing_is_taken_up_that_something_else_made_or_that_is_not_whole(tmp_path):
    outputs = made(tmp_path)
    assert not PreservedOutputs(outputs, "a").restore()
    PreservedOutputs(outputs, "a").save()
    deleted(outputs)
    assert not PreservedOutputs(outputs, "b").restore()
    assert not any(path.exists() for path in outputs)
    (PreservedOutputs(outputs, "a").folder / "1.csv").unlink()
    assert not PreservedOutputs(outputs, "a").restore()
    PreservedOutputs(made(tmp_path, "later"), "b").save()
    assert not PreservedOutputs(outputs, "a").restore()
    assert PreservedOutputs(deleted(outputs), "b").restore() and outputs[0].read_text() == "later 0"


def test_a_job_that_is_killed_while_it_leaves_them_leaves_nothing(tmp_path, monkeypatch):
    outputs = made(tmp_path)
    monkeypatch.setattr(preserved, "write_text", lambda *_: None)  # the stamp comes last
    PreservedOutputs(outputs, "a").save()
    assert not PreservedOutputs(outputs, "a").restore()


def test_outputs_are_made_though_nothing_can_be_left(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(preserved, "_link", full)
    PreservedOutputs(made(tmp_path), "a").save()
    assert not PreservedOutputs(made(tmp_path), "a").restore()


def test_a_run_that_ends_forgets_it(tmp_path):
    outputs = made(tmp_path)
    PreservedOutputs(outputs, "a").save()
    preserved.clear(tmp_path / "models", tmp_path / "nowhere")
    assert not PreservedOutputs(outputs, "a").restore()
    assert not list(tmp_path.rglob(".*")) and all(path.exists() for path in outputs)


@pytest.mark.slow
def test_a_model_is_not_trained_again_for_the_same_labels_and_features(tmp_path, monkeypatch):
    trained, fit = [], fusion.cross_validation.fit_candidates
    monkeypatch.setattr(fusion.cross_validation, "fit_candidates", lambda *given: trained.append(1) or fit(*given))
    monkeypatch.setattr(fusion, "run", functools.partial(fusion.run, preserve=True))
    options, table = FusionOptions(**FAST), corpus()

    def trains(table, seed=0, folds=3):
        """Whether a job trains, once Snakemake has deleted its outputs; they are all there after it."""
        for path in [*tmp_path.glob("*.csv"), *tmp_path.glob("*.safetensors")]:
            path.unlink()
        trained.clear()
        run(tmp_path, table, options, Protocol(folds=folds), seed)
        return bool(trained)

    assert trains(table) and not trains(table)
    swapped = table.assign(label=table["label"].replace({CLASSES[0]: CLASSES[1], CLASSES[1]: CLASSES[0]}))
    for other in ({"seed": 1}, {"folds": 2}, {"table": swapped}):
        keys = {"table": table} | other
        assert trains(**keys) and not trains(**keys)
    assert trains(table)
