"""The scores of a network on all samples of a corpus."""

import dataclasses
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from emopipe.cache.status import text
from emopipe.core.atomic import write_text
from emopipe.core.errors import CorpusError
from emopipe.core.labels import CLASSES
from emopipe.core.log import Progress
from emopipe.evaluation.networks import Network
from emopipe.evaluation.samples import UNLABELLED, Sample, Samples
from emopipe.scoring import metrics
from emopipe.scoring.intervals import Intervals, groups_of
from emopipe.scoring.scores import score_intervals
from emopipe.weights.trained_on import CONTENT, SPEAKER

BATCH_SIZE = 128
"""About how many parts of samples go through a network at once."""


@dataclass(frozen=True)
class Scores:
    """What a network says about the samples of a corpus, and its scores on those with a label."""

    answers: pd.DataFrame
    """A row for each sample: its path (column sample), label and predicted (indices into `classes`; -1: none), subject,
    p_<class>, status, reason and seen (`Sample.seen`). Of a sample that could not be classified, predicted is -1 and
    p_<class> are NaN."""
    unit: str
    """stills, utterances or clips."""
    seconds: float
    """The time to read, prepare and classify all samples."""
    knows_training: bool = False
    """Whether it is known what the network was trained on."""
    classes: tuple[str, ...] = CLASSES
    """The classes that are scored, see `Samples.classes`."""
    not_scored: Mapping[str, int] = field(default_factory=dict)
    """Class that the network does not have -> how many samples of the corpus show it; they have no row."""

    @property
    def table(self) -> pd.DataFrame:
        """The rows that are scored: those of classified samples with a label."""
        return self.answers[(self.answers["predicted"] >= 0) & (self.answers["label"] != UNLABELLED)]

    @property
    def n(self) -> int:
        """The number of scored samples."""
        return len(self.table)

    @property
    def failed(self) -> dict[str, int]:
        """Status -> how many samples could not be classified, labelled or not."""
        return self.answers.loc[self.answers["predicted"] < 0, "status"].value_counts().sort_index().to_dict()

    @property
    def omitted(self) -> int:
        """Samples that could not be read, or had no face or sound."""
        return sum(self.failed.values())

    @property
    def unlabelled(self) -> dict[str, int]:
        """Class -> how many samples without a label are predicted as this class."""
        rows = self.answers[(self.answers["predicted"] >= 0) & (self.answers["label"] == UNLABELLED)]
        counts = rows["predicted"].value_counts().sort_index()
        return {self.classes[number]: int(count) for number, count in counts.items()}

    @property
    def seen(self) -> dict[str, int]:
        """How the network met scored samples in training (content, speaker) -> how many of them."""
        counts = self.table["seen"].value_counts()
        return {how: int(counts.get(how, 0)) for how in (CONTENT, SPEAKER)}

    @property
    def unseen(self) -> "Scores":
        """The scores on samples of which the network was trained on no copy, and on no other sample of their person."""
        return dataclasses.replace(self, answers=self.answers[self.answers["seen"] == ""])

    @property
    def correct(self) -> np.ndarray:
        """(n,) bool: whether each prediction is correct."""
        return (self.table["label"] == self.table["predicted"]).to_numpy()

    @property
    def confusion(self) -> pd.DataFrame:
        """The confusion matrix in counts: rows are labels, columns are predictions."""
        names = np.array(self.classes)
        label, predicted = names[self.table["label"]], names[self.table["predicted"]]
        return metrics.confusion(label, predicted, self.classes)

    @property
    def accuracy(self) -> float:
        """The share of correct predictions."""
        return float(self.correct.mean())

    @property
    def interval(self) -> tuple[Intervals, str]:
        """The intervals of accuracy, UAR and macro F1, and what their groups are: subject, or sample if unknown."""
        samples, subjects = np.arange(self.n).astype(str), self.table["subject"].to_numpy(str)
        groups, drawn = groups_of(samples, subjects)
        label, predicted = (
            np.array(self.classes)[self.table[column].to_numpy(int)] for column in ("label", "predicted")
        )
        return score_intervals(label, predicted, groups, self.classes), "subject" if drawn == "subject" else "sample"

    @property
    def per_class(self) -> dict[str, float]:
        """The recall of each class that occurs."""
        found = metrics.recalls(self.table["label"], self.table["predicted"])
        return {self.classes[number]: float(share) for number, share in found.items()}

    @property
    def uar(self) -> float:
        """The unweighted average recall over the classes that occur."""
        return metrics.uar(self.table["label"], self.table["predicted"])

    @property
    def per_second(self) -> float:
        """Samples per second."""
        return len(self.answers) / self.seconds

    def to_dict(self) -> dict[str, object]:
        """Return what `--json` prints; accuracy and UAR are None if no sample is scored.

        `trained_on` counts scored samples that the network met in training, `unseen` has the figures over the others;
        both are None if it is not known what the network was trained on.
        """
        return {
            **self._figures(),
            "per_second": self.per_second,
            "classes": list(self.classes),
            "not_scored": dict(self.not_scored),
            "n_unlabelled": sum(self.unlabelled.values()),
            "unlabelled": self.unlabelled,
            "n_failed": self.omitted,
            "failed": self.failed,
            "trained_on": self.seen if self.knows_training else None,
            "unseen": self.unseen._figures() if self.knows_training else None,
        }

    def _figures(self) -> dict[str, object]:
        return {
            "n": self.n,
            "accuracy": self.accuracy if self.n else None,
            "uar": self.uar if self.n else None,
            "per_class": self.per_class,
        }

    def write(self, path: Path) -> None:
        """Write a row for each sample as CSV.

        The columns are sample, subject, label, pred, p_<class>, status, reason (in English), and seen: content or
        speaker if the network met the sample in training.
        """
        names = dict(enumerate(self.classes))
        rows = self.answers.assign(
            label=self.answers["label"].map(names).fillna(""),
            pred=self.answers["predicted"].map(names).fillna(""),
            reason=self.answers["reason"].map(text),
        )
        columns = ["sample", "subject", "label", "pred", *_probabilities(self.classes), "status", "reason", "seen"]
        write_text(path, rows[columns].to_csv(index=False, float_format="%.6f", lineterminator="\n"))

    def refuse_without_answers(self) -> None:
        """Raise a CorpusError if no sample could be classified."""
        if self.not_scored and not len(self.answers):
            raise CorpusError(
                f"All {self.unit} show classes that the network does not have ({counts_text(self.not_scored)}). "
                f"Expected some of {', '.join(self.classes)}. Use another corpus, or count its classes as others by "
                "the option labels."
            )
        if self.omitted == len(self.answers):
            raise CorpusError(
                f"None of the {len(self.answers)} {self.unit} could be classified ({counts_text(self.failed)}). See "
                "the warnings above."
            )


