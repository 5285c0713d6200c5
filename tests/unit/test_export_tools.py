"""Each format of `emopipe export`, read again by the library of the tool that it is for, where that is installed."""

import csv
import shutil
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest
import yaml

from emopipe.core.errors import ConfigError
from emopipe.core.labels import CLASSES
from emopipe.core.notice import NOTICE
from emopipe.export import (
    csv_tables,
    elan,
    fiftyone,
    formats,
    hf_dataset,
    label_studio,
    optional,
    parquet_tables,
    tables,
)
from tests.export_runs import CLIPS, TIMES, finished_run, read_json

IDS = CLIPS["clip"].tolist()
TEXT_FORMATS = ("csv", "parquet", "fiftyone", "label-studio", "hf-dataset")
"""Formats that need no further package."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return finished_run(tmp_path_factory.mktemp("exported"))


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
@pytest.mark.parametrize("name", TEXT_FORMATS)
def test_every_folder_has_the_notice_and_nothing_outside(name, run, tmp_path):
    out = tmp_path / "below" / "out"
    formats.load(name).write(run, out)
    assert (out / "notice.txt").read_text() == f"{NOTICE}\n"
    assert list(tmp_path.iterdir()) == [tmp_path / "below"] and list((tmp_path / "below").iterdir()) == [out]
    for path in out.rglob("*"):
        assert not path.is_symlink() and "happy/s01" not in str(path)


# --- tables


def test_csv(run, tmp_path):
    csv_tables.write(run, tmp_path / "out", model=["all"], features=True)
    clips = rows(tmp_path / "out/clips.csv")
    assert [row["clip"] for row in clips] == IDS
    first, part, bad = clips[0], clips[IDS.index("part")], clips[IDS.index("undecodable")]
    assert (first["path"], first["subject"], first["status"]) == ("happy/s01.avi", "s\\xff1", "ok")
    assert (part["start"], part["end"]) == ("1.0", "3.0")
    assert (bad["label"], bad["status"], bad["reason"]) == (
        "",
        "undecodable",
        "undecodable: The file is empty (0 bytes).",
    )
    predicted = rows(tmp_path / "out/predictions.csv")
    assert [(row["clip"], row["model"]) for row in predicted] == [(n, m) for n in IDS for m in ("ensemble", "face_a")]
    assert [row["source"] for row in predicted[:4]] == ["out_of_fold"] * 4 and predicted[-1]["source"] == "reported"
    assert sum(float(predicted[0][f"p_{name}"]) for name in CLASSES) == pytest.approx(1)
    assert {row["covered"] for row in predicted if row["clip"] == "no_face"} == {"0"}


def test_csv_over_time(run, tmp_path):
    csv_tables.write(run, tmp_path / "out", features=True)
    found = [row for row in rows(tmp_path / "out/tracks.csv") if row["clip"] == "two <&> faces"]
    assert [(row["track"], row["main"], row["frame"], row["time"]) for row in found] == [
        ("0", "1", "0", "0.200000"),
        ("0", "1", "1", "0.700000"),
        ("0", "1", "3", "1.700000"),
        ("1", "0", "1", "0.700000"),
    ]
    assert [found[0][name] for name in ("x1", "y2", "nose_x", "frame_width")] == ["16.00", "36.00", "20.00", "64"]
    weights = rows(tmp_path / "out/attention.csv")
    assert [(row["clip"], row["model"], row["stream"]) for row in weights[:4]] == [("part", "face_a", "net")] * 4
    assert sum(float(row["weight"]) for row in weights[:4]) == pytest.approx(1)
    vectors = [row for row in rows(tmp_path / "out/features/net.csv") if row["clip"] == "part"]
    assert [row["time"] for row in vectors] == ["0.200000", "0.700000", "1.700000"]  # the masked one is omitted
    assert np.float32(vectors[0]["x1"]) == np.float32(1.1)


def test_features_are_written_only_if_asked(run, tmp_path):
    csv_tables.write(run, tmp_path / "csv")
    parquet_tables.write(run, tmp_path / "parquet")
    assert not (tmp_path / "csv/features").exists() and not (tmp_path / "parquet/features").exists()


def test_parquet_has_the_same_rows_with_types(run, tmp_path):
    csv_tables.write(run, tmp_path / "csv")
    parquet_tables.write(run, tmp_path / "parquet", features=True)
    for name, columns in tables.columns().items():
        found = pl.read_parquet(tmp_path / f"parquet/{name}/*.parquet")
        assert found.schema == {column: parquet_tables.TYPES[kind] for column, kind in columns.items()}
        assert found["clip"].to_list() == [row["clip"] for row in rows(tmp_path / f"csv/{name}.csv")]
    vectors = pl.read_parquet(tmp_path / "parquet/features/net/*.parquet")
    assert vectors.schema["x"] == pl.List(pl.Float32)
    assert vectors.filter(clip="part")["x"].to_list()[0] == [np.float32(0.1), np.float32(1.1)]


def test_parquet_is_written_in_parts(run, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_tables, "ROWS", 2)
    parquet_tables.write(run, tmp_path / "out")
    parts = sorted((tmp_path / "out/clips").iterdir())
    assert [path.name for path in parts] == ["00000.parquet", "00001.parquet", "00002.parquet"]
    assert [len(pl.read_parquet(path)) for path in parts] == [2, 2, 2]
    assert pl.read_parquet(tmp_path / "out/clips/*.parquet")["clip"].to_list() == IDS


# --- ELAN


def test_elan(run, tmp_path):
    pympi = pytest.importorskip("pympi", reason="pympi-ling is not installed; it reads what ELAN reads")
    elan.write(run, tmp_path / "out")
    index = {row["clip"]: row["file"] for row in rows(tmp_path / "out/files.csv")}
    assert list(index) == IDS and len(set(index.values())) == len(IDS)
    found = pympi.Elan.Eaf(str(tmp_path / "out" / index["two <&> faces"]))
    (label,), (prediction,) = (found.get_annotation_data_for_tier(name) for name in ("label", "prediction ensemble"))
    assert (label[0], label[2], prediction[2]) == (0, "Angry", "Happy 0.400")
    assert label[1] == pytest.approx(2000, abs=200)
    faces = found.get_annotation_data_for_tier("face main")
    assert [row[:2] for row in faces] == [(0, 950), (1450, label[1])]
    weights = found.get_annotation_data_for_tier("attention face_a net")
    assert [row[2] for row in weights] == ["0.100", "0.200", "0.600 peak", "0.100"]
    link = found.get_linked_files()[0]
    assert (tmp_path / "out" / link["RELATIVE_MEDIA_URL"]).is_file() and link["MIME_TYPE"] == "video/x-msvideo"
    assert ("notice", NOTICE) in found.get_properties()


def test_elan_of_parts_and_failed_clips(run, tmp_path):
    pympi = pytest.importorskip("pympi", reason="pympi-ling is not installed; it reads what ELAN reads")
    remarks = elan.write(run, tmp_path / "out", media="file:///clips")
    part = pympi.Elan.Eaf(str(tmp_path / "out/part.eaf"))
    assert part.get_annotation_data_for_tier("label") == [(1000, 3000, "Fear")]  # in the time of the file
    assert part.get_linked_files()[0]["MEDIA_URL"] == "file:///clips/long.avi"
    failed = pympi.Elan.Eaf(str(tmp_path / "out/undecodable.eaf"))
    status = [(0, 1000, "undecodable: The file is empty (0 bytes).")]
    assert failed.get_annotation_data_for_tier("status") == status
    assert "label" not in failed.get_tier_names()
    assert remarks == ["The length of 1 clips is not known. Their annotations are 1 s long."]


def test_elan_has_times_in_order(run, tmp_path):
    pytest.importorskip("pympi", reason="pympi-ling is not installed; it writes .eaf")
    elan.write(run, tmp_path / "out", model=["all"])
    for path in (tmp_path / "out").glob("*.eaf"):
        root = ElementTree.parse(path).getroot()
        time = {slot.get("TIME_SLOT_ID"): int(slot.get("TIME_VALUE")) for slot in root.iter("TIME_SLOT")}
        for tier in root.iter("TIER"):
            edges = [
                (time[each.get("TIME_SLOT_REF1")], time[each.get("TIME_SLOT_REF2")])
                for each in tier.iter("ALIGNABLE_ANNOTATION")
            ]
            assert all(begin < end for begin, end in edges), path
            assert all(before[1] <= after[0] for before, after in pairwise(edges)), path


def test_a_package_that_is_missing():
    with pytest.raises(ConfigError, match="pip install no-such-package"):
        optional.load("no_such_module", package="no-such-package", extra="elan")


# --- Label Studio


@pytest.fixture
def studio(run, tmp_path):
    label_studio.write(run, tmp_path / "out")
    return tmp_path / "out"


def test_label_studio(studio):
    tasks = {task["data"]["clip"]: task for task in read_json(studio / "tasks.json")}
    assert list(tasks) == IDS
    assert tasks["two <&> faces"]["data"]["video"] == "/data/local-files/?d=two%20%3C%26%3E.avi"
    (prediction,) = tasks["two <&> faces"]["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("small/ensemble", pytest.approx(0.4))
    choice, main, other, peak = prediction["result"]
    assert choice["value"] == {"choices": ["Happy"]}
    assert [main["value"]["labels"], other["value"]["labels"]] == [["Main face"], ["Other face"]]
    assert [(each["frame"], each["enabled"]) for each in main["value"]["sequence"]] == [
        (3, True),
        (8, False),
        (18, False),
    ]
    first = main["value"]["sequence"][0]
    assert [first[name] for name in ("x", "y", "width", "height", "time")] == [25, 25, 25, 50, 0.2]
    assert peak["value"] == {"ranges": [{"start": 11, "end": 15}], "timelinelabels": ["face_a: net"]}
    assert tasks["undecodable"]["data"]["status"] == "undecodable" and tasks["undecodable"]["data"]["label"] == ""
    boxes = tasks["part"]["predictions"][0]["result"][1]["value"]["sequence"]
    assert [each["time"] for each in boxes] == [1.2, 1.7, 2.7]  # in the time of the file


def test_label_studio_accepts_it(studio):
    module = pytest.importorskip("label_studio_sdk.label_interface", reason="label-studio-sdk is not installed")
    interface = module.LabelInterface((studio / "interface.xml").read_text())
    interface.validate()
    for task in read_json(studio / "tasks.json"):
        assert interface.validate_task({"data": task["data"]})
        for prediction in task["predictions"]:
            assert interface.validate_prediction(prediction, return_errors=True) == []


def test_the_interface_has_the_names_of_the_tasks(studio):
    view = ElementTree.fromstring((studio / "interface.xml").read_text())
    assert view.find("Header").get("value") == NOTICE
    controls = {each.get("name"): [one.get("value") for one in each] for each in view if each.get("name")}
    assert controls["emotion"] == list(CLASSES)
    for task in read_json(studio / "tasks.json"):
        for result in task["predictions"][0]["result"]:
            assert result["from_name"] in controls
            assert set(result["value"].get("timelinelabels", [])) <= set(controls["attention"])
            assert set(result["value"].get("labels", [])) <= set(controls["faces"])


@pytest.mark.slow  # a process looks for the clips
def test_boxes_need_a_frame_rate(tmp_path):
    run = finished_run(tmp_path)
    shutil.rmtree(tmp_path / "clips")
    for writer in (label_studio, fiftyone):
        remarks = writer.write(run, tmp_path / writer.__name__)
        assert any(remark.startswith("4 clips have faces but no boxes") for remark in remarks)
    tasks = read_json(tmp_path / label_studio.__name__ / "tasks.json")
    assert len(tasks) == len(IDS) and all(len(task["predictions"][0]["result"]) == 1 for task in tasks)


# --- FiftyOne


def test_fiftyone(run, tmp_path):
    fiftyone.write(run, tmp_path / "out")
    manifest = read_json(tmp_path / "out/manifest.json")
    assert (manifest["type"], manifest["description"]) == (fiftyone.TYPE, NOTICE)
    assert [(tmp_path / "out" / record["data"]).exists() for record in manifest["index"]] == [True] * len(IDS)
    labels = dict(zip(IDS, (read_json(tmp_path / "out" / each["labels"]) for each in manifest["index"]), strict=True))
    attributes = {each["name"]: each for each in labels["two <&> faces"]["attrs"]["attrs"]}
    assert (attributes["label"]["value"], attributes["ensemble"]["value"]) == ("Angry", "Happy")
    assert attributes["ensemble"]["confidence"] == pytest.approx(0.4)
    frames = labels["two <&> faces"]["frames"]
    assert list(frames) == ["3", "8", "18"]
    main, other = frames["8"]["objects"]["objects"]
    assert main["bounding_box"] == {"top_left": {"x": 0.25, "y": 0.25}, "bottom_right": {"x": 0.5, "y": 0.75}}
    assert [(each["label"], each["index"]) for each in (main, other)] == [("main face", 0), ("other face", 1)]
    bad = {each["name"]: each["value"] for each in labels["undecodable"]["attrs"]["attrs"]}
    assert "label" not in bad and bad["status"] == "undecodable" and labels["undecodable"]["frames"] == {}


def test_fiftyone_reads_it(run, tmp_path):
    importers = pytest.importorskip("fiftyone.utils.data.importers", reason="fiftyone is not installed")
    fiftyone.write(run, tmp_path / "out")
    importer = importers.FiftyOneVideoLabelsDatasetImporter(str(tmp_path / "out"))
    importer.setup()
    found = {labels["clip"].label: (path, labels, frames) for path, _, labels, frames in importer}
    assert list(found) == IDS
    path, labels, frames = found["part"]
    assert Path(path).samefile(run.parents[1] / "clips/long.avi")
    assert (labels["ensemble"].label, labels["label"].label) == ("Happy", "Fear")
    box = frames[13]["faces_main"].detections[0].bounding_box
    assert box == [0.25, 0.25, 0.25, 0.5]


# --- Hugging Face


def test_hf_dataset(run, tmp_path):
    hf_dataset.write(run, tmp_path / "out", model=["all"], features=True)
    assert sorted(path.name for path in (tmp_path / "out/data").iterdir()) == [
        "test-00000.parquet",
        "train-00000.parquet",
        "validation-00000.parquet",
    ]
    _, head, text = (tmp_path / "out/README.md").read_text().split("---\n", 2)
    card = yaml.safe_load(head)
    types = {each["name"]: each for each in card["dataset_info"]["features"]}
    assert list(types["label"]["dtype"]["class_label"]["names"].values()) == list(CLASSES)
    assert NOTICE in text and "| validation | 2 |" in text
    test = pl.read_parquet(tmp_path / "out/data/test-*.parquet")
    assert test["clip"].to_list() == ["undecodable", "unlabelled"] and test["label"].to_list() == [None, None]
    assert list(test.schema) == list(types)


def test_datasets_loads_it(run, tmp_path):
    datasets = pytest.importorskip("datasets", reason="the package datasets is not installed")
    hf_dataset.write(run, tmp_path / "out", features=True)
    found = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in found.items()} == {"train": 2, "validation": 2, "test": 2}
    labels = found["validation"].features["label"]
    row = next(row for row in found["validation"] if row["clip"] == "part")
    assert (labels.int2str(row["label"]), row["predictions"][0]["pred"]) == ("Fear", CLASSES.index("Happy"))
    assert row["tracks"][0]["time"] == TIMES[[0, 1, 3]].tolist()
    assert np.shape(row["features_net"]["x"]) == (3, 2)
    assert [row["label"] for row in found["test"]] == [None, None]
