"""The clips of the demo corpus, with all that is needed to draw each of them."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Annotated, Self

from pydantic import Field, model_validator

from emopipe.core.labels import CLASSES
from emopipe.core.options import Options

Count = Annotated[int, Field(ge=1)]


class DemoOptions(Options):
    """The size of the demo corpus: each subject acts each class `takes` times."""

    seed: int = 0
    """The seed of the faces, voices and noise."""

    subjects: Annotated[int, Field(ge=3, le=99)] = 14
    """The number of subjects. Those that are not in val or test are in train."""

    val_subjects: Count = 4
    """The number of subjects in val."""

    test_subjects: Count = 2
    """The number of subjects in test."""

    takes: Annotated[int, Field(ge=1, le=9)] = 3
    """The number of clips of each class and subject."""

    @model_validator(mode="after")
    def _leaves_subjects_to_train(self) -> Self:
        held_out = self.val_subjects + self.test_subjects
        if held_out >= self.subjects:
            raise ValueError(
                f"val_subjects + test_subjects is {held_out}, so none of the {self.subjects} subjects remains for "
                "train. Increase subjects or decrease the others"
            )
        return self


@dataclass(frozen=True)
class ClipPlan:
    """One clip before it is drawn; equal plans give equal videos.

    `seed` seeds what is random in the clip. `subject_seed` seeds the face and voice of the subject.
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
        """Return a digest of the clip's content: the SHA-256 of all fields, as hex."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def plan(options: DemoOptions) -> list[ClipPlan]:
    """Return all clips of the corpus, by subject, class and take."""
    return [
        _clip(options, number, label, take)
        for number in range(1, options.subjects + 1)
        for label in CLASSES
        for take in range(1, options.takes + 1)
    ]


def _clip(options: DemoOptions, number: int, label: str, take: int) -> ClipPlan:
    subject = f"s{number:02d}"
    clip = f"{subject}_{label.lower()}_{take}"
    first_test = options.subjects - options.test_subjects + 1
    first_val = first_test - options.val_subjects
    return ClipPlan(
        clip=clip,
        subject=subject,
        split="test" if number >= first_test else "val" if number >= first_val else "train",
        label=label,
        take=take,
        # A Latin square: a third of each subject, class and take is AVI, so the container does not predict the class.
        container="avi" if (number + CLASSES.index(label) + take) % 3 == 0 else "mp4",
        seed=_seed(options.seed, clip),
        subject_seed=_seed(options.seed, subject),
    )


def _seed(seed: int, name: str) -> int:
    """Return a seed for a name, so that more subjects or takes do not change the other clips."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:4])
