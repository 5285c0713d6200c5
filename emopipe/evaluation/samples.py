"""Stills, utterances or clips as the inputs of a network, one by one. What cannot be used has a status and a reason."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from emopipe import corpora, stills
from emopipe.backbones.base import Spec
from emopipe.backbones.shared_classes import answered
from emopipe.cache.failures import FailurePolicy
from emopipe.cache.status import NO_AUDIO, NO_FACE, OK, UNDECODABLE, UNREADABLE, reason, text
from emopipe.cache.store import Row
from emopipe.core.errors import ConfigError, CorpusError
from emopipe.core.labels import CLASSES
from emopipe.core.log import LOGGER
from emopipe.core.validation import checked
from emopipe.corpora.classes import OTHER_CLASSES, class_key, names_of
from emopipe.corpora.digests import content_digests
from emopipe.corpora.files import look, media_files
from emopipe.corpora.labelling import in_classes
from emopipe.corpora.ravdess import CALM
from emopipe.faces.alignment import derive
from emopipe.faces.clip import find_faces
from emopipe.faces.detection import Detector
from emopipe.media.decoded import DecodeOptions, Media, decode_jpeg
from emopipe.media.frame_folders import RATE, played
from emopipe.media.pairs import sound_files, with_sound_of
from emopipe.media.sandbox import ClipReader
from emopipe.media.spans import in_order, spans_of
from emopipe.media.spectrogram import compute_spectrogram
from emopipe.media.wave import as_wave
from emopipe.stills.archive import IMAGE
from emopipe.stills.contents import content_of
from emopipe.training import sharded_images
from emopipe.training.augment_image import held_side
from emopipe.weights.trained_on import TrainedOn, person

Read = TypeVar("Read")
"""What reads a sample: a function."""

FRAMES_PER_CLIP = 16
"""How many frames of a clip are searched for faces."""
UNLABELLED = -1
"""The label of a sample that has none."""


@dataclass(frozen=True)
class Sample:
    """One sample; the probabilities of its parts are averaged."""

    label: int
    """An index into the classes that are scored (`Samples.classes`); UNLABELLED if it has none."""
    subject: str
    """The subject; "" if unknown."""
    parts: np.ndarray
    """(n, ...) inputs of a network: views of a still, an utterance, faces of a clip; n may be 0."""
    name: str = ""
    """Its path in the corpus."""
    status: str = OK
    """ok, or why it has no parts: unreadable, undecodable, no_face, no_audio, failed."""
    reason: str = ""
    """The reason for the status, as cache files hold it."""
    seen: str = ""
    """How the network met it in training (`emopipe.weights.trained_on`): content, speaker, or "" if it did not."""


@dataclass(frozen=True)
class Samples:
    """All samples of a corpus."""

    unit: str
    """stills, utterances or clips."""
    size: int
    """The number of samples."""
    read: Callable[[], Iterator[Sample]]
    """Yields the samples, one by one."""
    classes: tuple[str, ...] = CLASSES
    """The classes that are scored: the network's, without those beside the seven if no sample shows one of these."""
    not_scored: Mapping[str, int] = field(default_factory=dict)
    """Class that the network does not have -> how many samples of the corpus show it; they are not among these."""


@dataclass(frozen=True)
class Corpus:
    """The corpus of an evaluation."""

    kind: str
    path: Path
    splits: Sequence[str] = ()
    """The splits that are used; empty: all."""
    subjects: Sequence[str] = ()
    """The subjects that are used; empty: all."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of its kind."""

    def select(self, table: pd.DataFrame) -> np.ndarray:
        """Return (n,) bool: the rows of these splits and subjects.

        Raises:
            CorpusError: A split or subject does not exist.
        """
        chosen = np.ones(len(table), bool)
        for column, names in (("split", self.splits), ("subject", self.subjects)):
            absent = [name for name in names if name not in set(table[column])]
            if absent:
                found = ", ".join(sorted(set(table[column]) - {""})) or "none"
                raise CorpusError(f"{self.path} has no {column} {absent[0]!r}. Found: {found}. Correct --{column}.")
            if names:
                chosen &= table[column].isin(names).to_numpy()
        return chosen


