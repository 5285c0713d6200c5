"""`emopipe compare`: which keys, recipes and clips differ between finished runs, and paired scores by hand."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from typer.testing import CliRunner

from emopipe.cache.store import Field, Row, Writer
from emopipe.cache.tensors import save_state
from emopipe.commands.main import app
from emopipe.core import tables
from emopipe.core.errors import CacheError, ConfigError
from emopipe.core.fingerprint import digest, recipe_text
from emopipe.core.labels import CLASSES, LabelSpace
from emopipe.report.between_runs.compared import compare
from emopipe.report.between_runs.configs import ABSENT, changes
from emopipe.scoring import predictions
from emopipe.workflow.defaults import with_defaults

CONFIG = """
run: first
corpus: {name: mine, kind: demo}
decode: {some: {policy: count, count: 4}}
faces: {main: {detector: mtcnn}}
backbones: {face: {kind: expression, weights: expression}}
models: {face_one: {streams: [face], lr: 0.001}}
"""
CLIPS = [f"c{number:02d}" for number in range(10)]
LABELS = ["Happy"] * 5 + ["Sad"] * 5
BEFORE = "1010000111"
AFTER = "1111110110"  # c01, c03, c04, c05 become correct, and c09 wrong


def given(**change):
    """The config, with other values of dotted keys."""
    raw = yaml.safe_load(CONFIG)
    for key, value in change.items():
        *path, last = key.split("__")
        block = raw
        for part in path:
            block = block[part]
        block[last] = value
    return raw


def predicted(correct, clips=None, labels=None):
    """A table of predictions, correct where the text has a 1."""
    clips, labels = clips or CLIPS, labels or LABELS
    wrong = {"Happy": "Sad", "Sad": "Happy"}
    said = [label if right == "1" else wrong[label] for label, right in zip(labels, correct, strict=True)]
    p = np.full((len(clips), len(CLASSES)), 0.05)
    p[np.arange(len(clips)), [CLASSES.index(name) for name in said]] = 0.7
    table = pd.DataFrame({"clip": clips, "split": "val", "label": labels})
    return predictions.table(table, p, np.ones(len(clips), bool))


def write(folder, raw, models, *, people=None, statuses=None):
    """A finished run with its cache's clip table. Return the folder of the run."""
    folder.joinpath("predictions").mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(raw))
    (folder / "metrics.csv").write_text("model\n")
    for name, table in models.items():
        predictions.write(table, folder / f"predictions/{name}.csv")
    clips = next(iter(models.values()))
    status = [(statuses or {}).get(clip, "ok") for clip in clips["clip"]]
    ledger = clips[["clip", "split"]].assign(stage="faces", status=status, reason="")
    tables.write(ledger, folder / "ledger.csv")
    subject = people or clips["clip"].str.cat(["-"] * len(clips))
    table = clips[["clip", "split", "label"]].assign(path=clips["clip"], subject=subject, digest=clips["clip"])
    cache = folder.parents[1] / "cache/mine"
    cache.mkdir(parents=True, exist_ok=True)
    tables.write(table, cache / "clips.csv")
    return folder


@pytest.fixture
def two(tmp_path):
    """Two runs with a cache each, whose config differs in one key and whose only model differs on five clips."""
    first = write(tmp_path / "a/results/first", given(), {"face_one": predicted(BEFORE)})
    second = write(
        tmp_path / "b/results/second", given(run="second", models__face_one__lr=0.01), {"face_one": predicted(AFTER)}
    )
    return [first, second]


def shown(folders, *options):
    found = CliRunner().invoke(app, ["compare", *map(str, folders), *options])
    assert found.exit_code == 0, found.output
    return found.output


# --- configs


def test_runs_that_differ_in_one_key_name_that_key(two):
    text = shown(two)
    (line,) = [line for line in text.splitlines() if "models.face_one.lr" in line]
    assert line.split() == ["models.face_one.lr", "0.001", "0.01"]
    assert "run (first -> second)" in text and "backbones" not in text


def test_values_are_shown_as_a_config_holds_them(two):
    changed = given(run="second", models__face_one__lr=0.001, models__face_one__seeds=[0, 1], shards=2, baselines=False)
    (two[1] / "config.yaml").write_text(yaml.safe_dump(changed))
    rows = [line.split(maxsplit=2) for line in shown(two).splitlines()]
    assert ["shards", "null", "2"] in [[word.strip() for word in row] for row in rows]
    assert ["baselines", "true", "false"] in [[word.strip() for word in row] for row in rows]


