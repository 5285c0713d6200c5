"""Any corpus whose folders are its classes: <split>/<class>/<file> or <class>/<file>."""

import re
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
from pydantic import AfterValidator

from emopipe.core.errors import CorpusError
from emopipe.core.text import abbreviate
from emopipe.corpora import splits
from emopipe.corpora.classes import Others, is_class, with_labels
from emopipe.corpora.files import AUDIO, VIDEO, media_files
from emopipe.corpora.table import from_rows, refuse_duplicates


def _has_subject_group(pattern: str) -> str:
    try:
        groups = re.compile(pattern).groupindex
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression ({error})") from error
    if pattern and "subject" not in groups:
        raise ValueError(f"{pattern!r} has no group named subject, such as (?P<subject>[^_]+)")
    return pattern


class CorpusOptions(splits.SplitOptions):
    """What file names say, and how clips are split where the folders do not say."""

    clip_id: Literal["stem", "path"] = "stem"
    """What a clip is called: its file's stem, or its path without extension, joined by two underscores."""
    subject_pattern: Annotated[str, AfterValidator(_has_subject_group)] = ""
    """A regular expression, searched in the file's stem, whose group `subject` is the subject; or empty."""
    others: Others = "refuse"
    """exclude leaves out clips of classes that are known but none of the seven, such as calm; refuse says so."""


def scan(root: Path, options: CorpusOptions) -> pd.DataFrame:
    """The clip table; a clip's class is the first folder below root or below its split's folder.

    Folders above those, which all files share, are passed over.
    Clips straight in the folder of the test split are unlabelled. Where the folders name no val split, it is
    drawn from train.

    Raises:
        CorpusError: no media, folders that mix splits and classes, an unknown class, a clip outside of a
            class folder, a stem without a subject, or a repeated id.
    """
    inner = [file.relative_to(root) for file in media_files(root, VIDEO | AUDIO)]
    if not inner:
        raise CorpusError(
            f"No video or audio files were found in {root}, where <class>/<file> or <split>/<class>/<file> "
            "was expected: check corpus_root."
        )
    shared = _shared([file.parts[:-1] for file in inner])
    has_splits = _has_splits(root, {file.parts[shared] for file in inner if len(file.parts) > shared + 1})
    table = from_rows(_row(file, has_splits, options.clip_id, shared) for file in inner)
    _refuse_classless(table, root, has_splits)
    refuse_duplicates(table, remedy="set clip_id: path in the corpus options")
    if options.subject_pattern:
        table = table.assign(subject=_subjects(inner, options.subject_pattern))
    return _split(with_labels(table, options.others), options)


def _has_splits(root: Path, tops: set[str]) -> bool:
    of_splits = [top for top in sorted(tops) if splits.split_of(top)]
    others = [top for top in sorted(tops) if not splits.split_of(top)]
    if of_splits and others:
        raise CorpusError(
            f"The corpus folder {root} holds splits ({abbreviate(of_splits)}) beside other folders with media "
            f"({abbreviate(others)}): have either <split>/<class>/<file> or <class>/<file>, not both."
        )
    return bool(of_splits)


def _shared(folders: list[tuple[str, ...]]) -> int:
    """How many leading folders all files share that name neither a split nor a class."""
    shared = 0
    while all(len(parts) > shared + 1 for parts in folders):
        names = {parts[shared] for parts in folders}
        if len(names) > 1 or splits.split_of(*names) or is_class(*names):
            break
        shared += 1
    return shared


def _row(file: Path, has_splits: bool, clip_id: str, shared: int) -> dict[str, str]:
    folders = file.parts[shared:-1]
    split = splits.split_of(folders[0]) if has_splits and folders else "train"
    classes = folders[1:] if has_splits else folders
    return {
        "clip": file.stem if clip_id == "stem" else "__".join(file.with_suffix("").parts),
        "path": file.as_posix(),
        "split": split,
        "label": classes[0] if classes else "",
    }


def _refuse_classless(table: pd.DataFrame, root: Path, has_splits: bool) -> None:
    stray = table.loc[(table["label"] == "") & (table["split"] != "test"), "path"].tolist()
    if stray:
        raise CorpusError(
            f"The files {abbreviate(stray)} in {root} are in no class's folder, where "
            f"{'<split>/' if has_splits else ''}<class>/<file> was expected: move them there."
        )


def _subjects(files: list[Path], pattern: str) -> list[str]:
    found = [match["subject"] if (match := re.search(pattern, file.stem)) else "" for file in files]
    bare = [str(file) for file, subject in zip(files, found, strict=True) if not subject]
    if bare:
        raise CorpusError(
            f"The names of the files {abbreviate(bare)} have no subject as subject_pattern {pattern!r} looks for "
            "it: correct the pattern or rename the files."
        )
    return found


def _split(table: pd.DataFrame, options: CorpusOptions) -> pd.DataFrame:
    learn = table["split"] == "train"
    if (table["split"] == "val").any() or not learn.any():
        return table
    return pd.concat([table[~learn], splits.assign(table[learn], options)])
