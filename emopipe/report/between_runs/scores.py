"""What the differences did: scores of two runs on the clips that both predict, by the statistics of a run's tables."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from emopipe.core.errors import ConfigError
from emopipe.core.labels import LabelSpace
from emopipe.corpora.groups import CLIP_UNIT, groups_of_clips
from emopipe.report.between_runs.runs import OpenedRun
from emopipe.report.comparisons import SIGNIFICANT
from emopipe.scoring.measures import primary
from emopipe.scoring.metrics import scored
from emopipe.scoring.paired_tests import detectable, holm, paired_test
from emopipe.scoring.primary import primary_detectable, primary_differences, primary_intervals, primary_test
from emopipe.scoring.scores import difference_intervals, score_intervals


@dataclass(frozen=True)
class Score:
    """A score with its 95 % interval, in percent; a difference is in points. Bounds are NaN without an interval."""

    value: float
    low: float
    high: float


def _verdict(p_holm: float, difference: Score) -> str:
    """Return in words whether a run is shown to differ."""
    if not p_holm < SIGNIFICANT:
        return "not shown to differ"
    return "higher" if difference.value > 0 else "lower"


@dataclass(frozen=True)
class PrimaryRow:
    """A model or ensemble of a run against that of the first run, where an answer is not one class.

    Fields of the same names are those of `Row`.
    """

    run: str
    first_run: str
    model: str
    first_model: str
    split: str
    n: int
    other_labels: int
    only_first: int
    measure: str
    """The score: macro AP, in percent, or CCC."""
    score: Score
    first_score: Score
    difference: Score
    """The score of the run minus that of the first run."""
    drawn: str
    groups: int
    interval: str
    p: float
    test: str
    detectable: float
    p_holm: float = np.nan

    @property
    def verdict(self) -> str:
        """In words, whether the run is shown to differ."""
        return _verdict(self.p_holm, self.difference)


@dataclass(frozen=True)
class Row:
    """A model or ensemble of a run against that of the first run, on the clips of a split that both predict."""

    run: str
    first_run: str
    model: str
    first_model: str
    split: str
    """The split in the first run."""
    n: int
    """Clips that both predict, with the same label."""
    other_labels: int
    """Clips that both predict, with different labels; they do not count."""
    only_first: int
    """Labelled clips of the split that only the first run predicts; they do not count."""
    accuracy: Score
    first_accuracy: Score
    uar: Score
    first_uar: Score
    difference: Score
    """Accuracy of the run minus that of the first run."""
    uar_difference: Score
    drawn: str
    """What intervals and the test take as drawn: subject, group or clip."""
    groups: int
    interval: str
    """How the intervals were made: none, t or bootstrap."""
    p: float
    test: str
    detectable: float
    """Points of accuracy that the test would find with a probability of 80 %; NaN if that cannot be known."""
    corrected: tuple[str, ...]
    """Clips that the first run gets wrong and the run gets right, by their ids."""
    spoiled: tuple[str, ...]
    """Clips that the first run gets right and the run gets wrong."""
    p_holm: float = np.nan
    """p, corrected by Holm's method for all rows."""

    @property
    def verdict(self) -> str:
        """In words, whether the run is shown to differ."""
        return _verdict(self.p_holm, self.difference)


def rows(runs: Sequence[OpenedRun]) -> tuple[list[Row] | list[PrimaryRow], dict[str, list[str]]]:
    """Return the rows of each further run against the first, and by run, sentences on what cannot be known.

    Raises:
        ConfigError: A run has no model in common with the first run, or no labelled clips.
    """
    found: list[Any] = []
    unknown: dict[str, list[str]] = {}
    for run in runs[1:]:
        pairs = _pairs(runs[0], run)
        clips = _clip_table(runs[0], run)
        if clips is None:
            unknown[run.name] = [
                "Who is in the clips cannot be known, so intervals and tests take clips as independent, which makes "
                "intervals too narrow where people have several clips."
            ]
        of_run = [row for names in pairs for row in _of_pair(runs[0], run, names, clips)]
        if not of_run:
            raise ConfigError(
                f"{runs[0].name} and {run.name} have no clip in common that both predict with the same label, so their "
                "scores cannot be compared. Give runs on the same corpus."
            )
        found += of_run
    corrected = holm([row.p for row in found])
    return [replace(row, p_holm=float(p)) for row, p in zip(found, corrected, strict=True)], unknown


