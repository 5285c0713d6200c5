import re

import pandas as pd
import pytest
from pydantic import ValidationError

from emopipe.core.errors import CorpusError
from emopipe.core.labels import CLASSES
from emopipe.corpora import splits
from emopipe.corpora.splits import SplitOptions, assign, by_subject, split_of, stratified
from emopipe.corpora.table import from_rows


def series(items):
    return pd.Series(list(items), dtype=str)


def clips_of(per_class, classes=CLASSES):
    return from_rows({"clip": f"{label}{i:03d}", "label": label} for label in classes for i in range(per_class))


def drawn(table, **options):
    return stratified(table["clip"], table["label"], **{"fraction": 0.2, "seed": 0} | options)


def test_stratified_is_about_the_fraction_of_every_class():
    table = clips_of(100)
    shares = (drawn(table) == "val").groupby(table["label"]).mean()
    assert shares.between(0.08, 0.32).all()
    assert set(drawn(table)) == {"train", "val"}


def test_adding_clips_moves_no_other_clip():
    table = clips_of(60)
    few = table[table["clip"].str[-3:] < "030"]
    before = drawn(few)
    after = drawn(table)
    assert (after[few.index] == before).all()
    order = table.sample(frac=1, random_state=0)
    assert (drawn(order).sort_index() == after).all()


def test_label_change_moves_no_clip():
    table = clips_of(60)
    changed = table.copy()
    changed.loc[3, "label"] = "Sad"
    assert (drawn(changed) == drawn(table)).all()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("per_class", [1, 2, 4, 5, 6])
def test_no_class_is_without_train_nor_a_big_enough_one_without_val(seed, per_class):
    table = clips_of(per_class)
    counts = drawn(table, seed=seed).groupby(table["label"]).value_counts().unstack(fill_value=0)
    assert (counts["train"] > 0).all()
    if per_class >= 5:
        assert (counts["val"] > 0).all()
    if per_class == 1:
        assert "val" not in counts


def test_seed_draws_another_split():
    assert (drawn(clips_of(30), seed=1) != drawn(clips_of(30), seed=2)).any()


def test_by_subject_takes_the_nearest_number():
    subjects = series(f"{i:02d}" for i in range(24) for _ in range(3))
    split = by_subject(subjects, fraction=0.2, seed=0)
    assert split[::3].value_counts().to_dict() == {"train": 19, "val": 5}
    assert (split.groupby(subjects).nunique() == 1).all()


def test_by_subject_new_clip_moves_nothing_and_new_subject_one_at_most():
    names = [f"{i:02d}" for i in range(20)]
    before = by_subject(series(names), fraction=0.2, seed=0)
    assert (by_subject(series([*names, "07"]), fraction=0.2, seed=0)[:20] == before).all()
    for new in range(20, 60):
        after = by_subject(series([*names, str(new)]), fraction=0.2, seed=0)
        assert (after[:20] != before).sum() <= 1


def test_by_subject_listed():
    subjects = series(["1", "2", "3", "4"])
    assert by_subject(subjects, fraction=0.5, seed=0, val=["2"], test=["4"]).tolist() == [
        "train",
        "val",
        "train",
        "test",
    ]
    split = by_subject(subjects, fraction=0.3, seed=0, test=["4"])
    assert split[3] == "test" and sorted(split[:3]) == ["train", "train", "val"]


def test_one_subject_is_all_train():
    assert by_subject(series(["1", "1"]), fraction=0.2, seed=0).tolist() == ["train", "train"]


def test_by_subject_errors():
    with pytest.raises(CorpusError, match=r"^2 of 3 clips have no known subject.*split: stratified"):
        by_subject(series(["", "", "1"]), fraction=0.2, seed=0)
    with pytest.raises(CorpusError, match=r"^The subjects 8, 9 of val_subjects.*The corpus has the subjects 1, 2\."):
        by_subject(series(["1", "2"]), fraction=0.2, seed=0, val=["9"], test=["8"])
    with pytest.raises(CorpusError, match="list all 2 subjects, so that none remains for train"):
        by_subject(series(["1", "2"]), fraction=0.2, seed=0, val=["1"], test=["2"])
    with pytest.raises(CorpusError, match="none remains for train"):
        by_subject(series(["1"]), fraction=0.2, seed=0, test=["1"])


