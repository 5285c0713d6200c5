"""Classes without a training clip, as in corpora of four emotions, get no probability, and tables say so."""

import json
import logging
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open

from emopipe.backbones import registry
from emopipe.backbones.classifier import Classifier, load_head, save_classifier
from emopipe.core.labels import CLASSES
from emopipe.evaluation.networks import open_network
from emopipe.fusion.data import FusionDataset
from emopipe.fusion.ensemble import FittedEnsemble
from emopipe.fusion.features import Features
from emopipe.fusion.options import EarlyStopping, EnsembleOptions, FusionOptions, Protocol
from emopipe.fusion.protocol import absent_classes
from emopipe.fusion.stack import Run
from emopipe.fusion.training import Loss, predict, train
from emopipe.inference.fusion_predictor import FusionPredictor
from emopipe.report import results, submission, summary, writing
from emopipe.scoring import metrics, predictions
from emopipe.scoring.predictions import PROBABILITIES
from emopipe.training.trainer import probabilities
from emopipe.workflow import config as configs
from emopipe.workflow import preconditions
from tests.unit import test_fusion_protocol as stage
from tests.unit import test_report_tables
from tests.unit.test_ensembling import member_probs
from tests.unit.test_mistakes import SOUND
from tests.unit.test_pretraining_trainer import Patterns, trained

CPU = torch.device("cpu")
IEMOCAP = ("Angry", "Happy", "Neutral", "Sad")
EMODB = ("Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad")
TINY = {"hidden": 16, "epochs": 15, "lr": 1e-2, "batch": 16, "dropout": 0.0}


def columns(names):
    return [f"p_{name}" for name in names]


def without(names):
    return columns(name for name in CLASSES if name not in names)


# -- networks ----------------------------------------------------------------------------------------------------------


def dataset(trained_on, n=40, seed=0, unseen=()):
    """One stream that contains the class; the last clips are of classes that no other clip shows."""
    rng = np.random.default_rng(seed)
    targets = np.array([CLASSES.index(trained_on[i % len(trained_on)]) for i in range(n)])
    targets[n - len(unseen) :] = [CLASSES.index(name) for name in unseen]
    x = rng.normal(size=(n, 7)).astype("f4")
    x[np.arange(n), targets] += 4
    ones = torch.ones(n, dtype=torch.int64)
    classes = np.isin(CLASSES, trained_on)
    features = Features(torch.from_numpy(x), ones.cumsum(0) - ones, ones)
    return FusionDataset.from_views({"f": [features]}, {"f": "face"}, targets, CPU, classes)


def runs(data, count, seeds=(0, 1), **keys):
    clips = np.arange(count)
    return [Run(FusionOptions(**TINY | keys), seed, clips, clips[:0], 2) for seed in seeds]


@pytest.mark.slow
@pytest.mark.parametrize("names", [IEMOCAP, EMODB])
@pytest.mark.parametrize("keys", [{}, {"mixup": 0.4, "class_weights": "balanced", "label_smoothing": 0.2}])
def test_networks_of_a_stack_give_no_probability_to_classes_without_a_clip(names, keys):
    data = dataset(names, unseen=["Surprise"])
    networks = train(data, runs(data, 39, **keys))
    absent = ~np.isin(CLASSES, names)
    for p in predict(data, networks, [np.arange(40)] * 2):
        assert (p[:, absent] == 0).all() and (p[:, ~absent] > 0).all()
        np.testing.assert_allclose(p.sum(1), 1, rtol=1e-12)
        assert (p.argmax(1) == data.targets.numpy())[:39].mean() > 0.8 > (p[39].argmax() == data.targets[39])


