"""Fetch weights and check them. Nothing else in this package uses the network."""

import logging
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pooch

from emopipe.core.atomic import replacing, sha256
from emopipe.core.errors import WeightsError
from emopipe.weights import checksums
from emopipe.weights.bar import Bar
from emopipe.weights.entries import Entry, Registry
from emopipe.weights.naming import how_to_get
from emopipe.weights.paths import VARIABLE, folder, path_of

TIMEOUT_SECONDS = 60  # without a word from the server
CHUNK_BYTES = 1 << 20


@contextmanager
def session() -> Iterator[Path]:
    """A place for downloads within the weights' folder, gone afterwards; a zip of several weights comes once.

    Raises:
        WeightsError: The folder cannot be written.
    """
    pooch.get_logger().setLevel(logging.WARNING)
    try:
        folder().mkdir(parents=True, exist_ok=True)
        place = tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder())
    except OSError as error:
        raise WeightsError(
            f"Nothing can be written to the folder of weights, {folder()} ({error}); name another by the environment "
            f"variable {VARIABLE}."
        ) from error
    with place:
        yield Path(place.name)


def fetch(entry: Entry, registry: Registry, downloads: Path, say: Callable[[str], None]) -> Path:
    """Get an entry's file, unless it is there and what it should be.

    Args:
        entry: Which.
        registry: The registry that it is of.
        downloads: What `session` gave.
        say: Told what happens, a line each.

    Returns:
        Where the file lies. It appears there whole and checked, or not at all.

    Raises:
        WeightsError: It cannot be had, or what came is another file.
    """
    path = path_of(entry, registry)
    if path.is_file():
        try:
            say(f"{entry.name} is here already: {path}, {check(entry, registry)}.")
            return path
        except WeightsError as error:
            if entry.shipped:
                raise
            say(f"{error} It is fetched anew.")
    if entry.shipped:
        raise WeightsError(f"{entry.name}: {how_to_get(entry, registry)}.")
    source = entry.archive or entry
    size = f" ({source.bytes / 1e6:,.1f} MB)" if source.bytes else ""
    say(f"{entry.name} comes from {entry.url}{size} ...")
    came = _download(entry, downloads, path)
    with replacing(path) as unfinished:
        _unpack(entry, came, unfinished) if entry.archive else came.replace(unfinished)
        found = _hold_to_sum(entry, unfinished)
        unfinished.chmod(0o644)  # downloads begin as files that their owner alone can read
    say(f"{entry.name} is here: {path}, {found}.")
    return path


def check(entry: Entry, registry: Registry) -> str:
    """Hold an entry's file to its sum; the first sum of one that the registry has none of is recorded.

    Returns:
        What was found, as a part of a sentence.

    Raises:
        WeightsError: The file is missing, or is another.
    """
    path = path_of(entry, registry)
    if not path.is_file():
        raise WeightsError(f"{entry.name}: {how_to_get(entry, registry)}.")
    found = sha256(path)
    checksums.refuse_other(path, found, registry)
    return _settle(entry, found)


def _settle(entry: Entry, found: str) -> str:
    """Record a sum that is seen for the first time; say what is known of it now."""
    if checksums.known(entry) is None:
        checksums.record(entry, found)
        return f"its sha256, {found}, is unknown to the registry and recorded in {folder() / checksums.FILE}"
    return "its sha256 is right" if entry.sha256 else "its sha256 is what it was when first used"


def _download(entry: Entry, downloads: Path, path: Path) -> Path:
    """What lies at the entry's url, checked where the registry knows its sum."""
    expected = entry.archive.sha256 if entry.archive else checksums.known(entry)
    with closing(Bar(entry.name)) as bar:
        downloader = pooch.HTTPDownloader(progressbar=bar, timeout=TIMEOUT_SECONDS, chunk_size=CHUNK_BYTES)
        try:
            known_hash = f"sha256:{expected}" if expected else None
            return Path(pooch.retrieve(entry.url, known_hash, path=downloads, downloader=downloader))
        except ValueError as error:  # pooch's word for another sum
            raise WeightsError(
                f"What {entry.url} gives is not what the weights {entry.name} should be, and is not kept ({error}). "
                "Try again; if it stays so, the file there was replaced: take it from elsewhere, or do without."
            ) from error
        except OSError as error:  # requests' errors among them
            raise WeightsError(
                f"The weights {entry.name} cannot be fetched from {entry.url} ({error}): try again, or bring the file "
                f"in any other way, put it at {path} and run `emopipe weights verify {entry.name}`."
            ) from error


def _unpack(entry: Entry, archive: Path, target: Path) -> None:
    """One member of a zip, found by its name wherever it lies."""
    wanted = entry.archive.member
    try:
        with zipfile.ZipFile(archive) as opened:
            found = [name for name in opened.namelist() if name.rpartition("/")[2] == wanted]
            if len(found) != 1:
                raise WeightsError(
                    f"The zip {entry.url} has {len(found)} files called {wanted}, expected one: it is not the zip that "
                    f"the weights {entry.name} are in."
                )
            with opened.open(found[0]) as member, open(target, "wb") as file:
                shutil.copyfileobj(member, file)
    except zipfile.BadZipFile as error:
        raise WeightsError(f"{entry.url} gives no zip ({error}); the weights {entry.name} cannot be had.") from error


def _hold_to_sum(entry: Entry, unfinished: Path) -> str:
    """Refuse a file with another sum before it is put in place."""
    found, expected = sha256(unfinished), checksums.known(entry)
    if expected not in (None, found):
        raise WeightsError(
            f"What came for the weights {entry.name} is another file: its sha256 is {found}, expected {expected}; "
            "it is not kept."
        )
    return _settle(entry, found)
