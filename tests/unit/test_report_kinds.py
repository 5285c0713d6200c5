"""The report of a run in each kind of label space: its files, tables and sentences."""

import numpy as np
import pandas as pd
import pytest
import yaml

from emopipe.cache.store import Field, Row, Writer
from emopipe.core import tables
from emopipe.core.labels import LabelSpace, in_recipe
from emopipe.report import by_class, comparisons, measure_words, read_first, results, streams, summary, writing
from emopipe.report.options import Comparison
from emopipe.report.results import Model, Results
from emopipe.scoring import metrics, predictions, primary
from emopipe.stages import report

pytestmark = pytest.mark.slow

ABC = ("angry", "bored", "calm")
SPACES = {
    "single": LabelSpace(ABC),
    "votes": LabelSpace(ABC, "votes"),
    "multi": LabelSpace(ABC, "multi"),
    "dimensions": LabelSpace(("valence", "arousal"), "dimensions"),
}
N, PEOPLE = 72, 12
BLOCKS = {
    "single": {"names": list(ABC)},
    "votes": {"names": list(ABC), "kind": "votes"},
    "multi": {"names": list(ABC), "kind": "multi"},
    "dimensions": {"names": ["valence", "arousal"], "kind": "dimensions"},
}


def clips(space):
    """Labelled val clips of twelve people, six each; the first two of votes are ties."""
    rng = np.random.default_rng(0)
    table = {"clip": [f"{n:02d}" for n in range(N)], "split": "val", "path": "", "digest": ""}
    table["subject"] = [f"s{n % PEOPLE:02d}" for n in range(N)]
    if space.kind == "dimensions":
        return pd.DataFrame({**table, "label": [space.label(row) for row in rng.uniform(-0.9, 0.9, (N, 2))]})
    if space.kind == "multi":
        return pd.DataFrame({**table, "label": [space.label(row) for row in (rng.random((N, 3)) < 0.4).astype(float)]})
    votes = rng.permuted(np.tile([5, 2, 1], (N, 1)), axis=1)
    votes[:2] = [[3, 3, 0], [2, 0, 2]]
    named = dict(zip(space.vote_columns, votes.astype(str).T, strict=True)) if space.kind == "votes" else {}
    labels = [space.label(row) for row in votes]
    return pd.DataFrame({**table, "label": [each.partition(";")[0] if not named else each for each in labels], **named})


def model(space, name, noise, seed, **more):
    rng = np.random.default_rng(seed)
    table = clips(space)
    values = space.targets(table) + noise * rng.normal(size=(N, len(space)))
    if space.has_one_class:
        values = np.exp(3 * values) / np.exp(3 * values).sum(1, keepdims=True)
    elif space.kind == "multi":
        values = 1 / (1 + np.exp(-4 * (values - 0.5)))
    made = predictions.table(table, values, np.arange(N) > 0, space)
    seeds = pd.concat([made.assign(seed=0), made.assign(seed=1)])
    return Model(name, made, made.assign(fold=0), seeds, space=space, **more)


def run(space):
    models = [
        model(space, "face_a", 1.0, 1), model(space, "audio_b", 2.5, 2), model(space, "fused_c", 0.4, 3),
        model(space, "ensemble", 0.3, 4, combines=True),
    ]  # fmt: skip
    table = clips(space)
    people = dict(zip(table["clip"], table["subject"], strict=True))
    return Results({one.name: one for one in models}, people, {"face_x": "It has no weights."}, table, space)


def recipe(space, **more):
    return {
        "run": "r", "selected_on_val": [], "learned_here": [], "absent_classes": "", "paper": {}, "missing": {},
        "protocol": {"kind": "given", "folds": 5}, "split_rule": "The splits are those of the corpus.", "heads": {},
        "shows_faces": False, "comparisons": [], **in_recipe(space), **more,
    }  # fmt: skip