@pytest.mark.slow
def test_a_network_in_a_stack_is_the_one_that_is_trained_alone():
    data = dataset(IEMOCAP)
    together, alone = train(data, runs(data, 40)), [train(data, [run])[0] for run in runs(data, 40)]
    for one, other in zip(together, alone, strict=True):
        for key, tensor in one.state.items():
            torch.testing.assert_close(tensor, other.state[key], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("names", [IEMOCAP, EMODB, CLASSES])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_the_cross_entropy_of_the_classes_that_are_left(names, smoothing):
    data = dataset(names)
    loss = Loss(data, runs(data, 40, seeds=(0,), label_smoothing=smoothing))
    rows, valid = torch.arange(10)[None], torch.ones(1, 10, dtype=torch.bool)
    logits = torch.randn(1, 10, 7, generator=torch.Generator().manual_seed(0), requires_grad=True)
    kept = [CLASSES.index(name) for name in names]
    target = torch.tensor([kept.index(t) for t in data.targets[:10].tolist()])
    expected = F.cross_entropy(logits[0][:, kept], target, label_smoothing=smoothing)
    found = loss(logits, rows, valid, None)[0]
    torch.testing.assert_close(found, expected)
    gradient, expected_gradient = (
        torch.autograd.grad(each, logits, retain_graph=True)[0] for each in (found, expected)
    )
    torch.testing.assert_close(gradient, expected_gradient)
    assert gradient.isfinite().all()


def test_with_all_classes_the_numbers_are_those_without_a_restriction():
    data = dataset(CLASSES)
    logits = torch.randn(2, 5, 7)
    assert torch.equal(data.restrict(logits), logits) and data.classes.all()


# -- the stage, and a run that is finished -----------------------------------------------------------------------------


def table_of(names, val=("Fear",)):
    """Clips of the classes `names`, of which training clips show all, and val clips of further classes."""
    table = stage.corpus(subjects=False, n=60)
    table["label"] = [names[i // 3 % len(names)] if label else "" for i, label in enumerate(table["label"])]
    numbers = np.flatnonzero(table["split"] == "val")[: len(val)]
    table.loc[numbers, "label"] = list(val)
    return table


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "keys", "protocol"),
    [
        (IEMOCAP, {}, Protocol(folds=3)),
        (EMODB, {"early_stopping": EarlyStopping(watch="val")}, Protocol(folds=2)),
        (("Happy", "Sad"), {"search": {"lr": [1e-3, 1e-2]}}, Protocol(kind="final", folds=3)),
        (IEMOCAP, {}, Protocol(kind="kfold", folds=4)),
    ],
)
def test_no_table_of_the_stage_has_a_probability_for_them(tmp_path, names, keys, protocol):
    val = ("Surprise",) if protocol.kind == "given" else ()
    made = stage.run(tmp_path, table_of(names, val), FusionOptions(**stage.FAST, **keys), protocol)
    for kind in ("predictions", "oof", "seeds"):
        assert (made[kind][without(names)] == 0).all(axis=None) and len(made[kind])
        np.testing.assert_allclose(made[kind][columns(names)].sum(axis=1), 1, atol=1e-9)
        assert set(made[kind]["pred"]) <= set(names)
    assert np.isfinite(made["candidates"]["oof_loss"]).all()
    reported = made["predictions"]
    if val:  # such a clip counts as wrong, with a loss that is finite
        wrong = reported[reported["label"] == "Surprise"]
        assert len(wrong) == 1 and (wrong["pred"] != "Surprise").all()
        scored = metrics.score(reported, "m").set_index("split").loc["val"]
        recall = metrics.recalls(*reported.loc[reported["split"] == "val", ["label", "pred"]].to_numpy().T)
        assert recall["Surprise"] == 0 and scored["uar"] == pytest.approx(np.mean(list(recall.values())))
        loss = metrics.log_losses(wrong[PROBABILITIES].to_numpy(), np.array([CLASSES.index("Surprise")]))
        assert loss == pytest.approx(-np.log(metrics.PROBABILITY_FLOOR))


@pytest.mark.slow
@pytest.mark.parametrize("names", [IEMOCAP, ("Fear", "Sad", "Surprise")])
def test_a_finished_run_gives_them_no_probability(tmp_path, names):
    stage.run(tmp_path / "files", table_of(names, ("Disgust",)), FusionOptions(**stage.FAST), Protocol(folds=3))
    for source, target in (("model.safetensors", "models/m.safetensors"), ("oof.csv", "oof/m.csv")):
        (tmp_path / target).parent.mkdir()
        (tmp_path / "files" / source).rename(tmp_path / target)
    model = FusionPredictor(tmp_path, "m", CPU)
    x = 3 * torch.randn(12, 4, generator=torch.Generator().manual_seed(1))
    length = torch.tensor([1] * 10 + [0, 2])  # one clip without any vector
    clips = pd.DataFrame({"clip": [f"n{i}" for i in range(12)], "split": "test", "label": "", "subject": ""})
    found = model.predict(clips, {"net": Features(x, length.cumsum(0) - length, length)})
    assert (found[without(names)] == 0).all(axis=None) and found["covered"].tolist() == [1] * 10 + [0, 1]
    np.testing.assert_allclose(found[columns(names)].sum(axis=1), 1, atol=1e-9)
    assert len(set(found["pred"])) > 1


# -- ensembles ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("method", ["mean", "weighted", "greedy", "stacking"])
@pytest.mark.parametrize("names", [IEMOCAP, ("Angry", "Surprise")])
def test_ensembles_give_them_no_probability_at_any_temperature(method, names):
    rng = np.random.default_rng(0)
    kept = np.isin(CLASSES, names)
    targets = rng.choice(np.flatnonzero(kept), size=80)

    def member(sharpness):
        p = member_probs(targets, 1.0, rng, sharpness) * kept
        clips = pd.DataFrame({"clip": [f"c{n}" for n in range(80)], "split": "train"})
        clips["label"] = [CLASSES[number] for number in targets]
        return predictions.table(clips, p / p.sum(1, keepdims=True), np.ones(80, bool)).assign(fold=np.arange(80) % 4)

    oof = [member(8.0), member(9.0)]  # too sure of themselves: high temperatures spread probability
    ensemble = FittedEnsemble(EnsembleOptions(method=method, calibrate=True), oof)
    new = [one.drop(columns="fold").assign(split="val", label="Fear", clip="v" + one["clip"]) for one in oof]
    for found in (ensemble.predict(oof), ensemble.predict(new)):
        assert (found[without(names)] == 0).all(axis=None)
        np.testing.assert_allclose(found[columns(names)].sum(axis=1), 1, atol=1e-9)
    weights = ensemble.weights(["a", "b"])
    assert max(row["temperature"] for row in weights) > 2
    assert all(np.isfinite(row["oof_loss"]) for row in weights[:2])


@pytest.mark.slow
def test_a_submission_never_names_them(tmp_path):
    made = stage.run(tmp_path, table_of(IEMOCAP), FusionOptions(**stage.FAST), Protocol(folds=3))
    submission.write(made["predictions"], tmp_path / "s.zip")
    with zipfile.ZipFile(tmp_path / "s.zip") as archive:
        named = {archive.read(name).decode().strip() for name in archive.namelist()}
    assert named and named <= set(IEMOCAP)


# -- classifiers on stills and speech ----------------------------------------------------------------------------------


class Few(Patterns):
    """Patterns of some classes, and two val samples of another one."""

    def __init__(self, numbers):
        super().__init__(n=40, n_val=10)
        label = np.array(numbers)[np.arange(50) % len(numbers)]
        label[-2:] = 6
        self.targets = np.eye(7, dtype=np.float32)[label]


@pytest.mark.slow
@pytest.mark.parametrize("numbers", [(0, 3, 4, 5), (1, 2)])
@pytest.mark.parametrize(
    "keys", [{}, {"label_smoothing": 0.2, "mixup": 0.3}, {"distill_weight": 0.5, "teacher": "average"}]
)
def test_a_classifier_gives_them_no_probability(tmp_path, numbers, keys):
    data = Few(numbers)
    made = trained(tmp_path, data, epochs=4, **keys)
    p = probabilities(made.model, data, np.arange(50), CPU)
    absent = np.setdiff1d(range(7), numbers)
    assert (p[:, absent] == 0).all() and (p[:, list(numbers)] > 0).all()
    assert all(np.isfinite(value) for metrics_of in made.history for value in metrics_of.values())
    assert all(parameter.isfinite().all() for parameter in made.model.parameters())


def test_a_file_of_weights_says_which_classes_were_trained(tmp_path):
    options = registry.options_class("expression").model_validate(
        {"size": 16, "width": 2, "units": [1, 1, 1], "dim": 4}
    )
    torch.manual_seed(0)
    model = Classifier(registry.build("expression", options), 4)
    about = {"recipe": json.dumps({"kind": "expression", "options": options.model_dump()})}
    save_classifier(model, tmp_path / "seven.safetensors", about, half=False)
    model.restrict(np.isin(CLASSES, IEMOCAP))
    save_classifier(model, tmp_path / "four.safetensors", about, half=True)
    with safe_open(tmp_path / "seven.safetensors", "pt") as file:
        assert "trained_classes" not in file.metadata()
    faces = np.random.default_rng(0).normal(size=(9, 1, 16, 16)).astype("f4")
    for name, absent in (("seven", []), ("four", [1, 2, 6])):
        p = open_network(str(tmp_path / f"{name}.safetensors"), device=CPU, threads=1).probabilities(faces)
        assert np.flatnonzero((p == 0).all(0)).tolist() == absent
        np.testing.assert_allclose(p.sum(1), 1)
    load_head(model, tmp_path / "seven.safetensors")
    assert model.absent is None


# -- what is said ------------------------------------------------------------------------------------------------------


def test_the_clips_that_can_only_be_wrong_are_counted():
    table = table_of(IEMOCAP, ("Fear", "Surprise", "Fear"))
    assert absent_classes(table, Protocol()) == (
        "No training clip shows Disgust, Fear, Surprise, so models give them no probability. Clips of these classes "
        "count as wrong: 3 of 20 labelled val clips (Fear 2, Surprise 1)."
    )
    assert absent_classes(table, Protocol(kind="kfold")) == (
        "No training clip shows Disgust, so models give it no probability."
    )
    assert absent_classes(table_of(CLASSES, ()), Protocol()) == ""
    assert absent_classes(table.assign(label=""), Protocol(kind="kfold")) == ""


def test_planning_warns_of_them(caplog):
    config = configs.parse(SOUND)
    with caplog.at_level(logging.WARNING):
        preconditions.report_absent_classes(config, table_of(CLASSES, ()))
        assert not caplog.records
        preconditions.report_absent_classes(config, table_of(EMODB, ("Surprise", "Surprise")))
    assert [record.getMessage() for record in caplog.records] == [
        "No training clip shows Surprise, so models give it no probability. Clips of this class count as "
        "wrong: 2 of 20 labelled val clips (Surprise 2)."
    ]


@pytest.mark.slow
def test_tables_and_summary_repeat_it():
    note = absent_classes(table_of(IEMOCAP, ("Fear",)), Protocol())
    frame = results.table(test_report_tables.run())
    assert note in writing.markdown("results", frame, {**test_report_tables.RECIPE, "absent_classes": note})
    assert "No training clip" not in writing.markdown("results", frame, test_report_tables.RECIPE)
    assert summary.markdown(pd.DataFrame(columns=metrics.COLUMNS), "r", "", [note]).endswith(f"\n\n{note}\n")
    assert summary.markdown(pd.DataFrame(columns=metrics.COLUMNS), "r", "").endswith("significance tests.\n")
