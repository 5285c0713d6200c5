"""What models read beside vectors: log-probabilities, times, statistics of clips; sound normalised by person."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from emopipe.cache.clip_rows import RowsInMemory
from emopipe.cache.status import text
from emopipe.cache.store import Field, Reader, Row, Writer
from emopipe.cache.tensors import read, save_state
from emopipe.core import tables
from emopipe.core.errors import CacheError, ConfigError
from emopipe.core.fingerprint import digest
from emopipe.core.labels import BASIC7, CLASSES
from emopipe.fusion import inputs
from emopipe.fusion.data import FusionDataset
from emopipe.fusion.features import ClipFeatures, Features, concatenate, load
from emopipe.fusion.inputs import clip_statistics, model_inputs, normalise_by_subject
from emopipe.fusion.options import FusionOptions, Protocol, candidates
from emopipe.fusion.stack import Run
from emopipe.fusion.training import predict, train
from emopipe.inference import run_model
from emopipe.inference.cached import load_features
from emopipe.inference.finished_run import without_transductive
from emopipe.inference.fusion_predictor import FusionPredictor
from emopipe.inference.run_results import FeatureModel
from emopipe.scoring import predictions
from emopipe.stages import fusion
from emopipe.weights.naming import resolve
from emopipe.workflow.config import BackboneBlock, ModelBlock
from emopipe.workflow.heads import check_heads

CPU = torch.device("cpu")
BOTH = {"face_inputs": ["vectors", "logp"], "audio_inputs": ["vectors", "logp"]}
LOGP_ALONE = {"face_inputs": ["logp"]}
EVERY = ["mean", "spread", "maximum", "confidence", "entropy"]
FAST = {"hidden": 8, "epochs": 3, "lr": 1e-2, "batch": 16, "seeds": [0, 1]}
D, K = 4, len(CLASSES)


def clips_of(lengths, seed=0, *, head=True):
    """Clips of n vectors (n, D) with times, half a second apart, and log-probabilities."""
    rng, made = np.random.default_rng(seed), []
    for n in lengths:
        p = rng.dirichlet(np.ones(K), n)
        x = rng.normal(size=(n, D)).astype("f4")
        made.append(ClipFeatures(x, np.ones(n, bool), 0.5 * np.arange(n), np.log(p).astype("f4") if head else None))
    return made


def features_of(lengths, seed=0, *, head=True):
    return Features.from_clips(clips_of(lengths, seed, head=head))


# -- features ---------------------------------------------------------------------------------------------------------


def test_masked_vectors_take_their_times_and_log_probabilities_with_them():
    clip = clips_of([4])[0]
    x, logp = clip.x.copy(), clip.logp.copy()
    x[3, 1], logp[1] = np.inf, np.nan
    masked = dataclasses.replace(clip, x=x, logp=logp, mask=np.array([True, False, True, True]))
    found = Features.from_clips([masked, clips_of([0])[0], clip])
    assert found.length.tolist() == [2, 0, 4] and found.time.tolist() == [0, 1, 0, 0.5, 1, 1.5]
    np.testing.assert_array_equal(found.logp[:2], clip.logp[[0, 2]])
    batch = found.batch(torch.tensor([2, 0]))
    assert batch.time.tolist() == [[0, 0.5, 1, 1.5], [0, 1, *batch.time[1, 2:].tolist()]]
    assert batch.statistics.shape == (2, 0)
    twice = concatenate([found, found])
    assert len(twice.time) == 12 and twice.logp.shape == (12, K) and twice.statistics is None
    assert concatenate([found, dataclasses.replace(found, logp=None)]).logp is None


def test_sampled_vectors_keep_their_times():
    found = features_of([9, 30])
    rows = torch.arange(2)
    for batch in (found.sample_segments(rows, torch.full((2, 3), 0.5)), found.sample_random(rows, rows.int(), 3)):
        for clip in rows:
            whole = found.batch(clip[None])
            for vector, time in zip(batch.x[clip], batch.time[clip], strict=True):
                place = int(2 * time)
                assert torch.equal(whole.x[0, place], vector)


# -- statistics -------------------------------------------------------------------------------------------------------


def test_statistics_are_those_of_numpy():
    clips = clips_of([5, 1, 0, 3])
    found = clip_statistics(Features.from_clips(clips), EVERY)
    assert found.shape == (4, 3 * D + 2) and found.dtype == torch.float32
    for clip, row in zip(clips, found.numpy(), strict=True):
        if not len(clip.x):
            assert not row.any()
            continue
        p = np.exp(clip.logp.astype("f8"))
        expected = [clip.x.mean(0), clip.x.std(0), clip.x.max(0), [p.max(1).mean()], [-(p * np.log(p)).sum(1).mean()]]
        np.testing.assert_allclose(row, np.concatenate(expected), rtol=1e-4, atol=1e-6)


@given(lengths=st.lists(st.integers(0, 5), min_size=1, max_size=6), data=st.data())
@settings(max_examples=20, deadline=None)
def test_statistics_of_a_clip_depend_on_its_vectors_alone(lengths, data):
    """Not on other clips, nor on how clips are divided into chunks, nor, but for rounding, on the order of vectors."""
    clips = clips_of(lengths)
    whole = clip_statistics(Features.from_clips(clips), EVERY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inputs, "CHUNK_VECTORS", data.draw(st.integers(1, 8)))
        assert torch.equal(clip_statistics(Features.from_clips(clips), EVERY), whole)
    for number, clip in enumerate(clips):
        assert torch.equal(clip_statistics(Features.from_clips([clip]), EVERY)[0], whole[number])
        order = np.array(data.draw(st.permutations(range(len(clip.x)))), int)
        moved = ClipFeatures(clip.x[order], clip.mask[order], clip.time[order], clip.logp[order])
        torch.testing.assert_close(clip_statistics(Features.from_clips([moved]), EVERY)[0], whole[number])


@pytest.mark.parametrize(
    ("asked", "width"), [(["vectors"], D), (["logp"], K), (["vectors", "logp"], D + K), (["logp", "vectors"], D + K)]
)
def test_inputs_stand_side_by_side_in_their_order(asked, width):
    given_features = features_of([3, 2])
    options = FusionOptions(face_inputs=asked, statistics=["maximum", "entropy"])
    found = model_inputs(given_features, "face", options, ["", ""])
    parts = {"vectors": given_features.x, "logp": given_features.logp}
    assert torch.equal(found.x, torch.cat([parts[name] for name in asked], 1))
    assert found.statistics.shape == (2, width + 1) and torch.equal(found.time, given_features.time)
    assert torch.equal(found.statistics[0, :width], found.x[:3].amax(0))


@pytest.mark.parametrize(
    "asked", [{"face_inputs": ["logp"]}, {"statistics": ["confidence"]}, {"statistics": ["entropy"]}]
)
def test_a_backbone_without_a_head_is_refused(asked):
    with pytest.raises(ConfigError, match="reads what an emotion head says"):
        model_inputs(features_of([3], head=False), "face", FusionOptions(**asked), [""])
    model_inputs(features_of([3], head=False), "face", FusionOptions(statistics=["spread"]), [""])


@pytest.mark.parametrize(
    "keys", [{"face_inputs": []}, {"audio_inputs": ["vectors", "vectors"]}, {"statistics": ["median"]}]
)
def test_inputs_are_validated(keys):
    with pytest.raises(ValueError, match=next(iter(keys))):
        FusionOptions(**keys)


# -- normalisation by person ------------------------------------------------------------------------------------------


def test_each_person_has_mean_0_and_spread_1():
    features = features_of([3] * 12)
    features = dataclasses.replace(features, x=features.x * 3 + 20)
    who = ["anna"] * 6 + ["ben"] * 6
    features.x[:18] += 5
    features.x[18:, 2] = 7.0  # constant in all of ben's clips
    found = normalise_by_subject(features, who).x
    for own in (found[:18], found[18:]):
        np.testing.assert_allclose(own.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(found[:18].std(0, unbiased=False), 1, rtol=1e-4)
    assert not found[18:, 2].any()
    other = normalise_by_subject(dataclasses.replace(features, x=features.x * torch.tensor(2.0) + 1), who).x
    torch.testing.assert_close(other, found, atol=1e-4, rtol=1e-4)


def test_unknown_people_and_people_of_few_clips_are_normalised_over_all_clips():
    features = features_of([2] * 12)
    who = ["anna"] * 5 + ["ben"] * 4 + [""] * 3
    assert inputs.people(features, who) == ["anna"] * 5 + [""] * 7
    found = normalise_by_subject(features, who).x
    expected = (features.x - features.x.mean(0)) / features.x.std(0, unbiased=False)
    torch.testing.assert_close(found[10:], expected[10:])
    np.testing.assert_allclose(found[:10].mean(0), 0, atol=1e-6)
    lost = dataclasses.replace(features, length=features.length.clone().index_fill_(0, torch.tensor([4]), 0))
    assert inputs.people(lost, who)[0] == ""  # a clip without sound does not count


def test_faces_are_not_normalised():
    features, options = features_of([3] * 6), FusionOptions(normalise="subject")
    assert torch.equal(model_inputs(features, "face", options, ["anna"] * 6).x, features.x)
    assert not torch.equal(model_inputs(features, "audio", options, ["anna"] * 6).x, features.x)


# -- networks ---------------------------------------------------------------------------------------------------------


def dataset(options, n=48):
    """Clips of 1 to 9 vectors; every fifth has no sound. The class is in the spread of the face's vectors alone."""
    rng = np.random.default_rng(0)
    target = np.arange(n) % 2
    face, sound = features_of(rng.integers(6, 10, n)), features_of(rng.integers(1, 5, n) * (np.arange(n) % 5 != 0), 1)
    face = dataclasses.replace(face, x=face.x * (1 + 4 * torch.from_numpy(target.repeat(face.length)))[:, None])
    made = {
        "f": [model_inputs(face, "face", options, [""] * n)],
        "v": [model_inputs(sound, "audio", options, [""] * n)],
    }
    made = {
        s: [dataclasses.replace(v[0], x=v[0].x.double(), statistics=_double(v[0].statistics))] for s, v in made.items()
    }
    return FusionDataset.from_views(made, {"f": "face", "v": "audio"}, target, CPU), target