@pytest.fixture(scope="module", params=["votes", "multi", "dimensions"])
def made(request):
    space = SPACES[request.param]
    found = run(space)
    asked = Comparison(model="fused_c", against="audio_b", primary=True)
    return space, found, results.table(found), comparisons.table(found, [asked])


def test_the_table_of_results_has_a_column_for_each_measure(made):
    space, found, table, _ = made
    assert list(table) == results.columns(space)
    rows = table.set_index("model")
    for name, one in found.models.items():
        expected = metrics.score(one.predictions, name, space).iloc[0]
        for measure in metrics.measures(space):
            assert rows.loc[name, measure.key] == expected[measure.key]
        first = metrics.measures(space)[0].key
        value = pytest.approx(rows.loc[name, first])
        assert rows.loc[name, f"oof_{first}"] == value and rows.loc[name, "seeds_mean"] == value
        assert rows.loc[name, "low"] < rows.loc[name, first] < rows.loc[name, "high"]
        assert rows.loc[name, ["drawn", "groups", "interval"]].tolist() == ["subject", PEOPLE, "t"]
        assert rows.loc[name, "best_single"] == "fused_c"
        p, test = primary.primary_test(one.on("val"), found.models["fused_c"].on("val"), space,
                                       found.groups("val")[0], "subject")  # fmt: skip
        assert name == "fused_c" or (rows.loc[name, "p"], rows.loc[name, "test"]) == (p, test)
    assert rows.loc["face_x", "note"] == "It has no weights." and pd.isna(rows.loc["face_x", "n"])
    if space.kind == "votes":
        assert (rows.loc["face_a", ["n", "n_votes"]] == [N - 2, N]).all()
        assert rows.loc["face_a", "right"] == rows.loc["face_a", "accuracy"] * (N - 2) and rows["ece"].notna()[:4].all()
    else:
        assert rows["right"].isna().all() and rows["ece"].isna().all() and rows.loc["face_a", "n"] == N


def test_comparisons_are_paired_in_the_primary_score(made):
    space, found, _, table = made
    assert list(zip(table["model"], table["against"], strict=True)) == [
        ("fused_c", "audio_b"), ("fused_c", "face_a"), ("ensemble", "fused_c"),
    ]  # fmt: skip
    row, points = table.iloc[0], metrics.measures(space)[0].points
    first, second = (found.models[name].score("val") for name in ("fused_c", "audio_b"))
    assert row["difference"] == pytest.approx(points * (first - second))
    assert 0 < row["low"] < row["difference"] < row["high"] and row["verdict"] == "higher" and row["detectable"] > 0
    assert pd.isna(row["uar_difference"]) == (not space.has_one_class)


def test_the_texts_name_the_scores_and_hold_no_empty_number(made):
    space, found, table, compared = made
    shown = writing.markdown("results", table, recipe(space)) + writing.markdown("comparisons", compared, recipe(space))
    first = metrics.measures(space)[0]
    assert f"{first.name} [95 %]" in shown and f"{measure_words.difference(first)} [95 %]" in shown
    assert all(measure.name in shown for measure in metrics.measures(space)) and "nan" not in shown
    assert ("ECE" in shown) == ("UAR" in shown) == space.has_one_class
    assert (primary.BY_GROUP in set(table["test"])) == (not space.has_one_class)
    lines = read_first.sentences(clips(space), found, compared, recipe(space))
    chance = next(line for line in lines if line.startswith("By chance,"))
    expected = {
        "votes": "a guess is correct on 33.3% of val, and always",
        "multi": f"a guess has a macro AP of {clips(space)['label'].pipe(shares, space).mean():.1%} on val",
        "dimensions": "an answer that is the same for all clips has a CCC of 0.000 on val.",
    }[space.kind]
    assert expected in chance
    assert lines[0] == {
        "votes": f"Clips: val {N} (3 classes, 2 with a tie of votes, which have no accuracy).",
        "multi": f"Clips: val {N} (3 classes).",
        "dimensions": f"Clips: val {N} (2 dimensions).",
    }[space.kind]  # fmt: skip
    unit = " in CCC on val" if space.kind == "dimensions" else " points on val"
    assert lines[-1].startswith("In short: ") and unit in lines[-1]


