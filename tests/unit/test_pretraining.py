"""Out-of-fold training: folds, batches, common axes, and that no network extracts what it has seen."""

import copy
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from emopipe.backbones import crossfit, feature_alignment, registry
from emopipe.backbones.base import AudioInput, FaceInput, Spec
from emopipe.backbones.classifier import Classifier, save_classifier
from emopipe.backbones.head_in_file import classes_of
from emopipe.cache import metadata
from emopipe.cache.store import Reader, Row, Writer
from emopipe.cache.tensors import save
from emopipe.core.errors import ConfigError, CorpusError
from emopipe.core.fingerprint import digest
from emopipe.core.labels import BASIC7, CLASSES, LabelSpace, in_recipe
from emopipe.core.log import LOGGER
from emopipe.corpora import folds
from emopipe.faces import rows as face_rows
from emopipe.faces.crops import read_crops
from emopipe.fusion.options import Protocol
from emopipe.media import rows as media_rows
from emopipe.media.decoded import encode_jpeg
from emopipe.media.spectrogram import LogMelOptions
from emopipe.stages import features, pretrain
from emopipe.training import audio_clips, checkpoint, face_clips
from emopipe.training.checkpoint import Checkpoint
from emopipe.training.history import COLUMNS
from emopipe.training.options import PretrainOptions
from emopipe.training.trainer import Trainer
from emopipe.weights import trained_on


def table(n=42, subjects=6):
    return pd.DataFrame({
        "clip": [f"c{i:03d}" for i in range(n)],
        "label": [CLASSES[i % 7] for i in range(n)],
        "subject": [f"s{i // 7 % subjects}" if subjects else "" for i in range(n)],
    })  # fmt: skip


class TestFolds:
    def test_by_subject(self):
        train = table()
        train["fold"] = train["clip"].map(folds.assign(train, 3, seed=0))
        assert (train.groupby("subject")["fold"].nunique() == 1).all()
        assert train.groupby("fold")["subject"].nunique().tolist() == [2, 2, 2]

    @pytest.mark.parametrize("subjects", [0, 2])
    def test_stratified_where_subjects_are_unknown_or_too_few(self, subjects):
        train = table(subjects=subjects)
        train["fold"] = train["clip"].map(folds.assign(train, 3, seed=0))
        assert (train.groupby(["label", "fold"]).size() == 2).all()

    def test_no_more_folds_than_clips(self):
        assert sorted(folds.assign(table(2, 0), 5, seed=0).values()) == [0, 1]
        with pytest.raises(ValueError, match="At least two"):
            folds.assign(table(1, 0), 2, seed=0)

    def test_the_seed_varies_them_and_the_order_of_rows_does_not(self):
        train = table(subjects=0)
        assert folds.assign(train, 3, 0) == folds.assign(train.iloc[::-1], 3, 0)
        assert folds.assign(train, 3, 0) != folds.assign(train, 3, 1)


class TestAxes:
    def test_recovers_a_map(self):
        rng = np.random.default_rng(0)
        source, slope, offset = rng.normal(size=(500, 6)), rng.normal(size=(6, 6)), rng.normal(size=6)
        found = feature_alignment.fit_map(source, source @ slope + offset)
        fresh = rng.normal(size=(100, 6)).astype("f4")
        expected = fresh @ slope + offset
        error = np.abs(feature_alignment.apply_map(fresh, found) - expected).max()
        assert error < 0.1 * np.abs(expected).max()
        assert found.dtype == np.float32

    def test_few_vectors_in_many_dimensions(self):
        rng = np.random.default_rng(0)
        found = feature_alignment.fit_map(rng.normal(size=(3, 20)), rng.normal(size=(3, 20)))
        assert np.isfinite(found).all()


def write_media(path, clips, rng, audio=True):
    with Writer(path, media_rows.FIELDS, stage="decode", recipe={}) as writer:
        for number, clip in enumerate(clips):
            tone = 0.3 * np.sin(2 * np.pi * (200 + 300 * (number % 2)) * np.arange(16_000) / 16_000)
            wave = ((tone + 0.02 * rng.normal(size=16_000)) * 32767).astype(np.int16)
            arrays = {"audio": wave, "audio_start": np.zeros(1)} if audio and number != 3 else {}
            writer.add(Row(clip, f"d{clip}", "ok" if arrays else "no_audio", "", arrays))


