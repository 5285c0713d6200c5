"""Backbones that are trained with several seeds: a model's seeds read the vectors of one network each, in turn."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch

from emopipe.backbones.seeds import backbone_of, count_networks, network_of
from emopipe.core import tables
from emopipe.core.errors import ConfigError, EmopipeError
from emopipe.core.fingerprint import digest
from emopipe.fusion.data import FusionDataset
from emopipe.fusion.features import load
from emopipe.fusion.options import FusionOptions, Protocol
from emopipe.fusion.training import predict, train
from emopipe.inference.fusion_predictor import FusionPredictor
from emopipe.scoring import predictions
from emopipe.stages import fusion
from emopipe.workflow import config as configs
from emopipe.workflow.plan import Plan
from tests.unit import test_fusion_protocol as stage
from tests.unit import test_fusion_training as training
from tests.unit.test_what_reruns import CONFIG, REPOSITORY, TABLE

CPU = torch.device("cpu")


def config_with(**pretrain):
    raw = copy.deepcopy(CONFIG)
    raw["backbones"]["resnet"]["pretrain"] = {"folds": 2, **pretrain}
    raw["models"]["face_resnet"]["augment"] = True
    raw["backbones"]["resnet"]["views"] = ["flip"]
    return raw


def plan_of(raw):
    return Plan(configs.parse(raw), TABLE, REPOSITORY / "workflow_scripts")


def test_names_of_networks():
    files = ["a.b", "a.b@flip", "a.b.seed12", "a.b.seed12@flip", "voice"]
    assert [backbone_of(file) for file in files] == ["a.b"] * 4 + ["voice"]
    assert network_of("a.b.seed12@flip") == "a.b.seed12"
    assert count_networks("a.b", files) == 2 and count_networks("voice", files) == count_networks("other", files) == 1


@pytest.mark.slow
def test_a_network_for_each_seed_is_planned_and_the_first_stays_what_it_was():
    one, two = plan_of(config_with(seed=3)), plan_of(config_with(seeds=[3, 1]))
    assert two.inputs("face_resnet") == ["resnet", "resnet@flip", "resnet.seed1", "resnet.seed1@flip"]
    assert two.inputs("fused_all") == ["expression", "resnet", "resnet.seed1", "logmel"]
    for stage_of in ("pretrain", "merge"):
        assert getattr(two, stage_of)("resnet") == getattr(one, stage_of)("resnet")
        assert digest(getattr(two, stage_of)("resnet.seed1")) != digest(getattr(one, stage_of)("resnet"))
    assert two.pretrain("resnet.seed1")["pretrain"] == {**one.pretrain("resnet")["pretrain"], "seed": 1}
    assert digest(two.fusion("face_resnet")) != digest(one.fusion("face_resnet"))
    assert two.fusion("audio_logmel") == one.fusion("audio_logmel")


@pytest.mark.slow
def test_the_networks_of_all_seeds_start_from_one_schedule(monkeypatch):
    monkeypatch.setattr(Plan, "chain", lambda plan, name, phase: {"backbone": name, "phase": phase})
    raw = config_with(seeds=[0, 1])
    raw["sources"] = {"stills": {"kind": "ferplus", "path": "nowhere"}}
    raw["backbones"]["resnet"]["schedule"] = [{"sources": ["stills"], "epochs": 1}]
    plan = plan_of(raw)
    last = digest({"backbone": "resnet", "phase": 0})
    assert plan.pretrain("resnet.seed1")["chain"] == plan.pretrain("resnet")["chain"] == last


@pytest.mark.parametrize(("pretrain", "seeds", "fault"), [
    ({"seeds": [0, 1], "seed": 0}, [0, 1], r"backbones\.resnet\.pretrain.* both seed and seeds are set"),
    ({"seeds": [1, 1]}, [0, 1], r"backbones\.resnet\.pretrain.* contains a seed twice"),
    ({"seeds": [1]}, [0, 1], r"backbones\.resnet\.pretrain\.seeds"),
    ({"seeds": [0, 1, 2]}, [0, 1], r"models\.face_resnet\.seeds has 2 of the at least 3 seeds .* because "
     r"backbones\.resnet\.pretrain\.seeds has 3"),
])  # fmt: skip
def test_seeds_that_make_no_sense_are_refused(pretrain, seeds, fault):
    raw = config_with(**pretrain)
    raw["models"]["face_resnet"]["seeds"] = seeds
    with pytest.raises(EmopipeError, match=fault):
        configs.parse(raw)


def test_the_name_of_a_network_is_not_a_backbones():
    raw = copy.deepcopy(CONFIG)
    raw["backbones"]["resnet.seed1"] = raw["backbones"]["resnet"]
    with pytest.raises(ConfigError, match=r"'resnet\.seed1' ends in \.seed1, as other files of emopipe do"):
        configs.parse(raw)
    raw = config_with(seeds=[0, 1])
    raw["models"]["face_resnet"]["streams"] = ["resnet.seed1"]
    with pytest.raises(ConfigError, match=r"ends in \.seed1"):
        configs.parse(raw)


# -- vectors of several networks ---------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("options", [
    {"augment": True, "frames": 5}, {"augment": True, "sampling": "random"},
    {"early_stopping": {"patience": 1}, "mixup": 0.3},
], ids=["views", "random", "stopping"])  # fmt: skip
def test_a_batch_of_networks_of_several_backbones_equals_single_networks(options):
    """A network in a batch that reads the second backbone's vectors is as if alone, with these vectors alone."""
    plain, other = training.long_clips(seed=0), training.long_clips(seed=0)
    views = [part(plain, view) for view in (0, 1)] + [part(training.long_clips(seed=5), view) for view in (1, 0)]
    targets = plain.targets.numpy()
    voice = other.streams["v"]

    def dataset(of_face, networks):
        return FusionDataset.from_views(
            {"f": of_face, "v": [voice]}, training.MODALITIES, targets, CPU, networks={"f": networks}
        )

    both, second = dataset(views, 2), dataset(views[2:], 1)
    assert both.combinations == 2 and both.views == {"f": 2, "v": 1}
    chosen = FusionOptions(**{**training.SMALL, "epochs": 2}, **options)
    clips, stop = np.arange(40), np.arange(40, 60)
    runs = [training.Run(chosen, seed, clips, stop, 2, network=seed % 2) for seed in (0, 1, 2, 3)]
    rows = [np.arange(60)] * 4
    together = predict(both, train(both, runs), rows)
    alone = [training.Run(chosen, seed, clips, stop, 2) for seed in (1, 3)]
    for found, expected in zip(together[1::2], predict(second, train(second, alone), rows[:2]), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-7)
    assert np.abs(together[0] - together[1]).max() > 1e-3


