"""Any corpus whose paths name its classes: <split>/<class>/<file> or <class>/<file>, or as a pattern says."""

import itertools
import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pandas as pd
from pydantic import AfterValidator, model_validator

from emopipe.core.errors import CorpusError
from emopipe.core.text import abbreviate
from emopipe.corpora import copies, layouts, splits
from emopipe.corpora.files import KINDS, FileOptions, counts, look
from emopipe.corpora.frames import FrameOptions, with_frames
from emopipe.corpora.labelling import Labelling, LabelOptions, in_run
from emopipe.corpora.subjects import GroupOptions
from emopipe.corpora.table import from_rows, refuse_duplicates
from emopipe.media.frame_folders import clip_name
from emopipe.media.pairs import SOUND_FILE

GROUPS = ("label", "subject", "split")
"""What the named groups of a pattern give."""


def _groups(pattern: str) -> tuple[str, ...]:
    try:
        return tuple(re.compile(pattern).groupindex)
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression ({error})") from error


def _has_subject_group(pattern: str) -> str:
    if pattern and "subject" not in _groups(pattern):
        raise ValueError(f"{pattern!r} has no group named subject. Add one, such as (?P<subject>[^_]+)")
    return pattern


def _has_groups(pattern: str) -> str:
    groups = _groups(pattern)
    if pattern and (not groups or set(groups) - set(GROUPS)):
        found = f"the groups {', '.join(groups)}" if groups else "no named group"
        raise ValueError(
            f"{pattern!r} has {found}. Expected one or more of {', '.join(GROUPS)}, as in "
            "^(?P<subject>[^/]+)/(?P<label>[^/]+)/"
        )
    return pattern


class CorpusOptions(FrameOptions, FileOptions, LabelOptions, GroupOptions, splits.GivenSplitOptions):
    """How clips are named, what their paths say, and how they are split if the folders do not name the splits."""

    clip_id: Literal["stem", "path"] = "stem"
    """What a clip's id is: its file's stem, or its path without extension, with two underscores for each slash."""
    pattern: Annotated[str, AfterValidator(_has_groups)] = ""
    """A regular expression that is searched in each path below the corpus folder, such as
    ^(?P<subject>[^/]+)/(?P<label>[^/]+)/ for person/class/file. Its groups `label` (the class), `subject` and `split`
    replace what the folders say. Empty: the folders name splits and classes."""
    subject_pattern: Annotated[str, AfterValidator(_has_subject_group)] = ""
    """A regular expression that is searched in the file's stem; its group `subject` is the subject. Empty: subjects
    are unknown, or `pattern` or `groups` gives them."""
    beside: Literal["refuse", "video", "audio", "pair"] = "refuse"
    """What happens to a sound file beside a video of the same name: video uses the video with its own sound, audio uses
    the sound file alone, pair uses the frames of the video and the sound of the sound file, refuse stops with an
    error. A folder of frames and its sound are one clip in any case."""

    @model_validator(mode="after")
    def _has_one_source_of_subjects(self) -> Self:
        if self.subject_pattern and "subject" in _groups(self.pattern):
            raise ValueError("pattern and subject_pattern both give the subject. Remove one of them")
        if self.groups and (self.subject_pattern or "subject" in _groups(self.pattern)):
            given = "subject_pattern" if self.subject_pattern else "pattern"
            raise ValueError(f"{given} and groups both give the subject. Remove one of them")
        return self


def scan(root: Path, options: CorpusOptions) -> pd.DataFrame:
    """Return the clip table; a clip's class is the first folder below root or below its split's folder.

    Outer folders that all files share are ignored. Clips directly in the folder of the test split are unlabelled. So
    are all clips, which are then test clips, if there is no folder of a class and no other layout gives classes.
    Where the folders have no val split, it is drawn from train.

    Raises:
        CorpusError: There are no media files, splits and classes are mixed, a class is unknown, a clip is outside of
            a class folder, a path does not match, a sound file is beside a video, or an id is repeated. Where options
            would help, the message names them.
    """
    files, sounds, frames = _files(root, options)
    try:
        table = _labelled(root, files, options)
    except CorpusError as error:
        if not options.pattern:
            _refuse_with_advice(root, files, sounds, options, error)
        if not isinstance(error, _NoClassesError):
            raise
        table = _labelled(root, files, options, without_class="test")
    if table["clip"].duplicated().any() and (copy := copies.second_copy_by_content(root, files)):
        raise CorpusError(copy.sentence())
    table = with_frames(_unique(table, sounds, options), root, options.frame_rate, frames)
    every = [_row(root, file, options)["clip"] for file in files] if options.groups else []
    return _split(options.with_subjects(table, root, omitted=every), options)