def _pairs(first: OpenedRun, second: OpenedRun) -> list[tuple[str, str]]:
    """Return the models to compare: those of equal names, and the answers of both runs, the answers first."""
    pairs = [(name, name) for name in first.predictions if name in second.predictions]
    if first.answer and second.answer:
        answers = first.answer, second.answer
        pairs = [answers, *(pair for pair in pairs if pair != answers)]
    if not pairs:
        raise ConfigError(
            f"{first.name} and {second.name} have no model or ensemble of the same name, and not each of them has an "
            f"answer (an ensemble, or a single model). {first.name} has {', '.join(first.predictions)}; {second.name} "
            f"has {', '.join(second.predictions)}. Give runs with a model in common."
        )
    return pairs


def _clip_table(first: OpenedRun, second: OpenedRun) -> pd.DataFrame | None:
    """Return the clip table of the first run, or else of the second; None if neither is known."""
    known = (run.clips for run in (first, second) if run.clips is not None)
    return next((table.set_index("clip", drop=False) for table in known), None)


def _of_pair(
    first: OpenedRun, second: OpenedRun, names: tuple[str, str], clips: pd.DataFrame | None
) -> list[Row] | list[PrimaryRow]:
    """Return a row for each split of the first run with clips in common."""
    one, other, space = first.predictions[names[0]], second.predictions[names[1]], first.space
    labelled = scored(one, space)
    kind, row_of = (Row, _row) if space.has_one_class else (PrimaryRow, _primary_row)
    made: list[Any] = []
    for split in sorted(set(labelled["split"])):
        part = labelled[labelled["split"] == split]
        both = part.merge(other, on="clip", suffixes=("_first", ""), validate="one_to_one")
        same = both[both["label"] == both["label_first"]].reset_index(drop=True)
        if len(same):
            row = row_of(same, space, *_groups(same["clip"], clips))
            counts = {"other_labels": len(both) - len(same), "only_first": len(part) - len(both)}
            made.append(kind(second.name, first.name, names[1], names[0], split, n=len(same), **counts, **row))
    return made


def _groups(clips: pd.Series, table: pd.DataFrame | None) -> tuple[np.ndarray, str]:
    """Return the groups (N,) of clips, and what they are; each clip is one if the table does not know all clips."""
    if table is None or not clips.isin(table.index).all():
        return clips.to_numpy(), CLIP_UNIT
    return groups_of_clips(table.loc[clips].reset_index(drop=True))


def _primary_row(both: pd.DataFrame, space: LabelSpace, groups: np.ndarray, drawn: str) -> dict[str, object]:
    """Return the statistics of clips that two models predict, as fields of a PrimaryRow."""
    measure = primary(space)
    first = both.drop(columns=space.columns).rename(columns={f"{name}_first": name for name in space.columns})
    before, after = (primary_intervals(each, space, groups) for each in (first, both))
    found = primary_differences(both, first, space, groups)
    p, test = primary_test(both, first, space, groups, drawn)
    score, first_score, difference = (
        Score(*(measure.points * float(bound[0]) for bound in (each.value, each.low, each.high)))
        for each in (after, before, found)
    )
    return {
        "measure": measure.name,
        "score": score,
        "first_score": first_score,
        "difference": difference,
        "drawn": drawn,
        "groups": found.groups,
        "interval": found.method,
        "p": p,
        "test": test,
        "detectable": measure.points * primary_detectable(both, first, space, groups, drawn, found),
    }


def _row(both: pd.DataFrame, space: LabelSpace, groups: np.ndarray, drawn: str) -> dict[str, object]:
    """Return the statistics of clips that two models predict, as fields of a Row."""
    labels, first, second = both["label"], both["pred_first"], both["pred"]
    before, after = (score_intervals(labels, predicted, groups, space.names) for predicted in (first, second))
    found = difference_intervals(labels, second, first, groups, space.names)
    correct, first_correct = (second == labels).to_numpy(), (first == labels).to_numpy()
    p, test = paired_test(correct, first_correct, groups, drawn)
    scores = {
        f"{prefix}{name}": Score(*(100 * float(bound[number]) for bound in (each.value, each.low, each.high)))
        for prefix, each in (("", after), ("first_", before))
        for number, name in enumerate(("accuracy", "uar"))
    }
    differences = [Score(*(100 * float(bound[k]) for bound in (found.value, found.low, found.high))) for k in (0, 1)]
    return {
        **scores,
        "difference": differences[0],
        "uar_difference": differences[1],
        "drawn": drawn,
        "groups": found.groups,
        "interval": found.method,
        "p": p,
        "test": test,
        "detectable": 100 * detectable(found.error[0], found.groups, correct, first_correct, test),
        "corrected": tuple(both["clip"][correct & ~first_correct]),
        "spoiled": tuple(both["clip"][~correct & first_correct]),
    }
