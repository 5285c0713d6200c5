"""Unpacks the .zip of a bundle into a folder, and refuses what could harm: names that lead out, links, huge files."""

import stat
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from emopipe.core.errors import BundleError

MOST_FILES = 10_000
"""Files of a bundle; a run has some dozens."""
MOST_BYTES = 8 << 30
"""Bytes of all files together: several times those of the largest networks that emopipe knows."""
_CHUNK = 1 << 20
_DAMAGED = (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error)


def unpack(path: Path, folder: Path) -> Path:
    """Unpack a bundle.

    Args:
        path: The .zip.
        folder: An empty folder to unpack into.

    Returns:
        The folder of the bundle: `folder`, or its only subfolder if the zip has one folder in which all files are.

    Raises:
        BundleError: It is not a zip file, it is damaged, or it holds what a bundle never holds.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            _refuse(path, members)
            left = MOST_BYTES
            for member in members:
                left -= _write(archive, member, folder, left, path)
    except _DAMAGED as error:
        raise BundleError(path, f"it is not a readable zip file ({error})") from error
    inside = list(folder.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder


def _refuse(path: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse names, kinds and sizes of members before any of them is written."""
    if len(members) > MOST_FILES:
        raise BundleError(path, f"it holds {len(members)} files, at most {MOST_FILES} are allowed")
    if (size := sum(member.file_size for member in members)) > MOST_BYTES:
        raise BundleError(path, f"its files have {size} bytes, at most {MOST_BYTES} are allowed")
    seen: set[str] = set()
    for member in members:
        name = member.filename
        parts = PurePosixPath(name).parts
        is_plain = name == "/".join(parts) and not {"..", "."} & {*parts} and not any(c in name for c in "\\:\0")
        if not is_plain or name.startswith("/"):
            raise BundleError(path, f"its member {name!r} is not a plain path inside of the bundle")
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise BundleError(path, f"its member {name!r} is a link or a special file")
        if name.casefold() in seen:
            raise BundleError(path, f"it holds {name!r} twice")
        seen.add(name.casefold())


def _write(archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, left: int, path: Path) -> int:
    """Write a member; return its size. The size that a zip states may be false, so the bytes themselves are counted."""
    target = folder / member.filename
    target.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    with archive.open(member) as source, open(target, "xb") as out:
        while block := source.read(_CHUNK):
            size += len(block)
            if size > left:
                raise BundleError(path, f"its files have more than {MOST_BYTES} bytes")
            out.write(block)
    return size
