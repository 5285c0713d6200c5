"""What is refused before any job: see test_mistakes.py for the messages."""

import pandas as pd
import pytest

from emopipe.core.errors import CorpusError
from emopipe.corpora import folds
from emopipe.workflow import config as configs
from emopipe.workflow import preconditions, resources
from tests.unit.test_mistakes import SOUND
from tests.unit.test_resources import SET, workflow

TRAINED = {"face": {"kind": "expression", "pretrain": {"folds": 2}}}


def table(*clips):
    """Clips as "<split> <label> <subject>"; the label - is none."""
    rows = [(f"c{number}", *text.split()) for number, text in enumerate(clips)]
    made = pd.DataFrame(rows, columns=["clip", "split", "label", "subject"])
    return made.replace({"label": {"-": ""}, "subject": {"-": ""}})


def check(clips, **keys):
    preconditions.check_clips(configs.parse({**SOUND, **keys}), table(*clips))


FOUR = ["train Happy -", "train Happy -", "train Sad -", "train Sad -"]


def test_two_clips_of_two_classes_are_enough_for_two_folds():
    check(FOUR)


def test_nothing_is_refused_if_nothing_is_trained():
    check(["train Happy -"], models={})


def test_the_protocol_says_which_clips_are_trained_on():
    clips = ["train Happy -", "val Happy -", "val Sad -", "val Sad -", "test Sad -"]
    with pytest.raises(CorpusError, match="1 clips are in the training split"):
        check(clips)
    check(clips, protocol={"kind": "final", "folds": 2})
    check(clips, protocol={"kind": "kfold", "folds": 2})


@pytest.mark.parametrize("protocol", [{}, {"kind": "kfold"}, {"kind": "final", "folds": 2}])
def test_clips_without_any_label_are_refused_for_models_alone(protocol):
    clips = ["test - -"] * 3
    with pytest.raises(CorpusError) as caught:
        check(clips, protocol=protocol)
    assert str(caught.value) == (
        "None of the 3 clips has a label, so no model can be trained. Label them, by folders of "
        "classes or by the column `label` of a table, or run only `extract`, which computes their features; `emopipe "
        "predict` predicts them by a finished run or by the shipped networks."
    )
    preconditions.check_networks(configs.parse({**SOUND, "protocol": protocol}), table(*clips))
    check(clips, models={})
    with pytest.raises(CorpusError, match=r"The training split has 0 clips, but backbones\.face\.pretrain needs"):
        check(clips, models={}, backbones=TRAINED)


def test_normalising_by_person_needs_people():
    voice = {"voice": {"kind": "speech", "weights": "speech_logmel"}}
    models = {"audio_own": {"streams": ["voice"], "normalise": "subject"}}
    with pytest.raises(CorpusError, match=r"audio_own\.normalise is subject, but no clip .* has a known person"):
        check(FOUR, models=models, backbones=voice)
    check([*FOUR, "val Sad anna"], models=models, backbones=voice)


def test_unlabelled_test_clips_do_not_count():
    clips = [*FOUR[:2], "test - -", "test - -"]
    with pytest.raises(CorpusError, match="All 2 clips to train on are of the class Happy"):
        check(clips, protocol={"kind": "kfold", "folds": 2})


def test_pretraining_reads_the_training_split_whatever_the_protocol():
    clips = ["val Happy -", "val Sad -", "val Happy -", "val Sad -", "train Sad -"]
    with pytest.raises(CorpusError) as caught:
        check(clips, backbones=TRAINED, models={}, protocol={"kind": "kfold", "folds": 2})
    assert str(caught.value).startswith("The training split has 1 clips, but backbones.face.pretrain needs clips of")


def test_folds_of_pretraining_are_checked_by_their_own_key():
    with pytest.raises(CorpusError) as caught:
        check(FOUR, backbones={"face": {"kind": "expression", "pretrain": {"folds": 5}}}, models={})
    assert "4 clips to train on, but backbones.face.pretrain.folds is 5" in str(caught.value)


def test_one_class_is_reported_once_for_all_that_is_trained():
    with pytest.raises(CorpusError) as caught:
        check(FOUR[:2], backbones={**SOUND["backbones"], **TRAINED})
    assert len(str(caught.value).splitlines()) == 1


def test_a_fold_that_takes_a_class_away_is_refused():
    """Folds are by subject, and each of two people shows one emotion."""
    clips = ["train Happy s", "train Happy s", "train Sad t", "train Sad t"]
    with pytest.raises(CorpusError, match=r"Without the fold of c[02], c[13], all other clips .*class (Happy|Sad);"):
        check(clips)
    check(clips, protocol={"folds": 2, "by": "class"})


@pytest.mark.parametrize(
    ("run", "local"),
    [
        (workflow(cores=4), True),
        (workflow(cores=4, executor="dryrun"), True),
        (workflow(cores=4, nodes=4), False),  # --cores 4 --jobs 4 may be of an executor of a cluster
        (workflow(nodes=100, defaults=SET), False),
        (workflow(cores=8, remote=True), False),
    ],
)
def test_a_gpu_is_looked_for_at_once_only_where_jobs_run_here(run, local):
    assert resources.is_surely_local(run) == local


def test_as_many_clips_as_folds_are_enough():
    check(FOUR, protocol={"folds": 4})


@pytest.mark.parametrize("seed", range(4))
def test_folds_of_pretraining_are_those_that_it_will_use(seed):
    """Four people in two folds: whether a fold holds both people who are sad depends on the seed."""
    clips = ["train Happy a", "train Happy b", "train Sad c", "train Sad d"]
    nets = {"face": {"kind": "expression", "pretrain": {"folds": 2}}}
    fold = folds.assign(table(*clips), 2, seed)
    if fold["c2"] == fold["c3"]:
        with pytest.raises(CorpusError, match=r"Without the fold of .*; backbones\.face\.pretrain\.folds is 2"):
            check(clips, backbones=nets, models={}, protocol={"seed": seed, "folds": 2})
    else:
        check(clips, backbones=nets, models={}, protocol={"seed": seed, "folds": 2})


def test_the_seeds_of_that_test_give_both_ends():
    clips = table("train Happy a", "train Happy b", "train Sad c", "train Sad d")
    made = [folds.assign(clips, 2, seed) for seed in range(4)]
    assert {fold["c2"] == fold["c3"] for fold in made} == {True, False}
