"""The fusion stage for every kind of label space: its tables, what is said of clips without vectors, and its model."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emopipe.cache import tensors
from emopipe.cache.store import Field, Reader, Row, Writer
from emopipe.core import tables
from emopipe.core.fingerprint import digest
from emopipe.core.labels import CLASSES, LabelSpace, in_recipe, of_recipe
from emopipe.fusion.options import FusionOptions, Protocol
from emopipe.fusion.protocol import KFOLD
from emopipe.fusion.targets import as_vectors, class_numbers, frequencies, of_table, shown
from emopipe.scoring import predictions
from emopipe.scoring.losses import losses
from emopipe.stages import fusion

NAMES = ("bored", "engaged", "confused")
SPACES = {
    "single": LabelSpace(NAMES),
    "votes": LabelSpace(NAMES, "votes"),
    "multi": LabelSpace(NAMES, "multi"),
    "dimensions": LabelSpace(("valence", "arousal"), "dimensions", 1.0, 5.0),
}
FAST = {"hidden": 8, "epochs": 20, "lr": 3e-2, "batch": 16, "seeds": [0, 1], "search": {"lr": [3e-2, 1e-4]}}
OUTPUTS = {
    "predictions": "csv", "oof": "csv", "seeds": "csv", "candidates": "csv", "model": "safetensors", "attention": "h5",
}  # fmt: skip
N, BARE = 45, (0, 2)  # a training clip and a val clip have no vectors


def corpus(space: LabelSpace) -> tuple[pd.DataFrame, np.ndarray]:
    """A clip table of 30 training clips, 12 val clips and 3 test clips without labels; and targets of all (N, K)."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(N, len(space)))
    votes = np.array([rng.multinomial(6, p) for p in np.exp(2 * z) / np.exp(2 * z).sum(1, keepdims=True)])
    numbers = {"single": np.eye(3)[z.argmax(1)] if len(space) == 3 else z, "votes": votes, "multi": (z > 0.3) * 1.0}
    given = numbers.get(space.kind, np.clip(3 + z, 1, 5))
    table = pd.DataFrame({"clip": [f"c{n:02d}" for n in range(N)], "subject": "", "path": ""})
    table["split"] = np.where(np.arange(N) % 3 < 2, "train", "val")
    table.loc[N - 3 :, "split"] = "test"
    table["label"] = [space.label(row) if n < N - 3 else "" for n, row in enumerate(given)]
    if space.kind == "votes":
        table[space.vote_columns] = votes.astype(str)
        table.loc[N - 3 :, space.vote_columns] = ""
    return table, z