def test_a_key_that_is_written_with_its_default_is_not_a_difference():
    written = given(models__face_one__epochs=60, models__face_one__seeds=[0, 1, 2, 3, 4], device="auto")
    written["faces"]["main"] |= {"decode": "some", "options": {"pad": 1.0}}
    written["backbones"]["face"] |= {"faces": "main", "options": {"size": 48}}
    assert changes(with_defaults(given()), with_defaults(written), (given(), written)) == []


def test_defaults_keep_names_of_weights_and_fill_in_kinds():
    made = with_defaults(given())
    assert made["backbones"]["face"]["weights"] == "expression" and made["backbones"]["face"]["faces"] == "main"
    assert made["backbones"]["face"]["options"]["size"] == 48 and made["corpus"]["options"]["takes"] >= 1


def test_blocks_of_one_run_and_options_of_another_kind_are_shown_as_given():
    other = given(models__fused=({"streams": ["face"]}), backbones__face__kind="ir50")
    other["backbones"]["face"]["options"] = {"x": 1}
    first = {"backbones": {"face": {"kind": "expression", "options": {"size": 48}}}, "models": {}}
    second = {"backbones": {"face": {"kind": "ir50", "options": {"x": 1, "y": 2}}}, "models": {"fused": {"lr": 1}}}
    found = {change.key: (change.first, change.second) for change in changes(first, second, (given(), other))}
    assert found == {
        "backbones.face.kind": ("expression", "ir50"),
        "backbones.face.options": ({}, {"x": 1}),
        "models.fused": (ABSENT, {"streams": ["face"]}),
    }


def test_blocks_in_lists_are_compared_one_by_one():
    first, second = {"c": [{"model": "a"}, {"model": "b"}]}, {"c": [{"model": "a"}, {"model": "z"}]}
    assert [(x.key, x.first, x.second) for x in changes(first, second, (first, second))] == [("c.1.model", "b", "z")]


def test_a_config_that_this_version_cannot_parse_is_compared_as_given(two):
    other = given(run="second", models__face_one__lr=0.01)
    other["faces"]["main"]["detector"] = "of_a_plugin"
    (two[1] / "config.yaml").write_text(yaml.safe_dump(other))
    (against,) = compare(two, with_defaults).against
    assert {change.key for change in against.config} == {"faces.main.detector", "models.face_one.lr"}
    assert any("second: defaults of its config cannot be filled in" in line for line in against.unknown)


# --- scores


def test_paired_numbers_are_those_of_a_hand_calculation(two):
    """5 of 10 clips before and 8 after: 4 corrected, 1 spoiled. Of 32 signs of 5 people, 2 (1 + 5) are as extreme."""
    (row,) = compare(two, with_defaults).scores
    assert (row.first_accuracy.value, row.accuracy.value, row.difference.value) == pytest.approx((50, 80, 30))
    assert (row.first_uar.value, row.uar.value) == pytest.approx((100 * (2 / 5 + 3 / 5) / 2, 100 * (1 + 3 / 5) / 2))
    assert (row.n, row.corrected, row.spoiled) == (10, ("c01", "c03", "c04", "c05"), ("c09",))
    assert (row.p, row.drawn, row.groups, row.verdict) == (pytest.approx(12 / 32), "subject", 10, "not shown to differ")
    assert row.difference.low < 30 < row.difference.high


def test_without_a_clip_table_clips_are_independent_and_a_sentence_says_so(two):
    """McNemar's mid-p of 1 against 4: 2 (1 + 5) / 32 - 5 / 32."""
    for folder in two:
        (folder.parents[1] / "cache/mine/clips.csv").unlink()
    found = compare(two, with_defaults)
    assert found.scores[0].p == pytest.approx(7 / 32) and found.scores[0].drawn == "clip"
    assert any("who is in the clips cannot be known" in line.lower() for line in found.against[0].unknown)


def test_people_are_the_groups_of_intervals_and_tests(tmp_path):
    people = [f"p{number // 2}" for number in range(10)]
    runs = [
        write(tmp_path / name / f"results/{name}", given(), {"face_one": predicted(correct)}, people=people)
        for name, correct in (("a", BEFORE), ("b", AFTER))
    ]
    (row,) = compare(runs, with_defaults).scores
    assert (row.groups, row.drawn, row.test) == (5, "subject", "McNemar by clip, groups ignored")


