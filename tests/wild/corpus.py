"""The wild corpus on disk, and what the stages corpus and decode make of it."""

import os
from pathlib import Path

from emopipe import corpora
from emopipe.cache.store import Reader
from emopipe.core import tables
from emopipe.corpora.digests import content_digests
from emopipe.stages import corpus, decode

FOLDERS = ("train/Happy", "train/Sad", "val/Happy", "val/Sad")
RECIPE = {"options": {"policy": "count", "count": 3, "clip_seconds": 60, "clip_memory_mb": 1024}}


def placed(files):
    """Path below the corpus' folder -> file: in folders of two splits and two classes."""
    return {str(Path(FOLDERS[number % len(FOLDERS)], file.name)): file for number, file in enumerate(files)}


def write_corpus(root, files):
    """The files in their places; path below `root` -> file."""
    for path, file in placed(files).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        file.make(root / path)
    return placed(files)


def scan(root, work, kind="folder"):
    """The clip table, as the stage corpus writes it and the stage decode reads it."""
    options = corpora.options_class(kind).model_validate({"clip_id": "path"} if kind == "folder" else {})
    table = content_digests(root, corpora.scan(kind, root, options), work / "cache/digests.csv")
    corpus.run({"shards": 1}, table, work / "cache/clips.csv", [work / "cache/shards/00.csv"])
    return tables.read(work / "cache/shards/00.csv")


def decoded(root, work, kind="folder"):
    """Path of a clip -> its row of the stage decode."""
    table = scan(root, work, kind)
    media = work / "cache/media/00.h5"
    decode.run(RECIPE, root, work / "cache/shards/00.csv", media, work / "cache/media/00.status.h5")
    return rows(work, table)


def rows(work, table):
    """Path of a clip -> its row, of what was decoded."""
    with Reader(work / "cache/media/00.h5") as reader:
        return {path: reader[clip] for clip, path in zip(table["clip"], table["path"], strict=True)}


def listing(*folders):
    """Everything below folders, links as links."""
    return {os.path.join(here, name) for folder in folders for here, _, names in os.walk(folder) for name in names}
