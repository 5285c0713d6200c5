"""A finished run predicts the clips of its corpus as files: the answers are those of the batch pipeline."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import emopipe
from emopipe.commands.main import app
from emopipe.core.errors import CacheError
from emopipe.core.labels import CLASSES
from emopipe.scoring.predictions import PROBABILITIES
from tests.pages import blocks

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clips(finished):
    """The val clips of the run, with the paths of their files."""
    table = pd.read_csv(finished.work / "cache/small/clips.csv", keep_default_na=False)
    table = table[table["split"] == "val"]
    return {clip: str(finished.work / "corpus" / path) for clip, path in zip(table["clip"], table["path"], strict=True)}


@pytest.fixture(scope="module")
def answers(finished, clips):
    return emopipe.predict(list(clips.values()), model=finished.work / "results/first", threads=2)


def test_the_answers_are_those_of_the_batch_pipeline(finished, clips, answers):
    run = emopipe.load_run(finished.work / "results/first")
    batch = run.predictions().set_index("clip").loc[list(clips)]
    ours = np.array([[one.probabilities[name] for name in CLASSES] for one in answers])
    assert len(ours) == 7
    np.testing.assert_allclose(ours, batch[PROBABILITIES].to_numpy(float), atol=5e-6)
    assert [one.label for one in answers] == list(batch["pred"])
    for model in ("face_learned", "face_given", "audio_voice", "fused_two"):
        of_model = run.predictions(model).set_index("clip").loc[list(clips)][PROBABILITIES].to_numpy(float)
        ours = np.array([list(one.models[model].values()) for one in answers])
        np.testing.assert_allclose(ours, of_model, atol=5e-6)


def test_an_answer_does_not_depend_on_the_name_of_the_file_or_on_its_neighbours(finished, clips, answers, tmp_path):
    # A clip of the training split: under its own name, it must not go through the network of its fold.
    table = pd.read_csv(finished.work / "cache/small/clips.csv", keep_default_na=False)
    trained = finished.work / "corpus" / table[table["split"] == "train"]["path"].iloc[0]
    (tmp_path / f"other{trained.suffix}").write_bytes(trained.read_bytes())
    predictor = emopipe.Predictor(finished.work / "results/first", threads=2)
    named, renamed = predictor.predict([trained, tmp_path / f"other{trained.suffix}"])
    assert named.probabilities == renamed.probabilities
    alone = predictor.predict(next(iter(clips.values())))[0]
    np.testing.assert_allclose(list(alone.probabilities.values()), list(answers[0].probabilities.values()), atol=5e-6)


def test_a_folder_with_the_weights_is_enough_by_itself(finished, clips, answers, tmp_path):
    bundle = tmp_path / "bundle"
    shutil.copytree(finished.work / "results/first", bundle)
    with pytest.raises(CacheError, match="holds the weights of the backbone learned"):
        emopipe.Predictor(bundle, threads=2)
    shutil.copytree(finished.work / "cache/small/weights", bundle / "weights")
    made = emopipe.predict(next(iter(clips.values())), model=bundle, threads=2)
    assert list(made[0].probabilities.values()) == pytest.approx(list(answers[0].probabilities.values()), abs=1e-6)


def test_a_bundle_gives_the_same_answers_without_the_run(finished, clips, answers, tmp_path):
    """Faces and sound, with networks that were given, shipped and trained by the run."""
    done = CliRunner().invoke(
        app, ["export", str(finished.work / "results/first"), "--to", "bundle", "--out", str(tmp_path / "first.zip")]
    )
    assert done.exit_code == 0, done.output
    made = emopipe.predict(list(clips.values()), model=tmp_path / "first.zip", threads=2)
    assert list(made) == list(answers)


def test_the_command_prints_json_of_a_runs_answer(finished, clips):
    file = next(iter(clips.values()))
    done = CliRunner().invoke(app, ["predict", file, "--model", str(finished.work / "results/first"), "--json"])
    (line,) = done.stdout.splitlines()
    found = json.loads(line)
    assert (done.exit_code, found["input"], found["status"]) == (0, file, "ok")
    assert set(found["streams"]) == {"learned", "given", "voice"}
    assert sum(found["probabilities"].values()) == pytest.approx(1, abs=1e-9)


def test_a_folder_that_is_not_a_finished_run_is_refused(finished, tmp_path):
    with pytest.raises(CacheError, match="does not exist"):
        emopipe.Predictor(tmp_path / "nothing")
    with pytest.raises(CacheError, match=r"has no config\.yaml"):
        emopipe.Predictor(tmp_path)
    with pytest.raises(CacheError, match=r"has no metrics\.csv"):
        emopipe.load_run(tmp_path)


def test_cached_features_and_faces_are_read_by_clip(finished, clips):
    features = emopipe.load_features(finished.work / "cache/small/features/given.h5")
    clip = next(iter(clips))
    assert features[clip].x.shape == (3, 8) and features[clip].time.shape == features[clip].mask.shape == (3,)
    assert len(features.labels) == len(features) and set(features.labels["split"]) == {"train", "val"}
    frame = features.to_frame()
    assert (
        len(frame) == sum(len(x) for x in features.to_torch().values()) == sum(f.mask.sum() for f in features.values())
    )
    np.testing.assert_array_equal(frame[frame["clip"] == clip].iloc[:, 2:], features[clip].x[features[clip].mask])
    faces = emopipe.load_faces(finished.work / "cache/small/faces/main")
    assert faces[clip].crops.shape == (faces[clip].mask.sum(), 256, 256, 3) and faces[clip].box.shape == (3, 4)
    assert set(faces) == set(features)
    with pytest.raises(CacheError, match="but not faces"):
        emopipe.load_faces(finished.work / "cache/small/features/given.h5")


def test_attention_weights_of_a_run_have_times(finished, clips):
    run = emopipe.load_run(finished.work / "results/first")
    found = run.attention("fused_two", next(iter(clips)))
    by_stream = found.groupby("stream")["weight"].sum()
    assert set(by_stream.index) == {"given", "voice"} and by_stream.tolist() == pytest.approx([1, 1], abs=1e-5)
    assert (found[found["stream"] == "given"]["time"].diff().dropna() > 0).all()
    with pytest.raises(KeyError, match="is not among the"):
        run.attention("fused_two", "nobody")
    with pytest.raises(KeyError, match="is not a model of this run"):
        run.predictions("nothing")


def test_a_model_predicts_from_features(finished):
    run = emopipe.load_run(finished.work / "results/first")
    model = run.model("fused_two")
    assert model.inputs == ["given", "voice"]
    features = {name: emopipe.load_features(finished.work / f"cache/small/features/{name}.h5") for name in model.inputs}
    made = model.predict(features).set_index("clip")
    batch = run.predictions("fused_two").set_index("clip")
    np.testing.assert_allclose(made.loc[batch.index, PROBABILITIES], batch[PROBABILITIES], atol=5e-6)
    face_alone = model.predict({"given": features["given"], "voice": {"other": next(iter(features["voice"].values()))}})
    assert set(face_alone["clip"]) == {*features["given"], "other"} and face_alone["covered"].all()
    with pytest.raises(KeyError, match="voice are missing"):
        model.predict({"given": features["given"]})
    with pytest.raises(KeyError, match="not a trained model"):
        run.model("ensemble")


def test_the_example_of_the_docs_on_a_run(finished, clips, monkeypatch):
    """The second block of docs/predict.md, with the names of this run in place of the demo's."""
    names = {
        "cache/demo/": "cache/small/",
        "results/demo": "results/first",
        "expression": "given",
        "logmel": "voice",
        "fused_fbp": "fused_two",
        "clip.mp4": next(iter(clips.values())),
    }
    code = blocks("docs/predict.md", "python")[1]
    for name, here in names.items():
        assert name in code
        code = code.replace(name, here)
    monkeypatch.chdir(finished.work)
    found = {}
    exec(code, found)
    weights = found["run"].attention("fused_two", found["reported"])
    assert set(weights["stream"]) == {"given", "voice"} and found["reported"] in clips
    assert found["features"][found["clip"]].x.shape == (3, 8)