def test_clips_with_other_labels_or_of_one_run_do_not_count(tmp_path):
    first = write(tmp_path / "a/results/a", given(), {"face_one": predicted(BEFORE)})
    labels = ["Sad", *LABELS[1:9], "Sad"]
    other = predicted("1" * 10, [*CLIPS[:9], "new"], labels)
    found = compare([first, write(tmp_path / "b/results/b", given(), {"face_one": other})], with_defaults)
    (row,) = found.scores
    assert (row.n, row.other_labels, row.only_first) == (8, 1, 1)
    data = {(each.what, each.first, each.second): each.clips for each in found.against[0].data}
    assert data[("clips", "used", "not used")] == ("c09",) and data[("clips", "not used", "used")] == ("new",)
    assert data[("label", "Happy", "Sad")] == ("c00",)


def test_answers_are_compared_though_their_names_differ_and_holm_counts_all_rows(tmp_path):
    models = {"ensemble": predicted(BEFORE), "face_one": predicted(BEFORE), "face_two": predicted(BEFORE)}
    first = write(tmp_path / "a/results/a", given(), models)
    second = write(tmp_path / "b/results/b", given(), {"face_one": predicted(AFTER)})
    third = write(tmp_path / "c/results/c", given(), {"face_one": predicted(AFTER), "ensemble": predicted(BEFORE)})
    found = compare([first, second, third], with_defaults)
    names = [(row.run, row.first_model, row.model) for row in found.scores]
    assert names == [
        ("b", "ensemble", "face_one"),
        ("b", "face_one", "face_one"),
        ("c", "ensemble", "ensemble"),
        ("c", "face_one", "face_one"),
    ]
    assert [row.p_holm for row in found.scores] == [1, 1, 1, 1] and found.scores[0].p == pytest.approx(12 / 32)
    assert found.against[0].models_only_first == ["ensemble", "face_two"]
    assert "ensemble / face_one" in shown([first, second])


# --- other kinds of label spaces

MULTI = LabelSpace(("Happy", "Sad"), "multi")
DIMENSIONS = LabelSpace(("valence", "arousal"), "dimensions")
VOTES = LabelSpace(("Happy", "Sad"), "votes")


def two_of(space, labels, first, second, tmp_path):
    """Two runs in a label space, which answer the same clips with other numbers."""
    raw, table = given(), pd.DataFrame({"clip": CLIPS[: len(labels)], "split": "val", "label": labels})
    raw["labels"] = {"names": list(space.names), "kind": space.kind}
    made = [
        predictions.table(table, np.array(values, float), np.ones(len(labels), bool), space)
        for values in (first, second)
    ]
    names = ("first", "second")
    return [write(tmp_path / n / f"results/{n}", raw, {"m": t}) for n, t in zip(names, made, strict=True)]


def test_macro_ap_is_compared_in_points(tmp_path):
    """Happy is in front of all others in the second run alone; Sad, in both. Before, its precisions are 1/2, 2/3."""
    labels = ["Happy", "Happy;Sad", "(none)", "Sad"]
    before = [[0.7, 0.1], [0.8, 0.9], [0.9, 0.2], [0.1, 0.8]]
    after = [[0.7, 0.1], [0.8, 0.9], [0.2, 0.2], [0.1, 0.8]]
    runs = two_of(MULTI, labels, before, after, tmp_path)
    (row,) = compare(runs, with_defaults).scores
    expected = 100 * ((1 / 2 + 2 / 3) / 2 + 1) / 2
    assert (row.measure, row.n, row.first_score.value, row.score.value) == (
        "macro AP", 4, pytest.approx(expected), pytest.approx(100),
    )  # fmt: skip
    assert row.difference.value == pytest.approx(100 - expected) and row.verdict == "not shown to differ"
    text = shown(runs, "--csv", str(tmp_path / "scores.csv"))
    assert "macro AP [95 %]" in text and "79.2" in text and "+20.8" in text and "Accuracy" not in text
    (flat,) = pd.read_csv(tmp_path / "scores.csv").to_dict("records")
    assert flat["difference"] == pytest.approx(100 - expected, abs=1e-5) and flat["measure"] == "macro AP"


def test_ccc_is_compared_as_it_is(tmp_path):
    values = np.random.default_rng(0).uniform(-1, 1, (10, 2)).round(3)
    labels = [DIMENSIONS.label(row) for row in values]
    runs = two_of(DIMENSIONS, labels, np.zeros((10, 2)), values, tmp_path)
    (row,) = compare(runs, with_defaults).scores
    assert (row.first_score.value, row.score.value, row.difference.value) == pytest.approx((0, 1, 1))
    assert row.verdict == "higher" and row.p == pytest.approx(2**-9) and "+1.000" in shown(runs)
    found = json.loads(shown(runs, "--json"))
    assert found["scores"][0]["measure"] == "CCC" and found["runs"][0]["labels"] == DIMENSIONS.to_dict()