def open_corpus(
    corpus: Corpus,
    spec: Spec,
    *,
    detector: Callable[[], Detector],
    detect: bool,
    flip: bool,
    trained_on: TrainedOn | None = None,
    change: Callable[[np.ndarray], np.ndarray] | None = None,
    classes: Sequence[str] = CLASSES,
) -> Samples:
    """Return the samples of a corpus for a network.

    Args:
        corpus: Stills or clips for a face network, sound for an audio network.
        spec: The network's input and output.
        detector: Opens the face detector.
        detect: Whether the faces of stills are detected; those of clips always are.
        flip: Whether mirrored faces are used too.
        trained_on: What the network was trained on, to find the samples that it has seen. Default: unknown.
        change: Changes each still (H, W, 3) uint8 BGR before its face is cropped, to test the network on such stills.
        classes: The classes of the network; with all of the seven, these are the first.

    Raises:
        ConfigError: Faces are to be detected for an audio network, or `change` is given for sound or clips.
        CorpusError: The kind is unknown, or the corpus is not as its kind expects.
    """
    kinds = {*corpora.list_kinds(), *(stills.list_kinds() if spec.modality == "face" else ())}
    if corpus.kind not in kinds:
        network = "an audio network" if spec.modality == "audio" else "a face network"
        raise CorpusError(
            f"--corpus has the kind {corpus.kind!r}. Expected for {network}: one of {', '.join(sorted(kinds))}."
        )
    if not corpus.path.exists():
        raise CorpusError(f"The corpus {corpus.path} does not exist. Correct the path in --corpus.")
    if spec.modality == "face" and _has_stills(corpus):
        return _stills(corpus, spec, detector() if detect else None, flip, trained_on, change, classes)
    if change:
        raise ConfigError(
            f"Only stills can be changed, but {corpus.kind}:{corpus.path} has none. Give a corpus of stills."
        )
    if spec.modality == "audio":
        if detect:
            raise ConfigError("--detect finds faces, but this is an audio network. Omit --detect.")
        return _speech(corpus, spec, trained_on, classes)
    return _clips(corpus, spec, detector(), flip, trained_on, classes)


def _has_stills(corpus: Corpus) -> bool:
    """Return whether a corpus has stills; `folder` is a kind of stills and of clips, and a zip file has stills."""
    is_kind_of_stills = corpus.kind in stills.list_kinds()
    if is_kind_of_stills and corpus.kind in corpora.list_kinds():
        return corpus.path.is_file() or bool(media_files(corpus.path, IMAGE))
    return is_kind_of_stills


def _every_class(classes: Sequence[str]) -> tuple[str, ...]:
    """Return a network's classes, then all other known ones, whose samples are counted but not scored."""
    own, known = names_of(classes), [*CLASSES, *(name.capitalize() for name in OTHER_CLASSES)]
    return (*classes, *(name for name in known if class_key(name) not in own))


def _scored(classes: Sequence[str], labels: np.ndarray) -> tuple[tuple[str, ...], dict[str, int], np.ndarray]:
    """Return what of a corpus is scored.

    Args:
        classes: The classes of the network.
        labels: (N,) indices into `_every_class`; UNLABELLED for samples without a label.

    Returns:
        The classes that are scored, how many samples are of each class that the network does not have, and which
        samples (N,) bool are of none of these.
    """
    names, count = _every_class(classes), len(classes)
    others = {names[number]: int((labels == number).sum()) for number in sorted(set(labels[labels >= count].tolist()))}
    shown = [names[number] for number in sorted({*labels[labels != UNLABELLED].tolist()})]
    return answered(classes, shown), others, labels < count


def _labels_of(targets: np.ndarray) -> np.ndarray:
    """Return (N,) the class with the largest share of each row (N, K); UNLABELLED where several have the same one."""
    has_tie = (targets == targets.max(1, keepdims=True, initial=0)).sum(1) > 1
    return np.where(has_tie, UNLABELLED, targets.argmax(1))


