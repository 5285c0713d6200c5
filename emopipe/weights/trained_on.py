"""What weights were trained on: how many samples of each class, which people, and digests of the samples' content.

It is one entry of a file's metadata, so that whoever evaluates the weights can find the samples that they have seen.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from pydantic import Field, ValidationError

from emopipe.cache.metadata import read_metadata
from emopipe.core.errors import WeightsError
from emopipe.core.options import Options

KEY = "trained_on"
"""The entry of the metadata."""
DIGITS = 16
"""Hexadecimal digits of a digest that are kept: 64 bits, so that among a million samples none is mistaken for another
with a probability above 1e-7."""
CONTENT, SPEAKER = "content", "speaker"
"""How a sample was met in training: the sample itself or a copy of it, or another sample of the same person."""


class _Entry(Options):
    """The form of the entry. Quotes are escaped twice in a file, so digests stand in one text, with blanks between."""

    classes: dict[str, int] = Field(default_factory=dict)
    speakers: list[str] = Field(default_factory=list)
    contents: str = ""


@dataclass(frozen=True)
class TrainedOn:
    """The samples that weights were trained on. What is empty is not known."""

    classes: dict[str, int] = field(default_factory=dict)
    """Class -> the number of samples that the classifier was trained on; soft labels are summed and rounded."""
    speakers: frozenset[str] = frozenset()
    """The people, as `person` names them."""
    contents: frozenset[str] = frozenset()
    """The first DIGITS digits of the SHA-256 of each sample's content: of a still's decoded pixels
    (`emopipe.stills.contents`), of the file of a clip or utterance (`emopipe.corpora.digests`)."""

    def after(self, start: "TrainedOn") -> "TrainedOn":
        """Return what weights have seen that started from others: the classes are those of the last training."""
        return TrainedOn(self.classes, self.speakers | start.speakers, self.contents | start.contents)

    def meets(self, contents: Sequence[str], people: Sequence[str]) -> list[str]:
        """Return how each sample was met in training: CONTENT, SPEAKER, or "" if it was not.

        Args:
            contents: The digest of each sample's content, of any length from DIGITS on; "" if unknown.
            people: Each sample's person, as `person` names them; "" if unknown.
        """
        return [
            CONTENT if content[:DIGITS] in self.contents else SPEAKER if who in self.speakers else ""
            for content, who in zip(contents, people, strict=True)
        ]


def person(kind: str, subject: str) -> str:
    """Return the name of a person among those of all corpora; "" if the subject is "".

    The same subject of two corpora of one kind, such as RAVDESS, is taken for the same person.

    >>> person("ravdess", "07"), person("ravdess", "")
    ('ravdess/07', '')
    """
    return f"{kind}/{subject}" if subject else ""


def read(path: Path | str) -> TrainedOn:
    """Return what a file of weights was trained on; empty if the file does not say so.

    Raises:
        WeightsError: The file cannot be read, or its entry has another form.
    """
    if Path(path).suffix != ".safetensors":
        return TrainedOn()
    return of_metadata(read_metadata(path), path)


def met_clips(table: pd.DataFrame, kind: str, path: Path | str) -> pd.Series:
    """Return how a file of weights met each clip of a table in training; see `TrainedOn.meets`.

    Args:
        table: The clip table with digests.
        kind: The kind of the corpus; people are compared with those of corpora of the same kind.
        path: The file of weights.
    """
    people = [person(kind, subject) for subject in table["subject"]]
    return pd.Series(read(path).meets(table["digest"].tolist(), people), table.index, dtype=object)


def of_metadata(metadata: Mapping[str, str], path: Path | str) -> TrainedOn:
    """Return what metadata says that a file at `path` was trained on; see `read`."""
    if KEY not in metadata:
        return TrainedOn()
    try:
        entry = _Entry.model_validate_json(metadata[KEY])
    except ValidationError as error:
        raise WeightsError(
            f"The weights {path} have an entry {KEY} in their metadata that is not as emopipe writes it "
            f"({error.errors()[0]['msg']}). Make the file again, or remove the entry."
        ) from error
    return TrainedOn(entry.classes, frozenset(entry.speakers), frozenset(entry.contents.split()))


def to_metadata(trained: TrainedOn) -> dict[str, str]:
    """Return the entry for a file's metadata; {} if nothing is known. What is not known has no key."""
    known = {
        "classes": trained.classes,
        "speakers": sorted(trained.speakers),
        "contents": " ".join(sorted({content[:DIGITS] for content in trained.contents})),
    }
    known = {key: value for key, value in known.items() if value}
    return {KEY: json.dumps(known, separators=(",", ":"), sort_keys=True)} if known else {}