def test_ties_of_votes_do_not_count(tmp_path):
    labels = ["Happy", "Happy;Sad", "Sad", "Sad"]
    happy, sad = [0.8, 0.2], [0.2, 0.8]
    runs = two_of(VOTES, labels, [happy, happy, happy, sad], [happy, sad, sad, sad], tmp_path)
    (row,) = compare(runs, with_defaults).scores
    assert (row.n, row.first_accuracy.value, row.accuracy.value) == (3, pytest.approx(200 / 3), 100)
    assert row.corrected == (CLIPS[2],)


def test_the_order_of_classes_does_not_count(two):
    for folder, names in zip(two, (list(CLASSES), list(CLASSES)[::-1]), strict=True):
        (folder / "config.yaml").write_text(yaml.safe_dump({**given(), "labels": names}))
        path = folder / "predictions/face_one.csv"
        table = pd.read_csv(path)
        table[["clip", "split", "label", "pred", *(f"p_{name}" for name in names), "covered"]].to_csv(path, index=False)
    (row,) = compare(two, with_defaults).scores
    assert row.difference.value == pytest.approx(30)


def test_runs_of_other_label_spaces_are_refused(two, tmp_path):
    labels = ["Happy", "Happy;Sad", "(none)", "Sad"]
    other = two_of(MULTI, labels, np.full((4, 2), 0.6), np.full((4, 2), 0.4), tmp_path / "multi")[0]
    with pytest.raises(
        ConfigError, match=r"first has Angry, .*Surprise \(kind single\), and .* has Happy, Sad \(kind mu"
    ):
        compare([two[0], other], with_defaults)
    assert CliRunner().invoke(app, ["compare", str(two[0]), str(other)]).exit_code == 1
    (other / "config.yaml").write_text(yaml.safe_dump({**given(), "labels": {"kind": "none"}}))
    with pytest.raises(CacheError, match=r"The key labels of .* cannot be read"):
        compare([two[0], other], with_defaults)


# --- data and recipes


def test_people_contents_and_statuses_that_differ_are_named(tmp_path):
    first = write(tmp_path / "a/results/a", given(), {"face_one": predicted(BEFORE)}, people=["ann"] * 10)
    statuses = {"c03": "[bold]no_face"}
    people = ["bob", *["ann"] * 9]
    second = write(tmp_path / "b/results/b", given(), {"face_one": predicted(BEFORE)}, people=people, statuses=statuses)
    table = tables.read(second.parents[1] / "cache/mine/clips.csv")
    tables.write(table.assign(digest=["other", *table["digest"][1:]]), second.parents[1] / "cache/mine/clips.csv")
    found = compare([first, second], with_defaults).against[0].data
    assert [(each.what, each.first, each.second, each.clips) for each in found] == [
        ("subject", "ann", "bob", ("c00",)),
        ("content", "", "another", ("c00",)),
        ("status of faces", "ok", "[bold]no_face", ("c03",)),
    ]
    assert "[bold]no_face" in shown([first, second])


def test_a_clip_table_that_changed_since_is_not_used(two):
    path = two[0].parents[1] / "cache/mine/clips.csv"
    tables.write(tables.read(path).iloc[1:], path)
    found = compare(two, with_defaults)
    assert any("has changed since the run" in line for line in found.against[0].unknown)
    assert found.scores[0].drawn == "subject"  # the second run knows the people