def _double(statistics):
    return None if statistics is None else statistics.double()


@pytest.mark.slow
@pytest.mark.parametrize("fusion_kind", ["concat", "gmu", "adaptive_fbp", "crossmodal"])
def test_networks_with_all_inputs_train_together_as_alone(fusion_kind):
    options = FusionOptions(
        fusion=fusion_kind, **BOTH, statistics=EVERY, frames=3, face_attention="multihead",
        **FAST | {"mixup": 0.2, "heads": 2, "out": 4, "seeds": [0]}, search={"weight_decay": [0.3, 0.9]},
    )  # fmt: skip
    data, _ = dataset(options)
    everything = np.arange(48)
    runs = [
        Run(each, seed, everything[everything % 3 != fold], everything[:0], 3)
        for each in candidates(options) for seed in (0, 1) for fold in (0, 1)
    ]  # fmt: skip
    together = train(data, runs)
    found = predict(data, together, [everything] * len(runs))
    assert len({p.tobytes() for p in found}) == len(runs)
    for number in (0, 7):
        alone = train(data, [runs[number]])
        np.testing.assert_allclose(predict(data, alone, [everything])[0], found[number], atol=1e-7)
    np.testing.assert_allclose(predict(data, together[:1], [everything[40:]])[0], found[0][40:], atol=1e-7)


