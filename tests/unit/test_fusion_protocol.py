"""Which clips models are trained on and predict, in which folds; the choice of candidates; the fusion stage's files."""

import numpy as np
import pandas as pd
import pytest
import torch

from emopipe.cache import store
from emopipe.cache.status import text
from emopipe.cache.store import Field, Reader, Row, Writer
from emopipe.core import tables
from emopipe.core.errors import CorpusError
from emopipe.core.fingerprint import digest
from emopipe.core.labels import CLASSES
from emopipe.fusion import cross_validation, trained_cache
from emopipe.fusion.data import FusionDataset
from emopipe.fusion.features import Features, load
from emopipe.fusion.options import EarlyStopping, FusionOptions, Protocol
from emopipe.fusion.protocol import KFOLD, pretraining_protocol, split_clips, split_for_early_stopping
from emopipe.scoring import predictions
from emopipe.stages import fusion

FAST = {"hidden": 8, "epochs": 3, "lr": 1e-2, "batch": 16, "seeds": [0, 1]}


def corpus(subjects=True, n=48):
    """Two thirds train, the rest val, three unlabelled test clips; six subjects of the training clips."""
    numbers = np.arange(n)
    split = np.where(numbers % 3 < 2, "train", "val")
    return pd.DataFrame(
        {
            "clip": [f"{i:03d}" for i in [*numbers, *range(n, n + 3)]],
            "split": [*split, "test", "test", "test"],
            "label": [*(CLASSES[i % 3] for i in numbers // 3), "", "", ""],
            "subject": [*(f"s{i % 6}{split[i]}" for i in numbers), "", "", ""] if subjects else "",
        }
    )


def test_given_split():
    table = corpus()
    found = split_clips(table, Protocol(folds=3))
    assert set(table["split"].iloc[found.train_idx]) == {"train"} and not found.cross_validated
    assert set(table["split"].iloc[found.predict_idx]) == {"val", "test"} and len(found.predict_idx) == 19
    by_subject = pd.Series(found.fold).groupby(table["subject"].iloc[found.train_idx].to_numpy()).nunique()
    assert (by_subject == 1).all() and found.folds == 3


def test_cross_validation_reports_all_labelled_clips():
    found = split_clips(corpus(), Protocol(kind="kfold", folds=4))
    assert len(found.train_idx) == 48 and found.cross_validated and found.folds == 4
    assert corpus()["split"].iloc[found.predict_idx].tolist() == ["test"] * 3


def test_a_final_submission_is_trained_on_val_too():
    found = split_clips(corpus(), Protocol(kind="final"))
    assert len(found.train_idx) == 48 and not found.cross_validated
    assert corpus()["split"].iloc[found.predict_idx].tolist() == ["test"] * 3


def folds_by_clip(table, protocol):
    split = split_clips(table, protocol)
    return dict(zip(table["clip"].iloc[split.train_idx], split.fold, strict=True))


@pytest.mark.parametrize("kind", ["given", "kfold", "final"])
@pytest.mark.parametrize("subjects", [True, False])
@pytest.mark.parametrize("by", ["auto", "class"])
def test_as_many_folds_of_pretraining_are_those_of_fusion(kind, subjects, by):
    table, protocol = corpus(subjects), Protocol(kind=kind, folds=4, by=by, seed=3)
    assert folds_by_clip(table, pretraining_protocol(table, protocol, 4)) == folds_by_clip(table, protocol)


@pytest.mark.parametrize("folds", [2, 3, 5, 9])
@pytest.mark.parametrize("by", ["auto", "subject"])
def test_pretraining_keeps_together_whom_fusion_keeps_together(folds, by):
    """Four people: more folds than people are not made, because a person would be in several of them."""
    table, protocol = corpus(), Protocol(folds=3, by=by, seed=1)
    found = pretraining_protocol(table, protocol, folds)
    fold_of = folds_by_clip(table, found)
    of_person = pd.Series(fold_of).groupby(table.set_index("clip")["subject"].loc[list(fold_of)].to_numpy()).nunique()
    assert (of_person == 1).all() and len(set(fold_of.values())) == min(folds, 4) and found.seed == 1


def test_pretraining_keeps_people_together_where_its_own_folds_allow_it():
    table = corpus()
    assert pretraining_protocol(table, Protocol(folds=7), 3).by == "subject"  # fusion has four people for seven folds
    assert pretraining_protocol(table, Protocol(folds=7), 8).by == "class"
    assert pretraining_protocol(table, Protocol(folds=7, by="class"), 3).by == "class"
    unknown = pretraining_protocol(corpus(subjects=False), Protocol(folds=4), 100)
    assert (unknown.by, unknown.folds) == ("class", 32)


def test_folds_are_stratified_where_subjects_are_unknown_or_not_wanted():
    for table, protocol in ((corpus(subjects=False), Protocol(folds=4)), (corpus(), Protocol(folds=4, by="class"))):
        found = split_clips(table, protocol)
        counts = pd.crosstab(found.fold, table["label"].iloc[found.train_idx].to_numpy())
        assert (counts.max() - counts.min() <= 1).all()
    with pytest.raises(CorpusError, match="32 of 32 clips have no subject"):
        split_clips(corpus(subjects=False), Protocol(by="subject"))


def with_sentences(n=4):
    table = corpus()
    return table.assign(sentence=[f"t{i % n}" for i in range(len(table))])


@pytest.mark.parametrize("kind", ["given", "kfold"])
def test_folds_by_a_column_keep_its_values_together(kind):
    table = with_sentences()
    found = split_clips(table, Protocol(kind=kind, folds=4, by="sentence"))
    values = table["sentence"].iloc[found.train_idx].to_numpy()
    assert found.by == "sentence" and pd.crosstab(found.fold, values).gt(0).sum(axis=1).tolist() == [1, 1, 1, 1]
    subjects = table["subject"].iloc[found.train_idx].to_numpy()
    assert pd.Series(found.fold).groupby(subjects).nunique().max() > 1


def test_what_auto_folds_are_by():
    assert split_clips(corpus(), Protocol(folds=4)).by == "subject"
    assert split_clips(corpus(subjects=False), Protocol(folds=4)).by == "class"
    assert split_clips(corpus(), Protocol(folds=7)).by == "class"


def test_folds_by_a_column_that_is_missing_or_is_no_group():
    for by in ("scene", "label", "clip"):
        with pytest.raises(CorpusError, match=rf"^protocol.by is {by}, but .* clip table: split, subject, sentence\."):
            split_clips(with_sentences(), Protocol(by=by))
    with pytest.raises(CorpusError, match="0 of 32 clips have no sentence, and 2 different ones are known for 3 folds"):
        split_clips(with_sentences(2), Protocol(by="sentence", folds=3))


def test_the_inner_fold_is_by_the_column_of_the_folds():
    table = with_sentences(5)
    train_idx = split_clips(table, Protocol()).train_idx
    rest, inner = split_for_early_stopping(table, train_idx, EarlyStopping(folds=5), seed=0, by="sentence")
    assert set(table["sentence"].iloc[inner]).isdisjoint(table["sentence"].iloc[rest]) and len(inner)


def test_too_few_training_clips_are_an_error():
    with pytest.raises(CorpusError, match="0 clips are in the training split"):
        split_clips(corpus()[lambda t: t["split"] != "train"], Protocol())


def test_inner_fold_keeps_subjects_apart():
    table = corpus()
    train_idx = split_clips(table, Protocol()).train_idx
    rest, inner = split_for_early_stopping(table, train_idx, EarlyStopping(folds=3), seed=0)
    assert sorted([*rest, *inner]) == sorted(train_idx) and len(inner) >= len(train_idx) // 4
    assert not set(table["subject"].iloc[rest]) & set(table["subject"].iloc[inner])


def test_inner_folds_are_not_the_outer_ones():
    """Were they, the clips that stop the training of a fold would all be of one outer fold."""
    table = corpus(subjects=False)
    found = split_clips(table, Protocol(folds=3))
    _, inner = split_for_early_stopping(table, found.train_idx, EarlyStopping(folds=3), seed=0)
    of_inner = pd.Series(found.fold, found.train_idx)[inner]
    assert of_inner.nunique() == 3 and len(inner) < len(found.train_idx) / 2
    _, other = split_for_early_stopping(table, found.train_idx, EarlyStopping(folds=3), seed=5)
    assert set(inner) != set(other)


def data_of(table, signal=4.0, seed=0):
    """One face stream that contains the class; clips whose number is divisible by 7 have no vectors."""
    rng = np.random.default_rng(seed)
    targets = np.array([CLASSES.index(label) if label else -1 for label in table["label"]])
    x = rng.normal(size=(len(table), 4)).astype("f4")
    x[np.arange(len(table)), np.arange(len(table)) // 3 % 3] += signal
    return x, targets, np.arange(len(table)) % 7 != 0


def stream_file(path, table, seed=0, broken=None):
    """Two vectors for each clip; one number of the clip `broken` is not finite."""
    x, _, present = data_of(table, seed=seed)
    fields = {"x": Field("f4", (4,)), "time": Field("f8"), "mask": Field("?"), "fold": Field("i4")}
    with Writer(path, fields, stage="merge", recipe={}) as writer:
        for number, clip in enumerate(table["clip"]):
            vectors = x[[number, number]] * np.array([[1.0], [0.8]], x.dtype)
            vectors[0, 1] = np.nan if number == broken else vectors[0, 1]
            arrays = {
                "x": vectors,
                "time": np.zeros(2),
                "mask": np.ones(2, bool),
                "fold": np.array([0], "i4"),
            }
            writer.add(Row(clip, "d", *(("ok", "", arrays) if present[number] else ("no_face", "", {}))))
    return path


OUTPUTS = {"model": "safetensors", "attention": "h5"} | dict.fromkeys(
    ("predictions", "oof", "seeds", "candidates"), "csv"
)


def run(folder, table, options, protocol, seed=0):
    folder.mkdir(exist_ok=True)
    tables.write(table.astype(str), folder / "clips.csv")
    outputs = {name: folder / f"{name}.{suffix}" for name, suffix in OUTPUTS.items()}
    recipe = {"options": options.model_dump(), "streams": {"net": "face"}, "protocol": protocol.model_dump()}
    recipe["features"] = {"net": digest({})}
    features = {"net": stream_file(folder / "net.h5", table, seed)}
    fusion.run(recipe, folder / "clips.csv", features, outputs, device="cpu", threads=1)
    return {name: predictions.read(outputs[name]) for name in ("predictions", "oof")} | {
        name: pd.read_csv(outputs[name], dtype={"clip": str}, keep_default_na=False) for name in ("seeds", "candidates")
    }


@pytest.mark.slow
@pytest.mark.parametrize("change", ["nothing", "labels", "vectors"])
def test_networks_of_an_interrupted_job_serve_the_same_labels_and_vectors_only(tmp_path, monkeypatch, change):
    def interrupted(*_):
        raise KeyboardInterrupt

    table, trained = corpus(), []
    with monkeypatch.context() as patch:
        patch.setattr(fusion, "_write_tables", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, table, FusionOptions(**FAST), Protocol(folds=3))
    if change == "labels":
        learned = table["split"] == "train"
        table.loc[learned, "label"] = list(np.roll(table["label"][learned], 1))
    whole = trained_cache.save_state
    monkeypatch.setattr(trained_cache, "save_state", lambda *given: trained.append(given[1]) or whole(*given))
    run(tmp_path, table, FusionOptions(**FAST), Protocol(folds=3), seed=change == "vectors")
    assert bool(trained) == (change != "nothing")


@pytest.mark.slow
def test_the_stage_writes_predictions_for_every_clip(tmp_path):
    table = corpus()
    made = run(tmp_path, table, FusionOptions(**FAST), Protocol(folds=3))
    assert made["predictions"]["clip"].tolist() == table["clip"][table["split"] != "train"].tolist()
    assert made["oof"]["clip"].tolist() == table["clip"][table["split"] == "train"].tolist()
    assert set(made["oof"]["fold"]) == {0, 1, 2}
    assert list(made["seeds"]) == [*made["predictions"], "seed"]
    mean = made["seeds"].groupby("clip", sort=False)[predictions.PROBABILITIES].mean()
    np.testing.assert_allclose(mean, made["predictions"][predictions.PROBABILITIES], atol=3e-6)
    assert len(made["candidates"]) == 2 and (made["candidates"]["chosen"] == 1).all()
    uncovered = made["predictions"][made["predictions"]["covered"] == 0]
    assert uncovered["clip"].tolist() == [c for c in made["predictions"]["clip"] if int(c) % 7 == 0]
    assert len(uncovered[predictions.PROBABILITIES].drop_duplicates()) == 1  # the prior
    again = run(tmp_path / "again", table, FusionOptions(**FAST), Protocol(folds=3))
    assert (tmp_path / "model.safetensors").read_bytes() == (tmp_path / "again/model.safetensors").read_bytes()
    pd.testing.assert_frame_equal(made["predictions"], again["predictions"])


@pytest.mark.slow
def test_cross_validated_predictions(tmp_path):
    made = run(tmp_path, corpus(), FusionOptions(**FAST), Protocol(kind="kfold", folds=3))
    answers = made["predictions"]
    assert (answers["split"] == KFOLD).sum() == 48 and (answers["split"] == "test").sum() == 3
    learned = answers[answers["split"] == KFOLD].reset_index(drop=True)
    pd.testing.assert_frame_equal(learned[predictions.PROBABILITIES], made["oof"][predictions.PROBABILITIES])


@pytest.mark.slow
def test_out_of_fold_predictions_never_saw_their_own_labels(tmp_path):
    """A clip's label does not change its own out-of-fold prediction, but changes those of other folds.

    The new label is of a class that other training clips show: which classes there are is known of all folds together.
    """
    table = corpus()
    first = run(tmp_path / "a", table, FusionOptions(**FAST), Protocol(folds=3))["oof"]
    changed = table.copy()
    changed.loc[1, "label"] = CLASSES[2]
    second = run(tmp_path / "b", changed, FusionOptions(**FAST), Protocol(folds=3))["oof"]
    columns = predictions.PROBABILITIES
    same = np.isclose(first[columns], second[columns], atol=2e-6).all(1)
    fold = first.set_index("clip")["fold"]
    own = (first["fold"] == fold["001"]).to_numpy()
    assert same[own].all() and not same[~own].any()


@pytest.mark.slow
def test_the_candidate_with_the_least_loss_out_of_fold_is_the_model(tmp_path):
    options = FusionOptions(**FAST, search={"lr": [1e-6, 2e-2]})
    found = run(tmp_path, corpus(), options, Protocol(folds=3))["candidates"]
    loss = found.groupby("lr")["oof_loss"].mean()
    assert loss[2e-2] < loss[1e-6]
    assert (found["chosen"] == (found["lr"] == 2e-2)).all()


@pytest.mark.slow
def test_a_clip_that_is_not_covered_gets_the_class_frequencies_of_the_other_folds(tmp_path):
    oof = run(tmp_path, corpus(), FusionOptions(**FAST), Protocol(folds=3))["oof"]
    for _, row in oof[oof["covered"] == 0].iterrows():
        others = oof.loc[oof["fold"] != row["fold"], "label"]
        assert row[f"p_{row['label']}"] == pytest.approx((others == row["label"]).mean(), abs=2e-6)


@pytest.mark.slow
def test_a_stream_without_any_vector_is_omitted_and_noted(tmp_path):
    table = corpus()
    tables.write(table, tmp_path / "clips.csv")
    empty = {"x": Field("f4", (4,)), "time": Field("f8"), "mask": Field("?"), "fold": Field("i4")}
    with Writer(tmp_path / "voice.h5", empty, stage="merge", recipe={}) as writer:
        for clip in table["clip"]:
            writer.add(Row(clip, "d", "no_audio", "", {}))
    outputs = {name: tmp_path / f"{name}.{'safetensors' if name == 'model' else 'csv'}" for name in OUTPUTS}
    options = FusionOptions(fusion="fbp", **FAST)
    recipe = {"options": options.model_dump(), "streams": {"net": "face", "voice": "audio"}, "protocol": {"folds": 3}}
    recipe["features"] = dict.fromkeys(("net", "voice"), digest({}))
    features = {"net": stream_file(tmp_path / "net.h5", table), "voice": tmp_path / "voice.h5"}
    fusion.run(recipe, tmp_path / "clips.csv", features, outputs, device="cpu", threads=1)
    note = pd.read_csv(outputs["candidates"])["note"][0]
    assert text(note) == (
        "Streams that are not used, because no training clip has their vectors: voice. "
        "The fusion is concat instead of fbp."
    )
    nothing = dict.fromkeys(features, tmp_path / "voice.h5")
    fusion.run(recipe, tmp_path / "clips.csv", nothing, outputs, device="cpu", threads=1)
    assert "the class frequencies" in text(pd.read_csv(outputs["candidates"])["note"][0])
    assert (predictions.read(outputs["predictions"])["covered"] == 0).all()


def test_vectors_that_are_not_finite_are_omitted(tmp_path, caplog):
    table = corpus()
    path = stream_file(tmp_path / "net.h5", table, broken=2)
    features = load(path, list(table["clip"]))
    assert torch.isfinite(features.x).all() and features.length.tolist()[:3] == [0, 2, 1]
    assert "1 of 86 vectors of these clips hold numbers that are not finite" in caplog.text


@pytest.mark.parametrize("block", [16, 70, 1 << 23], ids=["clip by clip", "two clips", "all"])
def test_clips_are_loaded_in_the_order_that_is_asked_for(tmp_path, monkeypatch, block):
    monkeypatch.setattr(store, "BLOCK_BYTES", block)
    table = corpus()
    path = stream_file(tmp_path / "net.h5", table, broken=1)
    asked = ["050", "absent", *table["clip"][::-2], "002", "002"]
    features = load(path, asked)
    with Reader(path) as reader:
        for number, clip in enumerate(asked):
            rows = reader.field(clip, "x") if clip in reader else np.empty((0, 4))
            found = features.x[features.start[number] :][: features.length[number]]
            np.testing.assert_array_equal(found, rows[np.isfinite(rows).all(1)])
    assert len(features.x) == features.length.sum()


def test_early_stopping_on_val_needs_val_clips():
    table = corpus()[lambda t: t["split"] != "val"].reset_index(drop=True)
    x, targets, _ = data_of(table)
    options = FusionOptions(**FAST, early_stopping=EarlyStopping(watch="val"))
    mask = torch.ones(len(table), dtype=torch.int64)
    stream = Features(torch.from_numpy(x), mask.cumsum(0) - mask, mask)
    data = FusionDataset.from_views({"net": [stream]}, {"net": "face"}, targets, torch.device("cpu"))
    with pytest.raises(CorpusError, match="no val clip has a label and vectors"):
        cross_validation.fit_candidates(data, table, split_clips(table, Protocol(folds=3)), options, lambda count: None)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["given", "kfold"])
def test_attention_weights_of_each_reported_clip_are_those_of_its_networks(tmp_path, kind):
    table = corpus()
    run(tmp_path, table, FusionOptions(**FAST, face_attention="self"), Protocol(kind=kind, folds=3))
    reported = predictions.read(tmp_path / "predictions.csv")
    covered = set(reported.loc[reported["covered"] == 1, "clip"])
    with Reader(tmp_path / "attention.h5") as weights:
        assert set(weights.clips) == set(reported["clip"])
        found = {clip: weights.field(clip, "net") for clip in weights.clips}
        assert {clip for clip, w in found.items() if len(w)} == covered and covered
        assert all(w.sum() == pytest.approx(1, abs=1e-5) and len(w) == 2 for w in found.values() if len(w))
        assert all(len(weights.field(clip, "net@time")) == len(w) for clip, w in found.items())
    assert len({w.tobytes() for w in found.values() if len(w)}) > 1  # FAN's weights differ from clip to clip


def test_unlabelled_clips_of_train_are_not_trained_on_for_a_submission():
    table = corpus()
    table.loc[0, "label"] = ""
    split = split_clips(table, Protocol(kind="final"))
    assert 0 not in split.train_idx and len(split.train_idx) == 47 and {48, 49, 50} <= set(split.predict_idx)


def test_two_clips_are_enough():
    assert len(split_clips(corpus().iloc[:2], Protocol()).train_idx) == 2


@pytest.mark.parametrize(
    ("kind", "where"),
    [("given", "in the training split"), ("kfold", "labelled"), ("final", "labelled in train or val")],
)
def test_the_message_says_which_clips_are_too_few(kind, where):
    with pytest.raises(CorpusError) as caught:
        split_clips(corpus().iloc[:1], Protocol(kind=kind))
    assert str(caught.value) == (
        f"1 clips are {where}, but the protocol {kind} needs at least 2 to train a model. Check the corpus' splits and "
        "labels."
    )


def test_the_seed_and_the_rule_choose_the_folds():
    table = corpus()
    by_class = split_clips(table, Protocol(folds=4, by="class"))
    assert (by_class.fold != split_clips(table, Protocol(folds=4, by="class", seed=1)).fold).any()
    by_subject = split_clips(table, Protocol(folds=4, by="subject"))
    assert (by_subject.fold != split_clips(table, Protocol(folds=4, by="subject", seed=1)).fold).any()
    subjects = table["subject"].iloc[by_subject.train_idx]
    assert pd.Series(by_subject.fold).groupby(subjects.to_numpy()).nunique().max() == 1
    assert pd.Series(by_class.fold).groupby(subjects.to_numpy()).nunique().max() > 1


def test_folds_by_subject_need_all_subjects_and_one_a_fold():
    table = corpus()
    people = table.iloc[split_clips(table, Protocol()).train_idx]["subject"].nunique()
    assert split_clips(table, Protocol(folds=people, by="subject")).folds == people
    for folds, change in ((people + 1, {}), (2, {0: ""})):
        changed = table.copy()
        for row, subject in change.items():
            changed.loc[row, "subject"] = subject
        with pytest.raises(CorpusError, match=r"^protocol.by is subject, but .* or reduce protocol\.folds\.$"):
            split_clips(changed, Protocol(folds=folds, by="subject"))
