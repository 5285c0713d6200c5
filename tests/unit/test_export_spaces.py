"""The formats of `emopipe export` in every kind of label space."""

import csv
from xml.etree import ElementTree

import polars as pl
import pytest
import yaml

from emopipe.core.labels import LabelSpace
from emopipe.export import csv_tables, elan, fiftyone, formats, hf_dataset, label_studio, parquet_tables
from emopipe.export.clip import Answer, classes_of
from emopipe.export.field_names import FieldNames
from tests.export_runs import CLIPS, finished_run, read_json

IDS = CLIPS["clip"].tolist()
DIMENSIONS = {"names": ["valence", "arousal"], "kind": "dimensions"}
MULTI = {"names": ["Happy", "Sad", "Not <so> well"], "kind": "multi"}
VOTES = {"names": ["Happy", "Sad", "Bored"], "kind": "votes"}
LABELS = {
    "dimensions": ["0.5;-0.25", "0;1", "-1;0.125", "0.5;0.5", "", ""],
    "multi": ["Happy;Sad", "(none)", "Not <so> well", "Happy", "", ""],
    "votes": ["Happy", "Happy;Sad", "Bored", "Sad", "", ""],
}
COUNTS = {"votes_Happy": ["3", "1", "0", "", "", ""], "votes_Sad": ["1", "1", "0", "", "", ""]}
COUNTS |= {"votes_Bored": ["0", "0", "5", "", "", ""]}
ANSWERS = {"dimensions": [0.25, -0.5], "multi": [0.75, 0.25, 0.5], "votes": [0.5, 0.25, 0.25]}
BLOCKS = {"dimensions": DIMENSIONS, "multi": MULTI, "votes": VOTES}
KINDS = pytest.mark.parametrize("kind", BLOCKS)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Kind -> a finished run."""
    return {
        kind: finished_run(
            tmp_path_factory.mktemp(kind),
            labels=block,
            clips=CLIPS.assign(label=LABELS[kind], **(COUNTS if kind == "votes" else {})),
            values=ANSWERS[kind],
        )
        for kind, block in BLOCKS.items()
    }


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
@KINDS
def test_tables_as_text(runs, kind, tmp_path):
    csv_tables.write(runs[kind], tmp_path / "out")
    clips, predicted = (rows(tmp_path / f"out/{name}.csv") for name in ("clips", "predictions"))
    assert [row["label"] for row in clips] == [row["label"] for row in predicted] == LABELS[kind]
    prefix = "y_" if kind == "dimensions" else "p_"
    for row in predicted:
        assert [float(row[f"{prefix}{name}"]) for name in BLOCKS[kind]["names"]] == ANSWERS[kind]
    assert predicted[0]["pred"] == {"dimensions": "0.25;-0.5", "multi": "Happy;Not <so> well", "votes": "Happy"}[kind]
    if kind == "dimensions":
        assert [(row["label_valence"], row["label_arousal"]) for row in clips][-3:] == [
            ("0.5", "0.5"),
            ("", ""),
            ("", ""),
        ]
    if kind == "votes":
        assert [row["votes_Happy"] for row in clips] == ["0.75", "0.5", "0.0", "", "", ""]


@pytest.mark.slow
@KINDS
def test_tables_with_types(runs, kind, tmp_path):
    parquet_tables.write(runs[kind], tmp_path / "out")
    clips, predicted = (pl.read_parquet(tmp_path / f"out/{name}/*.parquet") for name in ("clips", "predictions"))
    if kind == "multi":
        assert clips["label"].to_list() == [["Happy", "Sad"], [], ["Not <so> well"], ["Happy"], None, None]
        assert predicted["pred"].to_list() == [["Happy", "Not <so> well"]] * len(IDS)
    if kind == "dimensions":
        assert clips["label_valence"].to_list() == predicted["label_valence"].to_list() == [0.5, 0, -1, 0.5, None, None]
        assert predicted["y_arousal"].to_list() == [-0.5] * len(IDS)
    if kind == "votes":
        assert clips["votes_Bored"].to_list() == [0, 0, 1, None, None, None]


@KINDS
def test_elan(runs, kind, tmp_path):
    pympi = pytest.importorskip("pympi", reason="pympi-ling is not installed; it reads what ELAN reads")
    elan.write(runs[kind], tmp_path / "out")
    found = pympi.Elan.Eaf(str(tmp_path / "out/no_face.eaf"))
    values = {name: found.get_annotation_data_for_tier(name)[0][2] for name in ("label", "prediction ensemble")}
    expected = {
        "dimensions": ("valence 0.000; arousal 1.000", "valence 0.250; arousal -0.500 (out of fold)"),
        "multi": ("(none)", "Happy 0.750; Not <so> well 0.500 (out of fold)"),
        "votes": ("Happy;Sad", "Happy 0.500 (out of fold)"),
    }
    assert tuple(values.values()) == expected[kind]
    if kind == "votes":
        (votes,) = found.get_annotation_data_for_tier("votes")
        assert votes[2] == "Happy 0.500; Sad 0.500; Bored 0.000"


@KINDS
def test_label_studio(runs, kind, tmp_path):
    label_studio.write(runs[kind], tmp_path / "out")
    view = ElementTree.fromstring((tmp_path / "out/interface.xml").read_text())
    tasks = {task["data"]["clip"]: task for task in read_json(tmp_path / "out/tasks.json")}
    prediction = tasks["part"]["predictions"][0]
    controls = {each.get("name"): each for each in view if each.get("name")}
    assert all(result["from_name"] in controls for result in prediction["result"])
    assert [tasks[name]["data"]["label"] for name in IDS] == LABELS[kind]
    if kind == "dimensions":
        numbers = [result for result in prediction["result"] if result["type"] == "number"]
        assert [each["value"]["number"] for each in numbers] == [0.25, -0.5] and "score" not in prediction
        assert [controls[each["from_name"]].get("min") for each in numbers] == ["-1", "-1"]
        return
    assert controls["emotion"].get("choice") == {"multi": "multiple", "votes": "single"}[kind]
    assert [each.get("value") for each in controls["emotion"]] == BLOCKS[kind]["names"]
    chosen = [result["value"]["choices"] for result in prediction["result"] if result["type"] == "choices"]
    assert chosen == [{"multi": ["Happy", "Not <so> well"], "votes": ["Happy"]}[kind]]
    assert prediction.get("score") == {"multi": None, "votes": 0.5}[kind]
    if kind == "votes":
        assert tasks["happy%2Fs01"]["data"]["votes"] == {"Happy": 0.75, "Sad": 0.25, "Bored": 0.0}
        assert "votes" not in tasks["unlabelled"]["data"]


def test_label_studio_accepts_every_kind(runs, tmp_path):
    module = pytest.importorskip("label_studio_sdk.label_interface", reason="label-studio-sdk is not installed")
    for kind, run in runs.items():
        label_studio.write(run, tmp_path / kind)
        interface = module.LabelInterface((tmp_path / kind / "interface.xml").read_text())
        interface.validate()
        for task in read_json(tmp_path / kind / "tasks.json"):
            assert interface.validate_task({"data": task["data"]})
            for prediction in task["predictions"]:
                assert interface.validate_prediction(prediction, return_errors=True) == []


def test_an_answer_without_classes_has_no_choice():
    space = LabelSpace(("Happy", "Sad"), "multi")
    answer = Answer("m", "reported", "(none)", {"Happy": 0.25, "Sad": 0.25}, True, space)
    assert list(label_studio._answer(answer)) == [] and classes_of("(none)", space) == []
    assert answer.confidence is None and classes_of("", space) is None


@KINDS
def test_fiftyone(runs, kind, tmp_path):
    fiftyone.write(runs[kind], tmp_path / "out")
    index = read_json(tmp_path / "out/manifest.json")["index"]
    found = [{a["name"]: a for a in read_json(tmp_path / "out" / one["labels"])["attrs"]["attrs"]} for one in index]
    first, last = found[0], found[-1]
    values = {name: each["value"] for name, each in first.items()}
    if kind == "dimensions":
        assert (values["label_valence"], values["ensemble_y_arousal"]) == (0.5, -0.5)
        assert "label" not in first and "ensemble" not in first and "label_valence" not in last
        assert first["ensemble_y_arousal"]["type"] == "eta.core.data.NumericAttribute"
    if kind == "multi":
        assert (values["label"], values["ensemble"]) == ("Happy;Sad", "Happy;Not <so> well")
        assert values["ensemble_p_Not__so__well"] == 0.5 and "confidence" not in first["ensemble"]
    if kind == "votes":
        assert values["votes_Happy"] == 0.75 and first["ensemble"]["confidence"] == 0.5 and "votes_Happy" not in last


def test_fiftyone_reads_every_kind(runs, tmp_path):
    importers = pytest.importorskip("fiftyone.utils.data.importers", reason="fiftyone is not installed")
    for kind, run in runs.items():
        fiftyone.write(run, tmp_path / kind)
        importer = importers.FiftyOneVideoLabelsDatasetImporter(str(tmp_path / kind))
        importer.setup()
        _, _, labels, _ = next(iter(importer))
        if kind == "dimensions":
            assert (labels["label_valence"].label, labels["ensemble_y_valence"].label) == ("0.5", "0.25")  # as texts
        else:
            assert labels["label"].label == LABELS[kind][0]


@pytest.mark.slow
def test_fields_of_fiftyone_differ(runs, tmp_path):
    run = finished_run(tmp_path)
    for folder in ("predictions", "oof"):
        content = (run / folder / "face_a.csv").read_text()
        for name in ("face-a", "label"):
            (run / folder / f"{name}.csv").write_text(content)
    remarks = fiftyone.write(run, tmp_path / "out", model=["all"])
    index = read_json(tmp_path / "out/manifest.json")["index"]
    names = [each["name"] for each in read_json(tmp_path / "out" / index[0]["labels"])["attrs"]["attrs"]]
    assert len({*names}) == len(names)
    assert {"face_a", "face_a_2", "face_a_p_Happy", "face_a_p_Happy_2", "label", "label_2"} <= {*names}
    assert "face_a is the field face_a_2 in FiftyOne: face_a is another one." in remarks


def test_fields_of_names_stay_the_same():
    names = FieldNames(["label"])
    assert [names.of(name) for name in ("a b", "a-b", "a_b", "a_b_2", "a b")] == [
        "a_b",
        "a_b_2",
        "a_b_3",
        "a_b_2_2",
        "a_b",
    ]
    assert names.renamed == {"a-b": "a_b_2", "a_b": "a_b_3", "a_b_2": "a_b_2_2"}


@KINDS
def test_hf_dataset(runs, kind, tmp_path):
    hf_dataset.write(runs[kind], tmp_path / "out")
    _, head, text = (tmp_path / "out/README.md").read_text().split("---\n", 2)
    types = {each["name"]: each for each in yaml.safe_load(head)["dataset_info"]["features"]}
    train, validation, test = (pl.read_parquet(tmp_path / f"out/data/{name}-*.parquet") for name in
                               ("train", "validation", "test"))  # fmt: skip
    assert list(train.schema) == list(types)
    prediction = validation["predictions"][0][0]
    if kind == "dimensions":
        assert types["label_valence"] == {"name": "label_valence", "dtype": "float64"}
        assert train["label_arousal"].to_list() == [-0.25, 1] and test["label_arousal"].to_list() == [None, None]
        assert (prediction["y_valence"], prediction["y_arousal"]) == (0.25, -0.5) and "`label_<dimension>`" in text
        return
    names = {str(number): name for number, name in enumerate(BLOCKS[kind]["names"])}
    if kind == "multi":
        assert types["label"] == {"name": "label", "list": {"class_label": {"names": names}}}
        assert train["label"].to_list() == [[0, 1], []] and test["label"].to_list() == [None, None]
        assert prediction["pred"] == [0, 2]
    else:
        assert types["label"]["dtype"] == {"class_label": {"names": names}}
        assert train["label"].to_list() == [0, None] and train["votes"].to_list() == [[0.75, 0.25, 0], [0.5, 0.5, 0]]
        assert prediction["pred"] == 0 and test["votes"].to_list() == [None, None]
    assert prediction["p"] == ANSWERS[kind]


def test_datasets_loads_every_kind(runs, tmp_path):
    datasets = pytest.importorskip("datasets", reason="the package datasets is not installed")
    for kind, run in runs.items():
        hf_dataset.write(run, tmp_path / kind)
        found = datasets.load_dataset(str(tmp_path / kind), cache_dir=str(tmp_path / "cache"))
        assert {split: len(rows) for split, rows in found.items()} == {"train": 2, "validation": 2, "test": 2}
        if kind == "multi":
            feature = found["train"].features["label"].feature
            assert [feature.int2str(number) for number in found["train"][0]["label"]] == ["Happy", "Sad"]


@pytest.mark.slow
@KINDS
@pytest.mark.parametrize("name", ["csv", "parquet", "fiftyone", "label-studio", "hf-dataset"])
def test_every_format_is_written_for_every_kind(runs, kind, name, tmp_path):
    formats.load(name).write(runs[kind], tmp_path / "out.zip", model=["all"])
    assert (tmp_path / "out.zip").stat().st_size > 1000
