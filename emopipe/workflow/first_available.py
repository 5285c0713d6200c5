"""Names of streams that stand for the first of several backbones whose weights exist, such as `face`."""

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence

from emopipe.core.errors import ConfigError
from emopipe.core.validation import all_known

Names = Mapping[str, Sequence[str]]
"""The config's block: name -> backbones, in the order of preference."""


def check_name(name: str, preferred: Sequence[str], optional: Mapping[str, bool], modality: Mapping[str, str]) -> None:
    """Check one entry of the block.

    Args:
        name: The name.
        preferred: The backbones that it may stand for.
        optional: Backbone -> whether it is optional.
        modality: Backbone -> face or audio; backbones that have faults themselves may be missing.

    Raises:
        ConfigError: The name is that of a backbone, or the backbones do not exist, differ in modality, or are listed
            in vain.
    """
    where = f"first_available.{name}"
    if name in optional:
        raise ConfigError(f"{where} has the name of a backbone, so a stream would have two meanings. Rename it.")
    all_known(where, preferred, optional)
    if len(set(preferred)) < len(preferred):
        raise ConfigError(f"{where} names a backbone twice: {', '.join(preferred)}. Name each one once.")
    for backbone, following in itertools.pairwise(preferred):
        if not optional[backbone]:
            raise ConfigError(
                f"{where} names {following} after {backbone}, which is not optional and is therefore always used. Set "
                f"backbones.{backbone}.optional to true, or name {backbone} last."
            )
    found = {backbone: modality[backbone] for backbone in preferred if backbone in modality}
    if len(set(found.values())) > 1:
        listed = ", ".join(f"{backbone} ({kind})" for backbone, kind in found.items())
        raise ConfigError(f"{where} mixes backbones of faces and of sound: {listed}. Name those of one of them.")


def choices(streams: Sequence[str], names: Names) -> Iterator[list[str]]:
    """Yield the backbones that a model with these streams may read: one list for each choice."""
    yield from map(list, itertools.product(*(names.get(stream, [stream]) for stream in streams)))


def taken(streams: Sequence[str], names: Names, available: Collection[str]) -> dict[str, str]:
    """Return which backbone each of the names among `streams` stands for; a name without an available one is omitted.

    >>> taken(["face", "voice"], {"face": ["ir50", "small"]}, ["small", "voice"])
    {'face': 'small'}
    """
    found = {}
    for stream in streams:
        backbones = [backbone for backbone in names.get(stream, ()) if backbone in available]
        found |= {stream: backbones[0]} if backbones else {}
    return found


def sentence(chosen: Mapping[str, str]) -> str:
    """Return what `taken` found as a text for tables.

    >>> sentence({"face": "small"})
    'face is small.'
    """
    return " ".join(f"{name} is {backbone}." for name, backbone in chosen.items())
