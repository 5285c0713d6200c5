"""A finished run of any number of clips, whose numbers are drawn: results, tables, caches and page, without networks.

Every tenth clip has no face and every fifteenth no sound; a few could not be decoded. `make` takes seconds for a
thousand clips.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from emopipe.cache.status import NO_AUDIO, NO_FACE, OK, UNDECODABLE, reason
from emopipe.cache.store import Field, Row, Writer
from emopipe.core import tables
from emopipe.core.labels import BASIC7, CLASSES, LabelSpace, in_recipe
from emopipe.faces import rows as face_rows
from emopipe.media import rows as media_rows
from emopipe.media.decoded import encode_jpeg
from emopipe.report.clip import gathering
from emopipe.report.page import whole
from emopipe.report.page.sources import Sources
from emopipe.scoring import predictions
from emopipe.scoring.measures import primary
from emopipe.stages import report

STREAMS = {"face": "face", "voice": "audio"}
MODELS = {"face_net": ["face"], "audio_net": ["voice"], "fused_both": ["face", "voice"]}
SKILL = {"face_net": 1.5, "audio_net": 0.7, "fused_both": 1.9, "ensemble": 2.0}
FRAMES = 4
RECIPE = {
    "names": {"decode": ["some"], "faces": ["main"], "backbones": ["face", "voice"]},
    "run": "drawn",
    "shows_faces": False,
    "models": list(MODELS),
    "heads": STREAMS,
    "ensembles": ["ensemble"],
    "missing": {},
    "comparisons": [],
    "selected_on_val": [],
    "paper": {},
    "protocol": {"kind": "given", "folds": 2},
    "absent_classes": "",
    "learned_here": [],
    "split_rule": "The splits are those of the corpus.",
}


SPACES = {
    "votes": LabelSpace(("Angry", "Happy", "Neutral", "Sad", "<b>"), "votes"),
    "multi": LabelSpace(("Angry", "Happy", "Neutral", "Sad", "<b>"), "multi"),
    "dimensions": LabelSpace(("valence", "arousal [a.u.]"), "dimensions", -1.0, 1.0),
}
"""A label space of each further kind, which `python -m tests.drawn_run FOLDER COUNT KIND` takes."""


class Drawn:
    """The clips of a run, and the arrays that caches and predictions hold of them."""

    def __init__(self, count, seed=0, columns=None, space=BASIC7):
        self.draw, self.space = np.random.default_rng(seed), space
        label = self.draw.integers(len(CLASSES), size=count)
        self.table = pd.DataFrame(
            {
                "clip": [f"clip {number:04d} & <co>" for number in range(count)],
                "path": [f"{number}.mp4" for number in range(count)],
                "split": np.where(np.arange(count) % 3, "train", "val"),
                "label": np.array(CLASSES)[label],
                "subject": [f"p{number % 24}" for number in range(count)],
                "digest": [f"{number:064x}" for number in range(count)],
            }
        )
        if columns:
            self.table = self.table.assign(**columns(self.table))
        self.target = label
        if space != BASIC7:
            self.table = self.table.assign(**self.labels(count))
        sides = [cv2.resize(self.draw.integers(60, 220, (6, 6, 3)).astype(np.uint8), (256, 256)) for _ in range(8)]
        self.crops = [encode_jpeg(side, 70) for side in sides]
        self.time = np.arange(FRAMES) * 0.4
        self.sound = (3000 * np.sin(np.arange(12_000) * 0.1)).astype(np.int16)

    def labels(self, count):
        """The columns of the clip table with labels in the space; every twentieth clip has none."""
        space, size = self.space, (count, len(self.space))
        if space.kind == "dimensions":
            found, more = self.draw.uniform(space.low, space.high, size).round(2), {}
        elif space.kind == "multi":
            found, more = self.draw.random(size) < 0.3, {}
        else:
            found = self.draw.multinomial(4, self.draw.dirichlet(np.full(len(space), 0.5), count))
            more = {column: votes.astype(str) for column, votes in zip(space.vote_columns, found.T, strict=True)}
        texts = [space.label(row.astype(float)) for row in found]
        return {**more, "label": ["" if number % 20 == 7 else text for number, text in enumerate(texts)]}

    def status(self, number, stage):
        if number % 50 == 49:
            return UNDECODABLE, reason("empty_file")
        if stage in ("faces", "features/face") and number % 10 == 9:
            return NO_FACE, reason("no_face", frames=FRAMES)
        if stage in ("decode", "features/voice") and number % 15 == 14:
            return NO_AUDIO, reason("silent")
        return OK, ""

    def pictures(self, name):
        chosen = [self.crops[number] for number in self.draw.integers(len(self.crops), size=FRAMES)]
        data, sizes = np.frombuffer(b"".join(chosen), np.uint8), np.array([len(one) for one in chosen])
        return {name: data, f"{name}_size": sizes}

    def media(self, number):
        sound = self.sound[: 6000 + 20 * (number % 300)] if self.status(number, "decode")[0] == OK else self.sound[:0]
        return {**self.pictures("jpeg"), "time": self.time, "audio": sound, "audio_start": np.array([0.0])}

    def faces(self, number):
        if self.status(number, "faces")[0] != OK:
            return {"mask": np.zeros(FRAMES, bool), "time": self.time}
        rows = np.float32([[50, 30, 110, 90]] * FRAMES)
        points = np.float32([[[70, 50], [90, 50], [80, 60], [72, 72], [88, 72]]] * FRAMES)
        ones, zeros = np.ones(FRAMES, np.float32), np.zeros(FRAMES, np.int32)
        own = {"mask": np.ones(FRAMES, bool), "time": self.time, "box": rows, "landmarks": points, "score": ones}
        found = {"all_frame": np.arange(FRAMES), "all_box": rows, "all_landmarks": points, "all_score": ones}
        return {**self.pictures("crop"), **own, **found, "track": zeros, "all_track": zeros}

    def vectors(self, number, stream):
        if self.status(number, f"features/{stream}")[0] != OK:
            return {}
        centre = np.zeros(16) + 2 * (np.arange(16) == self.target[number])
        x = (centre + self.draw.normal(size=(FRAMES, 16))).astype(np.float32)
        logits = x[:, : len(CLASSES)]
        logp = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        return {"x": x, "time": self.time, "mask": np.ones(FRAMES, bool), "logp": logp}

    def answers(self, model):
        """Numbers that fit the labels the better, the more skill a model has."""
        targets = np.nan_to_num(self.space.targets(self.table))
        noise = self.draw.normal(size=targets.shape)
        if self.space.kind == "dimensions":
            return (0.7 * targets + noise / (2 * SKILL[model])).clip(self.space.low, self.space.high)
        logits = SKILL[model] * (targets - 0.5) + noise
        if self.space.kind == "multi":
            return 1 / (1 + np.exp(-logits))
        return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)

    def predictions(self, model):
        if self.space != BASIC7:
            return predictions.table(self.table, self.answers(model), np.ones(len(self.table)), self.space)
        logits = self.draw.normal(size=(len(self.table), len(CLASSES)))
        logits[np.arange(len(logits)), self.target] += SKILL[model]
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        made = self.table[["clip", "split", "label"]].assign(pred=np.array(CLASSES)[p.argmax(1)])
        return made.join(pd.DataFrame(p, columns=BASIC7.columns)).assign(covered=1)


def make(work, count, columns=None, space=BASIC7):
    """Write results/drawn and cache/drawn below a folder; return what the page is made from.

    `columns` gives further columns of the clip table, for the table.
    """
    results, cache = work / "results/drawn", work / "cache/drawn"
    drawn, recipe = Drawn(count, columns=columns, space=space), RECIPE | in_recipe(space)
    tables.write(drawn.table, cache / "clips.csv")
    stages = _caches(drawn, cache)
    models = _predictions(drawn, results)
    _attention(drawn, results)
    config = {"run": "drawn", "corpus": {"name": "drawn", "kind": "folder"}, "note": "</script><b>not bold</b>"}
    config |= in_recipe(space)
    report.run(recipe, cache / "clips.csv", stages, *models, {}, config, results)
    histories = {"voice": _history(cache / "weights/voice.csv")}
    media = {"some": [cache / "media/some/00.h5"]}
    presets = {"face": "main", "voice": "some"}
    of_clips = gathering.Sources(results, cache / "clips.csv", media, {"main": stages["faces"]}, presets, space)
    return Sources(of_clips, stages, histories, {"report": recipe, "faces": True})


def _caches(drawn, cache):
    """Write the caches; return stage -> its files."""
    vectors = {"x": Field("f4", (16,)), "time": Field("f8"), "mask": Field("?"), "logp": Field("f4", (len(CLASSES),))}
    made = {
        "decode": (cache / "media/some/00.h5", media_rows.FIELDS, drawn.media),
        "faces": (cache / "faces/main/00.h5", face_rows.FIELDS, drawn.faces),
        **{
            f"features/{stream}": (cache / f"features/{stream}.h5", vectors, lambda n, s=stream: drawn.vectors(n, s))
            for stream in STREAMS
        },
    }
    for stage, (path, fields, arrays) in made.items():
        with Writer(path, fields, stage="test", recipe={}) as writer:
            for number, clip in enumerate(drawn.table["clip"]):
                status, why = drawn.status(number, stage)
                writer.add(Row(clip, "", status, why, {} if status == UNDECODABLE else arrays(number)))
            writer.note(device="cpu", head_prior="[]")
    return {stage: [path] for stage, (path, _, _) in made.items()}


def _predictions(drawn, results):
    """Write predictions, candidates and weights; return what the report stage takes of them."""
    paths = {kind: {} for kind in ("predictions", "oof", "seeds", "models")}
    for name in SKILL:
        frame = drawn.predictions(name)
        is_train = frame["split"] == "train"
        parts = {
            "predictions": frame[~is_train],
            "oof": frame[is_train].assign(fold=np.arange(is_train.sum()) % 2),
            "seeds": pd.concat([frame[~is_train].assign(seed=seed) for seed in (0, 1)]),
        }
        if name in MODELS:
            score = {f"oof_{primary(drawn.space).key}": [0.5]}
            scores = {"oof_loss": [1.2], **score, "epochs": [30.0], "chosen": [1], "note": [""]}
            parts["models"] = pd.DataFrame({"candidate": [0], "seed": [0], **scores})
        for kind, table in parts.items():
            paths[kind][name] = results / kind / f"{name}.csv"
            paths[kind][name].parent.mkdir(parents=True, exist_ok=True)
            table.to_csv(paths[kind][name], index=False)
    weights = pd.DataFrame({"ensemble": "ensemble", "method": "mean", "member": list(MODELS), "weight": 1 / 3})
    weights = weights.assign(temperature=1.0, **{f"oof_{primary(drawn.space).key}": 0.5}, oof_loss=1.2)
    weights.to_csv(results / "models/ensembles.csv", index=False)
    return *paths.values(), results / "models/ensembles.csv"


def _attention(drawn, results):
    for model, streams in MODELS.items():
        fields = {name: Field("f4") for name in streams} | {f"{name}@time": Field("f8") for name in streams}
        recipe = {"streams": {name: STREAMS[name] for name in streams}}
        (results / "attention").mkdir(exist_ok=True)
        with Writer(results / f"attention/{model}.h5", fields, stage="attention", recipe=recipe) as writer:
            for clip in drawn.table.loc[drawn.table["split"] == "val", "clip"]:
                weights = drawn.draw.dirichlet(np.ones(FRAMES), len(streams)).astype(np.float32)
                arrays = dict(zip(streams, weights, strict=True)) | {f"{name}@time": drawn.time for name in streams}
                writer.add(Row(clip, "", OK, "", arrays))


def _history(path):
    epochs = np.arange(1, 21)
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame({"network": "all", "epoch": epochs, "lr": 1e-3, "loss": 2 / epochs, "held_out_loss": 1.0})
    table.to_csv(path, index=False)
    return path


if __name__ == "__main__":
    made = make(Path(sys.argv[1]), int(sys.argv[2]), space=SPACES[sys.argv[3]] if sys.argv[3:] else BASIC7)
    whole.write(made, Path(sys.argv[1], "report.html"))
