"""Labelled stills, utterances or clips as a network takes them in, one after the other."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emopipe import corpora, stills
from emopipe.backbones.base import Spec
from emopipe.core.errors import ConfigError, CorpusError
from emopipe.core.labels import CLASSES
from emopipe.core.log import LOGGER
from emopipe.core.validation import checked
from emopipe.corpora.files import AUDIO, VIDEO, media_files
from emopipe.faces.alignment import derive
from emopipe.faces.clip import find_faces
from emopipe.faces.detection import Detector
from emopipe.media.decoded import DecodeOptions, decode_jpeg
from emopipe.media.sandbox import ClipReader
from emopipe.media.spectrogram import spectrum
from emopipe.media.wave import as_wave
from emopipe.stills.archive import PICTURES
from emopipe.training import sharded_images
from emopipe.training.augment_image import held_side

FRAMES = 16
"""Frames of a clip whose faces are looked at."""


@dataclass(frozen=True)
class Sample:
    """One labelled sample: its parts' probabilities are averaged."""

    label: int
    """A number into `CLASSES`."""
    subject: str
    """Who it is; "" where unknown."""
    parts: np.ndarray
    """(n, ...) what a network takes in: views of a still, an utterance, faces of a clip; n may be 0."""


@dataclass(frozen=True)
class Samples:
    """All samples of a corpus."""

    what: str
    """stills, utterances or clips."""
    size: int
    """How many there are."""
    read: Callable[[], Iterator[Sample]]
    """Gives them, one by one."""


@dataclass(frozen=True)
class Corpus:
    """What is evaluated on."""

    kind: str
    path: Path
    splits: Sequence[str] = ()
    """Only these splits, where any is named."""
    subjects: Sequence[str] = ()
    """Only these people, where any is named."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of its kind."""

    def select(self, table: pd.DataFrame) -> np.ndarray:
        """(n,) bool: the rows of the named splits and subjects. Raises CorpusError where one is not there."""
        chosen = np.ones(len(table), bool)
        for column, names in (("split", self.splits), ("subject", self.subjects)):
            absent = [name for name in names if name not in set(table[column])]
            if absent:
                have = ", ".join(sorted(set(table[column]) - {""})) or "none"
                raise CorpusError(f"{self.path} has no {column} {absent[0]!r} (found: {have}): correct --{column}.")
            if names:
                chosen &= table[column].isin(names).to_numpy()
        return chosen


def of(corpus: Corpus, spec: Spec, *, detector: Callable[[], Detector], detect: bool, flip: bool) -> Samples:
    """The samples of a corpus for a network.

    Args:
        corpus: Stills or clips for a face network, sound for an audio network.
        spec: What the network takes in.
        detector: Opens the detector of faces.
        detect: Whether the faces of stills are found first; those of clips always have to be.
        flip: Whether faces are looked at mirrored, too.

    Raises:
        ConfigError: Faces are to be found in sound.
        CorpusError: The kind is unknown, or the corpus is not as its kind expects.
    """
    known = corpora.KINDS if spec.modality == "audio" else {**stills.KINDS, **corpora.KINDS}
    if corpus.kind not in known:
        heard = "an audio network hears" if spec.modality == "audio" else "a face network sees"
        raise CorpusError(f"--corpus is of kind {corpus.kind!r}, but {heard} one of {', '.join(sorted(known))}.")
    if not corpus.path.exists():
        raise CorpusError(f"The corpus {corpus.path} does not exist: correct the path in --corpus.")
    if spec.modality == "audio":
        if detect:
            raise ConfigError("--detect finds faces, but this is an audio network; leave it out.")
        return _speech(corpus, spec)
    if _is_of_stills(corpus):
        return _stills(corpus, spec, detector() if detect else None, flip)
    return _clips(corpus, spec, detector(), flip)


def _is_of_stills(corpus: Corpus) -> bool:
    """`folder` is a kind of stills and of clips: what is in it decides; a zip can only hold stills."""
    if corpus.kind in stills.KINDS and corpus.kind in corpora.KINDS:
        return corpus.path.is_file() or bool(media_files(corpus.path, PICTURES))
    return corpus.kind in stills.KINDS


