"""A finished run of five clips, written by hand: results and cache, without any network and in milliseconds.

good     val, Angry: six frames, of which five have a face; sound; two models and their ensemble
trained  train, Happy: out-of-fold predictions alone
empty    val, Sad: could not be decoded
unseen   val, Happy: frames and sound, but no face
secret   test, no label: as `good`

Its label space is that of the seven classes, or one of LABELS, whose labels are others.
"""

import cv2
import numpy as np
import pandas as pd
import yaml

from emopipe.cache.status import NO_FACE, OK, UNDECODABLE, reason, text
from emopipe.cache.store import Field, Row, Writer
from emopipe.core import tables
from emopipe.core.labels import BASIC7, LabelSpace, in_recipe
from emopipe.faces import rows as face_rows
from emopipe.media import rows as media_rows
from emopipe.media.decoded import encode_jpeg

CLIPS = {
    "good": ("val", "Angry"),
    "trained": ("train", "Happy"),
    "empty": ("val", "Sad"),
    "unseen": ("val", "Happy"),
    "secret": ("test", ""),
}
LABELS = {
    LabelSpace(("Angry", "Happy", "Sad"), "votes"): {"good": "Angry", "trained": "Happy", "unseen": "Happy;Sad"},
    LabelSpace(("Angry", "Happy", "Sad", "<i>"), "multi"): {
        "good": "Angry;<i>",
        "trained": "Happy",
        "unseen": "(none)",
    },
    LabelSpace(("valence", "arousal"), "dimensions", -2.0, 2.0): {"good": "-1;0.5", "trained": "1;0", "unseen": "0;0"},
}
"""Label spaces of other kinds -> the labels of their clips; others have none."""
VOTES = {"good": {"votes_Angry": "3", "votes_Sad": "1", "voice_votes_Happy": "2"}}
"""Raters' votes, where the kind is votes."""
STREAMS = {"expression": "face", "logmel": "audio"}
TIMES = np.arange(6) * 0.25
MASK = np.array([True, True, False, True, True, True])
WEIGHTS = np.float32([0.1, 0.1, 0.2, 0.5, 0.1])


def space_of(kind):
    """The label space of LABELS of a kind."""
    return next(space for space in LABELS if space.kind == kind)


def label_of(clip, space):
    return CLIPS[clip][1] if space == BASIC7 else LABELS[space].get(clip, "")


def make(work, space=BASIC7):
    """Write results/small and cache/small below a folder; return results/small."""
    results, cache = work / "results/small", work / "cache/small"
    clips = [
        {"clip": c, "path": f"{c}.mp4", "split": s, "label": label_of(c, space), "subject": "s1"}
        for c, (s, _) in CLIPS.items()
    ]
    if space.kind == "votes":
        columns = [f"{prefix}votes_{name}" for prefix in ("", "voice_") for name in space.names]
        clips = [row | dict.fromkeys(columns, "") | VOTES.get(row["clip"], {}) for row in clips]
    tables.write(tables.of(clips), cache / "clips.csv")
    _write(cache / "media/sparse/00.h5", media_rows.FIELDS, {clip: _media(clip) for clip in CLIPS})
    _write(cache / "faces/main/00.h5", face_rows.FIELDS, {clip: _faces(clip) for clip in CLIPS})
    _results(results, space)
    return results


def _write(path, fields, rows, recipe=None):
    with Writer(path, fields, stage="test", recipe=recipe or {}) as writer:
        for clip, (status, why, arrays) in rows.items():
            writer.add(Row(clip, "", status, why, arrays))


def picture(shade):
    image = np.full((120, 160, 3), shade, np.uint8)
    cv2.circle(image, (80, 60), 30, (120, 160, 230), -1)
    return image


def _media(clip):
    if clip == "empty":
        return UNDECODABLE, reason("empty_file"), {}
    jpegs = [encode_jpeg(picture(40 * number), 90) for number in range(len(TIMES))]
    sound = (3000 * np.sin(np.arange(24_000) * 2 * np.pi * 440 / 16_000)).astype(np.int16)
    arrays = {
        "jpeg": np.frombuffer(b"".join(jpegs), np.uint8),
        "jpeg_size": np.array([len(jpeg) for jpeg in jpegs]),
        "time": TIMES,
        "audio": sound,
        "audio_start": np.array([0.0]),
    }
    return OK, "", arrays