def shares(labels, space):
    return pd.Series([np.mean([name in label.split(";") for label in labels]) for name in space.names])


def test_tables_of_classes_and_people(made):
    space, found, table, _ = made
    of_classes, people = by_class.by_class(found), by_class.by_subject(found)
    key = metrics.measures(space)[0].key
    assert len(people) == 4 * PEOPLE and list(people)[-1] == key and people["n"].sum() == 4 * table["n"][0]
    one = people[(people["model"] == "face_a") & (people["subject"] == "s03")].iloc[0]
    part = found.models["face_a"].on("val")
    assert one[key] == primary.primary_value(part[part["clip"].astype(int) % PEOPLE == 3], space)
    rows = of_classes[of_classes["model"] == "fused_c"].set_index("label")
    if space.kind == "multi":
        assert list(of_classes) == by_class.CLASS_COLUMNS
        assert rows["ap"].mean() == pytest.approx(table["macro_ap"][2])
        assert rows["f1"].mean() == pytest.approx(table["macro_f1"][2])
        np.testing.assert_allclose(rows["share"], shares(clips(space)["label"], space))
    elif space.kind == "dimensions":
        assert rows["ccc"].tolist() == table.loc[2, ["ccc_valence", "ccc_arousal"]].tolist()
        assert np.sqrt((rows["rmse"] ** 2).mean()) == pytest.approx(table["rmse"][2])
    else:
        assert rows["recall"].mean() == pytest.approx(table["uar"][2]) and rows["n"].sum() == N - 2


FILES = {
    "single": {"tables/recalls.csv", "tables/confusion_ensemble_val.csv", "figures/confusion_ensemble_val.png"},
    "votes": {"tables/recalls.csv", "tables/confusion_ensemble_val.csv", "figures/confusion_ensemble_val.png"},
    "multi": {"tables/classes.csv", "figures/precision_recall_ensemble_val.png"},
    "dimensions": {"tables/dimensions.csv", "figures/scatter_ensemble_val.png"},
}


@pytest.mark.parametrize("kind", SPACES)
def test_the_stage_writes_the_files_of_the_kind_and_the_terminal_shows_them(kind, tmp_path, capsys):
    space, folder, found = SPACES[kind], tmp_path / "r", run(SPACES[kind])
    tables.write(clips(space), tmp_path / "clips.csv")
    paths = {part: {n: tmp_path / part / f"{n}.csv" for n in found.models} for part in ("oof", "seeds")}
    paths["predictions"] = {n: folder / f"predictions/{n}.csv" for n in found.models}
    for name, one in found.models.items():
        for part, table in (("predictions", one.predictions), ("oof", one.oof), ("seeds", one.seeds)):
            paths[part][name].parent.mkdir(parents=True, exist_ok=True)
            predictions.write(table, paths[part][name])
    pd.DataFrame({"note": [""]}).to_csv(tmp_path / "note.csv")
    first = metrics.measures(space)[0].key
    weights = ["ensemble", "method", "member", "weight", "temperature", f"oof_{first}", "oof_loss"]
    pd.DataFrame(columns=weights).to_csv(tmp_path / "weights.csv", index=False)
    candidates = dict.fromkeys(["face_a", "audio_b", "fused_c"], tmp_path / "note.csv")
    config = {"run": "r", "labels": BLOCKS[kind]}
    report.run(
        recipe(space), tmp_path / "clips.csv", {"decode": []}, paths["predictions"], paths["oof"], paths["seeds"],
        candidates, tmp_path / "weights.csv", {}, config, folder,
    )  # fmt: skip
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    assert {file for file in written if "_ensemble_" in file or file.endswith(("recalls.csv", "s/classes.csv",
            "dimensions.csv"))} == FILES[kind]  # fmt: skip
    assert list(pd.read_csv(folder / "metrics.csv")) == metrics.columns(space)
    assert yaml.safe_load((folder / "config.yaml").read_text()) == config
    text = (folder / "summary.md").read_text() + "".join(f.read_text() for f in (folder / "tables").glob("*.md"))
    assert "nan" not in text and "None" not in text
    summary.show(folder)
    shown = capsys.readouterr().out
    end = {"multi": "has a macro AP of", "dimensions": "has a CCC of"}.get(kind, "names the emotion of")
    assert "<- best" in shown and "nan" not in shown and f"ensemble {end}" in shown