def _stills(corpus: Corpus, spec: Spec, detect: Detector | None, flip: bool) -> Samples:
    options = checked(stills.options_class(corpus.kind), dict(corpus.options), "--option")
    whole = stills.read(corpus.kind, corpus.path, options)
    chosen = whole.rows(corpus.select(whole.table))

    finder = sharded_images.FaceFinder(detect) if detect else None

    def read() -> Iterator[Sample]:
        for key, subject, target in zip(chosen.table["key"], chosen.table["subject"], chosen.targets, strict=True):
            picture = chosen.picture(key)
            if not picture.size:
                LOGGER.warning(f"{key} is no picture and is left out")
            crops = (
                _without_margin(sharded_images.cut(picture, spec.input, finder)[None], spec) if picture.size else None
            )
            yield Sample(int(target.argmax()), subject, _faces(crops, spec, flip))
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
                    LOGGER.warning(f"{path} has no sound and is left out ({media.reason or media.status})")
                wave = as_wave(media.audio)
                parts = spectrum(wave, spec.input.options)[None] if len(wave) else np.empty((0,))
                yield Sample(CLASSES.index(label), subject, parts)

    return Samples("utterances", len(table), read)


def _clips(corpus: Corpus, spec: Spec, detect: Detector, flip: bool) -> Samples:
    table = _table(corpus, prefer_sound=False)

    def read() -> Iterator[Sample]:
        with ClipReader(DecodeOptions(policy="count", count=FRAMES)) as read_clip:
            for label, path, subject in _rows(table):
                media = read_clip(corpus.path / path)
                frames = [decode_jpeg(np.frombuffer(jpeg, np.uint8)) for jpeg in media.jpegs]
                faces = find_faces(frames, media.times, detect).crops if frames else []
                if not faces:
                    LOGGER.warning(f"{path} shows no face and is left out ({media.reason or media.status})")
                geometry = spec.input
                cut = [derive(crop, geometry.side_units, geometry.size, geometry.down) for crop in faces]
                yield Sample(CLASSES.index(label), subject, _faces(np.stack(cut) if cut else None, spec, flip))

    return Samples("clips", len(table), read)


def _rows(table: pd.DataFrame) -> Iterator[tuple[str, str, str]]:
    return table[["label", "path", "subject"]].itertuples(index=False, name=None)


def _table(corpus: Corpus, *, prefer_sound: bool) -> pd.DataFrame:
    """Labelled clips; where a corpus comes as video and as sound alone, what is there, or what is preferred."""
    options = corpora.options_class(corpus.kind)
    # Other classes than the seven and clips of one name in several folders are no hindrance here.
    wanted = {"others": "exclude", "clip_id": "path"}
    chosen = {key: value for key, value in wanted.items() if key in options.model_fields}
    if "modality" in options.model_fields:
        sound, video = (bool(media_files(corpus.path, suffixes)) for suffixes in (AUDIO, VIDEO))
        if sound and (prefer_sound or not video):
            chosen["modality"] = "audio"
    table = corpora.scan(corpus.kind, corpus.path, checked(options, chosen | dict(corpus.options), "--option"))
    return table[corpus.select(table) & (table["label"] != "").to_numpy()]


def _faces(crops: np.ndarray | None, spec: Spec, flip: bool) -> np.ndarray:
    """Crops (n, size, size, 3) as the network takes them in, mirrored ones after them."""
    if crops is None:
        crops = np.empty((0, spec.input.size, spec.input.size, 3), np.uint8)
    prepared = spec.input.prepare(crops)  # (n, C, size, size)
    return np.concatenate([prepared, prepared[..., ::-1]]) if flip else prepared


def _without_margin(crops: np.ndarray, spec: Spec) -> np.ndarray:
    margin = (held_side(spec.input.size) - spec.input.size) // 2
    return crops[:, margin : margin + spec.input.size, margin : margin + spec.input.size]
