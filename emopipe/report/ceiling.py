"""The table of the label ceiling: how often raters agree, for each reported split and what the raters had."""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from emopipe.core.labels import LabelSpace
from emopipe.corpora.groups import groups_of_clips
from emopipe.report import rater_votes
from emopipe.report.rater_votes import Shown
from emopipe.report.results import Results
from emopipe.scoring.ceiling import best_against_one, countable, leave_one_out, with_label
from emopipe.scoring.intervals import intervals
from emopipe.scoring.scores import scores

COLUMNS = [
    "split", "raters_had", "n", "raters", "ceiling", "low", "high", "uar", "uar_low", "uar_high", "one_with_label",
    "best_against_one", "drawn", "groups", "interval",
]  # fmt: skip
OF_MODELS: dict[str, Shown] = {"audio_": "voice", "face_": "face"}
"""What the names of models of one modality begin with -> what raters had who are compared with them."""
HAD: dict[Shown, str] = {
    "clip": "saw and heard the clip",
    "voice": "only heard the clip",
    "face": "only saw the clip",
}


def table(results: Results, space: LabelSpace) -> pd.DataFrame:
    """Return a row for each reported split and what raters had, over the clips that the split's accuracy is over.

    Of these, clips count that have at least two votes, in whole numbers. `raters` is their mean number of raters.
    """
    rows = []
    for split in results.splits:
        clips = _scored(results, split, space)
        for shown, votes in rater_votes.rated(clips, space).items():
            rows.append({"split": split, "raters_had": shown, **_row(clips, votes, space)})
    return pd.DataFrame(rows, columns=COLUMNS)


def _scored(results: Results, split: str, space: LabelSpace) -> pd.DataFrame:
    """Return the rows of the clip table of a split's clips whose label is a class."""
    part = next(iter(results.models.values())).on(split)
    names = part.loc[part["label"].isin(space.names), "clip"]
    return results.clips.set_index("clip", drop=False).loc[names].reset_index(drop=True)


def _row(clips: pd.DataFrame, votes: np.ndarray, space: LabelSpace) -> dict[str, object]:
    known = countable(votes)
    clips, votes = clips[known].reset_index(drop=True), votes[known]
    groups, drawn = groups_of_clips(clips)
    found = intervals(leave_one_out(votes), groups, functools.partial(_scores, classes=len(space)))
    labels = np.zeros(votes.shape)  # of a class outside of the label space, no clip has the label
    labels[:, : len(space)] = [space.vector(label) for label in clips["label"]]
    return {
        "n": len(clips),
        "raters": votes.sum(1).mean(),
        "ceiling": found.value[0],
        "low": found.low[0],
        "high": found.high[0],
        "uar": found.value[1],
        "uar_low": found.low[1],
        "uar_high": found.high[1],
        "one_with_label": with_label(votes, labels).mean(),
        "best_against_one": best_against_one(votes).mean(),
        "drawn": drawn,
        "groups": found.groups,
        "interval": found.method,
    }


def _scores(summed: np.ndarray, classes: int) -> np.ndarray:
    """Return accuracy and UAR (..., 2) of sums of counts (..., 3 (K + J)); UAR is over the K classes of the space."""
    of_space = np.concatenate([part[..., :classes] for part in np.split(summed, 3, axis=-1)], axis=-1)
    return np.stack([scores(summed)[..., 0], scores(of_space)[..., 1]], axis=-1)


def beside(made: pd.DataFrame, more: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the table of results with the ceiling beside the accuracy; as it is without a table of ceilings.

    Models of one modality stand beside raters who had that alone, if there are such; all others, and models of one
    modality without such raters, stand beside raters of the whole clip.

    Args:
        made: The table of results.
        more: Tables by name, among them that of ceilings, if there are votes.
    """
    if "ceiling" not in more:
        return made
    value = more["ceiling"].set_index(["split", "raters_had"])["ceiling"].to_dict()

    def of_row(model: str, split: str) -> float:
        own = next((shown for start, shown in OF_MODELS.items() if model.startswith(start)), "clip")
        return value.get((split, own), value.get((split, "clip"), np.nan))

    found = made.copy()
    of_rows = [of_row(model, split) for model, split in zip(made["model"], made["split"], strict=True)]
    found.insert(made.columns.get_loc("high") + 1, "ceiling", of_rows)
    return found


def sentences(more: Mapping[str, pd.DataFrame]) -> list[str]:
    """Return sentences for each split on what the raters themselves reach; `more` is as in `beside`.

    How often one of them gives the label is among them: labels may be what actors were asked to show.
    """
    made = []
    for split, rows in more.get("ceiling", pd.DataFrame(columns=COLUMNS)).groupby("split", sort=False):
        parts = [f"on {one.ceiling:.1%}{_bounds(one)} if they {HAD[one.raters_had]}" for one in rows.itertuples()]
        labels = [f"on {one.one_with_label:.1%} if they {HAD[one.raters_had]}" for one in rows.itertuples()]
        made.append(
            f"Raters of {split} agree with the majority of the other raters {', '.join(parts)}. This is the label "
            "ceiling: what one person reaches. It is not a bound for models. One of them gives the label that models "
            f"are scored with {', '.join(labels)}."
        )
    return made


def _bounds(row: Any) -> str:
    return "" if pd.isna(row.low) else f" [{row.low:.1%}, {row.high:.1%}]"
