"""The corpus: classes, splits, people, durations."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from emopipe.cache.store import Reader
from emopipe.core.labels import SEPARATOR, LabelSpace
from emopipe.corpora.table import SPLITS
from emopipe.media.decoded import AUDIO_RATE
from emopipe.report.page.charts import bars, histogram
from emopipe.report.page.parts import Chart, Group, Paragraphs, Section, Table
from emopipe.report.page.sources import Sources

BINS = 12
"""How many bins histograms have."""
UNKNOWN = {"single": "(none)", "votes": "(none)", "multi": "(unknown)"}
"""Kind of a label space -> what stands for clips without a label; of several classes, (none) is a label."""
TIE = "(tie)"
"""What stands for clips whose most votes are for several classes."""


def section(sources: Sources) -> Section:
    """Return the section."""
    table = sources.table
    splits = [name for name in SPLITS if (table["split"] == name).any()]
    if sources.space.kind == "dimensions":
        charts = [_values(table, number, sources.space) for number in range(len(sources.space))]
    else:
        charts = [_classes(table, splits, sources.space)]
    seconds = durations(next(iter(sources.of_clips.media.values()), ()))
    if len(seconds):
        charts.append(_durations(seconds))
    people = Table.of("People and durations by split", _by_split(table, splits, seconds))
    missing = [] if len(seconds) else [Paragraphs(["The decoded clips are not kept, so their durations are unknown."])]
    return Section("corpus", "The corpus", [Group(charts), people, *missing])


def _classes(table: pd.DataFrame, splits: Sequence[str], space: LabelSpace) -> Chart:
    """Return how many clips each class has. A clip that shows several classes counts for each of them; ties apart."""
    label, caption = table["label"].replace("", UNKNOWN[space.kind]), ""
    if space.kind == "votes":
        label = label.where(label.isin([*space.names, UNKNOWN[space.kind]]), TIE)
    elif space.kind == "multi":
        label = label.str.split(SEPARATOR)
        caption = "A clip that shows several classes counts for each of them."
    each = table.assign(label=label).explode("label", ignore_index=True)
    counts = pd.crosstab(each["label"], each["split"])[list(splits)]
    rows = counts.stack().rename("clips").reset_index()
    title = "Clips by class and split"
    numbers = Table.of(title, counts.assign(all=counts.sum(axis=1)).reset_index())
    return Chart(title, bars(rows, "clips", "label", colour="split"), caption, numbers)


def _values(table: pd.DataFrame, number: int, space: LabelSpace) -> Chart:
    """Return how often the values of a dimension occur."""
    values = space.targets(table[table["label"] != ""])[:, number]
    counts, edges = np.histogram(values, BINS, (space.low, space.high))
    rows = pd.DataFrame({"value": edges[:-1].round(3), "to": edges[1:].round(3), "clips": counts})
    title = f"Values of {space.names[number]}"
    return Chart(title, histogram(rows, "value", "to", "clips"), numbers=Table.of(title, rows))


def _by_split(table: pd.DataFrame, splits: Sequence[str], seconds: pd.Series) -> pd.DataFrame:
    rows = []
    for split in splits:
        part = table[table["split"] == split]
        known = part.loc[part["subject"] != "", "subject"]
        long = seconds.reindex(part["clip"]).dropna()
        rows.append(
            {
                "split": split,
                "clips": len(part),
                "without a label": int((part["label"] == "").sum()),
                "people": known.nunique() or "unknown",
                "seconds of sound": f"{long.sum():.0f}" if len(long) else "",
                "median": f"{long.median():.2f}" if len(long) else "",
                "shortest": f"{long.min():.2f}" if len(long) else "",
                "longest": f"{long.max():.2f}" if len(long) else "",
            }
        )
    return pd.DataFrame(rows)


def durations(media: Sequence[Path]) -> pd.Series:
    """Return clip -> seconds of its sound, of the clips that have sound, from the decoded clips that are there."""
    found: dict[str, float] = {}
    for path in media:
        if path.is_file():
            with Reader(path) as reader:
                found |= {clip: reader.rows_in(clip, "audio") / AUDIO_RATE for clip in reader.clips}
    return pd.Series({clip: value for clip, value in found.items() if value > 0}, dtype=float)


def _durations(seconds: pd.Series) -> Chart:
    counts, edges = np.histogram(seconds, BINS)
    rows = pd.DataFrame({"seconds": edges[:-1].round(2), "to": edges[1:].round(2), "clips": counts})
    return Chart("Seconds of sound", histogram(rows, "seconds", "to", "clips"), numbers=Table.of("Durations", rows))