def write_faces(path, clips, rng):
    """Noise, dark or bright; clip 3 shows no face."""
    write_crops(path, {
        clip: None if number == 3 else [
            rng.integers(40 + 100 * (number % 2), 80 + 100 * (number % 2), (256, 256, 3), np.uint8) for _ in range(3)
        ]
        for number, clip in enumerate(clips)
    })  # fmt: skip


def write_crops(path, pictures):
    """Clip -> three crops, on the first, third and fourth of its frames; None for a clip without a face."""
    with Writer(path, face_rows.FIELDS, stage="faces", recipe={}) as writer:
        for clip, images in pictures.items():
            if images is None:
                writer.add(Row(clip, f"d{clip}", "no_face", "", {"mask": np.zeros(4, bool), "time": np.arange(4.0)}))
                continue
            jpegs = [encode_jpeg(image, 90) for image in images]
            arrays = {
                "crop": np.frombuffer(b"".join(jpegs), np.uint8),
                "crop_size": np.array(list(map(len, jpegs))),
                "mask": np.array([True, False, True, True]),
                "time": np.arange(4.0),
            }
            writer.add(Row(clip, f"d{clip}", "ok", "", arrays))


GEOMETRY = FaceInput(112.0, 32, "gray", (127.5,), (127.5,))


FACE_SPEC = Spec(modality="face", input=GEOMETRY, dim=6, licence="MIT", citation="none")
VOICE_SPEC = Spec(modality="audio", input=AudioInput("logmel", LogMelOptions()), dim=6, licence="MIT", citation="none")
CPU = torch.device("cpu")


def rows_of(*names):
    return pd.DataFrame({"clip": names, "label": [CLASSES[i % 7] for i in range(len(names))], "subject": "s"})


class TestSamples:
    def test_a_clip_whose_faces_cannot_be_decoded_is_omitted(self, tmp_path, caplog, monkeypatch):
        monkeypatch.setattr(LOGGER, "propagate", True)
        path, real = tmp_path / "0.h5", encode_jpeg
        with monkeypatch.context() as patch:
            calls = iter(range(6))
            patch.setitem(globals(), "encode_jpeg", lambda *given: b"no picture" if next(calls) == 4 else real(*given))
            write_faces(path, ["a", "b"], np.random.default_rng(0))
        _, clips = face_clips.read([path], rows_of("a", "b"), FACE_SPEC, PretrainOptions())
        assert clips["clip"].tolist() == ["a"]
        assert "clip b: the network is trained without it. A cached picture of 10 bytes is not a JPEG" in caplog.text

    def test_faces_without_augmentation_are_what_extraction_sees(self, tmp_path):
        """Pixel by pixel: brighter to the right and darker downwards, so that no turned picture passes."""
        across, down = np.meshgrid(np.linspace(0, 120, 256), np.linspace(0, 60, 256))
        pictures = {
            clip: [
                np.repeat((20 + 10 * k + across - down / 2 + 40)[..., None], 3, 2).astype(np.uint8) for k in range(3)
            ]
            for clip in "ab"
        }
        write_crops(tmp_path / "0.h5", pictures | {"none": None, "c": pictures["a"]})
        dataset, clips = face_clips.read(
            [tmp_path / "0.h5"], rows_of("b", "none", "a", "other"), FACE_SPEC, PretrainOptions()
        )
        assert clips["clip"].tolist() == ["b", "a"]
        assert dataset.clip.tolist() == [0, 0, 0, 1, 1, 1] and dataset.split.tolist() == ["train"] * 6
        assert dataset.targets.argmax(1).tolist() == [0, 0, 0, 2, 2, 2] and dataset.subject.tolist() == ["s"] * 6
        (batch,) = dataset.eval_batches(np.arange(6), CPU)
        seen = batch.views[0].numpy()
        with Reader(tmp_path / "0.h5") as shard:
            extracted = np.concatenate([GEOMETRY.prepare(read_crops(shard, clip, GEOMETRY)) for clip in ("b", "a")])
        assert seen.shape == extracted.shape == (6, 1, 32, 32)
        np.testing.assert_allclose(seen, extracted, atol=0.02)  # of 255 levels, 2.6
        for turned in (
            extracted[..., ::-1],
            extracted[..., ::-1, :],
            extracted.swapaxes(-1, -2),
            extracted[[1, 0, 2, 3, 4, 5]],
        ):
            assert np.abs(turned - extracted).max() > 0.05

    def test_augmentation_varies_and_repeats(self, tmp_path):
        write_faces(tmp_path / "0.h5", ["a", "b"], np.random.default_rng(0))
        dataset, _ = face_clips.read([tmp_path / "0.h5"], rows_of("a", "b"), FACE_SPEC, PretrainOptions())
        first, again, other = (
            dataset.batch(np.zeros(8, int), torch.Generator().manual_seed(seed), CPU) for seed in (0, 0, 1)
        )
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
        assert len({image.numpy().tobytes() for image in first}) == 8

    @pytest.mark.slow
    def test_sound_is_repeated_or_cut_to_one_length(self, tmp_path):
        write_media(tmp_path / "0.h5", ["a", "b", "c", "none"], np.random.default_rng(0))
        for seconds, frames in ((0.5, 50), (2.5, 250)):
            options = PretrainOptions(seconds=seconds)
            dataset, clips = audio_clips.read([tmp_path / "0.h5"], rows_of("b", "none", "a"), VOICE_SPEC, options)
            assert clips["clip"].tolist() == ["b", "a"] and dataset.clip.tolist() == [0, 1]
            assert dataset.targets.argmax(1).tolist() == [0, 2]
            augmented = dataset.batch(np.arange(2), torch.Generator().manual_seed(0), CPU)
            assert augmented.shape == (2, 3, 64, frames)
            assert torch.isfinite(augmented).all()


