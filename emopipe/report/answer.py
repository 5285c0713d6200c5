"""Which of a run's models and ensembles is the run's answer."""

from collections.abc import Collection

ENSEMBLE = "ensemble"
"""The ensemble that is a run's answer, and the beginning of the names of all ensembles."""


def answer_of(names: Collection[str]) -> str | None:
    """Return the run's answer: its ensemble, or else its only model; None if it has several models and no ensemble.

    Args:
        names: The models and ensembles of the run.
    """
    if ENSEMBLE in names:
        return ENSEMBLE
    return next(iter(names)) if len(names) == 1 else None