class _NoClassesError(CorpusError):
    """No path names a class or a split."""


def _refuse_with_advice(
    root: Path, files: list[Path], sounds: Collection[Path], options: CorpusOptions, error: CorpusError
) -> None:
    """Raise a CorpusError if folders repeat others, or if another layout fits; it says what to do."""
    if copy := copies.second_copy_by_content(root, files):
        raise CorpusError(f"{copy.sentence()} As it is: {error}") from error
    if fitting := _fitting(root, files, sounds, options):
        raise CorpusError(
            f"The folders in {root} are neither <class>/<file> nor <split>/<class>/<file>, but another layout fits all "
            f"{len(files)} paths: {_advice(fitting)} As it is: {error}"
        ) from error


def fitting_options(root: Path, labelling: Labelling) -> dict[str, Any]:
    """Return options under which the paths of a folder give classes of a label space; {} if there are none.

    Raises:
        CorpusError: There are no media files.
    """
    options = CorpusOptions.model_validate({}, context=in_run(labelling))
    files, sounds, _ = _files(root, options)
    return _fitting(root, files, sounds, options)


def folders_of_classes(root: Path) -> list[str]:
    """Return the names of the folders that are where those of classes would be, sorted; [] if there are none."""
    try:
        files, _, _ = _files(root, CorpusOptions())
        return sorted({row["label"] for row in _rows_by_folders(root, files, CorpusOptions(), "train")} - {""})
    except CorpusError:
        return []


def is_clip(root: Path, folder: str, is_class: Callable[[str], bool]) -> bool:
    """Return whether a folder of numbered images below a corpus is a clip, not a class or a split that holds stills."""
    path = Path(folder)
    return path != root and not is_class(path.name) and not splits.split_of(path.name)


def _files(root: Path, options: CorpusOptions) -> tuple[list[Path], set[Path], dict[str, str]]:
    """Return all clips, those that are sound alone, and folder of frames -> its sound, relative to root."""
    taken = look(root, options.omit_folders, lambda folder, _: is_clip(root, folder, options.is_class))
    found = sorted([*taken.paths(("video", "audio")), *map(Path, taken.frames)], key=lambda path: path.parts)
    files = [file.relative_to(root) for file in found]
    if not files:
        found = f"; found {counts(taken.others)}" if taken.others else ""
        raise CorpusError(
            f"No video or audio files were found in {root}{found}. Expected <class>/<file> or <split>/<class>/<file>. "
            "Check corpus_root."
        )
    taken.report(root, ("video", "audio"))
    frames = {folder: _below(root, sound) for folder, sound in taken.frames.items()}
    frames = {_below(root, folder): sound for folder, sound in frames.items()}
    return files, {file.relative_to(root) for file in taken.paths(("audio",))}, frames


def _below(root: Path, path: str) -> str:
    return Path(path).relative_to(root).as_posix() if path else ""


def _labelled(root: Path, files: list[Path], options: CorpusOptions, without_class: str = "train") -> pd.DataFrame:
    """Return the rows of the files with their classes; splits that are not given are train, or `without_class`.

    Raises:
        CorpusError: See `scan`. A `_NoClassesError` only if `without_class` is train.
    """
    if "label" in _groups(options.pattern):
        rows = _rows_by_pattern(root, files, options)
    else:
        rows = _rows_by_folders(root, files, options, without_class)
    table = from_rows(rows)
    if options.subject_pattern:
        table = table.assign(subject=_subjects(files, options.subject_pattern))
    return options.with_labels(table)