FACE = {
    "stage": "pretrain",
    "kind": "expression",
    "options": {"size": 32, "width": 4, "dim": 6},
    "pretrain": {"folds": 2, "epochs": 2, "batch": 8},
    "folds": Protocol(folds=2).model_dump(),
    "source": digest({}),
}
VOICE = FACE | {
    "kind": "audio_alexnet",
    "options": {"width": 0.05, "spectrum": {"kind": "logmel"}},
    "pretrain": {"folds": 2, "epochs": 2, "batch": 4, "seconds": 0.7},
}


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [FACE, VOICE], ids=["face", "audio"])
def test_each_training_clip_is_extracted_by_a_network_that_never_saw_it(tmp_path, recipe):
    names = [f"c{i}" for i in range(12)]
    rows = table(12, 0).assign(clip=names, path=names, split=["train"] * 10 + ["val", "test"], digest="")
    rows["label"] = [CLASSES[i % 2] for i in range(12)]
    rows.to_csv(tmp_path / "clips.csv", index=False)
    write = write_faces if recipe is FACE else write_media
    write(tmp_path / "0.h5", names, np.random.default_rng(0))
    weights, run = tmp_path / "w.safetensors", {"device": "cpu", "threads": 1}
    pretrain.run(recipe, tmp_path / "clips.csv", [tmp_path / "0.h5"], weights, tmp_path / "h.csv", start=None, **run)

    assert metadata.made_by(weights, recipe)
    assert not metadata.made_by(weights, recipe | {"stage": "other"})
    result = crossfit.load(weights)
    assert set(result.fold_of) == set(names[:10]) - {"c3"}  # c3 has neither face nor sound
    history = pd.read_csv(tmp_path / "h.csv")
    assert list(history.columns) == ["network", *COLUMNS]
    assert history["network"].tolist() == ["all"] * 2 + ["fold0"] * 2 + ["fold1"] * 2
    assert history["epoch"].tolist() == [1, 2] * 3 and history["loss"].notna().all()
    measured = history.groupby("network")["val_accuracy"].count()  # after the last epoch, on the fold that is left out
    assert measured.to_dict() == {"all": 0, "fold0": 1, "fold1": 1}

    extraction = recipe | {"stage": "features", "batch": 5, "precision": "float32", "view": ""}
    output = tmp_path / "f.h5"
    features.run(extraction, tmp_path / "0.h5", output, weights=None, pretrained=weights, **run)
    with Reader(output) as shard:
        assert shard.status["c3"] == ("no_face" if recipe is FACE else "no_audio")
        for clip in set(names) - {"c3"}:
            row = shard[clip]
            assert row.arrays["fold"].tolist() == [result.fold_of.get(clip, crossfit.ALL)]
            mask = row.arrays["mask"]
            for field in ("x", "logp"):
                assert np.isfinite(row.arrays[field][mask]).all() and np.isnan(row.arrays[field][~mask]).all()
            assert len(row.arrays["x"]) == len(row.arrays["time"]) == len(row.arrays["logp"]) == len(mask) > 0
        assert json.loads(shard.attributes["head_prior"])[:2] == pytest.approx(shares_of(rows, result))

    # The log-probabilities are those of each network's own head, of its vectors before they are mapped.
    unmapped = replace(result, alignments=[np.eye(len(axes), axes.shape[1], dtype="f4") for axes in result.alignments])
    crossfit.save(unmapped, tmp_path / "unmapped.safetensors", {})
    paths = tmp_path / "0.h5", tmp_path / "unmapped.h5"
    features.run(extraction, *paths, weights=None, pretrained=tmp_path / "unmapped.safetensors", **run)
    with Reader(output) as shard, Reader(tmp_path / "unmapped.h5") as plain:
        for clip in set(names) - {"c3"}:
            head, mask = result.head(result.fold_of.get(clip, crossfit.ALL)), shard.field(clip, "mask")
            expected = answers_of(head, plain.field(clip, "x")[mask])
            np.testing.assert_allclose(shard.field(clip, "logp")[mask], expected, atol=1e-4)

    before = output.read_bytes()
    features.run(extraction, tmp_path / "0.h5", output, weights=None, pretrained=weights, **run)
    assert output.read_bytes() == before  # what stands is taken over
    output.unlink()
    features.run(extraction, tmp_path / "0.h5", output, weights=None, pretrained=weights, **run)
    assert output.read_bytes() == before  # and made anew it is the same, byte for byte