def _stills(
    corpus: Corpus,
    spec: Spec,
    detect: Detector | None,
    flip: bool,
    trained_on: TrainedOn | None,
    change: Callable[[np.ndarray], np.ndarray] | None,
    classes: Sequence[str],
) -> Samples:
    context = in_classes(_every_class(classes))
    options = checked(stills.options_class(corpus.kind), dict(corpus.options), "--option", context=context)
    whole = stills.read(corpus.kind, corpus.path, options)
    whole = whole.rows(corpus.select(whole.table))
    labels = _labels_of(whole.targets)
    scored, not_scored, kept = _scored(classes, labels)
    chosen, labels = whole.rows(kept), labels[kept].tolist()
    size = spec.input.size
    margin = (held_side(size) - size) // 2

    finder = sharded_images.FaceFinder(detect) if detect else None
    contents: dict[str, str] = {}

    def parts_of(key: str, reading: Callable[[str], np.ndarray]) -> Row:
        try:
            image = reading(key)
        except CorpusError as error:
            LOGGER.warning(f"{key} is omitted. {error}")
            cause = error.__cause__
            return _row(key, UNREADABLE, reason("unreadable", why=getattr(cause, "strerror", None) or str(cause)))
        if not image.size:
            LOGGER.warning(f"{key} is not an image and is omitted.")
            return _row(key, UNDECODABLE, reason("not_an_image"))
        contents[key] = content_of(image)
        image = change(image) if change else image
        crop = sharded_images.cut(image, spec.input, finder)  # (side, side, 3), with a margin
        return _row(key, OK, "", _inputs(crop[None, margin : margin + size, margin : margin + size], spec, flip))

    def read() -> Iterator[Sample]:
        rows = zip(labels, chosen.table["key"], chosen.table["subject"], strict=True)
        for sample in _samples(rows, parts_of, [chosen.read_image] * len(chosen)):
            yield _marked(sample, contents.pop(sample.name, ""), corpus.kind, trained_on)
        if finder:
            finder.log_misses()

    return Samples("stills", len(chosen), read, scored, not_scored)


def _speech(corpus: Corpus, spec: Spec, trained_on: TrainedOn | None, classes: Sequence[str]) -> Samples:
    table = in_order(_table(corpus, classes, prefer_sound=True))
    scored, not_scored, kept = _scored(classes, _label_numbers(table, classes))
    table = _with_contents(table[kept], corpus.path, trained_on)

    def parts_of(path: str, reading: Callable[[], Media]) -> Row:
        media = reading()
        if not len(media.audio):
            LOGGER.warning(f"{path} has no sound and is omitted. {text(media.reason)}".rstrip())
            return _row(path, UNDECODABLE if media.status == UNDECODABLE else NO_AUDIO, media.reason)
        return _row(path, OK, "", compute_spectrogram(as_wave(media.audio), spec.input.options)[None])

    def read() -> Iterator[Sample]:
        with ClipReader(DecodeOptions(policy="count", count=1)) as read_clip:
            samples = _samples(_rows(table, classes), parts_of, _readings(table, corpus.path, read_clip))
            for sample, content in zip(samples, table["digest"], strict=True):
                yield _marked(sample, content, corpus.kind, trained_on)

    return Samples("utterances", len(table), read, scored, not_scored)


def _clips(
    corpus: Corpus, spec: Spec, detect: Detector, flip: bool, trained_on: TrainedOn | None, classes: Sequence[str]
) -> Samples:
    table = in_order(_table(corpus, classes, prefer_sound=False))
    scored, not_scored, kept = _scored(classes, _label_numbers(table, classes))
    table = _with_contents(table[kept], corpus.path, trained_on)
    geometry = spec.input

    def parts_of(path: str, reading: Callable[[], Media]) -> Row:
        media = reading()
        frames = [decode_jpeg(np.frombuffer(jpeg, np.uint8)) for jpeg in media.jpegs]
        faces = find_faces(frames, media.times, detect).crops if frames else []
        if not faces:
            LOGGER.warning(f"{path} has no face and is omitted. {text(media.reason)}".rstrip())
            if frames:
                return _row(path, NO_FACE, reason("no_face", frames=len(frames)))
            return _row(path, media.status, media.reason)
        cut = [derive(crop, geometry.crop_units, geometry.size, geometry.center_offset_y) for crop in faces]
        return _row(path, OK, "", _inputs(np.stack(cut), spec, flip))

    def read() -> Iterator[Sample]:
        with ClipReader(DecodeOptions(policy="count", count=FRAMES_PER_CLIP)) as read_clip:
            samples = _samples(_rows(table, classes), parts_of, _readings(table, corpus.path, read_clip))
            for sample, content in zip(samples, table["digest"], strict=True):
                yield _marked(sample, content, corpus.kind, trained_on)

    return Samples("clips", len(table), read, scored, not_scored)


