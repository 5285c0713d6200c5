"""The accuracy of each model against two labels: what actors were asked to show, and what most raters perceived."""

import numpy as np
import pandas as pd

from emopipe.core.labels import LabelSpace
from emopipe.corpora.groups import groups_of_clips
from emopipe.report import rater_votes
from emopipe.report.results import Results
from emopipe.scoring.scores import score_intervals

COLUMNS = [
    "model", "split", "labels", "n", "ties", "right", "accuracy", "low", "high", "uar", "uar_low", "uar_high", "drawn",
    "groups", "interval",
]  # fmt: skip


def both_known(clips: pd.DataFrame, space: LabelSpace) -> bool:
    """Return whether some clip of a clip table has both labels."""
    if not space.has_one_class:
        return False
    perceived, intended = rater_votes.perceived(clips, space), rater_votes.intended(clips, space)
    return bool((perceived.isin(space.names) & (intended != "")).any())


def table(results: Results, space: LabelSpace) -> pd.DataFrame:
    """Return two rows for each model and split: against the intended and against the perceived labels.

    Both are over all clips that have that label. Clips whose most votes are for several classes have no perceived
    label; the column `ties` counts them.
    """
    clips = results.clips.set_index("clip", drop=False)
    if not both_known(clips, space):
        return pd.DataFrame(columns=COLUMNS)
    kinds = {"intended": rater_votes.intended(clips, space), "perceived": rater_votes.perceived(clips, space)}
    rows = []
    for split in results.splits:
        reported = next(iter(results.models.values())).predictions
        names = reported.loc[reported["split"] == split, "clip"]
        for kind, labels in kinds.items():
            given = labels.loc[names]
            known = given[given.isin(space.names)]
            groups, drawn = groups_of_clips(clips.loc[known.index].reset_index(drop=True)) if len(known) else ([], "")
            facts = {"split": split, "labels": kind, "n": len(known), "ties": int((given != "").sum()) - len(known)}
            for name, model in results.models.items():
                answers = model.predictions.set_index("clip")["pred"].loc[known.index]
                scored = _scores(known, answers, groups, space) if len(known) else {}
                rows.append({"model": name, **facts, "drawn": drawn, **scored})
    found = pd.DataFrame(rows, columns=COLUMNS)
    order = found["model"].map(list(results.models).index)
    return found.assign(order=order).sort_values(["split", "order"], kind="stable", ignore_index=True)[COLUMNS]


def _scores(labels: pd.Series, answers: pd.Series, groups: np.ndarray, space: LabelSpace) -> dict[str, object]:
    found = score_intervals(labels, answers, groups, space.names)
    return {
        "right": int((labels.to_numpy() == answers.to_numpy()).sum()),
        "accuracy": found.value[0],
        "low": found.low[0],
        "high": found.high[0],
        "uar": found.value[1],
        "uar_low": found.low[1],
        "uar_high": found.high[1],
        "groups": found.groups,
        "interval": found.method,
    }
