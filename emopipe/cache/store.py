"""The cache's file format: an HDF5 file of clips, with a status and ragged arrays for each.

    /clips/id, digest, status, reason     one row for each clip, failed ones too; reasons are codes (status.py)
    /fields/<name>/data                   every clip's rows one after the other, (sum of n_i, ...)
    /fields/<name>/offsets                (clips + 1,): clip i has rows offsets[i] to offsets[i + 1]
    /fields/<name>/sums                   (clips, 16): a digest of each clip's rows, compared at each reading
    attributes                            schema, stage, recipe (readable), recipe_digest, clips_digest, package,
                                          index_digest (of all but the data), ...

A file is written under a temporary name and renamed when it is whole. It holds no time stamps, so equal content gives
equal bytes. Recipes do not include the code of emopipe/cache, so increase SCHEMA if you change what is stored.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np

from emopipe import __version__
from emopipe.cache.h5file import ErrorDeferringFile, defer_signals
from emopipe.cache.h5reading import named_errors, open_file
from emopipe.core.atomic import replacing
from emopipe.core.errors import CacheError, DamagedCacheError, MissingCacheError
from emopipe.core.fingerprint import digest, recipe_text

SCHEMA = 2
CHUNK_BYTES = 1 << 18
BLOCK_BYTES = 1 << 23
"""Bytes of a field that are copied at once from file to file."""
SUM_BYTES = 16
DROPPED, DROPS = "dropped", "drops"
"""Attributes of files that have lost the rows of a field, see `emopipe.cache.pictures`."""


@dataclass(frozen=True)
class Field:
    """One ragged array: numpy dtype and the shape of a row."""

    dtype: str
    row: tuple[int, ...] = ()


@dataclass(frozen=True)
class Row:
    """One clip of a file: the digest of its content, its status and reason, and its arrays (rows first)."""

    clip: str
    digest: str
    status: str
    reason: str
    arrays: Mapping[str, np.ndarray]


def clips_digest(rows: list[tuple[str, str]]) -> str:
    """Return the digest of pairs of a clip and the digest of its content; files hold that of the sorted pairs."""
    return digest([list(row) for row in rows])


class Writer:
    """Writes one file, clip by clip, with bounded memory; a context manager.

    The file appears if the context ends without an exception. Otherwise nothing remains.
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
        self._sums: dict[str, list[bytes]] = {name: [] for name in fields}
        self._gathered: dict[str, list[np.ndarray]] = {name: [] for name in fields}
        self._replacing = replacing(path)

    def __enter__(self) -> Self:
        self._output = ErrorDeferringFile(self._replacing.__enter__())
        self._file = h5py.File(self._output, "w", libver="latest")
        self._file.create_group("fields")
        self._data = {name: self._dataset(name, field) for name, field in self._fields.items()}
        return self

    def _dataset(self, name: str, field: Field) -> h5py.Dataset:
        row_bytes = max(1, np.dtype(field.dtype).itemsize * int(np.prod(field.row, dtype=np.int64)))
        return self._file.create_dataset(
            f"fields/{name}/data",
            shape=(0, *field.row),
            maxshape=(None, *field.row),
            chunks=(max(1, CHUNK_BYTES // row_bytes), *field.row),
            dtype=field.dtype,
        )

    def add(self, row: Row) -> None:
        """Append one clip. A field that is not among its arrays gets no rows."""
        unknown = set(row.arrays) - set(self._fields)
        if unknown:
            raise KeyError(f"The clip {row.clip} has the fields {sorted(unknown)}, expected {sorted(self._fields)}.")
        self._rows.append((row.clip, row.digest, row.status, row.reason))
        for name, field in self._fields.items():
            array = np.ascontiguousarray(row.arrays.get(name, np.empty((0, *field.row))), field.dtype)
            if array.shape[1:] != field.row:
                raise ValueError(f"Rows of {name} of the clip {row.clip} are {array.shape[1:]}, expected {field.row}.")
            self._offsets[name].append(self._offsets[name][-1] + len(array))
            self._sums[name].append(_sum(array))
            self._gathered[name].append(array)
            self._write_if_enough(name)

    def append(self, reader: "Reader") -> None:
        """Append all clips of a file with the same fields. Rows are verified; the digests of the file remain theirs.

        Raises:
            DamagedCacheError: The file does not hold what was written.
            ValueError: The file has other fields.
        """
        here, there = ({n: (np.dtype(f.dtype), f.row) for n, f in one.items()} for one in (self._fields, reader.fields))
        if here != there:
            raise ValueError(f"{reader.path} has the fields {there}, expected {here}.")
        self._rows += [(clip, reader.digest[clip], reader.status[clip], reader.reason[clip]) for clip in reader.clips]
        for name in self._fields:
            for block, offsets, sums in reader.blocks(name):
                before = self._offsets[name][-1]
                self._offsets[name] += [before + int(end) for end in offsets[1:]]
                self._sums[name] += [one.tobytes() for one in sums]
                self._gathered[name].append(block)
                self._write_if_enough(name)

    def _write_if_enough(self, name: str) -> None:
        if self._offsets[name][-1] - len(self._data[name]) >= self._data[name].chunks[0]:
            self._write(name)

    def _write(self, name: str) -> None:
        """Append the gathered rows of a field, a chunk at a time: a small write costs as much as a large one."""
        data, start = self._data[name], len(self._data[name])
        with defer_signals():
            data.resize(self._offsets[name][-1], axis=0)
            gathered = self._gathered[name]
            data[start:] = gathered[0] if len(gathered) == 1 else np.concatenate(gathered)
        self._gathered[name] = []
        self._output.check()

    def note(self, **attributes: str | int | float) -> None:
        """Record what else made the file, such as the device."""
        self._attributes.update(attributes)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with defer_signals(), self._output, self._file:
                if kind is None:
                    self._finish()
            if kind is None:
                self._output.check()
        except BaseException as failure:
            self._replacing.__exit__(type(failure), failure, failure.__traceback__)
            raise
        self._replacing.__exit__(kind, error, trace)

    def _finish(self) -> None:
        offsets = {name: np.asarray(ends, np.int64) for name, ends in self._offsets.items()}
        sums = {name: _as_array(digests) for name, digests in self._sums.items()}
        for name in self._fields:
            if self._gathered[name]:
                self._write(name)
            self._file.create_dataset(f"fields/{name}/offsets", data=offsets[name])
            self._file.create_dataset(f"fields/{name}/sums", data=sums[name])
        columns = list(zip(*self._rows, strict=True)) if self._rows else [(), (), (), ()]
        for name, column in zip(("id", "digest", "status", "reason"), columns, strict=True):
            # create_dataset, not assignment: groups that an assignment makes on the way carry time stamps.
            self._file.create_dataset(f"clips/{name}", data=np.array([text.encode() for text in column], np.bytes_))
        self._attributes["clips_digest"] = clips_digest(sorted(row[:2] for row in self._rows))
        self._attributes["index_digest"] = _index_digest(columns, offsets, sums)
        for name, value in sorted(self._attributes.items()):
            self._file.attrs[name] = value


class Reader:
    """Reads one file, by clip (`reader[clip]`) or a whole field (`reader.flat(name)`), and verifies what it reads.

    Args:
        path: The file.
        made_by: The digest of the recipe that must have made it; None accepts any.

    Raises:
        DamagedCacheError: The file does not hold what was written; its methods raise it, too.
        CacheError: The file is missing, may not be read or is of another schema, or another recipe made it.
        OSError, MemoryError: It cannot be read at the moment, and may be intact.
    """

    def __init__(self, path: Path, made_by: str | None = None) -> None:
        self.path = path
        with named_errors(path):
            self._file = open_file(path)
            self.attributes: dict[str, Any] = dict(self._file.attrs)
        self._refuse_another(made_by)
        with named_errors(path):
            columns = [self._column(name) for name in ("id", "digest", "status", "reason")]
            groups = self._file["fields"].items()
            self._data = {name: group["data"] for name, group in groups}
            self._offsets = {name: group["offsets"][:] for name, group in groups}
            self._sums = {name: group["sums"][:] for name, group in groups}
        if self.attributes.get("index_digest") != _index_digest(columns, self._offsets, self._sums):
            raise DamagedCacheError(path, "its table of clips is not what was written")
        self.clips: list[str] = columns[0]
        self.digest, self.status, self.reason = (dict(zip(self.clips, column, strict=True)) for column in columns[1:])
        self._number = {clip: number for number, clip in enumerate(self.clips)}

    def _refuse_another(self, made_by: str | None) -> None:
        found = self.attributes.get("schema")
        if found != SCHEMA:
            raise CacheError(
                f"{self.path} has schema {found}; this version reads schema {SCHEMA}. Delete the file and run again."
            )
        if made_by is not None and self.attributes.get("recipe_digest") != made_by:
            raise CacheError(
                f"{self.path} was made with other options, code or weights than this run uses. Perhaps it was copied "
                "from another run. If it still exists, delete it. Then run again."
            )

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
        """The fields, with the types and shapes of their rows."""
        return {name: Field(data.dtype.str, data.shape[1:]) for name, data in self._data.items()}

    def field(self, clip: str, name: str) -> np.ndarray:
        """Return one clip's rows of one field.

        Raises:
            CacheError: The rows of this field were dropped.
        """
        if name in self.attributes.get(DROPPED, "").split():
            raise CacheError(
                f"The pictures in {self.path} were dropped by `emopipe cache --faces`, but this job needs them. Delete "
                "the file and run again, which makes it again."
            )
        return self._rows_of(clip, name)

    def rows_in(self, clip: str, name: str) -> int:
        """Return the number of one clip's rows of one field; nothing is read."""
        number = self._number[clip]
        return int(self._offsets[name][number + 1] - self._offsets[name][number])

    def field_bytes(self, name: str) -> int:
        """Return the bytes of all rows of one field."""
        return int(self._data[name].size) * self._data[name].dtype.itemsize

    def _rows_of(self, clip: str, name: str) -> np.ndarray:
        number = self._number[clip]
        start, stop = self._offsets[name][number : number + 2]
        with named_errors(self.path):
            array = self._data[name][start:stop]
        self._verify(clip, name, number, array)
        return array

    def __getitem__(self, clip: str) -> Row:
        arrays = {name: self._rows_of(clip, name) for name in self._offsets}
        return Row(clip, self.digest[clip], self.status[clip], self.reason[clip], arrays)

    def rows(self) -> Iterator[Row]:
        """Yield every clip in the file's order."""
        return (self[clip] for clip in self.clips)

    def blocks(self, name: str) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield a field of clip after clip in few parts: their rows, where each clip's rows begin and end, and digests.

        A part holds at most BLOCK_BYTES, or one clip. Its n clips have rows (sum of n_i, ...), offsets (n + 1,) from 0,
        and digests (n, 16).
        """
        offsets, data = self._offsets[name], self._data[name]
        most = max(1, BLOCK_BYTES // max(1, data.dtype.itemsize * int(np.prod(data.shape[1:], dtype=np.int64))))
        first = 0
        while first < len(self.clips):
            last = max(first + 1, int(np.searchsorted(offsets, offsets[first] + most, side="right")) - 1)
            with named_errors(self.path):
                block = data[offsets[first] : offsets[last]]
            inside = offsets[first : last + 1] - offsets[first]
            for number in range(first, last):
                rows = block[inside[number - first] : inside[number - first + 1]]
                self._verify(self.clips[number], name, number, rows)
            yield block, inside, self._sums[name][first:last]
            first = last

    def flat(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return a whole field: data (sum of n_i, ...) and offsets (clips + 1,)."""
        offsets = self._offsets[name]
        with named_errors(self.path):
            data = self._data[name][:]
        for clip, number in self._number.items():
            self._verify(clip, name, number, data[offsets[number] : offsets[number + 1]])
        return data, offsets

    def _verify(self, clip: str, name: str, number: int, array: np.ndarray) -> None:
        if _sum(array) != self._sums[name][number].tobytes():
            raise DamagedCacheError(self.path, f"{name} of the clip {clip} is not what was written")


def relabel(
    path: Path, recipe: Mapping[str, Any], *, digests: Mapping[str, str] | None = None, **attributes: str
) -> None:
    """Rewrite what made a file, and never its data; the file's times stay as they are.

    Args:
        path: The file.
        recipe: The recipe that it gets.
        digests: Clip -> the digest of its content, for clips whose digest is computed in another way now.
        attributes: Other attributes that change.

    Raises:
        CacheError: As `Reader`.
    """
    with Reader(path) as reader:
        found = {clip: (digests or {}).get(clip, digest) for clip, digest in reader.digest.items()}
        columns = [reader.clips, [*found.values()], [*reader.status.values()], [*reader.reason.values()]]
        index = _index_digest(columns, reader._offsets, reader._sums)
    times = path.stat()
    with replacing(path) as temporary:
        shutil.copyfile(path, temporary)
        with open_file(temporary, "r+") as file:
            if digests:
                del file["clips/digest"]
                file.create_dataset("clips/digest", data=np.array([text.encode() for text in columns[1]], np.bytes_))
            for name, value in attributes.items():
                file.attrs[name] = value
            file.attrs["recipe"], file.attrs["recipe_digest"] = recipe_text(recipe), digest(recipe)
            file.attrs["clips_digest"], file.attrs["index_digest"] = clips_digest(sorted(found.items())), index
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def made_by(path: Path, recipe: Mapping[str, Any]) -> bool:
    """Return whether the file exists and this recipe made it, for any clips."""
    found = attributes(path)
    return (found.get("schema"), found.get("recipe_digest")) == (SCHEMA, digest(recipe))


def stands_for(path: Path, recipe: Mapping[str, Any], clips: str) -> bool:
    """Return whether this recipe made the file for exactly these clips (see `clips_digest`)."""
    return made_by(path, recipe) and attributes(path).get("clips_digest") == clips


def content_digest(path: Path, made_by: str | None = None) -> str:
    """Return the digest of a file's clips, their statuses and their data.

    Raises:
        CacheError: As `Reader` does.
    """
    with Reader(path, made_by) as reader:
        return str(reader.attributes["index_digest"])


def attributes(path: Path) -> dict[str, Any]:
    """Return a file's attributes; none if it is missing or damaged.

    Raises:
        CacheError, OSError, MemoryError: The file cannot be read, but may be intact. See `named_errors`.
    """
    try:
        with named_errors(path), open_file(path) as file:
            return dict(file.attrs)
    except (MissingCacheError, DamagedCacheError):
        return {}


def _sum(array: np.ndarray) -> bytes:
    """Return the digest of a clip's rows of one field."""
    return hashlib.blake2b(np.ascontiguousarray(array), digest_size=SUM_BYTES).digest()


def _as_array(digests: list[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, SUM_BYTES)


def _index_digest(
    columns: Sequence[Sequence[str]], offsets: Mapping[str, np.ndarray], sums: Mapping[str, np.ndarray]
) -> str:
    """Return the digest of a file's clips, their statuses and their data."""
    whole = hashlib.sha256(digest([list(column) for column in columns]).encode())
    for name in sorted(offsets):
        whole.update(name.encode())
        whole.update(np.ascontiguousarray(offsets[name], np.int64))
        whole.update(np.ascontiguousarray(sums[name]))
    return whole.hexdigest()
