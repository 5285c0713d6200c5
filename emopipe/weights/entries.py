"""The registry of weights: the file `registry.yaml`, which is checked when it is read."""

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
"""Prefix of the kind of a face detector's entry."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same in C, where PyYAML was built with it


class Archive(Options):
    """The zip that contains an entry's file."""

    member: str
    """Name of the file in the zip, in any of its folders."""
    sha256: Sha256
    """Checksum of the zip."""
    bytes: int = Field(ge=1)
    """Size of the zip in bytes."""


class Face(Options):
    """The face crop that a network takes as input, see `emopipe.faces.crops.FaceInput`."""

    crop_units: Number
    """Side of the crop in ArcFace's template units."""
    size: int
    """Side of the crop in pixels."""
    colour: Colour
    """Order of the channels, or one grey channel."""
    mean: list[Number]
    """Mean of each channel, on the scale of 0 to 255; it is subtracted."""
    std: list[Number]
    """Standard deviation of each channel, on the scale of 0 to 255; the channel is divided by it."""
    center_offset_y: Number = 0.0
    """Distance of the crop's centre below the template's centre, in template units."""

    @model_validator(mode="after")
    def _is_valid(self) -> Self:
        FaceInput(self.crop_units, self.size, self.colour, tuple(self.mean), tuple(self.std), self.center_offset_y)
        return self


class Entry(Options):
    """One file of weights."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
    """Their name in a config. It has no dot, so it cannot be mistaken for a file."""
    kind: str
    """The network that reads them: a backbone's kind, or `detector:<detector>`."""
    file: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    """Name of the file."""
    url: Annotated[str, StringConstraints(pattern=r"^https?://")] | None = None
    """Address of the download. Default: the file is part of this package."""
    archive: Archive | None = None
    """The zip at `url`. Default: `url` is the file itself."""
    sha256: Sha256 | None = None
    """Checksum of the file. Default: unknown; it is recorded when the file is first used."""
    commit: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")] | None = None
    """The commit to which `url` is pinned."""
    bytes: int | None = Field(None, ge=1)
    """Size of the file in bytes, if known."""
    licence: str
    """Licence of the weights."""
    noncommercial: bool
    """Whether the licence excludes commercial use."""
    citation: str
    """Source of the network or its weights."""
    input: Face | SpectrogramOptions | LogMelOptions | None = None
    """Input of a backbone: a face crop, or a spectrogram."""
    dim: int | None = Field(None, ge=1)
    """Length of a backbone's vectors."""
    classes: list[str] = Field(default_factory=list)
    """Classes of the outputs, in their order, if the network classifies."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the kind that these weights need."""
    note: str = ""
    """Further remarks."""

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.url is None and (self.sha256 is None or self.archive or self.commit):
            raise ValueError(
                "an entry without a url is part of the package: it needs a sha256, and neither archive nor commit"
            )
        if self.commit and self.commit not in self.url:
            raise ValueError(f"the url is not pinned to the commit {self.commit}")
        if self.sha256 is None and not self.note:
            raise ValueError("the note of an entry without a sha256 must say what is unknown")
        if (self.input is None or self.dim is None) != self.kind.startswith(DETECTOR):
            raise ValueError("a backbone's entry needs input and dim, a detector's entry has neither")
        return self

    @property
    def shipped(self) -> bool:
        """Return whether the file is part of this package."""
        return self.url is None

    @property
    def defaults(self) -> dict[str, Any]:
        """Return the options of the kind that these weights need; for an ONNX network, input and dim are included."""
        geometry = {**self.input.model_dump(), "dim": self.dim} if self.kind == "onnx" else {}
        return {**geometry, **self.options}


@dataclass(frozen=True)
class Registry:
    """Entries by name."""

    entries: Mapping[str, Entry]
    """Name -> entry, in the file's order."""
    files: Path
    """The folder of the package's own files and of the model cards, `<name>.md`."""

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries.values())


def read(path: Path) -> Registry:
    """Read a registry file. The package's own files are in `files/` beside it.

    Raises:
        WeightsError: The file is not a list of entries, an entry is invalid, or two entries share a name or a file.
    """
    try:
        entries = TypeAdapter(list[Entry]).validate_python(yaml.load(path.read_text(encoding="utf-8"), _LOADER))
    except (OSError, yaml.YAMLError) as error:
        raise WeightsError(f"The weights registry {path} cannot be read: {error}") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise WeightsError(f"The weights registry {path} is invalid: {faults}.") from error
    for what in ("name", "file"):
        values = [getattr(entry, what) for entry in entries]
        twice = [value for value in dict.fromkeys(values) if values.count(value) > 1]
        if twice:
            raise WeightsError(
                f"The weights registry {path} has the {what} {twice[0]} twice. Each entry needs its own."
            )
    return Registry({entry.name: entry for entry in entries}, path.parent / "files")


@functools.cache
def package_registry() -> Registry:
    """Return the registry of this package."""
    return read(Path(__file__).with_name("registry.yaml"))
