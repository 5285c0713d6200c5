"""Stills from a table: paths with a class, or with votes of several; and a network that is trained on them."""

import json
import os
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from safetensors.torch import load_file
from typer.testing import CliRunner

from emopipe import stills
from emopipe.backbones import registry
from emopipe.backbones.classifier import read_head
from emopipe.cache.metadata import HEAD, read_metadata
from emopipe.commands.main import app
from emopipe.core.errors import ConfigError, CorpusError
from emopipe.core.labels import CLASSES
from emopipe.core.validation import checked
from emopipe.corpora.labelling import in_classes
from emopipe.stills.ferplus import vote_majority
from emopipe.training.sources import SourceBlock
from emopipe.workflow.training_recipe import phase_recipe

EIGHT = (*CLASSES, "Contempt")
VOTES = ["neutral", "happiness", "contempt", "unknown", "NF"]
NEUTRAL, HAPPY, CONTEMPT = EIGHT.index("Neutral"), EIGHT.index("Happy"), 7
FACE = {"size": 16, "width": 2, "units": [1, 1, 1], "dim": 4}
SHARED = os.environ.get("EMOPIPE_SHARED", "")


def picture(number):
    noise = np.random.default_rng(number).integers(0, 256, (4, 4, 3), np.uint8)
    return cv2.imencode(".png", cv2.resize(noise, (16, 16), interpolation=cv2.INTER_CUBIC))[1].tobytes()


def listed(root, rows, header="picture,label", zipped=False):
    """A table of pictures in a folder `pictures` or in `pictures.zip`; each row begins with the path."""
    (root / "list.csv").write_text("\n".join([header, *rows]))
    names = dict.fromkeys(row.partition(",")[0] for row in rows)
    if zipped:
        with zipfile.ZipFile(root / "pictures.zip", "w") as file:
            for number, name in enumerate(names):
                file.writestr(name, picture(number))
        return root / "list.csv"
    for number, name in enumerate(names):
        (root / "pictures" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "pictures" / name).write_bytes(picture(number))
    return root / "list.csv"


def read(path, classes=CLASSES, **options):
    kind = stills.options_class("table")
    return stills.read("table", path, checked(kind, {"pictures": "pictures", **options}, context=in_classes(classes)))


# --- a column of classes


@pytest.mark.parametrize("zipped", [False, True])
def test_classes(tmp_path, zipped):
    path = listed(tmp_path, ["a/1.png,happiness,x", "a/2.png,Contempt,y", "b/3.png,anger,x", "b/4.png,,y"],
                  "picture,label,who", zipped)  # fmt: skip
    pictures = "pictures.zip" if zipped else "pictures"
    found = read(path, pictures=pictures)
    assert found.table["key"].tolist() == ["a/1.png", "b/3.png"]
    assert found.targets.argmax(1).tolist() == [CLASSES.index("Happy"), CLASSES.index("Angry")]
    assert found.read_image("b/3.png").tolist() == cv2.imdecode(np.frombuffer(picture(2), "u1"), 1).tolist()
    eight = read(path, EIGHT, pictures=pictures, group="who")
    assert eight.table["subject"].tolist() == ["x", "y", "x"]
    assert eight.targets.argmax(1).tolist() == [HAPPY, CONTEMPT, EIGHT.index("Angry")]
    with pytest.raises(CorpusError, match=r"The class 'sneer' of .*list\.csv is unknown"):
        read(listed(tmp_path, ["a/1.png,sneer"]))
    sneer = read(listed(tmp_path, ["a/1.png,sneer"]), EIGHT, labels={"sneer": "Contempt"})
    assert sneer.targets[0, CONTEMPT] == 1


