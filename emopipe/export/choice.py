"""Which models of a run are exported, and whose attention shows what an ensemble looked at."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from emopipe.core.errors import ConfigError
from emopipe.inference.finished_run import ENSEMBLE
from emopipe.inference.run_results import RunResults

ALL = "all"
"""The name that stands for all models and ensembles."""


def choose(run: RunResults, asked: Sequence[str]) -> list[str]:
    """Return the models and ensembles to export.

    Args:
        run: The run.
        asked: Names, or `all`. None: the run's answer, which is its ensemble or else its only model.

    Raises:
        ConfigError: A name is unknown, or the run has several models and no ensemble, and none is named.
    """
    known = run.models
    if ALL in asked:
        return known
    if unknown := [name for name in asked if name not in known]:
        raise ConfigError(
            f"--model is {unknown[0]}, which the run {run.name} does not have. Expected {ALL} or one of "
            f"{', '.join(known)}."
        )
    if asked:
        return list(dict.fromkeys(asked))
    if ENSEMBLE in known:
        return [ENSEMBLE]
    if len(known) != 1:
        raise ConfigError(
            f"The run {run.name} has {len(known)} models and no ensemble, so it has no single answer. Name models: "
            f"--model {ALL}, or one of {', '.join(known)}."
        )
    return known


def with_attention(folder: Path, chosen: Sequence[str]) -> list[str]:
    """Return the models whose attention belongs to the chosen ones: themselves, and the members of ensembles."""
    names = [*chosen]
    table = folder / "models" / "ensembles.csv"
    if table.is_file():
        members = pd.read_csv(table, keep_default_na=False)
        weights = pd.to_numeric(members["weight"], errors="coerce").fillna(0.0)
        names += members["member"][members["ensemble"].isin(chosen) & (weights > 0)].tolist()
    return [name for name in dict.fromkeys(names) if (folder / "attention" / f"{name}.h5").is_file()]
