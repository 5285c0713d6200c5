"""Looks at a folder of clips, or at a table of them, and finds the kind of corpus and its options."""

import logging
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from emopipe import corpora
from emopipe.core.errors import CorpusError
from emopipe.core.text import abbreviate
from emopipe.corpora import files, splits
from emopipe.corpora import folder as folders
from emopipe.corpora.classes import is_class
from emopipe.corpora.files import look
from emopipe.corpora.labelling import SEVEN, Labelling, in_run

ATTEMPTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("caer", {}),
    ("folder", {}),
    ("folder", {"others": "exclude"}),
    ("folder", {"clip_id": "path"}),
    ("folder", {"clip_id": "path", "others": "exclude"}),
    ("folder", {"beside": "video"}),
    ("folder", {"clip_id": "path", "beside": "video"}),
    ("afew", {}),
    ("ravdess", {}),
    ("ravdess", {"modality": "audio"}),
    ("cremad", {}),
    ("cremad", {"modality": "audio"}),
    ("emodb", {}),
    ("dfew", {}),
    ("dfew", {"clips": "clip_224x224_avi"}),
    ("dfew", {"clips": "clip_224x224"}),
    ("ferv39k", {}),
    ("meld", {}),
    ("enterface", {}),
    ("savee", {}),
    ("savee", {"modality": "audio"}),
    ("tess", {}),
    ("esd", {}),
    ("iemocap", {"emotions": 6}),
    ("iemocap", {}),
    ("iemocap", {"emotions": 6, "modality": "video"}),
    ("iemocap", {"modality": "video"}),
    ("mafw", {}),
    ("mafw", {"clips": "frames"}),
    ("mer", {}),
    ("mer", {"release": 2024}),
    ("mosei", {}),
    ("mosei", {"clips": "full"}),
)
"""Kinds with their options, in the order in which they are tried. Folders of classes go before schemes of names, except
those whose names are of one corpus alone."""
PEOPLE = (r"^(?P<subject>[A-Za-z]*\d+)[_-]", r"^(?P<subject>[A-Za-z]+)[_-]")
"""How file names may begin with a person: `p01_`, `1001_`, `anna-`."""


@dataclass(frozen=True)
class Found:
    """A corpus that was recognised."""

    kind: str
    """Its kind (`corpus.kind`)."""
    root: Path
    """The folder to which the paths of its clips are relative."""
    options: dict[str, Any]
    """The options of its kind (`corpus.options`) that are not defaults."""
    table: pd.DataFrame
    """Its clip table."""
    drawn: str = ""
    """A sentence on the val split, if it had to be drawn from the training clips; else ""."""
    odd: dict[str, int] = field(default_factory=dict)
    """Suffix -> number of the files below the root that are neither video nor sound."""
    duplicates: str = ""
    """What to do with clips of the same content (`corpus.duplicates`); "" if there are none across splits or labels."""
    labelling: Labelling = SEVEN
    """The label space; not the seven only if the user names another."""


def scanned(kind: str, root: Path, options: dict[str, Any], labelling: Labelling = SEVEN) -> Found:
    """Return a corpus of this kind, with these options and in this label space.

    Raises:
        CorpusError: The corpus does not have the form that its kind expects.
    """
    with _announcements() as sentences:
        checked = corpora.options_class(kind).model_validate(options, context=in_run(labelling))
        table = corpora.scan(kind, root, checked, labelling=labelling)
    return Found(kind, root, options, table, "".join(sentences), labelling=labelling)


def in_folder(root: Path, labelling: Labelling = SEVEN) -> Found:
    """Return the corpus in a folder, by the first kind that fits it.

    Raises:
        CorpusError: No kind fits. The message is that of the kind `folder`.
    """
    odd = _odd(root) if root.is_dir() else {}
    first = None
    for kind, options in (*ATTEMPTS, ("folder", None)):
        try:
            fitting = _fitting(root, labelling) if options is None else options
            found = scanned(kind, root, fitting, labelling)
            if kind == "folder":
                _refuse_without_classes(found)
        except CorpusError as error:
            if kind == "folder":
                first = first or error
        else:
            return replace(found, odd=odd)
    raise first


def _refuse_without_classes(found: Found) -> None:
    """Refuse files without any folder of a class: their names may be a scheme of another kind that has the classes."""
    if (found.table["label"] == "").all():
        raise CorpusError(
            f"The files {abbreviate(found.table['path'].tolist())} in {found.root} are not in a class folder. Expected "
            "<class>/<file>. Move the files there. `emopipe predict` predicts files without a class."
        )


def _fitting(root: Path, labelling: Labelling) -> dict[str, Any]:
    with _announcements():
        return folders.fitting_options(root, labelling)


def _odd(root: Path) -> dict[str, int]:
    """Return suffix -> number of the files below a folder that are neither video nor sound."""
    taken = look(root, is_clip=lambda folder, _: folders.is_clip(root, folder, is_class))
    return dict(taken.others + Counter(path.suffix.lower() for path in taken.paths(["image"])))


def with_people(found: Found) -> Found | None:
    """Return the corpus with the person that each file name seems to begin with; None if the names do not look so.

    A beginning may be a person if every name has one, if it is shared by several clips on average, and if each shows
    several classes. Nobody may be in two splits.
    """
    stems = [Path(path).stem for path in found.table["path"]]
    for pattern in PEOPLE if found.kind == "folder" and "pattern" not in found.options else ():
        people = [match["subject"] if (match := re.match(pattern, stem)) else "" for stem in stems]
        classes = found.table.assign(subject=people).groupby("subject")["label"].nunique()
        named = any(is_class(person) or splits.split_of(person) for person in classes.index)
        if "" in classes.index or named or not 2 <= len(classes) <= len(stems) / 2 or classes.min() < 2:
            continue
        try:
            options = {**found.options, "subject_pattern": pattern}
            guess = scanned(found.kind, found.root, options, found.labelling)
        except CorpusError:  # somebody is in two splits
            continue
        return replace(guess, odd=found.odd)
    return None


@contextmanager
def _announcements() -> Iterator[list[str]]:
    """Collect the sentences on drawn splits that adapters log; what they say on files is reported once, by `Found`."""
    sentences: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: sentences.append(record.getMessage())  # type: ignore[method-assign]
    before = splits.LOGGER.level, splits.LOGGER.propagate
    splits.LOGGER.addHandler(handler)
    splits.LOGGER.setLevel(logging.INFO)
    splits.LOGGER.propagate = False
    said = files.LOGGER.disabled
    files.LOGGER.disabled = True
    try:
        yield sentences
    finally:
        splits.LOGGER.removeHandler(handler)
        files.LOGGER.disabled = said
        splits.LOGGER.level, splits.LOGGER.propagate = before
