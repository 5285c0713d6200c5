"""The ledger: for every clip and stage, how it went and why."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from emopipe.cache.status import MISSING, reason, text
from emopipe.cache.store import Reader


def build(table: pd.DataFrame, stages: Mapping[str, Iterable[Path]]) -> pd.DataFrame:
    """One row a clip and stage: by clip, and for each clip in the order of the stages.

    Args:
        table: The clip table.
        stages: Stage (such as `decode` or `features/ir50`) -> its cache files.
    """
    clips = table.sort_values("clip", kind="stable", ignore_index=True)
    parts = [_stage(clips, stage, paths) for stage, paths in stages.items()]
    # Clip by clip: by the clips' numbers, as names would have to be compared once a stage.
    return pd.concat(parts).sort_index(kind="stable", ignore_index=True)


def counts(ledger: pd.DataFrame) -> pd.DataFrame:
    """Clips by stage (rows, in the flow's order) and status (columns)."""
    table = pd.crosstab(ledger["stage"], ledger["status"])
    return table.loc[list(dict.fromkeys(ledger["stage"]))]


def _stage(clips: pd.DataFrame, stage: str, paths: Iterable[Path]) -> pd.DataFrame:
    found: dict[str, tuple[str, str]] = {}
    for path in paths:
        with Reader(path) as reader:
            found |= {clip: (reader.status[clip], reader.reason[clip]) for clip in reader.clips}
    absent = MISSING, reason("missing")
    fates = [found.get(clip, absent) for clip in clips["clip"]]
    texts = {why: text(why) for why in {why for _, why in fates}}  # each once: most are the same
    return pd.DataFrame(
        {
            "clip": clips["clip"],
            "split": clips["split"],
            "stage": stage,
            "status": [status for status, _ in fates],
            "reason": [texts[why] for _, why in fates],
        }
    )