def answers_of(head, x):
    """The log-probabilities (n, 7) of a head that was trained on two classes, for vectors (n, D)."""
    logits = (x.astype(np.float64) @ head.weight.numpy().T + head.bias.numpy())[:, :2]
    logits = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return np.hstack([logits, np.full((len(x), 5), np.log(1e-9))])  # the clips show two classes


def shares_of(rows, result):
    """The shares of the two classes among the training clips with samples, each of which has as many."""
    counts = rows[rows["clip"].isin(result.fold_of)]["label"].value_counts()
    return [counts[name] / counts.sum() for name in CLASSES[:2]]


def pretrain_alone(tmp_path, names, **options):
    rows = table(len(names), 0).assign(clip=names, path=names, split="train", digest="")
    rows.to_csv(tmp_path / "clips.csv", index=False)
    write_media(tmp_path / "0.h5", names, np.random.default_rng(0))
    recipe = VOICE | {"pretrain": VOICE["pretrain"] | options}
    files = tmp_path / "w.safetensors", tmp_path / "h.csv"
    pretrain.run(recipe, tmp_path / "clips.csv", [tmp_path / "0.h5"], *files, start=None, device="cpu", threads=1)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_is_told(tmp_path):
    with pytest.raises(
        ConfigError,
        match=r"epoch \d+ of pretrain w all (is|are) (nan|inf|not finite)\. Lower the learning rate \(lr is 1e\+30",
    ):
        pretrain_alone(tmp_path, ["a", "b", "c"], lr=1e30, warmup=0.0)
    assert not (tmp_path / "w.safetensors").exists()


@pytest.mark.slow
def test_too_few_samples_for_a_fold_are_told(tmp_path):
    with pytest.raises(CorpusError, match=r"The network fold0 of w has 1 training samples, but needs at least 2"):
        pretrain_alone(tmp_path, ["a", "b"])


MADE = LabelSpace(("Bored", "Happy", "Engaged"))


def train_in(space, tmp_path, **more):
    """The networks of six clips, three of them bored and three happy, in a label space; the recipe and the weights."""
    names = [f"c{i}" for i in range(7)]
    rows = table(7, 0).assign(clip=names, path=names, split="train", digest="")
    rows = rows.assign(**{"label": ["Bored", "Happy"] * 3 + ["Bored"], **more})
    rows.to_csv(tmp_path / "clips.csv", index=False)
    write_faces(tmp_path / "0.h5", names, np.random.default_rng(0))
    recipe = FACE | {"pretrain": {"folds": 2, "epochs": 1, "batch": 8}, **in_recipe(space)}
    files = tmp_path / "w.safetensors", tmp_path / "h.csv"
    pretrain.run(recipe, tmp_path / "clips.csv", [tmp_path / "0.h5"], *files, start=None, device="cpu", threads=1)
    return recipe, files[0]


