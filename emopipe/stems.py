"""Files by name."""

from collections.abc import Iterable
from pathlib import Path


def by_stem(paths: Iterable[str | Path]) -> dict[str, Path]:
    """Files by their names without the last suffix: how models, ensembles and features are told apart."""
    return {Path(path).stem: Path(path) for path in paths}
