"""The history of a training: the metrics of every epoch, as a table and a CSV."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from emopipe.core.atomic import write_text

EpochMetrics = dict[str, float]
"""The metrics of one epoch: epoch, lr, loss, and held_out_ and val_ loss, accuracy and uar if they were evaluated."""
COLUMNS = [
    "epoch",
    "lr",
    "loss",
    *(f"{part}_{score}" for part in ("held_out", "val") for score in ("loss", "accuracy", "uar")),
]


def history_table(history: Sequence[EpochMetrics]) -> pd.DataFrame:
    """Return a table with one row per epoch; scores that were not evaluated are NaN."""
    return pd.DataFrame(history).reindex(columns=COLUMNS).round(6)


def write_history(history: Sequence[EpochMetrics], path: Path) -> None:
    """Write a CSV with one row per epoch; cells of scores that were not evaluated are empty."""
    write_text(path, history_table(history).to_csv(index=False))
