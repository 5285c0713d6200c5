"""The scores of a network on all samples of a corpus."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.core.labels import CLASSES
from emopipe.core.log import Progress
from emopipe.evaluation.networks import Network
from emopipe.evaluation.samples import Sample, Samples
from emopipe.scoring import metrics
from emopipe.scoring.statistics import groups_of, interval

BATCH_SIZE = 128
"""About how many parts of samples go through a network at once."""


@dataclass(frozen=True)
class Scores:
    """The scores of a network."""

    table: pd.DataFrame
    """The columns label, predicted (indices into `CLASSES`) and subject, with a row for each classified sample."""
    omitted: int
    """Samples that could not be read, or had no face or sound."""
    seconds: float
    """The time to read, prepare and classify all samples."""

    @property
    def n(self) -> int:
        """The number of classified samples."""
        return len(self.table)

    @property
    def correct(self) -> np.ndarray:
        """(n,) bool: whether each prediction is correct."""
        return (self.table["label"] == self.table["predicted"]).to_numpy()

    @property
    def confusion(self) -> pd.DataFrame:
        """The confusion matrix in counts: rows are labels, columns are predictions."""
        names = np.array(CLASSES)
        return metrics.confusion(names[self.table["label"]], names[self.table["predicted"]])

    @property
    def accuracy(self) -> float:
        """The share of correct predictions."""
        return float(self.correct.mean())

    @property
    def interval(self) -> tuple[float, float, str]:
        """The 95 % bootstrap interval of the accuracy, and what is drawn: "subject" if all are known, else "sample"."""
        samples, subjects = np.arange(self.n).astype(str), self.table["subject"].to_numpy(str)
        groups, drawn = groups_of(samples, subjects)
        return *interval(self.correct.astype(float), groups), "subject" if drawn == "subject" else "sample"

    @property
    def per_class(self) -> dict[str, float]:
        """The recall of each class that occurs."""
        found = metrics.recalls(self.table["label"], self.table["predicted"])
        return {CLASSES[number]: float(share) for number, share in found.items()}

    @property
    def uar(self) -> float:
        """The unweighted average recall over the classes that occur."""
        return metrics.uar(self.table["label"], self.table["predicted"])

    @property
    def per_second(self) -> float:
        """Samples per second."""
        return (self.n + self.omitted) / self.seconds

    def to_dict(self) -> dict[str, object]:
        """Return what `--json` prints."""
        return {name: getattr(self, name) for name in ("n", "accuracy", "uar", "per_class", "per_second")}


def score(network: Network, samples: Samples) -> Scores:
    """Classify each sample.

    Raises:
        CorpusError: No sample could be classified.
    """
    progress = Progress("evaluating", samples.size, unit=samples.unit)
    begin = time.perf_counter()
    rows, omitted = [], 0
    for batch in _batches(samples.read()):
        filled = [sample for sample in batch if len(sample.parts)]
        omitted += len(batch) - len(filled)
        if filled:
            probabilities = network.probabilities(np.concatenate([sample.parts for sample in filled]))
            ends = np.cumsum([len(sample.parts) for sample in filled])[:-1]
            for sample, part in zip(filled, np.split(probabilities, ends), strict=True):
                rows.append((sample.label, int(part.mean(0).argmax()), sample.subject))
        progress.advance(len(batch))
    seconds = time.perf_counter() - begin
    if not rows:
        raise CorpusError(f"None of the {samples.size} {samples.unit} could be classified. See the warnings above.")
    return Scores(pd.DataFrame(rows, columns=["label", "predicted", "subject"]), omitted, seconds)


def _batches(samples: Iterable[Sample]) -> Iterator[list[Sample]]:
    """Yield samples of one shape, with up to about BATCH_SIZE parts in total."""
    batch: list[Sample] = []
    for sample in samples:
        if batch and (
            sample.parts.shape[1:] != batch[0].parts.shape[1:] or sum(len(s.parts) for s in batch) >= BATCH_SIZE
        ):
            yield batch
            batch = []
        batch.append(sample)
    if batch:
        yield batch
