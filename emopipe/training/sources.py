"""The corpora of labelled stills or speech that backbones are pretrained on, as a config names them."""

from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from emopipe import corpora, stills
from emopipe.backbones.base import Modality
from emopipe.core.atomic import sha256
from emopipe.core.errors import ConfigError, CorpusError
from emopipe.core.fingerprint import digest
from emopipe.core.options import Options
from emopipe.core.validation import checked, known
from emopipe.corpora.files import AUDIO, VIDEO, media_files
from emopipe.faces import detectors
from emopipe.stills.archive import IMAGE

LISTS: frozenset[str] = frozenset({".csv", ".lst", ".tsv", ".txt"})
"""Files that say what others show: one digit less or more in them is another corpus."""
SAMPLES: frozenset[str] = IMAGE | AUDIO | VIDEO | {".npy"}
"""Files of which there are many: they are told by name and size, as reading them all would take minutes."""


class SourceBlock(Options):
    """A corpus to pretrain on."""

    kind: str
    """For a face network affectnet, expw, fer2013, ferplus, folder or rafdb; for an audio network a corpus' kind."""
    path: str
    """Where it lies: a folder, a zip or a CSV, as its kind says."""
    train: list[str] = Field(default=["train"], min_length=1)
    """Its splits to learn from; a corpus without splits is learned from whole."""
    val: list[str] | None = None
    """Its splits that are looked at while training, which choose nothing; left out, val, where it has one."""
    detect: str | None = None
    """A detector that finds and aligns the faces of stills as those of clips; left out, stills are used as they are."""
    detector: dict[str, Any] = Field(default_factory=dict)
    """The detector's own options; its weights are a file, or a name that `emopipe weights list` shows."""
    options: dict[str, Any] = Field(default_factory=dict)
    """The kind's own options."""

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        if both := set(self.train) & set(self.val or ()):
            raise ValueError(f"the split {min(both)} is in both train and val; take it out of one")
        if self.detector and self.detect is None:
            raise ValueError("detector has no effect without detect; name the detector there, or remove its options")
        return self


def options_class(kind: str, modality: Modality) -> type[Options]:
    """The class of a kind's own options.

    Raises:
        CorpusError: There is no such kind.
    """
    return stills.options_class(kind) if modality == "face" else corpora.options_class(kind)


def check_source(name: str, block: SourceBlock, modality: Modality) -> None:
    """Refuse a corpus' unknown kind, detector or options. Raises CorpusError or ConfigError."""
    where = f"sources.{name}"
    checked(options_class(block.kind, modality), block.options, f"{where}.options")
    if block.detect is not None:
        if modality == "audio":
            raise ConfigError(f"{where}.detect is set, but an audio network learns from it, which sees no faces.")
        known(f"{where}.detect", block.detect, detectors.KINDS)
        checked(detectors.options_class(block.detect), block.detector, f"{where}.detector")


def content(path: Path) -> str:
    """What tells that a corpus is the same, wherever it lies.

    Of a file that is its content. Of a folder, as adapters search it, it is the names and sizes of all pictures,
    videos and sounds, and the content of lists; hidden files do not count.

    Raises:
        CorpusError: Nothing is there, or a folder cannot be read.
    """
    if not path.exists():
        raise CorpusError(f"The corpus {path} to pretrain on is not there: put it there, or correct the source's path.")
    if path.is_file():
        return sha256(path)
    files = [file for file in media_files(path, SAMPLES | LISTS) if file.is_file()]
    return digest([[file.relative_to(path).as_posix(), _told_by(file)] for file in files])


def _told_by(file: Path) -> str | int:
    return sha256(file) if file.suffix.lower() in LISTS else file.stat().st_size
