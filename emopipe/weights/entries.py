"""The registry of weights: one readable file, `registry.yaml`, checked as it is read."""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import Field, StringConstraints, TypeAdapter, ValidationError, model_validator

from emopipe.core.errors import WeightsError
from emopipe.core.options import Number, Options
from emopipe.faces.crops import Colour, FaceInput
from emopipe.media.spectrogram import LogMelOptions, SpectrogramOptions

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
DETECTOR = "detector:"
"""What the kind of a face detector's entry begins with."""


class Archive(Options):
    """The zip that an entry's file comes in."""

    member: str
    """Name of the file in the zip, wherever it lies there."""
    sha256: Sha256
    """Of the zip."""
    bytes: int = Field(ge=1)
    """Size of the zip."""


class Face(Options):
    """The face that a network takes in, see `emopipe.backbones.base.FaceInput`."""

    crop_units: Number
    """Side of the face in ArcFace's template units."""
    size: int
    """Side of the face in pixels."""
    colour: Colour
    """Order of the channels, or one grey channel."""
    mean: list[Number]
    """Subtracted per channel, of values 0 to 255."""
    std: list[Number]
    """Divided by per channel, of values 0 to 255."""
    center_offset_y: Number = 0.0
    """How far the face's centre lies below that of the template, in its units."""

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        FaceInput(self.crop_units, self.size, self.colour, tuple(self.mean), tuple(self.std), self.center_offset_y)
        return self


class Entry(Options):
    """Weights by name."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
    """What a config calls them; without a dot, so that it cannot be taken for a file."""
    kind: str
    """The backbone's kind, or `detector:<detector>`."""
    file: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    """What the file is called."""
    url: Annotated[str, StringConstraints(pattern=r"^https?://")] | None = None
    """Where it comes from; None where it comes with this package."""
    archive: Archive | None = None
    """The zip at `url`, where that is no plain file."""
    sha256: Sha256 | None = None
    """Of the file; None where it is unknown until the file is first used."""
    commit: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")] | None = None
    """The commit that `url` is pinned to."""
    bytes: int | None = Field(None, ge=1)
    """Size of the file, where known."""
    licence: str
    """Under which the weights are published."""
    noncommercial: bool
    """Whether commercial use is ruled out."""
    citation: str
    """Where the network or its weights come from."""
    input: Face | SpectrogramOptions | LogMelOptions | None = None
    """What a backbone takes in: a face, or a picture of sound."""
    dim: int | None = Field(None, ge=1)
    """Length of a backbone's vectors."""
    classes: list[str] = Field(default_factory=list)
    """What the outputs stand for, in their order, where the network classifies."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the kind under which these weights are read."""
    note: str = ""
    """What else to know."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.url is None and (self.sha256 is None or self.archive or self.commit):
            raise ValueError("an entry without a url comes with the package: it needs a sha256, no archive or commit")
        if self.commit and self.commit not in self.url:
            raise ValueError(f"the url is not pinned to the commit {self.commit}")
        if self.sha256 is None and not self.note:
            raise ValueError("an entry without a sha256 has to say in its note what is unknown")
        if (self.input is None or self.dim is None) != self.kind.startswith(DETECTOR):
            raise ValueError("a backbone's entry needs input and dim, a detector's has neither")
        return self

    @property
    def shipped(self) -> bool:
        """Whether the file comes with this package."""
        return self.url is None

    @property
    def defaults(self) -> dict[str, Any]:
        """Options of the kind under which these weights are read; an ONNX net's say what goes in and comes out too."""
        geometry = {**self.input.model_dump(), "dim": self.dim} if self.kind == "onnx" else {}
        return {**geometry, **self.options}


@dataclass(frozen=True)
class Registry:
    """Entries by name."""

    entries: Mapping[str, Entry]
    """Name -> entry, in the file's order."""
    files: Path
    """The folder of the files that come with the package, and of model cards, `<name>.md`."""

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries.values())


def read(path: Path) -> Registry:
    """Read a registry file; the files that come with it lie in `files/` beside it.

    Raises:
        WeightsError: It is no list of entries, an entry is unsound, or two share a name or a file.
    """
    try:
        entries = TypeAdapter(list[Entry]).validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError) as error:
        raise WeightsError(f"The weights registry {path} cannot be read: {error}") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise WeightsError(f"The weights registry {path} is unsound: {faults}.") from error
    for what in ("name", "file"):
        values = [getattr(entry, what) for entry in entries]
        twice = [value for value in dict.fromkeys(values) if values.count(value) > 1]
        if twice:
            raise WeightsError(f"The weights registry {path} has the {what} {twice[0]} twice; each needs its own.")
    return Registry({entry.name: entry for entry in entries}, path.parent / "files")


@functools.cache
def package_registry() -> Registry:
    """The registry that comes with this package."""
    return read(Path(__file__).with_name("registry.yaml"))
