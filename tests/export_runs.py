"""A small finished run with its cache and its clips, without having run: each kind of clip that an export meets."""

import json

import numpy as np
import pandas as pd
import yaml

from emopipe.cache.status import reason, text
from emopipe.cache.store import Field, Row, Writer
from emopipe.core import tables
from emopipe.core.label_block import space_of
from emopipe.faces import rows as face_rows
from emopipe.fusion.attention_weights import TIME
from emopipe.media import rows as media_rows
from emopipe.media.decoded import encode_jpeg
from emopipe.scoring import predictions
from tests.conftest import write_clip

SIZE = (64, 48)
TIMES = np.array([0.2, 0.7, 1.2, 1.7])
CONFIG = {
    "run": "small",
    "corpus": {"name": "own", "kind": "folder"},
    "corpus_root": "clips",
    "decode": {"d": {"policy": "count", "count": 4}},
    "faces": {"main": {"detector": "mtcnn"}},
    "backbones": {"net": {"kind": "ir50"}},
}
CLIPS = pd.DataFrame(
    [
        ("happy%2Fs01", "happy/s01.avi", "train", "Happy", "s\udcff1", "", ""),
        ("no_face", "no_face.avi", "train", "Sad", "", "", ""),
        ("part", "long.avi", "val", "Fear", "s02", "1", "3"),
        ("two <&> faces", "two <&>.avi", "val", "Angry", "s03", "", ""),
        ("undecodable", "broken.avi", "test", "", "", "", ""),
        ("unlabelled", "unlabelled.avi", "test", "", "", "", ""),
    ],
    columns=["clip", "path", "split", "label", "subject", "start", "end"],
)
STATUS = {"no_face": ("no_face", reason("no_face", frames=4)), "undecodable": ("undecodable", reason("empty_file"))}
"""Clip -> its status and reason; all others are ok."""


BASIC = [0.1, 0.1, 0.1, 0.4, 0.1, 0.1, 0.1]


def finished_run(folder, *, labels=None, clips=CLIPS, values=BASIC):
    """Make results/small, cache/own and clips/ in a folder; return the folder of the run.

    `labels` is the key of the config, `clips` the clip table, `values` what all models answer for each clip.
    """
    run, cache = folder / "results/small", folder / "cache/own"
    for name in ("predictions", "oof", "attention", "models"):
        (run / name).mkdir(parents=True)
    config = CONFIG | ({"labels": labels} if labels else {})
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    (run / "metrics.csv").write_text("model,split\n")
    tables.write(clips, cache / "clips.csv")
    _ledger(run)
    _predictions(run, clips, np.array(values), space_of(config))
    _media_and_faces(cache)
    _features(cache)
    with Writer(
        run / "attention/face_a.h5", {"net": Field("f4"), f"net{TIME}": Field("f8")}, stage="a", recipe={}
    ) as to:
        for clip in ("part", "two <&> faces"):
            to.add(Row(clip, "", "ok", "", {"net": np.array([0.1, 0.2, 0.6, 0.1]), f"net{TIME}": TIMES}))
    for path in sorted(set(CLIPS["path"]) - {"broken.avi"}):
        write_clip(folder / "clips" / path, seconds=4 if path == "long.avi" else 2, fps=10, size=SIZE)
    (folder / "clips/broken.avi").write_bytes(b"")
    return run


def _ledger(run):
    rows = [
        {
            "clip": clip,
            "split": split,
            "stage": stage,
            "status": "ok" if (stage, clip) == ("decode", "no_face") else STATUS.get(clip, ("ok", ""))[0],
            "reason": "" if (stage, clip) == ("decode", "no_face") else text(STATUS.get(clip, ("", ""))[1]),
        }
        for clip, split in zip(CLIPS["clip"], CLIPS["split"], strict=True)
        for stage in ("decode", "faces", "features/net")
    ]
    tables.write(pd.DataFrame(rows), run / "ledger.csv")


def _predictions(run, clips, values, space):
    for folder, splits in (("predictions", ("val", "test")), ("oof", ("train",))):
        table = clips[clips["split"].isin(splits)]
        p = np.tile(values, (len(table), 1))
        covered = ~table["clip"].isin(STATUS).to_numpy()
        for model in ("ensemble", "face_a"):
            predictions.write(predictions.table(table, p, covered, space), run / folder / f"{model}.csv")
    rows = "ensemble,mean,face_a,1.0\nensemble,mean,(ensemble),\n"
    (run / "models/ensembles.csv").write_text(f"ensemble,method,member,weight\n{rows}")


def _media_and_faces(cache):
    jpeg = encode_jpeg(np.full((SIZE[1], SIZE[0], 3), 90, np.uint8), 90)
    with (
        Writer(cache / "media/d/00.h5", media_rows.FIELDS, stage="decode", recipe={}) as media,
        Writer(cache / "faces/main/00.h5", face_rows.FIELDS, stage="faces", recipe={}) as faces,
    ):
        for clip in CLIPS["clip"]:
            status = STATUS.get(clip, ("ok", ""))
            pictures = {"jpeg": np.frombuffer(jpeg * 4, np.uint8), "jpeg_size": [len(jpeg)] * 4, "time": TIMES}
            media.add(Row(clip, "", "ok", "", {} if clip == "undecodable" else pictures))
            found = {"no_face": {"time": TIMES, "mask": np.zeros(4, bool)}, "undecodable": {}}
            faces.add(Row(clip, "", *status, found.get(clip, _faces(2 if clip.startswith("two") else 1))))


def _faces(tracks):
    """The main face in the frames 0, 1 and 3; a second one, if there is one, in frame 1, half beside the picture."""
    mask = np.array([True, True, False, True])
    box = np.where(mask[:, None], np.array([16.0, 12.0, 32.0, 36.0]), np.nan)
    points = np.where(mask[:, None, None], np.full((5, 2), 20.0), np.nan)
    seen, extra = np.array([0, 1, 3]), np.array([1] * (tracks - 1), int)
    frame = np.concatenate([seen, extra])
    order = np.argsort(frame, kind="stable")
    other = np.tile([-16.0, 0.0, 16.0, 24.0], (len(extra), 1))
    return {
        "time": TIMES,
        "mask": mask,
        "box": box,
        "landmarks": points,
        "score": np.where(mask, 0.9, np.nan),
        "track": np.where(mask, 0, -1),
        "all_frame": frame[order],
        "all_box": np.concatenate([box[seen], other])[order],
        "all_landmarks": np.concatenate([points[seen], np.full((len(extra), 5, 2), 4.0)])[order],
        "all_score": np.concatenate([np.full(3, 0.9), np.full(len(extra), 0.8)])[order],
        "all_track": np.concatenate([np.zeros(3, int), np.ones(len(extra), int)])[order],
    }


def _features(cache):
    fields = {"x": Field("f4", (2,)), "time": Field("f8"), "mask": Field("?")}
    with Writer(cache / "features/net.h5", fields, stage="features", recipe={}) as to:
        for clip in CLIPS["clip"]:
            x = np.arange(8, dtype=np.float32).reshape(4, 2) + 0.1
            arrays = {"x": x, "time": TIMES, "mask": np.array([True, True, False, True])}
            to.add(Row(clip, "", *STATUS.get(clip, ("ok", "")), {} if clip in STATUS else arrays))


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))