def _table(corpus: Corpus, classes: Sequence[str] = CLASSES, *, prefer_sound: bool) -> pd.DataFrame:
    """Return the clips, labelled or not. If a corpus has both videos and sound alone, one of these is chosen."""
    options = corpora.options_class(corpus.kind)
    # Other classes are omitted, clips in several folders may have the same name, and sounds may be beside videos.
    wanted = {"others": "exclude", "clip_id": "path", "beside": "audio" if prefer_sound else "video"}
    # Where the network has a class of calm clips, as those of RAVDESS, they are scored.
    wanted |= {"calm": "calm"} if CALM in classes else {}
    chosen = {key: value for key, value in wanted.items() if key in options.model_fields}
    if "modality" in options.model_fields:
        taken = look(corpus.path)
        sound, video = bool(taken.found["audio"]), bool(taken.found["video"])
        if sound and (prefer_sound or not video):
            chosen["modality"] = "audio"
    chosen |= corpus.options
    known = classes if chosen.get("others") == "refuse" else _every_class(classes)
    options = checked(options, chosen, "--option", context=in_classes(known))
    table = corpora.scan(corpus.kind, corpus.path, options, lenient=True)
    return table[corpus.select(table)]


def _with_contents(table: pd.DataFrame, root: Path, trained_on: TrainedOn | None) -> pd.DataFrame:
    """Return the table with the column `digest` of each clip's file; "" if nothing is known to compare it with."""
    if trained_on is None or not trained_on.contents:
        return table.assign(digest="")
    return content_digests(root, table, None)


def _marked(sample: Sample, content: str, kind: str, trained_on: TrainedOn | None) -> Sample:
    """Return the sample with how it was met in training; `content`: the digest of its content."""
    if trained_on is None:
        return sample
    (seen,) = trained_on.meets([content], [person(kind, sample.subject)])
    return dataclasses.replace(sample, seen=seen)


def _label_numbers(table: pd.DataFrame, classes: Sequence[str]) -> np.ndarray:
    """Return (N,) the clips' labels as indices into `_every_class`; UNLABELLED for clips without one."""
    names = _every_class(classes)
    return np.array([names.index(label) if label else UNLABELLED for label in table["label"]], int)


def _rows(table: pd.DataFrame, classes: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    return zip(_label_numbers(table, classes).tolist(), table["path"], table["subject"], strict=True)


def _readings(table: pd.DataFrame, root: Path, read_clip: ClipReader) -> Iterable[Callable[[], Media]]:
    """Return what decodes each clip; parts of one file, which follow each other, are decoded in one pass."""
    files = [root / path for path in table["path"]]
    spans = spans_of(table)
    readings = read_clip.readings([*zip(files, spans, strict=True)])
    rates = table[RATE] if RATE in table else [""] * len(table)
    return [
        functools.partial(read_clip, file, span, how)
        if (how := played(root, rate, sound))
        else with_sound_of(reading, read_clip, root / sound if sound else None)
        for file, span, reading, sound, rate in zip(files, spans, readings, sound_files(table), rates, strict=True)
    ]


def _row(name: str, status: str, why: str, parts: np.ndarray | None = None) -> Row:
    return Row(name, "", status, why, {} if parts is None else {"parts": parts})


def _samples(
    rows: Iterable[tuple[int, str, str]],
    parts_of: Callable[[str, Read], Row],
    readings: Iterable[Read],
) -> Iterator[Sample]:
    """Yield a sample for each label, path and subject, with the tolerance of a run's stages.

    Args:
        rows: Label, path and subject of each sample.
        parts_of: Returns the row of a path, given what reads it.
        readings: What reads each sample.

    Raises:
        LittleMemoryError: The memory was too small for a sample; all others have been yielded.
    """
    policy = FailurePolicy("keep_going")
    for (label, path, subject), reading in zip(rows, readings, strict=True):
        row = policy.row(path, "", functools.partial(parts_of, path, reading))
        yield Sample(label, subject, row.arrays.get("parts", np.empty(0)), path, row.status, row.reason)
    policy.check(reused=1)  # not 0: that many samples fail is reported by their count, not by the first error


def _inputs(crops: np.ndarray, spec: Spec, flip: bool) -> np.ndarray:
    """Return crops (n, size, size, 3) as inputs of the network, followed by the mirrored ones."""
    prepared = spec.input.prepare(crops)  # (n, C, size, size)
    return np.concatenate([prepared, prepared[..., ::-1]]) if flip else prepared