@pytest.mark.slow
def test_statistics_show_what_a_mean_does_not():
    right = {}
    for statistics in ([], ["spread"]):
        options = FusionOptions(statistics=statistics, face_attention="mean", audio_attention="mean", **FAST)
        options = options.model_copy(update={"epochs": 20, "modality_dropout": 0.0})
        data, target = dataset(options)
        seen = np.arange(48) < 32
        network = train(data, [Run(options, 0, np.flatnonzero(seen), np.arange(0), 2)])
        right[bool(statistics)] = (predict(data, network, [np.flatnonzero(~seen)])[0].argmax(1) == target[~seen]).mean()
    assert right[True] > 0.9 > 0.8 > right[False]


# -- the stage, and finished runs -------------------------------------------------------------------------------------


def table_of(n=36):
    numbers = np.arange(n)
    return pd.DataFrame(
        {
            "clip": [f"c{i:02d}" for i in numbers],
            "split": np.where(numbers % 3 < 2, "train", "val"),
            "label": [CLASSES[i % 2] for i in numbers],
            "subject": ["" if i < 2 else f"s{i % 3}" for i in numbers],
        }
    )


def feature_file(path, table, *, head=True):
    fields = {"x": Field("f4", (D,)), "time": Field("f8"), "mask": Field("?"), "fold": Field("i4")}
    fields |= {"logp": Field("f4", (K,))} if head else {}
    with Writer(path, fields, stage="merge", recipe={}) as writer:
        for name, clip in zip(table["clip"], clips_of([3] * len(table), head=head), strict=True):
            arrays = {"x": clip.x, "time": clip.time, "mask": clip.mask, "fold": np.zeros(1, "i4")}
            writer.add(Row(name, "d", "ok", "", arrays | ({"logp": clip.logp} if head else {})))
    return path


