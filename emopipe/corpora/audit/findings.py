"""What an audit finds: one record for each finding, which says how strong it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["identical", "picture", "mirrored", "sound", "face", "voice", "person", "sentence"]
"""Files of the same content; the same frames; the same frames, mirrored; the same sound; people that look or sound like
one; a person in several splits; a sentence in several splits."""


@dataclass(frozen=True)
class Finding:
    """Two clips, or two people, that are the same; or a person or a sentence in several splits."""

    kind: Kind
    names: tuple[str, ...]
    """The clips; of face and voice, the people or the clips; of person and sentence, the one name."""
    splits: tuple[str, ...]
    """The split of each clip; of people and sentences, the splits that have it."""
    labels: tuple[str, ...] = ()
    """The label of each clip; () of people and sentences."""
    similarity: float | None = None
    """How alike both are, at most 1; None where the content is equal, or where there is nothing to compare."""

    @property
    def across(self) -> bool:
        """Whether several splits have it."""
        return len(set(self.splits)) > 1

    @property
    def is_conflict(self) -> bool:
        """Whether the same content has two labels."""
        return len(set(self.labels) - {""}) > 1

    def as_dict(self) -> Mapping[str, object]:
        """Return the finding for JSON."""
        return {
            "kind": self.kind,
            "names": list(self.names),
            "splits": list(self.splits),
            "labels": list(self.labels),
            "similarity": None if self.similarity is None else round(self.similarity, 4),
            "across_splits": self.across,
            "label_conflict": self.is_conflict,
        }
