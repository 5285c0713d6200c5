"""Download weights and verify them. Nothing else in this package uses the network."""

import logging
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pooch
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from emopipe.core.atomic import replacing, sha256
from emopipe.core.errors import WeightsError
from emopipe.weights import checksums
from emopipe.weights.entries import Entry, Registry
from emopipe.weights.naming import how_to_get
from emopipe.weights.paths import VARIABLE, folder, path_of

TIMEOUT_SECONDS = 60  # without data from the server
CHUNK_BYTES = 1 << 20


@contextmanager
def session() -> Iterator[Path]:
    """Create a temporary folder for downloads; within it, a zip of several weights is downloaded once.

    Raises:
        WeightsError: The folder of weights cannot be written.
    """
    pooch.get_logger().setLevel(logging.WARNING)
    try:
        folder().mkdir(parents=True, exist_ok=True)
        temporary = tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder())
    except OSError as error:
        raise WeightsError(
            f"The folder of weights, {folder()}, cannot be written ({error}). Name another one in the environment "
            f"variable {VARIABLE}."
        ) from error
    with temporary:
        yield Path(temporary.name)


def fetch(entry: Entry, registry: Registry, downloads: Path, report: Callable[[str], None]) -> Path:
    """Download an entry's file, unless it exists and is correct.

    Args:
        entry: Which weights.
        registry: The registry of the entry.
        downloads: The folder of `session`.
        report: Called with a line about each step.

    Returns:
        The file's path. The file appears there complete and verified, or not at all.

    Raises:
        WeightsError: The file cannot be downloaded, or it is not the expected file.
    """
    # 1. a file that exists
    path = path_of(entry, registry)
    if path.is_file():
        try:
            report(f"{entry.name} is available already: {path} ({check(entry, registry)}).")
            return path
        except WeightsError as error:
            if entry.shipped:
                raise
            report(f"{error} It is downloaded again.")
    if entry.shipped:
        raise WeightsError(f"{entry.name}: {how_to_get(entry, registry)}.")
    # 2. the download
    source = entry.archive or entry
    size = f" ({source.bytes / 1e6:,.1f} MB)" if source.bytes else ""
    report(f"Downloading {entry.name} from {entry.url}{size} ...")
    downloaded = _download(entry, downloads, path)
    # 3. the file, under a temporary name until it is verified
    with replacing(path) as partial:
        _unpack(entry, downloaded, partial) if entry.archive else downloaded.replace(partial)
        found, expected = sha256(partial), checksums.expected(entry)
        if expected not in (None, found):
            raise WeightsError(
                f"The downloaded file is not the one of the weights {entry.name}: its sha256 is {found}, expected "
                f"{expected}. It is not kept."
            )
        finding = _recorded(entry, found)
        partial.chmod(0o644)  # only the owner can read a downloaded file at first
    report(f"{entry.name} is available: {path} ({finding}).")
    return path


def check(entry: Entry, registry: Registry) -> str:
    """Verify the sha256 of an entry's file, and record it if the entry has none.

    Returns:
        The finding, as a part of a sentence.

    Raises:
        WeightsError: The file is missing or cannot be read, or its sha256 differs.
    """
    path = path_of(entry, registry)
    if not path.is_file():
        raise WeightsError(f"{entry.name}: {how_to_get(entry, registry)}.")
    try:
        found = sha256(path)
    except OSError as error:
        raise WeightsError(
            f"{entry.name}: {path} cannot be read ({error.strerror or error}). Make the file readable, then run again."
        ) from error
    checksums.refuse_mismatch(path, found, registry)
    return _recorded(entry, found)


def _recorded(entry: Entry, found: str) -> str:
    """Record a sha256 at its first use. Return the finding, as a part of a sentence."""
    if checksums.expected(entry) is None:
        sums = folder() / checksums.FILE
        try:
            checksums.record(entry, found)
        except OSError as error:  # a shared folder of weights may be read-only
            return (
                f"the registry has no sha256 for it; {found} is not recorded, because {sums} cannot be written "
                f"({error.strerror or error})"
            )
        return f"the registry has no sha256 for it; {found} is recorded in {sums}"
    return "its sha256 is correct" if entry.sha256 else "its sha256 is that of its first use"


def _download(entry: Entry, downloads: Path, path: Path) -> Path:
    """Download the file at the entry's url, and verify it if its sha256 is known."""
    expected = entry.archive.sha256 if entry.archive else checksums.expected(entry)
    with closing(DownloadBar(entry.name)) as bar:
        downloader = pooch.HTTPDownloader(progressbar=bar, timeout=TIMEOUT_SECONDS, chunk_size=CHUNK_BYTES)
        try:
            known_hash = f"sha256:{expected}" if expected else None
            return Path(pooch.retrieve(entry.url, known_hash, path=downloads, downloader=downloader))
        except ValueError as error:  # pooch raises it if the sha256 differs
            raise WeightsError(
                f"The file at {entry.url} is not the one of the weights {entry.name}, and is not kept ({error}). Try "
                "again. If the error stays, that file was replaced: use another source, or other weights."
            ) from error
        except OSError as error:  # includes the errors of requests
            raise WeightsError(
                f"The weights {entry.name} cannot be downloaded from {entry.url} ({error}). Try again, or get the file "
                f"in another way, put it at {path} and run `emopipe weights verify {entry.name}`."
            ) from error


def _unpack(entry: Entry, archive: Path, target: Path) -> None:
    """Extract the entry's file from a zip; it may be in any folder of the zip."""
    wanted = entry.archive.member
    try:
        with zipfile.ZipFile(archive) as opened:
            found = [name for name in opened.namelist() if name.rpartition("/")[2] == wanted]
            if len(found) != 1:
                raise WeightsError(
                    f"The zip {entry.url} has {len(found)} files called {wanted}, expected one. It is not the zip of "
                    f"the weights {entry.name}. Use other weights."
                )
            with opened.open(found[0]) as member, open(target, "wb") as file:
                shutil.copyfileobj(member, file)
    except zipfile.BadZipFile as error:
        raise WeightsError(
            f"The file at {entry.url} is not a zip ({error}), so the weights {entry.name} cannot be extracted. "
            "Try again."
        ) from error


class DownloadBar:
    """A progress bar with pooch's interface (`total`, `update`, `reset`, `close`), drawn by rich on a terminal only."""

    def __init__(self, description: str) -> None:
        console = Console(stderr=True)
        columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
        self._progress = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._progress.add_task(description, total=None)
        self._progress.start()

    @property
    def total(self) -> float | None:
        """Bytes in all; None if the server does not report them."""
        return self._progress.tasks[self._task].total

    @total.setter
    def total(self, total: int) -> None:
        self._progress.update(self._task, total=total or None)

    def update(self, n: int) -> None:
        """Add `n` bytes."""
        self._progress.advance(self._task, n)

    def reset(self) -> None:
        """Start again from 0."""
        self._progress.reset(self._task, total=self.total)

    def close(self) -> None:
        """Restore the terminal. It may be called more than once."""
        self._progress.stop()