def test_columns_by_other_names(tmp_path):
    path = listed(tmp_path, ["1.png,joy,val", "2.png,sad,fold3"], "file,emotion,part")
    found = read(path, picture="file", label="emotion", split="part")
    assert found.table["split"].tolist() == ["val", "fold3"]
    with pytest.raises(CorpusError, match=r"list\.csv in .* lacks the columns picture, label\. Its columns are: file"):
        read(path)


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["all/train/happy/1.png", "all/Validation/sad/2.png", "all/clips/sad/3.png"], ["train", "val", "clips"]),
        (["all/train/1.png", "all/val/2.png"], ["train", "val"]),
        (["happy/1.png", "sad/2.png"], ["", ""]),
        (["1.png", "2.png"], ["", ""]),
    ],
)
def test_folders_name_the_split_where_no_column_does(tmp_path, names, splits):
    assert read(listed(tmp_path, [f"{name},sad" for name in names])).table["split"].tolist() == splits


def test_equal_rows_count_once_and_contradictory_ones_not_at_all(tmp_path):
    path = listed(tmp_path, ["1.png,sad", "1.png,sad", "2.png,sad", "2.png,happy", "3.png,sad", "3.png,contempt"])
    assert read(path).table["key"].tolist() == ["1.png"]


# --- votes


def votes(root, *rows, header=VOTES):
    return listed(root, [f"{number}.png,{row}" for number, row in enumerate(rows)], ",".join(["picture", *header]))


def test_votes_as_shares(tmp_path):
    path = votes(tmp_path, "6,3,1,0,0", "2,2,6,0,0", "4,0,0,6,0", "0,0,0,0,9", "0,0,0,0,0")
    seven = read(path, votes=VOTES, outliers=1)
    assert seven.table["key"].tolist() == ["0.png"]  # others are mostly contempt, unknown, no face, or have no votes
    assert seven.targets[0, [NEUTRAL, HAPPY]] == pytest.approx([6 / 9, 3 / 9])
    eight = read(path, EIGHT, votes=VOTES)
    assert eight.table["key"].tolist() == ["0.png", "1.png"]
    assert eight.targets[:, [NEUTRAL, HAPPY, CONTEMPT]] == pytest.approx(np.array([[6, 3, 1], [2, 2, 6]]) / 10)
    with pytest.raises(CorpusError, match="no still of one of the seven classes"):
        read(votes(tmp_path, "0,0,0,9,0"), votes=VOTES)


def test_the_majority_has_more_than_half_of_all_votes_without_outliers(tmp_path):
    rows = {
        "6,1,1,1,1": NEUTRAL,  # 6 of 6: single votes are ignored
        "5,5,0,0,0": None,  # a tie
        "4,3,0,3,0": None,  # the most votes, but not more than half
        "5,0,0,3,2": None,  # exactly half, as unknown and no face count
        "0,2,5,2,0": CONTEMPT,
        "1,1,1,1,1": None,
        "0,0,0,0,9": None,
    }
    found = read(votes(tmp_path, *rows), EIGHT, votes=VOTES, outliers=1, targets="majority")
    assert dict(zip(found.table["key"], found.targets.argmax(1).tolist(), strict=True)) == {
        f"{number}.png": label for number, label in enumerate(rows.values()) if label is not None
    }
    assert found.targets.sum(1).tolist() == [1, 1]


def test_votes_that_are_summed_over_copies_are_divided_by_their_number(tmp_path):
    # Of three copies: 3 of 30 votes are a single vote of ten, 4 of 30 are more. One with fewer raters stays as it is.
    path = votes(tmp_path, "18,3,3,6,0", "17,4,3,6,0", "3,0,1,0,0")
    found = read(path, EIGHT, votes=VOTES, outliers=1, raters=10)
    wanted = np.array([[18, 0, 0], [17, 4, 0], [3, 0, 0]])
    wanted = wanted / wanted.sum(1, keepdims=True)
    assert found.targets[:, [NEUTRAL, HAPPY, CONTEMPT]] == pytest.approx(wanted)
    as_they_are = read(path, EIGHT, votes=VOTES, outliers=1)
    assert as_they_are.targets[0, [NEUTRAL, HAPPY, CONTEMPT]] == pytest.approx(np.array([18, 3, 3]) / 24)