def make_files(folder, *, torch_version="2.13", code="1", weights="a" * 64):
    """The files of a run whose model reads features of faces; their recipes name each other by digests."""
    cache = folder.parents[1] / "cache/mine"
    decode = {"stage": "decode", "code": "d", "libraries": {"av": "18.1"}, "options": {}}
    faces = {"stage": "faces", "code": code, "libraries": {"torch": torch_version}, "nets": [], "media": digest(decode)}
    features = {
        "stage": "features", "code": "f", "libraries": {"torch": torch_version}, "weights": [weights],
        "learned": "", "source": digest(faces), "options": {"width": 1},
    }  # fmt: skip
    merge = {"stage": "merge", "code": "m", "libraries": {}, "features": digest(features)}
    fusion = {
        "stage": "fusion", "code": "x", "libraries": {}, "features": {"face": digest(merge)},
        "streams": {"face": "face"}, "options": {"lr": 0.001},
    }  # fmt: skip
    made = {"media/some/00": decode, "faces/main/00": faces, "features/face/00": features, "features/face": merge}
    for name, recipe in made.items():
        with Writer(cache / f"{name}.h5", {"x": Field("<f4")}, stage=recipe["stage"], recipe=recipe) as writer:
            writer.add(Row("c00", "d", "ok", "", {"x": np.zeros(1)}))
    (folder / "models").mkdir(exist_ok=True)
    about = {"recipe": recipe_text(fusion), "recipe_digest": digest(fusion), "package": "0.2.0", "device": "cpu"}
    save_state({"x": torch.zeros(1)}, folder / "models/face_one.safetensors", about)


def test_code_libraries_and_weights_that_differ_are_found_in_the_files(two):
    make_files(two[0])
    make_files(two[1], torch_version="2.14", code="2", weights="b" * 64)
    found = compare(two, with_defaults).against[0]
    assert [(each.what, each.key, each.first, each.second, each.stages) for each in found.made_by] == [
        ("code", "", "1", "2", ("faces/main",)),
        ("library", "torch", "2.13", "2.14", ("faces/main", "features/face")),
        ("weights", "", "a" * 12, "b" * 12, ("features/face",)),
    ]
    assert not found.unknown


def test_what_another_run_made_again_is_not_known(two):
    make_files(two[0])
    make_files(two[1])
    cache = two[0].parents[1] / "cache/mine"
    with Writer(cache / "features/face.h5", {"x": Field("<f4")}, stage="merge", recipe={"of": "another"}):
        pass
    found = compare(two, with_defaults).against[0]
    assert not found.made_by
    (line,) = [line for line in found.unknown if "what made merge/face cannot be known" in line]
    assert "no file of this recipe" in line


# --- output and refusals


def test_json_and_csv_have_the_numbers(two, tmp_path):
    found = json.loads(shown(two, "--json", "--csv", str(tmp_path / "scores.csv")))
    assert found["scores"][0]["difference"]["value"] == pytest.approx(30)
    assert found["scores"][0]["corrected"] == ["c01", "c03", "c04", "c05"]
    assert found["against"][0]["config"] == [{"key": "models.face_one.lr", "first": 0.001, "second": 0.01}]
    (row,) = pd.read_csv(tmp_path / "scores.csv").to_dict("records")
    assert (row["difference"], row["corrected"], row["spoiled"]) == (30, 4, 1)


def test_the_number_of_ids_is_limited(two):
    assert "c01 and 3 more" in shown(two, "--clips", "1")
    assert "c01" not in shown(two, "--clips", "0")


def test_runs_of_equal_names_are_told_apart_by_their_folders(tmp_path):
    runs = [write(tmp_path / name / "results/same", given(), {"face_one": predicted(BEFORE)}) for name in ("a", "b")]
    assert [run.name for run in compare(runs, with_defaults).runs] == [str(folder) for folder in runs]


def remove_metrics(two):
    (two[1] / "metrics.csv").unlink()
    return two


def rename_class(two):
    path = two[1] / "predictions/face_one.csv"
    path.write_text(path.read_text().replace("p_Sad", "p_Calm"))
    return two


def rename_clips(two):
    path = two[1] / "predictions/face_one.csv"
    path.write_text(path.read_text().replace("\nc", "\nd"))
    return two


def rename_model(two):
    for number, folder in enumerate(two):
        predictions.write(predicted(BEFORE), folder / f"predictions/other_{number}.csv")
    (two[0] / "predictions/face_one.csv").unlink()
    return two


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda two: two[:1], ConfigError, "1 folder of a run was given, but a comparison needs two or more"),
        (lambda two: [two[0], two[0]], ConfigError, "is the same folder as"),
        (lambda two: [two[0], two[0] / "missing"], CacheError, "does not exist"),
        (remove_metrics, CacheError, "is not the folder of a finished run: it has no metrics.csv"),
        (rename_class, ConfigError, "predicts the classes Angry, .*Calm.*, expected Angry"),
        (rename_clips, ConfigError, "have no clip in common"),
        (rename_model, ConfigError, "have no model or ensemble of the same name"),
    ],
)
def test_what_cannot_be_compared_is_refused(two, change, error, message):
    with pytest.raises(error, match=message):
        compare(change(two), with_defaults)