def run(folder: Path, space: LabelSpace, protocol: Protocol) -> dict[str, pd.DataFrame]:
    """The tables of the stage for one stream, whose vectors are what the labels were made of."""
    table, z = corpus(space)
    tables.write(table, folder / "clips.csv")
    with Writer(folder / "net.h5", {"x": Field("f4", (8,)), "mask": Field("?"), "time": Field("f8")}, stage="merge",
                recipe={}) as writer:  # fmt: skip
        for number, clip in enumerate(table["clip"]):
            x = np.pad(np.tile(z[number], (2, 1)), ((0, 0), (0, 8 - len(space))))
            arrays = {"x": x, "mask": np.ones(2, bool), "time": np.arange(2.0)}
            writer.add(Row(clip, "", "ok", "", {} if number in BARE else arrays))
    recipe = {"options": FusionOptions(**FAST).model_dump(), "streams": {"net": "face"}, **in_recipe(space)}
    recipe |= {"protocol": protocol.model_dump(), "features": {"net": digest({})}}
    outputs = {name: folder / f"{name}.{suffix}" for name, suffix in OUTPUTS.items()}
    fusion.run(recipe, folder / "clips.csv", {"net": folder / "net.h5"}, outputs, device="cpu", threads=1)
    return {name: predictions.read(outputs[name]) for name in ("predictions", "oof", "seeds")} | {
        "candidates": pd.read_csv(outputs["candidates"]),
        "clips": table,
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", SPACES)
def test_the_stage_writes_the_answers_of_its_label_space(tmp_path: Path, kind: str) -> None:
    space = SPACES[kind]
    made = run(tmp_path, space, Protocol(folds=3))
    clips, found, oof = made["clips"], made["predictions"], made["oof"]
    # 1. answers of the label space, for the clips that the protocol says
    assert found["clip"].tolist() == clips.loc[clips["split"] != "train", "clip"].tolist()
    assert oof["clip"].tolist() == clips.loc[clips["split"] == "train", "clip"].tolist()
    for table in (found, oof, made["seeds"]):
        values = table[space.columns].to_numpy()
        assert np.isfinite(values).all() and table["pred"].tolist() == space.answers(values)
        assert values.min() >= (space.low if kind == "dimensions" else 0)
        assert values.max() <= (space.high if kind == "dimensions" else 1)
        assert not space.has_one_class or np.allclose(values.sum(1), 1)
    # 2. a clip without vectors gets the mean of the labels of all training clips, or of those of the other folds
    train = clips[clips["split"] == "train"]
    targets, fold = space.targets(train), oof["fold"].to_numpy()
    bare = found[~found["covered"].astype(bool)]
    assert bare["clip"].tolist() == ["c02"] and oof.loc[~oof["covered"].astype(bool), "clip"].tolist() == ["c00"]
    np.testing.assert_allclose(bare[space.columns].to_numpy()[0], targets.mean(0), atol=2e-6)
    others = targets[fold != fold[0]].mean(0)
    np.testing.assert_allclose(oof.loc[0, space.columns].to_numpy(float), others, atol=2e-6)
    # 3. the model beats that mean on val, and the candidate that learns is the chosen one
    val = found[(found["split"] == "val") & (found["covered"] == 1)]
    truth = space.targets(val if kind != "votes" else clips[clips["clip"].isin(val["clip"])])
    guess = losses(np.tile(targets.mean(0), (len(val), 1)), truth, space).mean()
    assert losses(val[space.columns].to_numpy(), truth, space).mean() < guess
    score = {"multi": "oof_macro_ap", "dimensions": "oof_ccc"}.get(kind, "oof_accuracy")
    candidates = made["candidates"]
    assert candidates.columns.tolist() == ["candidate", "lr", "seed", "oof_loss", score, "epochs", "chosen", "note"]
    assert candidates.loc[candidates["chosen"] == 1, "lr"].unique().tolist() == [3e-2]
    assert candidates.groupby("lr")[score].mean().idxmax() == 3e-2
    # 4. the file of the model says what it is
    _, about = tensors.read(tmp_path / "model.safetensors", sealed=True)
    assert "classes" not in about and LabelSpace.from_dict(json.loads(about["labels"])) == space
    assert of_recipe(json.loads(about["recipe"])) == space
    np.testing.assert_allclose(json.loads(about["prior"]), targets.mean(0))
    with Reader(tmp_path / "attention.h5") as attention:
        weights = attention.field("c05", "net")
    assert weights.shape == (2,) and weights.sum() == pytest.approx(1)


@pytest.mark.slow
def test_the_stage_cross_validates_dimensions(tmp_path: Path) -> None:
    space = SPACES["dimensions"]
    made = run(tmp_path, space, Protocol(kind="kfold", folds=3))
    found = made["predictions"]
    assert len(found) == N and (found.loc[found["label"] != "", "split"] == KFOLD).all()
    again = run(tmp_path, space, Protocol(kind="kfold", folds=3))
    for name in ("predictions", "oof", "seeds", "candidates"):
        pd.testing.assert_frame_equal(again[name], made[name])


# -- targets -----------------------------------------------------------------------------------------------------------


def test_targets_of_a_clip_table() -> None:
    table = pd.DataFrame({"label": ["engaged", "", "bored"]})
    assert of_table(table, SPACES["single"]).tolist() == [1, -1, 0]
    vectors = SPACES["single"].targets(table)
    assert class_numbers(vectors).tolist() == [1, -1, 0]
    np.testing.assert_array_equal(as_vectors(np.array([1, -1, 0]), 3), vectors)
    assert as_vectors(vectors, 3) is vectors
    several = pd.DataFrame({"label": ["engaged;confused", "(none)", ""]})
    np.testing.assert_array_equal(of_table(several, SPACES["multi"]), [[0, 1, 1], [0, 0, 0], [np.nan] * 3])


def test_what_is_said_of_a_clip_about_which_nothing_is_known() -> None:
    targets = np.array([[1.0, 0, 0], [0.5, 0.5, 0]])
    np.testing.assert_array_equal(frequencies(targets, SPACES["votes"]), [0.75, 0.25, 0])
    np.testing.assert_array_equal(frequencies(np.array([[1.0, 5.0], [2.0, 5.0]]), SPACES["dimensions"]), [1.5, 5])
    nothing = {kind: frequencies(np.empty((0, len(space))), space).tolist() for kind, space in SPACES.items()}
    assert nothing == {"single": [1 / 3] * 3, "votes": [1 / 3] * 3, "multi": [0.5] * 3, "dimensions": [3.0] * 2}
    assert shown(targets, SPACES["multi"]).tolist() == [True, True, False]
    assert shown(np.array([[-1.0, 0]]), LabelSpace(("v", "a"), "dimensions")).tolist() == [True, True]


def test_the_file_of_a_seven_class_model_says_what_it_always_did() -> None:
    assert fusion._about_labels(LabelSpace(CLASSES), np.eye(7)) == {"classes": " ".join(CLASSES)}
