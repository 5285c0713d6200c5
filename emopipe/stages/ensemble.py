"""Stage ensemble: predictions of the members -> the mean of their probabilities."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from emopipe import predictions
from emopipe.errors import CacheError


def run(members: Sequence[Path], output: Path) -> None:
    """Average the members.

    A member that had nothing to go by for a clip is left out of that clip's mean, unless all had nothing.

    Args:
        members: Their predictions, of the same clips.
        output: The ensemble's predictions to make.

    Raises:
        CacheError: The members predict different clips.
    """
    tables = [predictions.read(path) for path in members]
    for path, table in zip(members[1:], tables[1:], strict=True):
        if not table["clip"].equals(tables[0]["clip"]):
            raise CacheError(f"{path} and {members[0]} predict different clips; delete both and run again.")
    probabilities = np.stack([table[predictions.PROBABILITIES].to_numpy() for table in tables])  # (members, N, classes)
    covered = np.stack([table["covered"].to_numpy(bool) for table in tables])  # (members, N)
    weight = np.where(covered.any(0), covered, True)[..., None].astype(float)
    mean = (probabilities * weight).sum(0) / weight.sum(0)
    predictions.write(predictions.table(tables[0], mean, covered.any(0)), output)
