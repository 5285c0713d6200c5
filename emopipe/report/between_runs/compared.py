"""All that differs between finished runs, each further one against the first, as values, JSON and a table."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from emopipe.core.labels import in_recipe
from emopipe.report.between_runs import data, made_by, scores
from emopipe.report.between_runs.configs import PLACES, Change, changes
from emopipe.report.between_runs.recipes import Recipes
from emopipe.report.between_runs.runs import OpenedRun, WithDefaults, open_runs


@dataclass(frozen=True)
class Against:
    """How a run differs from the first one."""

    run: str
    first_run: str
    config: list[Change]
    places: list[Change]
    """Keys that say only where files are."""
    made_by: list[made_by.Difference]
    data: list[data.Difference]
    models_only_first: list[str]
    """Models and ensembles that only the first run has."""
    models_only_here: list[str]
    """Models and ensembles that only this run has."""
    unknown: list[str]
    """Sentences on what cannot be known."""


@dataclass(frozen=True)
class Compared:
    """Finished runs, compared."""

    runs: list[OpenedRun]
    against: list[Against]
    scores: list[scores.Row] | list[scores.PrimaryRow]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; a number that cannot be known is None."""
        return {
            "runs": [
                {"name": run.name, "folder": str(run.folder), "answer": run.answer, **in_recipe(run.space)}
                for run in self.runs
            ],
            "against": [_plain(asdict(each)) for each in self.against],
            "scores": [{**_plain(asdict(row)), "verdict": row.verdict} for row in self.scores],
        }

    def table(self) -> pd.DataFrame:
        """Return the scores as a table, a row a run, model and split: shares in percent, differences in points."""
        return pd.DataFrame([_flat(row) for row in self.scores])


def compare(folders: Sequence[Path], with_defaults: WithDefaults) -> Compared:
    """Compare finished runs.

    Args:
        folders: Such as results/demo; each is compared with the first.
        with_defaults: Fills in the defaults of a config.

    Raises:
        ConfigError, CacheError: The runs cannot be compared: see `open_runs` and `scores.rows`.
    """
    runs = open_runs(folders, with_defaults)
    found, unknown = scores.rows(runs)
    recipes = [Recipes(run) for run in runs]
    against = [
        _against((runs[0], run), (recipes[0], recipe), unknown.get(run.name, []))
        for run, recipe in zip(runs[1:], recipes[1:], strict=True)
    ]
    return Compared(runs, against, found)


def _against(runs: tuple[OpenedRun, OpenedRun], recipes: tuple[Recipes, Recipes], of_scores: Sequence[str]) -> Against:
    """Return how the second run differs from the first; `of_scores` are sentences on what their scores cannot know."""
    first, run = runs
    # 1. Configs with defaults; if one of them cannot be parsed, both as they were given.
    faults = [
        f"{each.name}: defaults of its config cannot be filled in, so a key that is written with its default may "
        f"count as a difference: {each.config_fault.rstrip('.')}."
        for each in runs
        if each.config_fault
    ]
    given = first.given, run.given
    changed = changes(*(given if faults else (first.config, run.config)), given)
    # 2. What made the files, and the clips.
    explained = [change for change in changed if change.key not in PLACES]
    found, unknown = data.differences(first, run)
    return Against(
        run=run.name,
        first_run=first.name,
        config=explained,
        places=[change for change in changed if change.key in PLACES],
        made_by=made_by.differences(recipes[0].made, recipes[1].made, explained),
        data=found,
        models_only_first=[name for name in first.predictions if name not in run.predictions],
        models_only_here=[name for name in run.predictions if name not in first.predictions],
        unknown=[*faults, *recipes[0].unknown, *recipes[1].unknown, *unknown, *of_scores],
    )


def _flat(row: scores.Row | scores.PrimaryRow) -> dict[str, Any]:
    """Return a row with a column for each bound of a score, and numbers of clips instead of their ids."""
    made: dict[str, Any] = {}
    for key, value in vars(row).items():
        if isinstance(value, scores.Score):
            made |= {key: value.value, f"{key}_low": value.low, f"{key}_high": value.high}
        else:
            made[key] = len(value) if isinstance(value, tuple) else value
    return {**made, "verdict": row.verdict}


def _plain(value: Any) -> Any:
    """Return plain data that JSON can hold."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)