def _faces(clip):
    if clip == "empty":
        return UNDECODABLE, reason("empty_file"), {}
    if clip == "unseen":
        return NO_FACE, reason("no_face", frames=6), {"mask": np.zeros(6, bool), "time": TIMES}
    crops = [encode_jpeg(cv2.resize(picture(40 * number), (256, 256)), 90) for number in range(MASK.sum())]
    box = np.float32([[50, 30, 110, 90]] * 6)
    landmarks = np.float32([[[70, 50], [90, 50], [80, 60], [72, 72], [88, 72]]] * 6)
    box[~MASK], landmarks[~MASK] = np.nan, np.nan
    arrays = {
        "crop": np.frombuffer(b"".join(crops), np.uint8),
        "crop_size": np.array([len(crop) for crop in crops]),
        "mask": MASK,
        "time": TIMES,
        "box": box,
        "landmarks": landmarks,
        "score": np.where(MASK, 0.9, np.nan),
        "track": np.where(MASK, 0, -1),
        "all_frame": np.array([*np.flatnonzero(MASK), 2]),
        "all_box": np.float32([[50, 30, 110, 90]] * 5 + [[0, 0, 20, 20]]),
        "all_landmarks": np.concatenate([landmarks[MASK], landmarks[:1] / 4]),
        "all_score": np.full(6, 0.9),
        "all_track": np.array([0] * 5 + [1]),
    }
    return OK, "", arrays


def _results(results, space):
    config = {
        **in_recipe(space),
        "run": "small",
        "corpus": {"name": "small", "kind": "folder"},
        "corpus_root": "corpus",
        "decode": {"sparse": {"policy": "count", "count": 6}},
        "faces": {"main": {"detector": "mtcnn"}},
        "backbones": {"expression": {"kind": "expression"}, "logmel": {"kind": "audio_alexnet"}},
        "models": {"face_a": {"streams": ["expression"]}, "fused_b": {"streams": list(STREAMS)}},
    }
    (results / "attention").mkdir(parents=True)
    (results / "config.yaml").write_text(yaml.safe_dump(config))
    (results / "metrics.csv").write_text("model,split\n")
    stages = ("decode", "faces", "features/expression", "features/logmel")
    rows = [_ledger_row(clip, stage) for clip in sorted(CLIPS) for stage in stages]
    tables.write(tables.of(rows), results / "ledger.csv")
    for model, favourite in (("ensemble", "Angry"), ("face_a", "Angry"), ("fused_b", "Sad")):
        made = pd.DataFrame([_prediction(clip, favourite, space) for clip in CLIPS])
        is_train = made["split"] == "train"
        _csv(made[~is_train], results / f"predictions/{model}.csv")
        _csv(made[is_train].assign(fold=2), results / f"oof/{model}.csv")
        seeds = [made[~is_train].assign(seed=seed) for seed in (0, 1)]
        _csv(pd.concat(seeds), results / f"seeds/{model}.csv")
    _attention(results / "attention/face_a.h5", ["expression"])
    _attention(results / "attention/fused_b.h5", list(STREAMS))


def _ledger_row(clip, stage):
    status, why = OK, ""
    if clip == "empty":
        status, why = UNDECODABLE, reason("empty_file")
    elif clip == "unseen" and stage in ("faces", "features/expression"):
        status, why = NO_FACE, reason("no_face", frames=6)
    return {"clip": clip, "split": CLIPS[clip][0], "stage": stage, "status": status, "reason": text(why)}


def _prediction(clip, favourite, space):
    """A favourite class with most of the probability; of several classes, it and Sad; of dimensions, numbers."""
    if space.kind == "dimensions":
        values = [-1.0, 0.25] if favourite == "Angry" else [0.5, 1.0]
    else:
        most = 0.4 if space == BASIC7 else 0.8
        values = [most if name == favourite else 0.1 for name in space.names]
    if space.kind == "multi":
        values[space.names.index("Sad")] = 0.6
    label, (pred,) = label_of(clip, space), space.answers(np.array([values]))
    p = dict(zip(space.columns, values, strict=True))
    return {"clip": clip, "split": CLIPS[clip][0], "label": label, "pred": pred, **p, "covered": int(clip != "empty")}


def _csv(table, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False)


def _attention(path, streams):
    fields = {name: Field("f4") for name in streams} | {f"{name}@time": Field("f8") for name in streams}
    of_good = {
        "expression": WEIGHTS,
        "expression@time": TIMES[MASK],
        "logmel": np.float32([0.25, 0.75]),
        "logmel@time": np.array([0.31, 0.63]),
    }
    given = {clip: {n: of_good[n] for n in fields} for clip in ("good", "secret")}
    given |= {"unseen": {n: of_good[n] for n in fields if n.startswith("logmel")}, "empty": {}}
    recipe = {"streams": {name: STREAMS[name] for name in streams}}
    _write(path, fields, {clip: (OK, "", arrays) for clip, arrays in given.items()}, recipe)
