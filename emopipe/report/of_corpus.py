"""The tables that a run has only if its corpus says something about raters or people."""

import pandas as pd

from emopipe.core.labels import LabelSpace
from emopipe.report import against_labels, ceiling, rater_votes, subgroups
from emopipe.report.results import Results


def names(clips: pd.DataFrame, space: LabelSpace) -> list[str]:
    """Return the names of the tables that the report writes for this corpus alone.

    Args:
        clips: The clip table.
        space: The label space.
    """
    wanted = {
        "ceiling": bool(rater_votes.rated(clips, space)),
        "against_labels": against_labels.both_known(clips, space),
        "subgroups": bool(subgroups.known_columns(clips)),
    }
    return [name for name, is_wanted in wanted.items() if is_wanted]


def tables(results: Results, clips: pd.DataFrame, space: LabelSpace) -> dict[str, pd.DataFrame]:
    """Return the tables: name -> table; some may be empty."""
    made = {"ceiling": ceiling.table, "against_labels": against_labels.table, "subgroups": subgroups.table}
    return {name: made[name](results, space) for name in names(clips, space)}