@pytest.mark.slow
def test_networks_are_trained_in_the_classes_of_the_run(tmp_path):
    recipe, path = train_in(MADE, tmp_path)
    assert classes_of(metadata.read_metadata(path)) == MADE.names
    # Three frames of each clip are samples, and c3 has no face.
    assert trained_on.read(path).classes == {"Bored": 12, "Happy": 6, "Engaged": 0}
    head = crossfit.load(path).head(0)
    assert (head.classes, head.known.tolist()) == (MADE.names, [True, True, False])
    asked = recipe | {"stage": "features", "batch": 5, "precision": "float32", "view": ""}
    run = {"weights": None, "pretrained": path, "device": "cpu", "threads": 1}
    features.run(asked, tmp_path / "0.h5", tmp_path / "f.h5", **run)
    with Reader(tmp_path / "f.h5") as shard:
        assert json.loads(shard.attributes["head_classes"]) == list(MADE.names)
        assert json.loads(shard.attributes["head_prior"]) == pytest.approx([2 / 3, 1 / 3, 0])
        logp, mask = shard.field("c0", "logp"), shard.field("c0", "mask")
    np.testing.assert_allclose(np.exp(logp[mask]).sum(1), 1, atol=1e-6)


@pytest.mark.slow
def test_networks_are_trained_on_shares_of_votes(tmp_path, monkeypatch):
    trained, run = [], Trainer.run

    def watched(self):
        trained.append(self.dataset.targets)
        run(self)

    monkeypatch.setattr(Trainer, "run", watched)
    votes = {"votes_Bored": ["3", "0", "2", "0", "1", "", "2"], "votes_Happy": ["1", "4", "2", "1", "0", "", "0"]}
    votes["votes_Engaged"] = ["0"] * 7
    _, path = train_in(LabelSpace(MADE.names, "votes"), tmp_path, **votes)
    shares = [
        [0.75, 0.25, 0],
        [0, 1, 0],
        [0.5, 0.5, 0],
        [1, 0, 0],
        [0, 1, 0],
        [1, 0, 0],
    ]  # c5 has no votes, but a class
    assert trained[0].dtype == np.float32 and trained[0].tolist() == np.repeat(shares, 3, 0).tolist()
    assert trained_on.read(path).classes == {"Bored": 10, "Happy": 8, "Engaged": 0}


@pytest.mark.slow
def test_files_of_the_seven_do_not_name_them(tmp_path):
    _, path = train_in(BASIC7, tmp_path, label=[CLASSES[i % 2] for i in range(7)])
    assert "classes" not in metadata.read_metadata(path)
    assert crossfit.load(path).head(crossfit.ALL).classes == CLASSES