def part(dataset, view):
    """The features of one view of the stream of faces."""
    clips = len(dataset.targets)
    every = dataset.streams["f"]
    rows = slice(view * clips, (view + 1) * clips)
    start, length = every.start[rows], every.length[rows]
    first, last = int(start[0]), int(start[-1] + length[-1])
    return training.Features(every.x[first:last], start - first, length)


@pytest.mark.slow
def test_each_seed_of_a_model_reads_one_network_and_new_clips_do_so_too(tmp_path):
    table = stage.corpus()
    made = stage_with(tmp_path / "both", table, [0, 1, 2], {"net": 3, "net.seed7": 9})
    second = stage_with(tmp_path / "second", table, [1], {"net": 9})
    by_seed = made["seeds"].set_index("seed")
    assert by_seed.index.value_counts().to_dict() == dict.fromkeys((0, 1, 2), len(second["seeds"]))
    of_second = second["seeds"][predictions.PROBABILITIES].to_numpy()
    np.testing.assert_allclose(by_seed.loc[1, predictions.PROBABILITIES], of_second, atol=2e-6)
    assert np.abs(by_seed.loc[2, predictions.PROBABILITIES].to_numpy() - of_second).max() > 1e-3
    # a finished run
    files = tmp_path / "both"
    for source, target in (("model.safetensors", "models/m.safetensors"), ("oof.csv", "oof/m.csv")):
        (files / target).parent.mkdir()
        (files / source).rename(files / target)
    model = FusionPredictor(files, "m", CPU)
    assert model.files == ["net", "net.seed7"]
    reported = made["predictions"]
    features = {name: load(files / f"{name}.h5", list(reported["clip"])) for name in model.files}
    again = model.predict(reported[["clip", "split", "label"]].assign(subject=""), features)
    np.testing.assert_allclose(again[predictions.PROBABILITIES], reported[predictions.PROBABILITIES], atol=2e-6)


def stage_with(folder, table, seeds, files):
    """What the fusion stage writes for a model of the stream `net`, from files of vectors -> the seed of each."""
    folder.mkdir()
    tables.write(table.astype(str), folder / "clips.csv")
    outputs = {name: folder / f"{name}.{suffix}" for name, suffix in stage.OUTPUTS.items()}
    options = FusionOptions(**{**stage.FAST, "seeds": seeds})
    features = {name: stage.stream_file(folder / f"{name}.h5", table, seed) for name, seed in files.items()}
    recipe = {"options": options.model_dump(), "streams": {"net": "face"}, "protocol": Protocol(folds=3).model_dump()}
    recipe["features"] = dict.fromkeys(files, digest({}))
    fusion.run(recipe, folder / "clips.csv", features, outputs, device="cpu", threads=1)
    return {
        name: pd.read_csv(outputs[name], dtype={"clip": str, "label": str}, keep_default_na=False)
        for name in ("predictions", "seeds")
    }
