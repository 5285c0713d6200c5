"""The ledger: the status of every clip at every stage, and the reason."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from emopipe.cache.status import MISSING, reason, text
from emopipe.cache.store import Reader


def build(table: pd.DataFrame, stages: Mapping[str, Iterable[Path]]) -> pd.DataFrame:
    """Return the ledger: one row for each clip and stage, sorted by clip, then in the order of the stages.

    Args:
        table: The clip table.
        stages: Stage (such as `decode` or `features/ir50`) -> its cache files.
    """
    clips = table.sort_values("clip", kind="stable", ignore_index=True)
    parts = []
    for stage, paths in stages.items():
        found: dict[str, tuple[str, str]] = {}
        for path in paths:
            with Reader(path) as reader:
                found |= {clip: (reader.status[clip], reader.reason[clip]) for clip in reader.clips}
        missing = MISSING, reason("missing")
        rows = [found.get(clip, missing) for clip in clips["clip"]]
        texts = {why: text(why) for why in {why for _, why in rows}}  # each once: most are equal
        columns = {"status": [status for status, _ in rows], "reason": [texts[why] for _, why in rows]}
        parts.append(pd.DataFrame({"clip": clips["clip"], "split": clips["split"], "stage": stage, **columns}))
    # The index is the clip's number; sorting by it is faster than sorting by names.
    return pd.concat(parts).sort_index(kind="stable", ignore_index=True)


def counts(ledger: pd.DataFrame) -> pd.DataFrame:
    """Return the number of clips by stage (rows, in the ledger's order) and status (columns)."""
    table = pd.crosstab(ledger["stage"], ledger["status"])
    return table.loc[list(dict.fromkeys(ledger["stage"]))]