def test_shares_of_other_columns(tmp_path):
    path = votes(tmp_path, "0.75,0.25", "0,1", header=["glad", "blank"])
    found = read(path, votes=["glad", "blank"], labels={"glad": "Happy", "blank": "Neutral"})
    assert found.targets[:, [HAPPY, NEUTRAL]].tolist() == [[0.75, 0.25], [0, 1]]


def test_the_votes_for_names_of_one_class_are_added():
    counts = np.array([[3, 3, 4]])
    assert vote_majority(counts, ["Happy", "Happy", "Sad"], CLASSES)[0, CLASSES.index("Happy")] == 1
    assert vote_majority(counts, ["Happy", "", "Sad"], CLASSES).sum() == 0


# --- what is refused


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"votes": ["a"], "label": "b"}, "both label and votes are set"),
        ({"votes": ["a", "a"]}, "has a column twice"),
        ({"targets": "majority"}, "targets is about votes, and there are none"),
        ({"raters": 10}, "raters is about votes"),
        ({"labels": {"sneer": "Contempt"}}, "The class 'Contempt' is not one of the seven"),
        ({"colum": "x"}, "Unknown key options.colum"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, said):
    with pytest.raises(ConfigError, match=said):
        checked(stills.options_class("table"), options, "options")


def test_tables_that_cannot_be_used_are_refused(tmp_path):
    with pytest.raises(CorpusError, match=r"is not a CSV file \(\.csv\), but kind: table reads one\. Check the path\."):
        read(tmp_path)
    path = votes(tmp_path, "5,-1,0,0,0")
    with pytest.raises(CorpusError, match=r"has '-1' as happiness\. Expected a number of at least 0"):
        read(path, votes=VOTES)
    with pytest.raises(CorpusError, match=r"The pictures .*gone\.zip of the table .* do not exist"):
        read(votes(tmp_path, "5,0,0,0,0"), votes=VOTES, pictures="gone.zip")
    path = listed(tmp_path, ["1.png,sad", "2.png,sad"])
    (tmp_path / "pictures/2.png").unlink()
    with pytest.raises(CorpusError, match=r"The images 2\.png are in the list of the corpus, but not in .*pictures"):
        read(path)