def _unique(table: pd.DataFrame, sounds: Collection[Path], options: CorpusOptions) -> pd.DataFrame:
    """Return the table without what `beside` omits; each clip has its own id."""
    table = _without_pairs(table, {file.as_posix() for file in sounds}, options.beside)
    refuse_duplicates(table, remedy=_remedy_for_ids(options))
    return table


def _split(table: pd.DataFrame, options: CorpusOptions) -> pd.DataFrame:
    """Return the table with a val split, which is drawn from train if it is not given."""
    in_train = table["split"] == "train"
    if (table["split"] == "val").any() or not in_train.any():
        return table
    return pd.concat([table[~in_train], splits.assign(table[in_train], options)]).fillna({splits.SPLIT_BY: ""})


def _rows_by_folders(root: Path, files: list[Path], options: CorpusOptions, without_class: str) -> list[dict[str, str]]:
    """Return the rows of files in folders of classes; a pattern may give the subject or the split."""
    shared = _shared_folders([file.parts[:-1] for file in files], options)
    tops = {file.parts[shared] for file in files if len(file.parts) > shared + 1}
    by_pattern = "split" in _groups(options.pattern)
    by_folder = not by_pattern and _has_splits(root, tops)
    rows = []
    for file, said in zip(files, _said(files, options.pattern), strict=True):
        folders = file.parts[shared:-1]
        classes = folders[1:] if by_folder else folders
        split = splits.split_of(folders[0]) if by_folder and folders else without_class
        rows.append({**_row(root, file, options), "split": split, "label": classes[0] if classes else "", **said})
    stray = [row["path"] for row in rows if not row["label"] and row["split"] != "test"]
    if stray:
        has_names = by_pattern or by_folder or any(row["label"] for row in rows)
        raise (CorpusError if has_names else _NoClassesError)(
            f"The files {abbreviate(stray)} in {root} are not in a class folder. Expected "
            f"{'<split>/' if by_folder else ''}<class>/<file>. Move the files there."
        )
    return rows


def _rows_by_pattern(root: Path, files: list[Path], options: CorpusOptions) -> list[dict[str, str]]:
    """Return the rows of files whose class the pattern gives; the first folders are the splits if all of them are."""
    tops = [splits.split_of(file.parts[0]) if len(file.parts) > 1 else "" for file in files]
    given = tops if all(tops) else ["train"] * len(files)
    said = _said(files, options.pattern)
    return [
        {**_row(root, file, options), "split": split, **more}
        for file, split, more in zip(files, given, said, strict=True)
    ]


def _row(root: Path, file: Path, options: CorpusOptions) -> dict[str, str]:
    is_folder = file.suffix.lower() not in KINDS and (root / file).is_dir()
    named = clip_name(file) if is_folder else file.with_suffix("")
    clip = named.name if options.clip_id == "stem" else "__".join(named.parts)
    return {"clip": clip, "path": file.as_posix()}


def _said(files: list[Path], pattern: str) -> list[dict[str, str]]:
    """Return what the groups of a pattern give for each path; a group without a match gives ""."""
    if not pattern:
        return [{}] * len(files)
    matches = [re.search(pattern, file.as_posix()) for file in files]
    wrong = [str(file) for file, match in zip(files, matches, strict=True) if match is None]
    if wrong:
        raise CorpusError(
            f"{len(wrong)} of {len(files)} paths do not match pattern {pattern!r}: {abbreviate(wrong)}. Correct the "
            "pattern, set omit_folders, or move the files."
        )
    said = [{name: text or "" for name, text in match.groupdict().items()} for match in matches]
    return [row | {"split": splits.split_of(row["split"]) or row["split"]} if "split" in row else row for row in said]


