"""The cache's one file format: an HDF5 file of clips with a status each and ragged arrays beside.

    /clips/id, digest, status, reason     one row a clip, failures too
    /fields/<name>/data                   every clip's rows one after the other, (sum of n_i, ...)
    /fields/<name>/offsets                (clips + 1,): clip i has rows offsets[i] to offsets[i + 1]
    attributes                            schema, stage, recipe (readable), recipe_digest, clips_digest, package, ...

A file is written under a temporary name and renamed when it is whole. It holds no time stamps, so equal content
means equal bytes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np

from emopipe import __version__
from emopipe.errors import CacheError
from emopipe.files import replacing
from emopipe.provenance import digest, recipe_text

SCHEMA = 1
CHUNK_BYTES = 1 << 18
OK = "ok"


@dataclass(frozen=True)
class Field:
    """One ragged array: numpy dtype and the shape of a row."""

    dtype: str
    row: tuple[int, ...] = ()


@dataclass(frozen=True)
class Row:
    """One clip of a file: what it was made from, how that went, and its arrays (rows first)."""

    clip: str
    digest: str
    status: str
    reason: str
    arrays: Mapping[str, np.ndarray]


def clips_digest(rows: list[tuple[str, str]]) -> str:
    """Digest of which clips, with which content, stand in a file."""
    return digest([list(row) for row in rows])


class Writer:
    """Writes one file, clip by clip, with bounded memory; use as a context manager.

    Leaving the context without an exception makes the file appear; with one, nothing is left behind.
    """

    def __init__(self, path: Path, fields: Mapping[str, Field], *, stage: str, recipe: Mapping[str, Any]) -> None:
        self._fields = dict(fields)
        self._attributes: dict[str, Any] = {
            "schema": SCHEMA,
            "package": __version__,
            "stage": stage,
            "recipe": recipe_text(recipe),
            "recipe_digest": digest(recipe),
        }
        self._rows: list[tuple[str, str, str, str]] = []
        self._offsets: dict[str, list[int]] = {name: [0] for name in fields}
        self._replacing = replacing(path)

    def __enter__(self) -> Self:
        self._file = h5py.File(self._replacing.__enter__(), "w", libver="latest")
        self._file.create_group("fields")
        for name, field in self._fields.items():
            row_bytes = max(1, np.dtype(field.dtype).itemsize * int(np.prod(field.row, dtype=np.int64)))
            self._file.create_dataset(
                f"fields/{name}/data",
                shape=(0, *field.row),
                maxshape=(None, *field.row),
                chunks=(max(1, CHUNK_BYTES // row_bytes), *field.row),
                dtype=field.dtype,
            )
        return self

    def add(self, row: Row) -> None:
        """Append one clip. A field that the clip has nothing for gets no rows."""
        unknown = set(row.arrays) - set(self._fields)
        if unknown:
            raise KeyError(f"clip {row.clip} brings {sorted(unknown)}, the file has {sorted(self._fields)}")
        self._rows.append((row.clip, row.digest, row.status, row.reason))
        for name, field in self._fields.items():
            array = np.asarray(row.arrays.get(name, np.empty((0, *field.row), field.dtype)))
            if array.shape[1:] != field.row:
                raise ValueError(f"clip {row.clip}: {name} has rows of {array.shape[1:]}, expected {field.row}")
            start = self._offsets[name][-1]
            data = self._file[f"fields/{name}/data"]
            data.resize(start + len(array), axis=0)
            data[start:] = array
            self._offsets[name].append(start + len(array))

    def note(self, **attributes: str | int | float) -> None:
        """Write down something more of what made the file, such as the device."""
        self._attributes.update(attributes)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with self._file:
                if kind is None:
                    self._finish()
        except BaseException as failure:
            self._replacing.__exit__(type(failure), failure, failure.__traceback__)
            raise
        self._replacing.__exit__(kind, error, trace)

    def _finish(self) -> None:
        for name, offsets in self._offsets.items():
            self._file.create_dataset(f"fields/{name}/offsets", data=np.asarray(offsets, np.int64))
        columns = zip(*self._rows, strict=True) if self._rows else ([], [], [], [])
        for name, column in zip(("id", "digest", "status", "reason"), columns, strict=True):
            # create_dataset, not assignment: groups that an assignment makes on the way carry time stamps.
            self._file.create_dataset(f"clips/{name}", data=np.array([text.encode() for text in column], np.bytes_))
        self._attributes["clips_digest"] = clips_digest([row[:2] for row in self._rows])
        for name, value in sorted(self._attributes.items()):
            self._file.attrs[name] = value


class Reader:
    """Reads one file: by clip (`reader[clip]`), or a field whole (`reader.flat(name)`).

    Raises CacheError where the file is missing, not of this format or of another schema.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = h5py.File(path, "r")
            self.attributes: dict[str, Any] = dict(self._file.attrs)
            columns = {name: self._column(name) for name in ("id", "digest", "status", "reason")}
            self._offsets = {name: group["offsets"][:] for name, group in self._file["fields"].items()}
        except (OSError, KeyError) as error:
            raise CacheError(f"{path} is not a whole cache file ({error}); delete it and run again.") from error
        if self.attributes.get("schema") != SCHEMA:
            found = self.attributes.get("schema")
            raise CacheError(f"{path} has schema {found}, this version reads {SCHEMA}; delete it and run again.")
        self.clips: list[str] = columns["id"]
        self.digest, self.status, self.reason = (
            dict(zip(self.clips, columns[name], strict=True)) for name in ("digest", "status", "reason")
        )
        self._number = {clip: number for number, clip in enumerate(self.clips)}

    def _column(self, name: str) -> list[str]:
        return [text.decode() for text in self._file[f"clips/{name}"][:]]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __contains__(self, clip: str) -> bool:
        return clip in self._number

    @property
    def fields(self) -> dict[str, Field]:
        """The fields and their rows' shapes."""
        datasets = {name: group["data"] for name, group in self._file["fields"].items()}
        return {name: Field(data.dtype.str, data.shape[1:]) for name, data in datasets.items()}

    def field(self, clip: str, name: str) -> np.ndarray:
        """One clip's rows of one field."""
        number = self._number[clip]
        start, stop = self._offsets[name][number : number + 2]
        return self._file[f"fields/{name}/data"][start:stop]

    def __getitem__(self, clip: str) -> Row:
        arrays = {name: self.field(clip, name) for name in self._offsets}
        return Row(clip, self.digest[clip], self.status[clip], self.reason[clip], arrays)

    def rows(self) -> Iterator[Row]:
        """Every clip in the file's order."""
        return (self[clip] for clip in self.clips)

    def flat(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """A field whole: data (sum of n_i, ...) and offsets (clips + 1,)."""
        return self._file[f"fields/{name}/data"][:], self._offsets[name]


def made_by(path: Path, recipe: Mapping[str, Any]) -> bool:
    """Whether the file exists, is whole and was made by this recipe (for whichever clips)."""
    try:
        with h5py.File(path, "r") as file:
            return file.attrs.get("schema") == SCHEMA and file.attrs.get("recipe_digest") == digest(recipe)
    except OSError:
        return False


def stands_for(path: Path, recipe: Mapping[str, Any], clips: str) -> bool:
    """Whether the file was made by this recipe for exactly these clips (see `clips_digest`)."""
    try:
        with h5py.File(path, "r") as file:
            found = (file.attrs.get("schema"), file.attrs.get("recipe_digest"), file.attrs.get("clips_digest"))
            return found == (SCHEMA, digest(recipe), clips)
    except OSError:
        return False
