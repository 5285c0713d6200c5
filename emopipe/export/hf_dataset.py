"""The format `hf-dataset`: a folder that `datasets.load_dataset` reads, one row a clip, in Parquet, with a card.

It is written without the package `datasets`: the types, and the names of the classes, are in the head of the card.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from emopipe.core.labels import Kind, LabelSpace
from emopipe.core.notice import NOTICE
from emopipe.export.clip import Answer, Clip, classes_of
from emopipe.export.contents import Contents
from emopipe.export.folders import new_folder, plain
from emopipe.export.parquet_tables import PartWriter

OPTIONS = ("model", "features")
SPLITS = {"train": "train", "val": "validation", "test": "test"}
"""The name of a split -> the name that Hugging Face gives it."""
DATA = "data"
"""The folder of the parts."""
_TEXTS = ("clip", "path", "subject", "status", "reason")

Feature = dict[str, Any]


def write(run: Path, out: Path, *, model: Sequence[str] = (), features: bool = False) -> list[str]:
    """Write README.md, the card, and data/<split>-<number>.parquet.

    Args:
        run: `results/<run>`.
        out: The folder to make.
        model: The models whose predictions are written; none: the run's answer.
        features: Whether to write the vectors.

    Returns:
        Remarks for the user.

    Raises:
        CacheError: The run is not finished, or its cache is missing or damaged.
        ConfigError: There is no such model, or the folder is taken.
    """
    with Contents(run, model, features=features) as contents, new_folder(out) as folder:
        backbones = list(contents.backbones)
        schema = _schema(backbones, contents.space)
        writers: dict[str, PartWriter] = {}
        for clip in contents.clips():
            split = SPLITS[clip.split]
            if split not in writers:
                writers[split] = PartWriter(folder / DATA, schema, prefix=f"{split}-")
            writers[split].add(_row(clip, backbones), numbers=sum(found.x.size for found in clip.features.values()))
        for writer in writers.values():
            writer.close()
        rows = {split: writers[split].rows for split in SPLITS.values() if split in writers}
        (folder / "README.md").write_text(_card(contents, rows), encoding="utf-8")
    return contents.remarks


def _schema(backbones: Sequence[str], space: LabelSpace) -> dict[str, Any]:
    """Return column -> polars' type.

    A label is the number of a class, or a list of such numbers; of dimensions, it is a number in a column of each.
    """
    floats = pl.List(pl.Float64)
    answer = pl.List(pl.Int64) if space.kind == "multi" else pl.Int64
    is_classes = space.kind != "dimensions"
    label = {"label": answer} if is_classes else {f"label_{name}": pl.Float64 for name in space.names}
    label |= {"votes": floats} if space.kind == "votes" else {}
    prediction = {"model": pl.String, "source": pl.String, **({"pred": answer, "p": floats} if is_classes else {})}
    prediction |= {} if is_classes else {f"y_{name}": pl.Float64 for name in space.names}
    prediction |= {"covered": pl.Boolean}
    track = {"faces": pl.String, "track": pl.Int32, "main": pl.Boolean, "time": floats, "box": pl.List(floats)}
    track |= {"score": floats, "frame_width": pl.Int32, "frame_height": pl.Int32}
    attention = {"model": pl.String, "stream": pl.String, "time": floats, "weight": floats}
    vectors = {"time": floats, "x": pl.List(pl.List(pl.Float32))}
    return {
        **dict.fromkeys(_TEXTS, pl.String),
        "start": pl.Float64,
        "end": pl.Float64,
        **label,
        "predictions": pl.List(pl.Struct(prediction)),
        "tracks": pl.List(pl.Struct(track)),
        "attention": pl.List(pl.Struct(attention)),
        **{_column(name): pl.Struct(vectors) for name in backbones},
    }


def _column(backbone: str) -> str:
    return f"features_{backbone}"


def _row(clip: Clip, backbones: Sequence[str]) -> dict[str, Any]:
    return {
        **{name: plain(getattr(clip, name if name != "clip" else "id")) for name in _TEXTS},
        "start": clip.start,
        "end": clip.end,
        **_label(clip),
        "predictions": [_prediction(answer) for answer in clip.answers],
        "tracks": _tracks(clip),
        "attention": [
            {"model": part.model, "stream": part.stream, "time": part.time.tolist(), "weight": part.weight.tolist()}
            for part in clip.attention
        ],
        **{_column(name): _vectors(clip, name) for name in backbones},
    }


def _label(clip: Clip) -> dict[str, Any]:
    if clip.space.kind == "dimensions":
        return {f"label_{name}": number for name, number in clip.numbers.items()}
    votes = {"votes": list(clip.votes.values()) or None} if clip.space.kind == "votes" else {}
    return {"label": _numbers_of(clip.label, clip.space), **votes}


def _numbers_of(label: str, space: LabelSpace) -> int | list[int] | None:
    """Return the number of a class, or those of several; None if the label is unknown, or a tie of votes."""
    classes = classes_of(label, space)
    numbers = None if classes is None else [space.names.index(name) for name in classes]
    if space.kind == "multi" or numbers is None:
        return numbers
    return numbers[0] if len(numbers) == 1 else None


def _prediction(answer: Answer) -> dict[str, Any]:
    found = {"model": answer.model, "source": answer.source, "covered": answer.covered}
    if answer.space.kind == "dimensions":
        return found | dict(answer.numbers)
    return found | {"pred": _numbers_of(answer.pred, answer.space), "p": list(answer.values.values())}


def _tracks(clip: Clip) -> list[dict[str, Any]]:
    return [
        {
            "faces": faces.preset,
            "track": track.number,
            "main": track.is_main,
            "time": track.time.tolist(),
            "box": track.box.tolist(),
            "score": track.score.tolist(),
            **dict(zip(("frame_width", "frame_height"), faces.frame_size or (None, None), strict=True)),
        }
        for faces in clip.faces
        for track in faces.tracks
    ]


def _vectors(clip: Clip, backbone: str) -> dict[str, Any]:
    if (found := clip.features.get(backbone)) is None:
        return {"time": [], "x": []}
    return {"time": found.time[found.mask].tolist(), "x": np.asarray(found.x[found.mask], np.float32).tolist()}


# -- the card ---


def _card(contents: Contents, rows: Mapping[str, int]) -> str:
    """Return the card: its head is what `datasets` reads, the rest is for people."""
    files = [{"split": split, "path": f"{DATA}/{split}-*.parquet"} for split in rows]
    head = {
        "configs": [{"config_name": "default", "data_files": files}],
        "dataset_info": {"features": _features(_schema(list(contents.backbones), contents.space), contents.space)},
    }
    counts = "\n".join(f"| {split} | {number} |" for split, number in rows.items())
    return f"""---
{yaml.safe_dump(head, sort_keys=False)}---