def score(network: Network, samples: Samples) -> Scores:
    """Classify each sample."""
    progress = Progress("evaluating", samples.size, unit=samples.unit)
    begin = time.perf_counter()
    rows = []
    for batch in _batches(samples.read()):
        filled = [sample for sample in batch if len(sample.parts)]
        answers = dict.fromkeys(range(len(batch)), np.full(len(samples.classes), np.nan))
        if filled:
            parts = np.concatenate([sample.parts for sample in filled])
            probabilities = network.probabilities_of(samples.classes, parts)
            ends = np.cumsum([len(sample.parts) for sample in filled])[:-1]
            numbers = [number for number, sample in enumerate(batch) if len(sample.parts)]
            answers |= zip(numbers, (part.mean(0) for part in np.split(probabilities, ends)), strict=True)
        rows += [_row(sample, answers[number]) for number, sample in enumerate(batch)]
        progress.advance(len(batch))
    seconds, knows_training = time.perf_counter() - begin, network.trained_on is not None
    answers = pd.DataFrame(rows, columns=columns(samples.classes))
    return Scores(answers, samples.unit, seconds, knows_training, samples.classes, samples.not_scored)


def columns(classes: Sequence[str] = CLASSES) -> list[str]:
    """Return the columns of `Scores.answers`."""
    return ["sample", "label", "predicted", "subject", *_probabilities(classes), "status", "reason", "seen"]


def counts_text(counts: Mapping[str, int]) -> str:
    """Return counts as text.

    >>> counts_text({"Contempt": 3, "Calm": 1})
    'Contempt 3, Calm 1'
    """
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _probabilities(classes: Sequence[str]) -> list[str]:
    return [f"p_{name}" for name in classes]


def _row(sample: Sample, p: np.ndarray) -> tuple[object, ...]:
    """Return the row of a sample with its probabilities (K,), which are NaN if it was not classified."""
    predicted = -1 if np.isnan(p).any() else int(p.argmax())
    return sample.name, sample.label, predicted, sample.subject, *p, sample.status, sample.reason, sample.seen


def _batches(samples: Iterable[Sample]) -> Iterator[list[Sample]]:
    """Yield samples of one shape, with up to about BATCH_SIZE parts in total."""
    batch: list[Sample] = []
    for sample in samples:
        shapes = {one.parts.shape[1:] for one in (*batch, sample) if len(one.parts)}
        if batch and (len(shapes) > 1 or sum(len(one.parts) for one in batch) >= BATCH_SIZE):
            yield batch
            batch = []
        batch.append(sample)
    if batch:
        yield batch