def test_auto_is_by_subject_where_there_are_several():
    table = clips_of(10)
    halves = table.assign(subject=["a" if i % 2 else "b" for i in range(len(table))])
    assert assign(halves, SplitOptions()).groupby("subject")["split"].nunique().tolist() == [1, 1]
    mixed = assign(halves, SplitOptions(split="stratified"))
    assert mixed.groupby("subject")["split"].nunique().tolist() == [2, 2]
    single = assign(table.assign(subject="a"), SplitOptions())
    assert set(single["split"]) == {"train", "val"}


def test_options_are_checked():
    assert SplitOptions(val_subjects=[1001, "02"]).val_subjects == ["1001", "02"]
    for bad, message in [
        ({"val_subjects": ["1"], "test_subjects": ["1"]}, "subjects 1 are in both"),
        ({"val_subjects": ["1"], "split": "stratified"}, "need split: subject"),
        ({"val_fraction": 1}, "less than 1"),
        ({"val_fraction": 0.0}, "greater than 0"),
        ({"val_subjects": [True]}, "valid string"),
        ({"fraction": 0.2}, "Extra inputs"),
    ]:
        with pytest.raises(ValidationError, match=message):
            SplitOptions(**bad)


def test_split_names():
    assert [split_of(name) for name in ("Training", "valid", "VALIDATION", "dev", "test", "Happy")] == [
        "train",
        "val",
        "val",
        "val",
        "test",
        "",
    ]


def test_the_rule_of_a_split_is_known_from_the_table():
    table = clips_of(10)
    made = assign(table, SplitOptions())
    assert splits.rule(made, SplitOptions()) == splits.announcement(made, SplitOptions())
    own = "The splits are those of the corpus."
    assert splits.rule(table.assign(split="val"), SplitOptions()) == own == splits.rule(made, object())
    test = table.assign(split="test", split_by="")
    both = pd.concat([made, test], ignore_index=True)
    assert splits.rule(both, SplitOptions()) == splits.rule(made, SplitOptions())  # of those that were drawn
    repeated = made.assign(split_by=splits.BY_REPETITION)
    assert splits.rule(repeated, SplitOptions()).endswith("repetitions of a recording are train, second ones are val.")


@pytest.mark.parametrize(
    ("subjects", "options", "sentence"),
    [
        ("aabbccddee", {}, r"2 of 10 clips become val \(all clips of 1 of 5 subjects \([a-e]\), drawn by val_fraction: "
                           r"0\.2, seed: 0\)\."),
        ("aabbccddee", {"val_subjects": ["b", "c"]}, r"4 of 10 clips become val \(all clips of 2 of 5 subjects \(b, "
                                                     r"c\), which val_subjects lists\)\."),
        ("", {"val_fraction": 0.5}, r"\d of 10 clips become val \(drawn from each class by val_fraction: 0\.5, "
                                    r"seed: 0\)\."),
        ("", {"val_fraction": 1e-9}, r"none of 10 clips becomes val \(drawn from each class by val_fraction: 1e-09, "
                                     r"seed: 0\)\."),
    ],
)  # fmt: skip
def test_a_val_split_that_is_made_is_announced_with_its_rule(caplog, subjects, options, sentence):
    table = pd.DataFrame(
        {"clip": [f"c{n}" for n in range(10)], "label": "Happy", "subject": list(subjects or [""] * 10)}
    )
    with caplog.at_level("INFO", logger=splits.LOGGER.name):
        splits.LOGGER.addHandler(caplog.handler)
        try:
            assign(table, SplitOptions.model_validate(options))
        finally:
            splits.LOGGER.removeHandler(caplog.handler)
    assert re.fullmatch(rf"The corpus has no val split of its own: {sentence}", caplog.messages[0]), caplog.messages