# {plain(contents.results.name)}

> {NOTICE}

What a run of emopipe found, one row a clip. `path` is below the folder of the corpus; the clips are not part of this.
{ABOUT_LABELS[contents.space.kind]} `status` is `ok`, or why a stage has nothing of the clip. Times are seconds
from the start of the clip, boxes are x1, y1, x2, y2 in pixels of a frame of `frame_width` x `frame_height`. Predictions
with the source `out_of_fold` come from models that were trained without the clip. The clips' own terms hold for what
was made from them.

| split | clips |
|---|---|
{counts}
"""


ABOUT_LABELS: Mapping[Kind, str] = {
    "single": "`label` is null where it is unknown.",
    "votes": "`label` is the class with most votes, and null where it is unknown or where two classes have as many; "
    "`votes` has the shares of\nthe votes in the order of the classes, and is null for clips without votes.",
    "multi": "`label` has all classes that a clip shows, and is null where this is unknown; probabilities are those of "
    "each class by itself.",
    "dimensions": "`label_<dimension>` is null where it is unknown; predictions have a number `y_<dimension>` of each.",
}


def _features(schema: Mapping[str, Any], space: LabelSpace) -> list[Feature]:
    """Return the columns as the head of a card names them; labels and predictions have names of classes."""
    return [_feature(name, kind, space) for name, kind in schema.items()]


def _feature(name: str, kind: Any, space: LabelSpace) -> Feature:
    if name in ("label", "pred") and kind == pl.Int64:
        return {"name": name, "dtype": {"class_label": {"names": {str(n): each for n, each in enumerate(space.names)}}}}
    if isinstance(kind, pl.Struct):
        return {"name": name, "struct": [_feature(field.name, field.dtype, space) for field in kind.fields]}
    if isinstance(kind, pl.List):
        inner = _feature(name, kind.inner, space)
        inner.pop("name")
        value = inner.get("struct") or inner.get("dtype") or inner
        return {"name": name, "list": value}
    return {"name": name, "dtype": _DTYPES[kind]}


_DTYPES = {
    pl.String: "string",
    pl.Boolean: "bool",
    pl.Int32: "int32",
    pl.Int64: "int64",
    pl.Float32: "float32",
    pl.Float64: "float64",
}
"""Polars' types -> those of Hugging Face."""