def run_stage(folder, options, *, modality="audio", head=True):
    table = table_of()
    for name in ("models", "oof"):
        (folder / name).mkdir(parents=True)
    tables.write(table.astype(str), folder / "clips.csv")
    outputs = {n: folder / f"{n}.csv" for n in ("predictions", "seeds", "candidates")} | {
        "model": folder / "models/audio_m.safetensors", "oof": folder / "oof/audio_m.csv", "attention": folder / "a.h5"
    }  # fmt: skip
    recipe = {"options": options.model_dump(), "streams": {"net": modality}, "protocol": Protocol(folds=3).model_dump()}
    recipe["features"] = {"net": digest({})}
    made = {"net": feature_file(folder / "net.h5", table, head=head)}
    fusion.run(recipe, folder / "clips.csv", made, outputs, device="cpu", threads=1)
    return table


@pytest.mark.slow
def test_a_saved_model_gives_the_same_answers_from_features(tmp_path):
    """With all inputs and by person; the same code prepares what it reads, from a file as in the stage."""
    options = FusionOptions(**BOTH, statistics=EVERY, normalise="subject", **FAST)
    table = run_stage(tmp_path, options)
    reported = predictions.read(tmp_path / "predictions.csv").set_index("clip")
    model = FeatureModel(tmp_path, "audio_m")
    people = dict(zip(table["clip"], table["subject"], strict=True))
    found = model.predict({"net": load_features(tmp_path / "net.h5")}, subjects=people).set_index("clip")
    columns = [f"p_{name}" for name in CLASSES]
    np.testing.assert_allclose(found.loc[reported.index, columns], reported[columns], atol=1e-5)
    unknown = model.predict({"net": load_features(tmp_path / "net.h5")}).set_index("clip")
    assert not np.allclose(unknown.loc[reported.index, columns], reported[columns], atol=1e-3)
    note = text(pd.read_csv(tmp_path / "candidates.csv")["note"][0])
    assert note.startswith("The sound of 2 clips is normalised over all clips, because their person is unknown")
    with Reader(tmp_path / "a.h5") as weights:
        assert all(weights.field(clip, "net").sum() == pytest.approx(1, abs=1e-5) for clip in weights.clips)
    few = {"net": dict(list(load_features(tmp_path / "net.h5").items())[:3])}
    with pytest.raises(ConfigError, match="over all clips of that person, but there are only 3 clips"):
        model.predict(few, subjects=people)