@pytest.mark.slow
def test_it_goes_on_with_the_classifier_of_the_weights_that_it_starts_from(tmp_path, monkeypatch):
    names = [f"c{i}" for i in range(6)]
    rows = table(6, 0).assign(clip=names, path=names, split="train", digest="")
    rows["label"] = [CLASSES[i % 2] for i in range(6)]
    rows.to_csv(tmp_path / "clips.csv", index=False)
    write_faces(tmp_path / "0.h5", names, np.random.default_rng(0))
    options = registry.options_class("expression").model_validate(FACE["options"])
    torch.manual_seed(9)
    start = Classifier(registry.build("expression", options), 6)
    save_classifier(start, tmp_path / "start.safetensors", {}, half=False)
    begun = []

    def run_nothing(self):
        begun.append(copy.deepcopy(self.model.state_dict()))
        self.history.append({"val_accuracy": 0.0})

    monkeypatch.setattr(Trainer, "run", run_nothing)
    pretrain.run(FACE, tmp_path / "clips.csv", [tmp_path / "0.h5"], tmp_path / "w.safetensors", tmp_path / "h.csv",
                 start=str(tmp_path / "start.safetensors"), device="cpu", threads=1)  # fmt: skip
    assert len(begun) == 3  # on all clips, and without each fold
    for state in begun:
        assert all(torch.equal(state[key], value) for key, value in start.state_dict().items())


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [1, 3, 5])
def test_training_that_is_cut_off_goes_on_and_comes_to_the_same(tmp_path, monkeypatch, epochs):
    """Three networks of two epochs each: it is cut off in the first, in the second, and before the last is done."""
    monkeypatch.setattr(checkpoint, "SAVE_SECONDS", 0)
    names = [f"c{i}" for i in range(8)]
    rows = table(8, 0).assign(clip=names, path=names, split="train", digest="")
    rows["label"] = [CLASSES[i % 2] for i in range(8)]
    rows.to_csv(tmp_path / "clips.csv", index=False)
    write_faces(tmp_path / "0.h5", names, np.random.default_rng(0))

    def run(folder):
        files = folder / "w.safetensors", folder / "h.csv"
        pretrain.run(FACE, tmp_path / "clips.csv", [tmp_path / "0.h5"], *files, start=None, device="cpu", threads=1)
        return [file.read_bytes() for file in files]

    saved, save = [], Checkpoint.save

    def cut_off(self, state):
        save(self, state)
        saved.append(self)
        if len(saved) == epochs:
            raise KeyboardInterrupt

    undisturbed = run(tmp_path / "undisturbed")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Checkpoint, "save", cut_off)
        run(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", lambda self, state: save(self, state) or saved.append(self))
        assert run(tmp_path) == undisturbed
    assert len(saved) == 3 * FACE["pretrain"]["epochs"]  # no epoch was trained twice
    assert not list(tmp_path.glob(".*"))


@pytest.mark.slow
def test_what_was_made_before_its_run_was_killed_is_not_made_again(tmp_path, monkeypatch):
    """Snakemake deletes the outputs that it does not know to be whole."""
    names = [f"c{i}" for i in range(6)]
    rows = table(6, 0).assign(clip=names, path=names, split="train", digest="")
    rows["label"] = [CLASSES[i % 2] for i in range(6)]
    shard, files = tmp_path / "0.h5", (tmp_path / "w.safetensors", tmp_path / "h.csv")
    torch.manual_seed(9)
    options = registry.options_class("expression").model_validate(FACE["options"])
    starts = [tmp_path / "start0.safetensors", tmp_path / "start1.safetensors"]
    for start in starts:
        save_classifier(Classifier(registry.build("expression", options), 6), start, {}, half=False)
    trained, train = [], Trainer.run
    monkeypatch.setattr(Trainer, "run", lambda self: trained.append(1) or train(self))

    def trains(*, labels="", seed=0, start=starts[0], **changes):
        """Whether a job trains, once its outputs are gone; the files that it makes are all there."""
        rows.assign(label=[labels or label for label in rows["label"]]).to_csv(tmp_path / "clips.csv", index=False)
        write_faces(shard, names, np.random.default_rng(seed))
        for file in files:
            file.unlink(missing_ok=True)
        trained.clear()
        run = {"start": str(start), "device": "cpu", "threads": 1, "preserve": True}
        pretrain.run(FACE | changes, tmp_path / "clips.csv", [shard], *files, **run)
        assert all(file.is_file() for file in files)
        return bool(trained)

    assert trains()
    first = [file.read_bytes() for file in files]
    assert not trains() and [file.read_bytes() for file in files] == first
    for changes in ({"seed": 1}, {"start": starts[1]}, {"labels": CLASSES[3]}, {"code": "other"}):
        assert trains(**changes) and not trains(**changes)
    assert trains() and [file.read_bytes() for file in files] == first


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "side"), [("resnet18", 512), ("ir50", 512)])
def test_published_networks_extract_with_weights_from_a_file(tmp_path, kind, side):
    """Their own weights are not at hand: a file of the same keys and shapes stands for them."""
    torch.manual_seed(7)
    network = registry.build(kind, registry.options_class(kind)())
    save(network, tmp_path / "weights.safetensors", {})
    write_faces(tmp_path / "0.h5", ["a", "b"], np.random.default_rng(0))
    recipe = {
        "stage": "features",
        "kind": kind,
        "options": {},
        "batch": 4,
        "precision": "float32",
        "view": "",
        "source": digest({}),
    }
    where = {"device": "cpu", "threads": 1}
    weights = str(tmp_path / "weights.safetensors")
    features.run(recipe, tmp_path / "0.h5", tmp_path / "f.h5", weights=weights, pretrained=None, **where)
    with Reader(tmp_path / "f.h5") as shard, Reader(tmp_path / "0.h5") as crops:
        geometry = registry.spec(kind, registry.options_class(kind)()).input
        faces_in = torch.from_numpy(geometry.prepare(read_crops(crops, "a", geometry)))
        with torch.inference_mode():
            expected = network.eval()(faces_in).numpy()
        assert expected.shape == (3, side)
        found = shard.field("a", "x")[shard.field("a", "mask")]
        assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()  # the batches were of other sizes
