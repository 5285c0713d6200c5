"""Files in a folder or in a zip file, by their paths inside of it."""

import os
import threading
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from emopipe.core.errors import CorpusError
from emopipe.corpora.files import media_files

# fmt: off
PICTURES: frozenset[str] = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
# fmt: on

DEEPEST = 4
"""How many folders above a file may lie between it and the corpus' own folder for `Archive.find` to find it."""

# What reading a member of a zip file raises: damage, a password (RuntimeError), a compression that zipfile lacks.
_DAMAGED = (EOFError, zipfile.BadZipFile, zlib.error)
_UNREADABLE = (KeyError, OSError, ValueError, RuntimeError, *_DAMAGED)


class Archive:
    """A folder or a zip file; nothing is ever unpacked to disk, and nothing outside of it is read.

    A key is a file's path inside, with forward slashes.
    """

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            CorpusError: The path is neither.
        """
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        self._members: dict[str, str] = {}  # key -> the name that the zip file knows it by
        self._lock = threading.Lock()  # a zip file has one place of reading
        if path.is_file():
            try:
                self._zip = zipfile.ZipFile(path)
            except (zipfile.BadZipFile, OSError) as error:
                raise CorpusError(
                    f"{path} is neither a folder nor a readable zip file ({error}): name the folder or zip file that "
                    "holds the stills."
                ) from error
            self._members = _members(self._zip)
        elif not path.is_dir():
            raise CorpusError(f"{path} does not exist: correct the path of the stills.")

    def pictures(self) -> list[str]:
        """Keys of all pictures, sorted; hidden ones are passed over."""
        return self.files(PICTURES)

    def files(self, extensions: Collection[str]) -> list[str]:
        """Keys of all files with one of the extensions (such as .png, in any case), sorted; hidden ones not."""
        if self._zip is None:
            return sorted(file.relative_to(self.path).as_posix() for file in media_files(self.path, extensions))
        return sorted(key for key in self._members if PurePosixPath(key).suffix.lower() in extensions)

    def find(self, end: str) -> str | None:
        """The key of the file whose path is or ends with `end`, such as `label/label.lst`; None where there is none.

        The least deep one is taken, then the first by name; folders are searched to the depth `DEEPEST`.

        Raises:
            CorpusError: A folder cannot be read, or `end` leads out of the archive.
        """
        self._refuse_outside(end)
        if self._zip is not None:
            keys = [key for key in self._members if key == end or key.endswith(f"/{end}")]
            return min(keys, key=lambda key: (key.count("/"), key), default=None)
        level = [""]
        for _ in range(DEEPEST + 1):
            for folder in level:
                if self.has(folder + end):
                    return folder + end
            level = [f"{folder}{name}/" for folder in level for name in self._folders(folder)]
        return None

    def has(self, key: str) -> bool:
        """Whether there is such a file.

        Raises:
            CorpusError: The key leads out of the archive.
        """
        self._refuse_outside(key)
        return key in self._members if self._zip is not None else os.path.isfile(self.path / key)

    def read(self, key: str) -> bytes:
        """A file's bytes.

        Raises:
            CorpusError: There is no such file, it cannot be read, or the key leads out of the archive.
        """
        self._refuse_outside(key)
        try:
            if self._zip is not None:
                with self._lock:
                    return self._zip.read(self._members[key])
            return (self.path / key).read_bytes()
        except _UNREADABLE as error:
            why = "there is no such file" if isinstance(error, KeyError | FileNotFoundError) else error
            raise CorpusError(f"{key} in {self.path} cannot be read ({why}): restore it.") from error

    def picture(self, key: str) -> np.ndarray:
        """(H, W, 3) uint8 BGR; empty where the file is no picture, or is damaged in its zip.

        Raises:
            CorpusError: As `read`, but for damage.
        """
        try:
            return decode(self.read(key))
        except CorpusError as error:
            if isinstance(error.__cause__, _DAMAGED):
                return no_picture()
            raise

    def _refuse_outside(self, key: str) -> None:
        path = PurePosixPath(key)
        if path.is_absolute() or ".." in path.parts:
            raise CorpusError(
                f"The path {key!r} leads out of {self.path}, but a corpus names only files inside of it: correct the "
                "list that has it."
            )

    def _folders(self, folder: str) -> list[str]:
        """Names of the folders in a folder, sorted; hidden ones are passed over."""
        try:
            with os.scandir(self.path / folder) as entries:
                return sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())
        except OSError as error:
            raise CorpusError(
                f"The folder {self.path / folder} cannot be read ({error.strerror}): make it readable."
            ) from error


def decode(content: bytes) -> np.ndarray:
    """A picture's file as (H, W, 3) uint8 BGR; empty where it is none."""
    data = np.frombuffer(content, np.uint8)
    try:
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    except cv2.error:  # a header that claims more pixels than OpenCV will hold
        picture = None
    return no_picture() if picture is None else picture


def no_picture() -> np.ndarray:
    """(0, 0, 3) uint8: what stands for a file that is no picture."""
    return np.empty((0, 0, 3), np.uint8)


def _members(archive: zipfile.ZipFile) -> dict[str, str]:
    """Key -> name of every file that is not hidden; `./a//b` has the key `a/b`."""
    names = {PurePosixPath(name): name for name in archive.namelist() if not name.endswith("/")}
    return {
        path.as_posix(): name
        for path, name in names.items()
        if not path.is_absolute() and not any(part.startswith((".", "__MACOSX")) for part in path.parts)
    }