# --- training and evaluation


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A network of eight classes that `emopipe pretrain` trained on a table in seconds, and what it was made of."""
    root = tmp_path_factory.mktemp("made")
    rows = []
    for number in range(24):
        counts = [[8, 1, 1, 0, 0], [1, 9, 0, 0, 0], [1, 0, 7, 2, 0]][number % 3]
        split = "val" if number >= 18 else "train"
        rows.append(f"{split}/{number}.png,{','.join(map(str, counts))},{int(number == 2)}")
    rows.append("val/24.png,5,5,0,0,0,0")  # no single class has the most votes
    listed(root, rows, ",".join(["picture", *VOTES, "elsewhere"]), zipped=True)
    options = {"pictures": "pictures.zip", "votes": VOTES, "outliers": 1, "targets": "shares"}
    source = {"kind": "table", "path": "list.csv", "options": options, "omit": "list.csv"}
    phase = {"sources": ["t"], "epochs": 2, "batch": 6, "lr": 0.01, "ema": 0.5}
    recipe = {"kind": "expression", "options": FACE, "sources": {"t": source}, "schedule": [phase, phase],
              "classes": list(EIGHT)}  # fmt: skip
    (root / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    command = ["pretrain", root / "recipe.yaml", "--data", root, "--out", root / "net.safetensors", "--device", "cpu",
               "--threads", 1]  # fmt: skip
    result = CliRunner().invoke(app, list(map(str, command)))
    assert result.exit_code == 0, result.output
    return root


@pytest.mark.slow
def test_a_network_is_trained_on_a_table_in_classes_of_its_own(made):
    about = read_metadata(made / "net.safetensors")
    assert json.loads(about["classes"]) == list(EIGHT)
    assert json.loads(about["trained_classes"]) == ["Happy", "Neutral", "Contempt"]
    # 18 train rows, one of which the list omits; single votes are ignored, and 2 of 9 votes are unknown.
    assert json.loads(about["trained_on"])["classes"] == {"Happy": 6, "Neutral": 6, "Contempt": 5}
    assert json.loads(about["omitted_copies"]) == {"t": 1}
    assert load_file(made / "net.safetensors")[f"{HEAD}weight"].shape == (8, 4)
    head = read_head(made / "net.safetensors")
    assert head.weight.shape == (7, 4) and head.prior.tolist() == [0, 0, 0, 0.5, 0.5, 0, 0]
    recipe = json.loads(about["recipe"])
    assert recipe["classes"] == list(EIGHT) and len(recipe["sources"]["t"]["beside"]) == 1


def evaluated(made, weights, *arguments):
    command = ["evaluate", made / weights, "--corpus", f"table:{made / 'list.csv'}", "--device", "cpu", "--json",
               "--option", "pictures=pictures.zip", "--option", f"votes={VOTES}", *arguments]  # fmt: skip
    result = CliRunner().invoke(app, list(map(str, command)))
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.slow
def test_it_is_evaluated_in_its_classes_against_the_most_votes(made):
    found = evaluated(made, "net.safetensors", "--split", "val")
    assert (found["n"], found["n_unlabelled"], found["classes"]) == (6, 1, list(EIGHT))
    assert set(found["per_class"]) == {"Happy", "Neutral", "Contempt"}
    majority = evaluated(made, "net.safetensors", "--split", "val", "--option", "targets=majority")
    assert (majority["n"], majority["n_unlabelled"]) == (6, 0)


@pytest.mark.slow
def test_a_recipe_follows_the_pictures_beside_the_table(tmp_path):
    path = listed(tmp_path, ["1.png,sad", "2.png,happy"])
    options = registry.options_class("expression").model_validate(FACE)
    source = {"t": SourceBlock(kind="table", path=str(path), options={"pictures": "pictures"})}

    def made_of():
        return phase_recipe(
            "expression", options, {"sources": ["t"]}, source, where="schedule.0", start="", half=False
        )["sources"]["t"]

    before = made_of()
    (tmp_path / "pictures/2.png").write_bytes(b"another picture")
    after = made_of()
    assert before["content"] == after["content"] and before["beside"] != after["beside"]


@pytest.mark.slow
def test_labels_of_classes_that_the_recipe_does_not_have_are_refused(made, tmp_path):
    recipe = yaml.safe_load((made / "recipe.yaml").read_text())
    recipe["classes"] = list(CLASSES)
    recipe["sources"]["t"]["options"]["labels"] = {"contempt": "Contempt"}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    command = ["pretrain", tmp_path / "recipe.yaml", "--data", made, "--out", tmp_path / "net.safetensors"]
    result = CliRunner().invoke(app, list(map(str, command)))
    assert result.exit_code == 1
    assert "sources.t.options.labels.contempt: The class 'Contempt' is not one of the seven." in result.stderr


# --- FER+ as it lies in the folder of real data


FERPLUS = {
    "pictures": "fer2013.zip", "raters": 10, "outliers": 1, "targets": "majority",
    "votes": ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF"],
}  # fmt: skip


@pytest.mark.skipif(not SHARED, reason="EMOPIPE_SHARED is not set")
def test_ferplus_of_the_shared_data():
    found = read(Path(SHARED, "data/ferplus.csv"), EIGHT, **FERPLUS)
    counts = found.table["split"].value_counts().to_dict()
    assert counts == {"train": 21233, "clips": 3826, "val": 3199}
    assert found.targets[:, CONTEMPT].sum() == 132
    assert found.read_image(found.table["key"].iloc[0]).shape == (48, 48, 3)
