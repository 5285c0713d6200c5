"""A network over all samples of a corpus, and what comes of it."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix

from emopipe.core.errors import CorpusError
from emopipe.core.labels import CLASSES
from emopipe.core.log import Progress
from emopipe.evaluation.networks import Network
from emopipe.evaluation.samples import Sample, Samples
from emopipe.scoring.statistics import groups_of, interval

TOGETHER = 128
"""Faces that go through a network at once."""


@dataclass(frozen=True)
class Scores:
    """How a network did."""

    table: pd.DataFrame
    """Columns label, predicted (numbers into `CLASSES`) and subject, one row a sample that was classified."""
    left_out: int
    """Samples that could not be read or had nothing to go by."""
    seconds: float
    """For reading, preparing and classifying all."""

    @property
    def n(self) -> int:
        """Samples that were classified."""
        return len(self.table)

    @property
    def right(self) -> np.ndarray:
        """(n,) bool."""
        return (self.table["label"] == self.table["predicted"]).to_numpy()

    @property
    def confusion(self) -> pd.DataFrame:
        """Counts: rows are labels, columns predictions."""
        counts = confusion_matrix(self.table["label"], self.table["predicted"], labels=range(len(CLASSES)))
        return pd.DataFrame(counts, index=list(CLASSES), columns=list(CLASSES))

    @property
    def accuracy(self) -> float:
        """Share of them that are right."""
        return float(self.right.mean())

    @property
    def interval(self) -> tuple[float, float, str]:
        """95 % bootstrap interval of the accuracy, and what was drawn: subjects where all are known, else samples."""
        samples, subjects = np.arange(self.n).astype(str), self.table["subject"].to_numpy(str)
        groups, drawn = groups_of(samples, subjects)
        return *interval(self.right.astype(float), groups), "subject" if drawn == "subject" else "sample"

    @property
    def per_class(self) -> dict[str, float]:
        """Recall of each class that occurs."""
        recall = pd.Series(self.right).groupby(self.table["label"]).mean()
        return {CLASSES[number]: float(share) for number, share in recall.items()}

    @property
    def uar(self) -> float:
        """Unweighted average recall over the classes that occur."""
        return float(np.mean(list(self.per_class.values())))

    @property
    def per_second(self) -> float:
        """Samples a second."""
        return (self.n + self.left_out) / self.seconds

    def plain(self) -> dict[str, object]:
        """For `--json`."""
        return {name: getattr(self, name) for name in ("n", "accuracy", "uar", "per_class", "per_second")}


def score(network: Network, samples: Samples) -> Scores:
    """Classify every sample.

    Raises:
        CorpusError: Not a single one could be.
    """
    progress = Progress("evaluating", samples.size, unit=samples.what)
    begin = time.perf_counter()
    rows, left_out = [], 0
    for group in _groups(samples.read()):
        filled = [sample for sample in group if len(sample.parts)]
        left_out += len(group) - len(filled)
        for sample, predicted in zip(filled, _predictions(network, filled), strict=True):
            rows.append((sample.label, predicted, sample.subject))
        progress.advance(len(group))
    seconds = time.perf_counter() - begin
    if not rows:
        raise CorpusError(f"None of the {samples.size} {samples.what} could be classified; see the warnings above.")
    return Scores(pd.DataFrame(rows, columns=["label", "predicted", "subject"]), left_out, seconds)


def _groups(samples: Iterable[Sample]) -> Iterator[list[Sample]]:
    """Samples of one shape, together up to about TOGETHER parts."""
    group: list[Sample] = []
    for sample in samples:
        if group and (
            sample.parts.shape[1:] != group[0].parts.shape[1:] or sum(len(s.parts) for s in group) >= TOGETHER
        ):
            yield group
            group = []
        group.append(sample)
    if group:
        yield group


def _predictions(network: Network, samples: list[Sample]) -> list[int]:
    if not samples:
        return []
    found = network.probabilities(np.concatenate([sample.parts for sample in samples]))
    ends = np.cumsum([len(sample.parts) for sample in samples])[:-1]
    return [int(part.mean(0).argmax()) for part in np.split(found, ends)]
