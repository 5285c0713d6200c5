"""Which clips the demo corpus has, and everything that each one needs in order to be drawn."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Annotated, Self

from pydantic import Field, model_validator

from emopipe.core.labels import CLASSES
from emopipe.core.options import Options

Count = Annotated[int, Field(ge=1)]


class DemoOptions(Options):
    """The size of the demo corpus: every subject acts every class `takes` times."""

    seed: int = 0
    """The seed of the faces, voices and noise."""

    subjects: Annotated[int, Field(ge=3, le=99)] = 14
    """How many people are drawn; those not in val or test are in train."""

    val_subjects: Count = 4
    """How many of them are in val."""

    test_subjects: Count = 2
    """How many of them are in test."""

    takes: Annotated[int, Field(ge=1, le=9)] = 3
    """How many clips of each class a subject acts."""

    @model_validator(mode="after")
    def _leaves_subjects_to_train(self) -> Self:
        held_out = self.val_subjects + self.test_subjects
        if held_out >= self.subjects:
            raise ValueError(
                f"val_subjects + test_subjects is {held_out}, which leaves none of the {self.subjects} "
                "subjects to train on; raise subjects or lower the two"
            )
        return self


@dataclass(frozen=True)
class ClipPlan:
    """One clip before it is drawn; equal plans give equal videos.

    `seed` drives all that is random within the clip, `subject_seed` how the subject looks and sounds.
    """

    clip: str
    subject: str
    split: str
    label: str
    take: int
    container: str
    seed: int
    subject_seed: int

    def digest(self) -> str:
        """The identity of the clip's content: a SHA-256 over all fields, as hex."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def plan(options: DemoOptions) -> list[ClipPlan]:
    """All clips of the corpus, by subject, class and take."""
    return [
        _clip(options, number, label, take)
        for number in range(1, options.subjects + 1)
        for label in CLASSES
        for take in range(1, options.takes + 1)
    ]


def _clip(options: DemoOptions, number: int, label: str, take: int) -> ClipPlan:
    subject = f"s{number:02d}"
    clip = f"{subject}_{label.lower()}_{take}"
    return ClipPlan(
        clip=clip,
        subject=subject,
        split=_split(options, number),
        label=label,
        take=take,
        # A Latin square: a third is AVI within every subject, class and take, so the container tells nothing.
        container="avi" if (number + CLASSES.index(label) + take) % 3 == 0 else "mp4",
        seed=_seed(options.seed, clip),
        subject_seed=_seed(options.seed, subject),
    )


def _split(options: DemoOptions, number: int) -> str:
    if number > options.subjects - options.test_subjects:
        return "test"
    if number > options.subjects - options.test_subjects - options.val_subjects:
        return "val"
    return "train"


def _seed(seed: int, name: str) -> int:
    """A seed of its own for every name, so that more subjects or takes leave the other clips as they are."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:4])
