"""Stage merge: all shards' features of a backbone -> one file, clips in the order of their ids."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from emopipe.store import Reader, Writer


def run(recipe: Mapping[str, Any], shards: Sequence[Path], output: Path) -> None:
    """Merge the shards.

    Args:
        recipe: `Plan.merge`.
        shards: All shards of one backbone's features.
        output: The file to make.
    """
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(Reader(path)) for path in shards]
        order = sorted(((clip, reader) for reader in readers for clip in reader.clips), key=lambda pair: pair[0])
        writer = stack.enter_context(Writer(output, readers[0].fields, stage="merge", recipe=recipe))
        for clip, reader in order:
            writer.add(reader[clip])
        same = ("dim", "modality", "input", "licence", "citation")
        writer.note(**{name: readers[0].attributes[name] for name in same})
        for name in ("device", "learned_sha256"):
            writer.note(**{name: ", ".join(sorted({reader.attributes[name] for reader in readers}))})