@pytest.mark.slow
def test_models_that_encoded_numbers_of_vectors_are_refused(tmp_path):
    run_stage(tmp_path, FusionOptions(audio_attention="multihead", heads=2, **FAST))
    path = tmp_path / "models/audio_m.safetensors"
    tensors, about = read(path, sealed=True)
    recipe = json.loads(about["recipe"])
    assert recipe["options"].pop("face_inputs") == ["vectors"]
    FusionPredictor(tmp_path, "audio_m", CPU)
    save_state(tensors, path, {**about, "recipe": json.dumps(recipe)})
    with pytest.raises(CacheError, match="encoded the numbers of vectors and not their times"):
        FusionPredictor(tmp_path, "audio_m", CPU)


def test_rows_in_memory_give_what_a_file_gives(tmp_path):
    table = table_of()
    whole = load(feature_file(tmp_path / "net.h5", table), list(table["clip"]))
    with Reader(tmp_path / "net.h5") as reader:
        found = run_model.features_of(RowsInMemory(list(reader.rows()), reader.fields), list(table["clip"]))
    for name in ("x", "start", "length", "logp", "time"):
        assert torch.equal(getattr(found, name), getattr(whole, name))


def test_the_stage_refuses_log_probabilities_that_are_not_there(tmp_path):
    with pytest.raises(ConfigError, match="reads what an emotion head says"):
        run_stage(tmp_path, FusionOptions(audio_inputs=["logp"], **FAST), head=False)


def test_planning_refuses_models_of_backbones_without_a_head():
    shipped = {"kind": "speech", "weights": resolve("speech_logmel", "speech", "here").path}
    backbones = {
        "shipped": BackboneBlock(**shipped),
        "trained": BackboneBlock(kind="audio_alexnet", pretrain={}),
        "egemaps": BackboneBlock(kind="opensmile"),
    }
    model = ModelBlock(streams=["shipped", "trained"], audio_inputs=["logp"])
    check_heads({"audio_both": model}, backbones, BASIC7)
    bare = {"streams": ["shipped", "egemaps"]}
    check_heads({"audio_bare": ModelBlock(**bare, statistics=["spread"])}, backbones, BASIC7)
    check_heads({"audio_bare": ModelBlock(**bare, face_inputs=["logp"])}, backbones, BASIC7)
    for keys in ({"audio_inputs": ["vectors", "logp"]}, {"statistics": ["entropy"]}):
        with pytest.raises(ConfigError, match=r"models\.audio_bare reads log-probabilities.* but egemaps has none"):
            check_heads({"audio_bare": ModelBlock(**bare, **keys)}, backbones, BASIC7)


@pytest.mark.slow
def test_new_files_have_no_person(tmp_path):
    """A run whose answer normalises by person is refused; another model of that kind is omitted."""
    run_stage(tmp_path, FusionOptions(normalise="subject", **FAST))
    models = {"audio_m": FusionPredictor(tmp_path, "audio_m", CPU), "face_n": None}
    models["face_n"] = FusionPredictor.__new__(FusionPredictor)
    models["face_n"]._options, models["face_n"]._modalities = FusionOptions(), {"f": "face"}
    assert list(without_transductive(models, ["face_n"], tmp_path)) == ["face_n"]
    with pytest.raises(ConfigError, match=r"comes from audio_m, which normalises sound by person .*subjects="):
        without_transductive(models, ["face_n", "audio_m"], tmp_path)
