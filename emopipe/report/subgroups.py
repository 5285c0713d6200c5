"""The table of subgroups: the score on the clips of people of one sex, age, ethnicity, race or language.

Each group is compared with the one that has most clips of the split. The comparison is chosen by the number of clips,
not by scores: the difference between the best and the worst of several groups is large by chance alone.
"""

import math

import numpy as np
import pandas as pd

from emopipe.core.labels import LabelSpace
from emopipe.report.results import Results
from emopipe.scoring.intervals import FEWEST_GROUPS, TAIL, Intervals, t_quantile
from emopipe.scoring.measures import primary
from emopipe.scoring.primary import primary_intervals

OF_PEOPLE: tuple[str, ...] = ("sex", "age", "ethnicity", "race", "language")
"""Columns of a clip table that say something about the person of a clip."""
BANDS: tuple[tuple[float, str], ...] = ((30, "under 30"), (45, "30-44"), (60, "45-59"), (math.inf, "60 and over"))
"""Years that an age is below -> the band that it is in."""


def columns(space: LabelSpace) -> list[str]:
    """Return the columns of the table; the score is the primary one of the label space."""
    return [
        "model", "split", "column", "value", "n", "people", primary(space).key, "low", "high", "difference",
        "difference_low", "difference_high", "few", "drawn", "groups", "interval",
    ]  # fmt: skip


def known_columns(clips: pd.DataFrame) -> list[str]:
    """Return the columns of OF_PEOPLE that a clip table has, and that are known for some clip."""
    return [name for name in OF_PEOPLE if name in clips and (clips[name] != "").any()]


def values_of(clips: pd.DataFrame, column: str) -> pd.Series:
    """Return the group of each clip by a column, (N,) texts, "" if unknown; ages in years become bands."""
    return clips[column].map(_band) if column == "age" else clips[column]


def _band(age: str) -> str:
    try:
        years = float(age)
    except ValueError:
        return age  # the corpus has bands of its own, or the age is unknown
    return next(name for limit, name in BANDS if years < limit) if math.isfinite(years) else ""


def table(results: Results, space: LabelSpace) -> pd.DataFrame:
    """Return a row for each model, split, column of OF_PEOPLE and group of people that the column makes.

    `people` is NaN unless the people of all clips of the group are known. `few` is 1 where there are too few people, or
    groups of clips, for an interval. `difference` is the score less that of the group with most clips, without a value
    for that group itself.
    """
    rows = []
    for column in known_columns(results.clips):
        of_clip = values_of(results.clips, column).set_axis(results.clips["clip"])
        for split in results.splits:
            groups, drawn = results.groups(split)
            for name, model in results.models.items():
                part = model.on(split)
                found = _scores(part, of_clip.loc[part["clip"]].to_numpy(), groups, results, space)
                facts = {"model": name, "split": split, "column": column, "drawn": drawn}
                rows += [facts | row for row in found]
    return pd.DataFrame(rows, columns=columns(space))


def _scores(
    part: pd.DataFrame, value: np.ndarray, groups: np.ndarray, results: Results, space: LabelSpace
) -> list[dict[str, object]]:
    """Return what is said of each group of people, for the predictions of a model on a split."""
    sizes = pd.Series(value[value != ""]).value_counts()
    names = sorted(sizes.index, key=lambda name: (_place(name), name))
    found = {name: primary_intervals(part[value == name], space, groups[value == name]) for name in names}
    drawn_in = {name: {*groups[value == name]} for name in names}
    largest = max(names, key=lambda name: sizes[name], default="")
    rows = []
    for name in names:
        one, people = found[name], [results.subjects.get(clip, "") for clip in part.loc[value == name, "clip"]]
        row = {"value": name, "n": int(sizes[name]), "people": len(set(people)) if all(people) else np.nan}
        row |= {primary(space).key: one.value[0], "low": one.low[0], "high": one.high[0], "groups": one.groups}
        row |= {"interval": one.method, "few": int(one.groups < FEWEST_GROUPS)}
        if name != largest:
            row |= _difference(one, found[largest], are_apart=drawn_in[name].isdisjoint(drawn_in[largest]))
        rows.append(row)
    return rows


def _place(name: str) -> int:
    bands = [band for _, band in BANDS]
    return bands.index(name) if name in bands else len(bands)


def _difference(one: Intervals, other: Intervals, *, are_apart: bool) -> dict[str, float]:
    """Return the difference of the scores of two groups of people, with Welch's interval.

    Without an interval where one of both has none, or does not vary from person to person, and where somebody is in
    both groups, such as a person who speaks two languages: Welch's interval is for different people.

    Args:
        one: The scores of one group.
        other: Those of the group with most clips.
        are_apart: Whether nobody is in both groups.
    """
    made = {"difference": one.value[0] - other.value[0]}
    if "none" in (one.method, other.method) or min(one.error[0], other.error[0]) < 1e-12 or not are_apart:
        return made
    of_one, of_other = one.error[0] ** 2, other.error[0] ** 2
    free = (of_one + of_other) ** 2 / (of_one**2 / (one.groups - 1) + of_other**2 / (other.groups - 1))
    margin = t_quantile(1 - TAIL, int(free)) * math.sqrt(of_one + of_other)
    return made | {
        "difference_low": made["difference"] - margin,
        "difference_high": made["difference"] + margin,
    }
