"""The corpora of labelled stills or speech that backbones are trained on (`sources` in a config)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from emopipe import corpora, stills
from emopipe.backbones.base import Modality
from emopipe.core.atomic import sha256
from emopipe.core.errors import ConfigError, CorpusError
from emopipe.core.fingerprint import digest
from emopipe.core.labels import CLASSES
from emopipe.core.options import Options
from emopipe.core.validation import Faults, checked, known
from emopipe.corpora.files import look, media_files
from emopipe.corpora.labelling import in_classes
from emopipe.faces import detectors
from emopipe.training.phase_options import phase_class

LISTS: frozenset[str] = frozenset({".csv", ".lst", ".tsv", ".txt"})
"""Extensions of files that hold labels. They are compared by content, because one changed digit may change a label."""
NUMBERS: frozenset[str] = frozenset({".npy"})
"""Extensions of other files that corpora consist of. These and media are compared by name and size, because reading all
would take minutes."""


class SourceBlock(Options):
    """A corpus to train on."""

    kind: str
    """The kind of corpus: for a face network a corpus of stills, for an audio network a corpus of clips. `emopipe
    kinds` lists them."""
    path: str
    """Path of the corpus: a folder, a zip or a CSV, depending on its kind."""
    train: list[str] = Field(default=["train"], min_length=1)
    """Its splits to train on. A corpus without splits is used as a whole."""
    val: list[str] | None = None
    """Its splits for validation during training, which does not influence the training. Default: val, if it exists."""
    detect: str | None = None
    """A detector that finds and aligns the faces of stills, as those of clips are. Default: stills are used as they
    are."""
    detector: dict[str, Any] = Field(default_factory=dict)
    """The detector's own options. Its weights are a file, or a name that `emopipe weights list` shows."""
    options: dict[str, Any] = Field(default_factory=dict)
    """The kind's own options."""
    copies: Literal["drop", "keep"] = "drop"
    """What happens to training stills whose pixels are also those of a still of a split that is not trained on: drop
    omits them from training, so that scores on the other splits are of pictures that were not seen; keep trains on
    them."""
    omit: str = ""
    """A CSV beside the corpus (in the folder, or beside the zip or CSV) with stills that are not trained on: their keys
    in the column `picture`, and 1 in the column `elsewhere` if there is one. For copies in a split that is not here."""

    @property
    def omit_file(self) -> Path | None:
        """The file of `omit`; None without one."""
        path = Path(self.path).expanduser()
        return (path.parent if path.is_file() else path) / self.omit if self.omit else None

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if both := set(self.train) & set(self.val or ()):
            raise ValueError(f"the split {min(both)} is in both train and val; remove it from one of them")
        if self.detector and self.detect is None:
            raise ValueError("detector has no effect without detect; set detect to a detector, or remove detector")
        return self


def options_class(kind: str, modality: Modality) -> type[Options]:
    """Return the class of a kind's own options.

    Raises:
        CorpusError: The kind does not exist.
    """
    return stills.options_class(kind) if modality == "face" else corpora.options_class(kind)


def check_source(name: str, block: SourceBlock, modality: Modality, classes: Sequence[str] = CLASSES) -> None:
    """Check the kind, the detector and the options of a corpus.

    Raises:
        ConfigError: The kind or the detector does not exist, or options are wrong.
    """
    where = f"sources.{name}"
    known(f"{where}.kind", block.kind, (stills if modality == "face" else corpora).list_kinds())
    checked(options_class(block.kind, modality), block.options, f"{where}.options", context=in_classes(classes))
    if modality == "audio" and block.omit:
        raise ConfigError(
            f"{where}.omit is set, but it lists stills, and an audio network is trained on this corpus. Remove omit."
        )
    if block.detect is not None:
        if modality == "audio":
            raise ConfigError(
                f"{where}.detect is set, but an audio network is trained on this corpus, and it uses no faces. Remove "
                "detect."
            )
        known(f"{where}.detect", block.detect, detectors.list_kinds())
        checked(detectors.options_class(block.detect), block.detector, f"{where}.detector")


def check_schedule(
    where: str,
    schedule: Sequence[Mapping[str, Any]],
    modality: Modality,
    sources: Mapping[str, SourceBlock],
    classes: Sequence[str] = CLASSES,
) -> list[dict[str, Any]]:
    """Check the phases of a backbone's schedule, whose network has the classes.

    Return the keys that are set in each, by their new names.

    Raises:
        ConfigError: A key is unknown, a value is wrong, a corpus is not among `sources`, or its kind does not exist;
            `where` is the block's key.
    """
    phases, faults = [], Faults()
    for number, raw in enumerate(schedule):
        with faults.collected():
            phase = checked(phase_class(modality), raw, f"{where}.schedule.{number}")
            phases.append(phase.model_dump(exclude_unset=True))
            for name in phase.sources:
                with faults.collected():
                    known(f"{where}.schedule.{number}.sources", name, sources)
                    check_source(name, sources[name], modality, classes)
    faults.raise_all()
    return phases


def content(path: Path) -> str:
    """Return a digest of a corpus' content, which does not depend on where the corpus is.

    For a file, it is the digest of its content. For a folder, it covers the names and sizes of all images, videos and
    sounds that adapters would find, and the content of lists. Hidden files do not count.

    Raises:
        CorpusError: The path does not exist, or a folder cannot be read.
    """
    if not path.exists():
        raise CorpusError(f"The corpus {path} to train on does not exist. Put it there, or correct the source's path.")
    if path.is_file():
        return sha256(path)
    media = look(path).paths(["video", "audio", "image"])
    files = sorted({*media, *media_files(path, NUMBERS | LISTS)}, key=lambda file: file.parts)
    files = [file for file in files if file.is_file()]
    marks = [sha256(file) if file.suffix.lower() in LISTS else file.stat().st_size for file in files]
    return digest([[file.relative_to(path).as_posix(), mark] for file, mark in zip(files, marks, strict=True)])
