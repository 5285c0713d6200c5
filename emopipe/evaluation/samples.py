"""Labelled stills, utterances or clips as the inputs of a network, one by one."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emopipe import corpora, stills
from emopipe.backbones.base import Spec
from emopipe.cache.status import text
from emopipe.core.errors import ConfigError, CorpusError
from emopipe.core.labels import CLASSES
from emopipe.core.log import LOGGER
from emopipe.core.validation import checked
from emopipe.corpora.files import look, media_files
from emopipe.faces.alignment import derive
from emopipe.faces.clip import find_faces
from emopipe.faces.detection import Detector
from emopipe.media.decoded import DecodeOptions, decode_jpeg
from emopipe.media.sandbox import ClipReader
from emopipe.media.spectrogram import compute_spectrogram
from emopipe.media.wave import as_wave
from emopipe.stills.archive import IMAGE
from emopipe.training import sharded_images
from emopipe.training.augment_image import held_side

FRAMES_PER_CLIP = 16
"""How many frames of a clip are searched for faces."""


@dataclass(frozen=True)
class Sample:
    """One labelled sample; the probabilities of its parts are averaged."""

    label: int
    """An index into `CLASSES`."""
    subject: str
    """The subject; "" if unknown."""
    parts: np.ndarray
    """(n, ...) inputs of a network: views of a still, an utterance, faces of a clip; n may be 0."""


@dataclass(frozen=True)
class Samples:
    """All samples of a corpus."""

    unit: str
    """stills, utterances or clips."""
    size: int
    """The number of samples."""
    read: Callable[[], Iterator[Sample]]
    """Yields the samples, one by one."""


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


def open_corpus(corpus: Corpus, spec: Spec, *, detector: Callable[[], Detector], detect: bool, flip: bool) -> Samples:
    """Return the samples of a corpus for a network.

    Args:
        corpus: Stills or clips for a face network, sound for an audio network.
        spec: The network's input and output.
        detector: Opens the face detector.
        detect: Whether the faces of stills are detected; those of clips always are.
        flip: Whether mirrored faces are used too.

    Raises:
        ConfigError: Faces are to be detected for an audio network.
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
    if spec.modality == "audio":
        if detect:
            raise ConfigError("--detect finds faces, but this is an audio network. Omit --detect.")
        return _speech(corpus, spec)
    if _has_stills(corpus):
        return _stills(corpus, spec, detector() if detect else None, flip)
    return _clips(corpus, spec, detector(), flip)


def _has_stills(corpus: Corpus) -> bool:
    """Return whether a corpus has stills; `folder` is a kind of stills and of clips, and a zip file has stills."""
    is_kind_of_stills = corpus.kind in stills.list_kinds()
    if is_kind_of_stills and corpus.kind in corpora.list_kinds():
        return corpus.path.is_file() or bool(media_files(corpus.path, IMAGE))
    return is_kind_of_stills


def _stills(corpus: Corpus, spec: Spec, detect: Detector | None, flip: bool) -> Samples:
    options = checked(stills.options_class(corpus.kind), dict(corpus.options), "--option")
    whole = stills.read(corpus.kind, corpus.path, options)
    chosen = whole.rows(corpus.select(whole.table))
    size = spec.input.size
    margin = (held_side(size) - size) // 2

    finder = sharded_images.FaceFinder(detect) if detect else None

    def read() -> Iterator[Sample]:
        for key, subject, target in zip(chosen.table["key"], chosen.table["subject"], chosen.targets, strict=True):
            image, crops = chosen.read_image(key), None
            if image.size:
                crop = sharded_images.cut(image, spec.input, finder)  # (side, side, 3), with a margin
                crops = crop[None, margin : margin + size, margin : margin + size]
            else:
                LOGGER.warning(f"{key} is not an image and is omitted.")
            yield Sample(int(target.argmax()), subject, _inputs(crops, spec, flip))
        if finder:
            finder.log_misses()

    return Samples("stills", len(chosen), read)


def _speech(corpus: Corpus, spec: Spec) -> Samples:
    table = _table(corpus, prefer_sound=True)

    def read() -> Iterator[Sample]:
        with ClipReader(DecodeOptions(policy="count", count=1)) as read_clip:
            for label, path, subject in _rows(table):
                media = read_clip(corpus.path / path)
                if not len(media.audio):
                    LOGGER.warning(f"{path} has no sound and is omitted. {text(media.reason)}".rstrip())
                wave = as_wave(media.audio)
                parts = compute_spectrogram(wave, spec.input.options)[None] if len(wave) else np.empty((0,))
                yield Sample(CLASSES.index(label), subject, parts)

    return Samples("utterances", len(table), read)


def _clips(corpus: Corpus, spec: Spec, detect: Detector, flip: bool) -> Samples:
    table = _table(corpus, prefer_sound=False)

    def read() -> Iterator[Sample]:
        with ClipReader(DecodeOptions(policy="count", count=FRAMES_PER_CLIP)) as read_clip:
            for label, path, subject in _rows(table):
                media = read_clip(corpus.path / path)
                frames = [decode_jpeg(np.frombuffer(jpeg, np.uint8)) for jpeg in media.jpegs]
                faces = find_faces(frames, media.times, detect).crops if frames else []
                if not faces:
                    LOGGER.warning(f"{path} has no face and is omitted. {text(media.reason)}".rstrip())
                geometry = spec.input
                cut = [derive(crop, geometry.crop_units, geometry.size, geometry.center_offset_y) for crop in faces]
                yield Sample(CLASSES.index(label), subject, _inputs(np.stack(cut) if cut else None, spec, flip))

    return Samples("clips", len(table), read)


def _table(corpus: Corpus, *, prefer_sound: bool) -> pd.DataFrame:
    """Return the labelled clips. If a corpus has both videos and sound alone, one of these is chosen."""
    options = corpora.options_class(corpus.kind)
    # Other classes are omitted, clips in several folders may have the same name, and sounds may be beside videos.
    wanted = {"others": "exclude", "clip_id": "path", "beside": "audio" if prefer_sound else "video"}
    chosen = {key: value for key, value in wanted.items() if key in options.model_fields}
    if "modality" in options.model_fields:
        taken = look(corpus.path)
        sound, video = bool(taken.found["audio"]), bool(taken.found["video"])
        if sound and (prefer_sound or not video):
            chosen["modality"] = "audio"
    table = corpora.scan(corpus.kind, corpus.path, checked(options, chosen | dict(corpus.options), "--option"))
    return table[corpus.select(table) & (table["label"] != "").to_numpy()]


def _rows(table: pd.DataFrame) -> Iterator[tuple[str, str, str]]:
    return table[["label", "path", "subject"]].itertuples(index=False, name=None)


def _inputs(crops: np.ndarray | None, spec: Spec, flip: bool) -> np.ndarray:
    """Return crops (n, size, size, 3) as inputs of the network, followed by the mirrored ones."""
    if crops is None:
        crops = np.empty((0, spec.input.size, spec.input.size, 3), np.uint8)
    prepared = spec.input.prepare(crops)  # (n, C, size, size)
    return np.concatenate([prepared, prepared[..., ::-1]]) if flip else prepared
