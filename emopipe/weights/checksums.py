"""The sums that weights are held to: the registry's, else the first that was seen, kept beside the file."""

from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from emopipe.core.atomic import sha256, write_text
from emopipe.core.errors import WeightsError
from emopipe.core.log import LOGGER
from emopipe.weights.entries import Entry, Registry, Sha256, package_registry
from emopipe.weights.paths import entry_at, folder

FILE = "sums.yaml"
"""Beside the weights: file -> sha256 when it was first used, of entries whose sum the registry does not know."""


def known(entry: Entry) -> str | None:
    """The sha256 that an entry's file has to have; None where it was never seen.

    Raises:
        WeightsError: The record beside the weights cannot be read.
    """
    return entry.sha256 or recorded().get(entry.file)


def record(entry: Entry, found: str) -> None:
    """Keep the sum of a file that the registry knows none of: from now on the file has to have it."""
    sums = {**recorded(), entry.file: found}
    write_text(folder() / FILE, yaml.safe_dump(sums, sort_keys=True))


def recorded() -> dict[str, str]:
    """File -> sha256, as `record` kept them.

    Raises:
        WeightsError: The record is no YAML of files and sums.
    """
    path = folder() / FILE
    if not path.is_file():
        return {}
    try:
        return TypeAdapter(dict[str, Sha256]).validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise WeightsError(f"{path} does not hold files and their sha256, as emopipe writes it; delete it.") from error


def hold(path: Path | str, registry: Registry | None = None) -> None:
    """Hold a file that is about to be used to its sum, where it belongs to an entry; others are their owners' business.

    Raises:
        WeightsError: As `refuse_other`.
    """
    if entry_at(path, registry or package_registry()):
        settle(path, sha256(Path(path)), registry)


def settle(path: Path | str, found: str, registry: Registry | None = None) -> None:
    """The same for a sum that is known already; the first sum of an entry that the registry has none of is recorded.

    Raises:
        WeightsError: As `refuse_other`.
    """
    refuse_other(path, found, registry)
    entry = entry_at(path, registry or package_registry())
    if entry and known(entry) is None:
        try:
            record(entry, found)
        except OSError as error:  # a folder of weights that is shared may be closed to writing
            LOGGER.warning(f"the sum of {entry.name} is not recorded, as {folder()} cannot be written ({error})")


def refuse_other(path: Path | str, found: str, registry: Registry | None = None) -> None:
    """Refuse a file that lies where a registry's entry belongs, but has another sum than that entry's.

    Args:
        path: A file of weights; one that belongs to no entry is nobody's business but its owner's.
        found: Its sha256.
        registry: The package's own where left out.

    Raises:
        WeightsError: It is another file; the message says which sum was expected and what to do.
    """
    entry = entry_at(path, registry or package_registry())
    expected = known(entry) if entry else None
    if expected not in (None, found):
        source = "the registry says" if entry.sha256 else f"{folder() / FILE} recorded when it was first used"
        mend = "install emopipe again" if entry.shipped else f"get it again with `emopipe weights fetch {entry.name}`"
        raise WeightsError(
            f"{path} is not the file of the weights {entry.name}: its sha256 is {found}, but {source} {expected}; "
            f"{mend}, or give a file of your own another name and use its path."
        )
