"""Any corpus whose folders name its classes: <split>/<class>/<file> or <class>/<file>."""

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
        raise ValueError(f"{pattern!r} is not a regular expression ({error})") from error
    if pattern and "subject" not in groups:
        raise ValueError(f"{pattern!r} has no group named subject. Add one, such as (?P<subject>[^_]+)")
    return pattern


class CorpusOptions(splits.SplitOptions):
    """How clips are named, and how they are split if the folders do not name the splits."""

    clip_id: Literal["stem", "path"] = "stem"
    """What a clip's id is: its file's stem, or its path without extension, with two underscores for each slash."""
    subject_pattern: Annotated[str, AfterValidator(_has_subject_group)] = ""
    """A regular expression that is searched in the file's stem; its group `subject` is the subject. Empty: subjects
    are unknown."""
    others: Others = "refuse"
    """What happens to clips of known classes that are not one of the seven, such as calm: exclude omits them, refuse
    stops with an error."""


def scan(root: Path, options: CorpusOptions) -> pd.DataFrame:
    """Return the clip table; a clip's class is the first folder below root or below its split's folder.

    Outer folders that all files share are ignored. Clips directly in the folder of the test split are unlabelled; so
    are all clips if there is no folder of a class, and they are then test clips.
    Where the folders have no val split, it is drawn from train.

    Raises:
        CorpusError: There are no media files, splits and classes are mixed, a class is unknown, a clip is outside of
            a class folder, a stem has no subject, or an id is repeated.
    """
    # 1. The files, and how many outer folders they share.
    files = [file.relative_to(root) for file in media_files(root, VIDEO | AUDIO)]
    if not files:
        raise CorpusError(
            f"No video or audio files were found in {root}. Expected <class>/<file> or <split>/<class>/<file>. Check "
            "corpus_root."
        )
    shared = _shared_folders([file.parts[:-1] for file in files])
    has_splits = _has_splits(root, {file.parts[shared] for file in files if len(file.parts) > shared + 1})
    # 2. Their rows.
    table = from_rows(_row(file, has_splits, options.clip_id, shared) for file in files)
    if not has_splits and (table["label"] == "").all():
        table = table.assign(split="test")
    stray = table.loc[(table["label"] == "") & (table["split"] != "test"), "path"].tolist()
    if stray:
        raise CorpusError(
            f"The files {abbreviate(stray)} in {root} are not in a class folder. Expected "
            f"{'<split>/' if has_splits else ''}<class>/<file>. Move the files there."
        )
    refuse_duplicates(table, remedy="Set clip_id: path in the corpus options")
    if options.subject_pattern:
        table = table.assign(subject=_subjects(files, options.subject_pattern))
    # 3. Their classes and splits.
    table = with_labels(table, options.others)
    in_train = table["split"] == "train"
    if (table["split"] == "val").any() or not in_train.any():
        return table
    return pd.concat([table[~in_train], splits.assign(table[in_train], options)])


def _shared_folders(folders: list[tuple[str, ...]]) -> int:
    """Return how many leading folders all files share that name neither a split nor a class."""
    shared = 0
    while all(len(parts) > shared + 1 for parts in folders):
        names = {parts[shared] for parts in folders}
        if len(names) > 1 or splits.split_of(*names) or is_class(*names):
            break
        shared += 1
    return shared


def _has_splits(root: Path, tops: set[str]) -> bool:
    """Return whether the top folders are splits; they must be all splits or all classes."""
    of_splits = [top for top in sorted(tops) if splits.split_of(top)]
    others = [top for top in sorted(tops) if not splits.split_of(top)]
    if of_splits and others:
        raise CorpusError(
            f"The corpus folder {root} has folders of splits ({abbreviate(of_splits)}) and other folders with media "
            f"files ({abbreviate(others)}). Expected either <split>/<class>/<file> or <class>/<file>, not both. Move "
            "the files."
        )
    return bool(of_splits)


def _row(file: Path, has_splits: bool, clip_id: str, shared: int) -> dict[str, str]:
    folders = file.parts[shared:-1]
    classes = folders[1:] if has_splits else folders
    return {
        "clip": file.stem if clip_id == "stem" else "__".join(file.with_suffix("").parts),
        "path": file.as_posix(),
        "split": splits.split_of(folders[0]) if has_splits and folders else "train",
        "label": classes[0] if classes else "",
    }


def _subjects(files: list[Path], pattern: str) -> list[str]:
    """Return the subject in the stem of each file."""
    found = [match["subject"] if (match := re.search(pattern, file.stem)) else "" for file in files]
    without = [str(file) for file, subject in zip(files, found, strict=True) if not subject]
    if without:
        raise CorpusError(
            f"The names of the files {abbreviate(without)} have no subject that matches subject_pattern {pattern!r}. "
            "Correct the pattern or rename the files."
        )
    return found