def _without_pairs(table: pd.DataFrame, sounds: Collection[str], beside: str) -> pd.DataFrame:
    """Return the table with the video or the sound alone where both have one id, class and split."""
    is_sound = table["path"].isin(sounds)
    keys = ["clip", "split", "label"]
    both = table.assign(sound=is_sound).groupby(keys)["sound"].transform("nunique") > 1
    if not both.any():
        return table
    if beside == "refuse":
        clip = table.loc[both, "clip"].iloc[0]
        pair = table.loc[both & (table["clip"] == clip)].assign(sound=is_sound).sort_values("sound")["path"].tolist()
        raise CorpusError(
            f"{int((both & is_sound).sum())} sound files stand beside videos of the same name, such as {pair[-1]} "
            f"beside {pair[0]}. Set beside in the corpus options: video uses the videos with their own sound, audio "
            "uses the sound files alone, pair uses the frames of the videos and the sound of the sound files."
        )
    if beside == "pair":
        return _paired(table, both, is_sound, keys)
    return table[~both | (is_sound == (beside == "audio"))]


def _paired(table: pd.DataFrame, both: pd.Series, is_sound: pd.Series, keys: list[str]) -> pd.DataFrame:
    """Return the table with a row for each video, and the file of its sound beside it."""
    heard = table[both & is_sound]
    repeated = heard[heard.duplicated(keys, keep=False)]["path"].tolist()
    if repeated:
        raise CorpusError(
            f"Several sound files stand beside one video: {abbreviate(repeated)}. Expected one. Move the others away."
        )
    of_clip = {tuple(row[:-1]): row[-1] for row in heard[[*keys, "path"]].itertuples(index=False, name=None)}
    shown = table[~(both & is_sound)]
    names = shown[keys].itertuples(index=False, name=None)
    files = [of_clip.get(name, "") if pair else "" for name, pair in zip(names, both[shown.index], strict=True)]
    return shown.assign(**{SOUND_FILE: pd.Series(files, index=shown.index, dtype=str)})


def _remedy_for_ids(options: CorpusOptions) -> str:
    if options.clip_id == "stem":
        return "Set clip_id: path in the corpus options"
    return "Rename one of them, or move it out of the corpus"


def _fitting(root: Path, files: list[Path], sounds: Collection[Path], options: CorpusOptions) -> dict[str, Any]:
    """Return the options, beside those that are set, under which the files give classes; {} if there are none."""
    guesses = layouts.patterns(files, options.is_class)
    for pattern in itertools.chain([options.subject_pattern] if options.subject_pattern else [], guesses):
        twice = {"subject_pattern": ""} if options.subject_pattern and "subject" in _groups(pattern) else {}
        for more in ({}, {"others": "exclude"}, {"clip_id": "path"}, {"clip_id": "path", "others": "exclude"}):
            fitting = {"pattern": pattern, **twice, **more}
            try:
                tried = options.model_copy(update=fitting)
                _unique(_labelled(root, files, tried), sounds, tried)
            except CorpusError:
                continue
            return fitting
    return {}


def _advice(fitting: dict[str, Any]) -> str:
    """Return a sentence that gives options."""
    removed = [name for name, value in fitting.items() if value == ""]
    given = ", ".join(f"{name}: '{value}'" for name, value in fitting.items() if value != "")
    return f"set {given} in the corpus options{f', and remove {removed[0]}' if removed else ''}."


def _shared_folders(folders: Sequence[tuple[str, ...]], options: CorpusOptions) -> int:
    """Return how many leading folders all files share that name neither a split nor a class."""
    shared = 0
    while all(len(parts) > shared + 1 for parts in folders):
        names = {parts[shared] for parts in folders}
        if len(names) > 1 or splits.split_of(*names) or options.is_class(*names):
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
            "the files, or set omit_folders in the corpus options."
        )
    return bool(of_splits)


def _subjects(files: list[Path], pattern: str) -> list[str]:
    """Return the subject in the stem of each file."""
    found = [match["subject"] if (match := re.search(pattern, file.stem)) else "" for file in files]
    without = [str(file) for file, subject in zip(files, found, strict=True) if not subject]
    if without:
        raise CorpusError(
            f"The names of the files {abbreviate(without)} have no subject that matches subject_pattern {pattern!r}. "
            "Correct the pattern or rename the files. The option pattern is searched in the whole path."
        )
    return found
