"""The ledger: for every clip and stage, how it went and why."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from emopipe.store import Reader

COLUMNS = ["clip", "split", "stage", "status", "reason"]
MISSING = "missing"
"""The status of a clip that a stage's files do not hold; it should never be seen."""


def build(table: pd.DataFrame, stages: Mapping[str, Iterable[Path]]) -> pd.DataFrame:
    """One row a clip and stage.

    Args:
        table: The clip table.
        stages: Stage (such as `decode` or `features/ir50`) -> its cache files.
    """
    parts = [_stage(table, stage, paths) for stage, paths in stages.items()]
    order = {stage: number for number, stage in enumerate(stages)}
    ledger = pd.concat(parts, ignore_index=True)
    return ledger.sort_values(["clip", "stage"], key=lambda c: c.map(order) if c.name == "stage" else c, kind="stable")


def counts(ledger: pd.DataFrame) -> pd.DataFrame:
    """Clips by stage (rows, in the flow's order) and status (columns)."""
    table = pd.crosstab(ledger["stage"], ledger["status"])
    return table.loc[list(dict.fromkeys(ledger["stage"]))]


def _stage(table: pd.DataFrame, stage: str, paths: Iterable[Path]) -> pd.DataFrame:
    found: dict[str, tuple[str, str]] = {}
    for path in paths:
        with Reader(path) as reader:
            found |= {clip: (reader.status[clip], reader.reason[clip]) for clip in reader.clips}
    rows = [
        (clip, split, stage, *found.get(clip, (MISSING, "the stage's files do not hold this clip")))
        for clip, split in zip(table["clip"], table["split"], strict=True)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)
