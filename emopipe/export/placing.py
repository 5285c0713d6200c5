"""Puts what was written at its path: whole or not at all, and without harm to other files of the user."""

import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from emopipe.core.atomic import replacing
from emopipe.core.errors import ConfigError

_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can state: equal content gives equal bytes


@contextmanager
def placing(out: Path, is_earlier: Callable[[Path], bool]) -> Iterator[Path]:
    """Yield an empty folder to write into; then put it at `out`, or as a zip if `out` ends in .zip.

    Args:
        out: The path; what is there is replaced.
        is_earlier: Whether a folder is one of an earlier export, which may be replaced.

    Raises:
        ConfigError: There is a folder with other files at `out`.
    """
    if out.is_dir() and any(out.iterdir()) and not is_earlier(out):
        raise ConfigError(
            f"--out is the folder {out}, which holds files that no earlier export wrote, so --force does not replace "
            "it. Give another path, or remove the folder yourself."
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        folder.mkdir()
        yield folder
        if out.is_dir() and not any(out.iterdir()):
            out.rmdir()
        if out.suffix.lower() == ".zip":
            _zip(folder, out)
        else:
            _put(folder, out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _put(folder: Path, out: Path) -> None:
    """Rename a folder to `out`; an earlier one is removed when the new one is there."""
    if not out.exists():
        folder.rename(out)
        return
    aside = out.with_name(f".{out.name}.{os.getpid()}.old")
    out.rename(aside)
    folder.rename(out)
    if aside.is_dir():
        shutil.rmtree(aside)
    else:
        aside.unlink()


def _zip(folder: Path, out: Path) -> None:
    """Write the files of a folder as one zip, in the order of their names."""
    with replacing(out) as unfinished, zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            member = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _DATE)
            member.compress_type, member.external_attr = zipfile.ZIP_DEFLATED, 0o100644 << 16
            with archive.open(member, "w", force_zip64=True) as target, open(path, "rb") as source:
                shutil.copyfileobj(source, target, 1 << 20)
