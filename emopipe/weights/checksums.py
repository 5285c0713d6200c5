"""Checksums of weights: those of the registry, and those of first use, which are recorded beside the weights."""

from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from emopipe.core.atomic import sha256, write_text
from emopipe.core.errors import WeightsError
from emopipe.core.log import LOGGER
from emopipe.weights.entries import Entry, Registry, Sha256, package_registry
from emopipe.weights.paths import entry_at, folder

FILE = "sums.yaml"
"""In the folder of weights: file -> its sha256 at first use, for entries without a sha256 in the registry."""


def verify(path: Path | str, registry: Registry | None = None) -> None:
    """Check the sha256 of a file before its use, if it belongs to an entry. Users' own files are not checked.

    Raises:
        WeightsError: As `refuse_mismatch`.
    """
    if entry_at(path, registry or package_registry()):
        verify_sha256(path, sha256(Path(path)), registry)


def verify_sha256(path: Path | str, found: str, registry: Registry | None = None) -> None:
    """Check a file whose sha256 has been computed already, and record it if the entry has none.

    Raises:
        WeightsError: As `refuse_mismatch`.
    """
    refuse_mismatch(path, found, registry)
    entry = entry_at(path, registry or package_registry())
    if entry and expected(entry) is None:
        try:
            record(entry, found)
        except OSError as error:  # a shared folder of weights may be read-only
            LOGGER.warning(
                f"The sha256 of the weights {entry.name} is not recorded: {folder()} cannot be written ({error})."
            )


def refuse_mismatch(path: Path | str, found: str, registry: Registry | None = None) -> None:
    """Refuse a file at the path of an entry whose sha256 is not the entry's.

    Args:
        path: A file of weights. A user's own file, which belongs to no entry, is accepted.
        found: Its sha256.
        registry: Default: the package's own.

    Raises:
        WeightsError: The sha256 differs. The message has the expected one and says what to do.
    """
    entry = entry_at(path, registry or package_registry())
    wanted = expected(entry) if entry else None
    if wanted not in (None, found):
        source = "the registry has" if entry.sha256 else f"{folder() / FILE} recorded at its first use"
        remedy = "Install emopipe again" if entry.shipped else f"Run `emopipe weights fetch {entry.name}`"
        raise WeightsError(
            f"{path} is not the file of the weights {entry.name}: its sha256 is {found}, but {source} {wanted}. "
            f"{remedy}. If it is a file of your own, give it another name and use its path."
        )


def expected(entry: Entry) -> str | None:
    """Return the sha256 that an entry's file must have, or None if the file was never used.

    Raises:
        WeightsError: The recorded checksums cannot be read.
    """
    return entry.sha256 or recorded().get(entry.file)


def record(entry: Entry, found: str) -> None:
    """Record the sha256 of an entry without one; from now on the file must have it."""
    sums = {**recorded(), entry.file: found}
    write_text(folder() / FILE, yaml.safe_dump(sums, sort_keys=True))


def recorded() -> dict[str, str]:
    """Return file -> sha256 as recorded.

    Raises:
        WeightsError: The record cannot be read, or is not a YAML file of files and their sha256.
    """
    path = folder() / FILE
    if not path.is_file():
        return {}
    try:
        return TypeAdapter(dict[str, Sha256]).validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise WeightsError(
            f"{path} cannot be read ({error.strerror or error}). Make it readable, then run again."
        ) from error
    except (yaml.YAMLError, ValidationError) as error:
        raise WeightsError(
            f"{path} does not hold files and their sha256, as emopipe writes it. Delete it; emopipe makes it again."
        ) from error