def test_heads_answer_with_the_classes_that_they_share(tmp_path):
    fields = {"logp": Field("f4", (4,)), "mask": Field("?")}
    with Writer(tmp_path / "v.h5", fields, stage="merge", recipe={}) as writer:
        for clip, best in (("00", 1), ("01", 0), ("02", 3), ("03", 1)):
            p = np.full(4, 0.1)
            p[3], p[best] = 0.4, 0.5  # the last class is not in the label space
            writer.add(Row(clip, "d", "ok", "", {"logp": np.log([p]), "mask": np.ones(1, bool)}))
        writer.note(head_classes='["calm", "bored", "cold", "hot"]')
    space = SPACES["single"]
    table = pd.DataFrame({"clip": ["00", "01", "02", "03"], "split": "val", "subject": "", "path": "", "digest": "",
                          "label": ["bored", "calm", "calm", "angry"]})  # fmt: skip
    found = streams.table({"v": tmp_path / "v.h5"}, {"v": "face"}, table, space)
    assert found[["stream", "split", "right", "n"]].to_numpy().tolist() == [["v", "val", 2, 3]]  # angry is not known
    assert streams.table({"v": tmp_path / "v.h5"}, {"v": "face"}, table, SPACES["multi"]).empty
    assert streams.table({"v": tmp_path / "v.h5"}, {"v": "face"}, table, LabelSpace(("calm", "joy"))).empty
    assert writing.markdown("streams", found.iloc[:0], recipe(space)).count("Nothing.") == 1


def test_frames_of_other_classes_have_little_weight_in_what_a_head_says(tmp_path):
    frames = [[0.02, 0.01, 0.97], [0.3, 0.5, 0.2]]  # the last class is not in the label space
    fields = {"logp": Field("f4", (3,)), "mask": Field("?")}
    with Writer(tmp_path / "v.h5", fields, stage="merge", recipe={}) as writer:
        for clip in ("00", "01"):
            writer.add(Row(clip, "d", "ok", "", {"logp": np.log(frames), "mask": np.ones(2, bool)}))
        writer.note(head_classes='["calm", "bored", "hot"]')
    facts = {"split": "val", "subject": "", "path": "", "digest": ""}
    table = pd.DataFrame({"clip": ["00", "01"], "label": ["bored", "calm"], **facts})
    found = streams.table({"v": tmp_path / "v.h5"}, {"v": "face"}, table, SPACES["single"])
    assert found[["right", "n"]].to_numpy().tolist() == [[1, 2]]


def test_one_clip_of_a_person_has_no_ccc():
    space = SPACES["dimensions"]
    found = run(space)
    alone = Results(found.models, {**found.subjects, "00": "alone"}, {}, None, space)
    rows = by_class.by_subject(alone).set_index("subject")
    assert rows.loc["alone", "n"].tolist() == [1] * 4 and rows.loc["alone", "ccc"].isna().all()
    assert rows.drop("alone")["ccc"].notna().all()


def test_ties_do_not_count_where_clips_are_few():
    space = SPACES["votes"]
    found, table = run(space), clips(space).iloc[:30]  # two of them are ties
    said = read_first.sentences(table, found, comparisons.table(found, []), recipe(space))
    assert "val has only 28 clips with a class: one clip is 4 points of accuracy." in said
