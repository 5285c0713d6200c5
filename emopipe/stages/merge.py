"""Stage merge: all shards' features of a backbone -> one file, shard after shard."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from emopipe.cache.status import OK, text
from emopipe.cache.store import Reader, Writer, clips_digest
from emopipe.core.errors import CacheError, CoverageError

SAME = ("dim", "blocks", "modality", "input", "licence", "citation", "head_prior")
"""Attributes that are equal in all shards."""
MAY_BE = ("head_classes",)
"""Attributes that are equal in all shards, or in none of them."""
JOINED = ("device", "learned_sha256")
"""Attributes that may differ between shards; the merged file lists all values."""
ROUNDING = 1e-6
"""Tolerance for the product of a share and a number of clips."""
MOST_NAMED = 1000
"""How many clips without features a message names at most."""


def run(
    recipe: Mapping[str, Any], shards: Sequence[Path], output: Path, *, clips: str, min_coverage: float = 0.0
) -> None:
    """Merge the shards; one at a time is open.

    Args:
        recipe: `Plan.merge`.
        shards: All shards of one backbone's features.
        output: The file to make.
        clips: Digest of the clips, with their content, that the shards together must hold.
        min_coverage: The share of clips that must have features.

    Raises:
        CacheError: A shard is damaged, another recipe made it, or it holds other clips.
        CoverageError: Too few clips have features.
    """
    with Reader(shards[0], recipe["features"]) as first:
        fields, same = first.fields, {name: first.attributes[name] for name in SAME}
        same |= {name: first.attributes[name] for name in MAY_BE if name in first.attributes}
    joined: dict[str, set[str]] = {name: set() for name in JOINED}
    held: list[tuple[str, str]] = []
    lacking: list[tuple[str, str, str]] = []
    with Writer(output, fields, stage="merge", recipe=recipe) as writer:
        for path in shards:
            with Reader(path, recipe["features"]) as reader:
                writer.append(reader)
                held += reader.digest.items()
                lacking += [
                    (clip, status, reader.reason[clip]) for clip, status in reader.status.items() if status != OK
                ]
                for name in JOINED:
                    joined[name].add(reader.attributes[name])
        _refuse_other_clips(held, clips, output)
        _refuse_thin(lacking, len(held), min_coverage, output)
        writer.note(**same, **{name: ", ".join(sorted(found)) for name, found in joined.items()})


def _refuse_other_clips(held: list[tuple[str, str]], clips: str, output: Path) -> None:
    if clips_digest(sorted(held)) != clips:
        raise CacheError(
            f"The shards in {output.with_suffix('')} hold {len(held)} clips that do not match the current corpus. "
            "Perhaps they were copied from another run. Delete that folder and run again."
        )


def _refuse_thin(lacking: list[tuple[str, str, str]], total: int, least: float, output: Path) -> None:
    if total - len(lacking) < least * total - ROUNDING:
        named = "\n".join(f"  {clip}: {status}, {text(reason)}" for clip, status, reason in lacking[:MOST_NAMED])
        more = f"\n  and {len(lacking) - MOST_NAMED} more" if len(lacking) > MOST_NAMED else ""
        raise CoverageError(
            f"{total - len(lacking)} of {total} clips have features of {output.stem}, fewer than the share of "
            f"{least:g} that min_coverage requires. Repair these clips, or lower min_coverage, and run again:\n"
            f"{named}{more}"
        )
