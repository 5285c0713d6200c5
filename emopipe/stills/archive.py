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
from emopipe.core.memory import is_out_of_memory
from emopipe.corpora.files import IMAGE, KINDS, Taken, clip_files, is_hidden, media_files
from emopipe.corpora.signatures import HEAD, kind_of

MAX_DEPTH = 4
"""`Archive.find` finds files that lie at most this many folders below the corpus' own folder."""

# What reading a member of a zip file raises for damage, a password (RuntimeError), or a compression that zipfile lacks.
_DAMAGED = (EOFError, zipfile.BadZipFile, zlib.error)
_UNREADABLE = (KeyError, OSError, ValueError, RuntimeError, *_DAMAGED)


class Archive:
    """A folder or a zip file. Nothing is unpacked to disk, and nothing outside of it is read.

    The key of a file is its path inside, with forward slashes.
    """

    def __init__(self, path: Path) -> None:
        """Open the folder or zip file.

        Raises:
            CorpusError: The path is neither.
        """
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        self._members: dict[str, str] = {}  # key -> its name in the zip file
        self._lock = threading.Lock()  # a zip file has a single reading position
        if path.is_file():
            try:
                self._zip = zipfile.ZipFile(path)
            except (zipfile.BadZipFile, OSError) as error:
                raise CorpusError(
                    f"{path} is neither a folder nor a readable zip file ({error}). Give the folder or zip file that "
                    "contains the stills."
                ) from error
            self._members = _members(self._zip)
        elif not path.is_dir():
            raise CorpusError(f"{path} does not exist. Correct the path of the stills.")

    def images(self) -> list[str]:
        """Return the keys of all images, sorted, by suffix or else by the first bytes; what is not taken is logged.

        Hidden files are ignored.
        """
        if self._zip is None:
            return [file.relative_to(self.path).as_posix() for file in clip_files(self.path, ["image"])]
        taken = Taken()
        for key, name in self._members.items():
            suffix = PurePosixPath(key).suffix.lower()
            kind = "image" if suffix in IMAGE else KINDS.get(suffix) or self._kind_by_content(name)
            if kind == "image":
                taken.found["image"].append(key)
            else:
                taken.add_other(key, suffix)
        taken.report(self.path, ["image"])
        return sorted(taken.found["image"])

    def files(self, extensions: Collection[str]) -> list[str]:
        """Return the keys of all files with one of the extensions (".png", in any case), sorted; no hidden files."""
        if self._zip is None:
            return sorted(file.relative_to(self.path).as_posix() for file in media_files(self.path, extensions))
        return sorted(key for key in self._members if PurePosixPath(key).suffix.lower() in extensions)

    def find(self, end: str) -> str | None:
        """Return the key of the file whose path is or ends with `end`, such as `label/label.lst`; None if there is
        none.

        Of several, the one in the fewest folders is returned, then the first by name. Folders are searched down to
        MAX_DEPTH.

        Raises:
            CorpusError: A folder cannot be read, or `end` is outside of the archive.
        """
        self._refuse_outside(end)
        if self._zip is not None:
            keys = [key for key in self._members if key == end or key.endswith(f"/{end}")]
            return min(keys, key=lambda key: (key.count("/"), key), default=None)
        level = [""]
        for _ in range(MAX_DEPTH + 1):
            for folder in level:
                if self.has(folder + end):
                    return folder + end
            level = [f"{folder}{name}/" for folder in level for name in self._folders(folder)]
        return None

    def has(self, key: str) -> bool:
        """Return whether there is a file with this key.

        Raises:
            CorpusError: The key is outside of the archive.
        """
        self._refuse_outside(key)
        return key in self._members if self._zip is not None else os.path.isfile(self.path / key)

    def read(self, key: str) -> bytes:
        """Return the content of a file.

        Raises:
            CorpusError: The file does not exist, cannot be read, or is outside of the archive.
        """
        self._refuse_outside(key)
        try:
            if self._zip is not None:
                with self._lock:
                    return self._zip.read(self._members[key])
            return (self.path / key).read_bytes()
        except _UNREADABLE as error:
            reason = "the file does not exist" if isinstance(error, KeyError | FileNotFoundError) else error
            raise CorpusError(f"{key} in {self.path} cannot be read ({reason}). Restore the file.") from error

    def read_image(self, key: str) -> np.ndarray:
        """Return an image (H, W, 3) uint8 BGR; empty if the file is not an image, or is damaged inside its zip file.

        Raises:
            CorpusError: As `read`, except for such damage.
        """
        try:
            return decode_image(self.read(key))
        except CorpusError as error:
            if isinstance(error.__cause__, _DAMAGED):
                return empty_image()
            raise

    def _kind_by_content(self, name: str) -> str:
        """Return what a member of the zip file is by its first bytes; "" if it cannot be read."""
        try:
            with self._lock, self._zip.open(name) as file:
                return kind_of(file.read(HEAD))
        except _UNREADABLE:
            return ""

    def _refuse_outside(self, key: str) -> None:
        path = PurePosixPath(key)
        if path.is_absolute() or ".." in path.parts:
            raise CorpusError(
                f"The path {key!r} is outside of {self.path}, but a corpus may only list files inside of it. Correct "
                "the list that has this path."
            )

    def _folders(self, folder: str) -> list[str]:
        """Return the names of the folders in a folder, sorted; hidden ones are ignored."""
        try:
            with os.scandir(self.path / folder) as entries:
                return sorted(entry.name for entry in entries if not is_hidden(entry.name) and entry.is_dir())
        except OSError as error:
            raise CorpusError(
                f"The folder {self.path / folder} cannot be read ({error.strerror}). Make it readable, then run again."
            ) from error


def _members(archive: zipfile.ZipFile) -> dict[str, str]:
    """Return key -> name of each file that is not hidden; `./a//b` has the key `a/b`."""
    names = {PurePosixPath(name): name for name in archive.namelist() if not name.endswith("/")}
    return {
        path.as_posix(): name
        for path, name in names.items()
        if not path.is_absolute() and not any(map(is_hidden, path.parts))
    }


def decode_image(content: bytes) -> np.ndarray:
    """Return the content of an image file as (H, W, 3) uint8 BGR; empty if it is not an image."""
    data = np.frombuffer(content, np.uint8)
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    except cv2.error as error:  # the header claims more pixels than OpenCV accepts
        if is_out_of_memory(error):
            raise MemoryError from error
        image = None
    return empty_image() if image is None else image


def empty_image() -> np.ndarray:
    """Return (0, 0, 3) uint8, which stands for a file that is not an image."""
    return np.empty((0, 0, 3), np.uint8)
