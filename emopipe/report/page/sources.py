"""What the page is made from: the run's tables and predictions, and the caches."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emopipe.core import tables
from emopipe.core.labels import LabelSpace, of_recipe
from emopipe.report import of_corpus
from emopipe.report.answer import answer_of
from emopipe.report.clip import gathering
from emopipe.scoring import metrics, predictions
from emopipe.scoring.losses import losses
from emopipe.scoring.measures import primary


@dataclass(frozen=True)
class Sources:
    """The files of a run, read when they are needed."""

    of_clips: gathering.Sources
    """`results/<run>`, with config.yaml, ledger.csv, summary.md, tables/, predictions/ and attention/; the clip table,
    decoded clips and faces."""
    stages: Mapping[str, Sequence[Path]]
    """Stage, as the ledger names it -> its files."""
    histories: Mapping[str, Path]
    """Backbone that was trained -> the history of its training."""
    recipe: Mapping[str, Any]
    """`Plan.page`."""

    @property
    def folder(self) -> Path:
        """The folder of the run."""
        return self.of_clips.results

    @property
    def clips(self) -> Path:
        """The clip table, in the folder of the cache."""
        return self.of_clips.clips

    @cached_property
    def table(self) -> pd.DataFrame:
        """The clip table."""
        return tables.read(self.clips)

    @cached_property
    def ledger(self) -> pd.DataFrame:
        """clip, split, stage, status, reason."""
        return pd.read_csv(self.folder / "ledger.csv", keep_default_na=False)

    def frame(self, name: str) -> pd.DataFrame:
        """Return a table of the folder tables/. Classes, people and groups of them are texts: one may be 007, or NA."""
        path = self.folder / f"tables/{name}.csv"
        texts = dict.fromkeys(("label", "subject", "value"), str)
        return pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=[""])

    @property
    def space(self) -> LabelSpace:
        """The label space of the run."""
        return of_recipe(self.recipe["report"])

    @property
    def names(self) -> list[str]:
        """All models and ensembles, in the order of the tables."""
        return [*self.recipe["report"]["models"], *self.recipe["report"]["ensembles"]]

    @cached_property
    def answers(self) -> dict[str, pd.DataFrame]:
        """Model or ensemble -> its predictions of the labelled clips that are reported."""
        read = {name: predictions.read(self.folder / f"predictions/{name}.csv") for name in self.names}
        return {name: frame[frame["label"] != ""].reset_index(drop=True) for name, frame in read.items()}

    @cached_property
    def scored(self) -> dict[str, pd.DataFrame]:
        """Model or ensemble -> its predictions of the clips that are scored; of votes, those without a tie."""
        parts = {name: metrics.scored(frame, self.space) for name, frame in self.answers.items()}
        return {name: frame.reset_index(drop=True) for name, frame in parts.items()}

    @property
    def answer(self) -> str:
        """The run's answer: its ensemble, or else its first model."""
        return answer_of(self.names) or self.names[0]

    @property
    def splits(self) -> list[str]:
        """The splits that are scored."""
        return sorted(set(self.scored[self.answer]["split"]))

    def score(self, name: str, split: str) -> float:
        """Return the score of a model or ensemble on a split that models are compared by; NaN if there is none."""
        found = self.frame("results")
        found = found.loc[(found["model"] == name) & (found["split"] == split), primary(self.space).key]
        return float(found.iloc[0]) if len(found) else math.nan

    @cached_property
    def p_label(self) -> pd.Series:
        """Clip -> the probability that the run's answer gives to its label, where that is one class."""
        frame = self.scored[self.answer]
        index = frame["label"].map(self.space.names.index).to_numpy(int)  # without rows, pandas knows no type
        return pd.Series(frame[self.space.columns].to_numpy()[range(len(frame)), index], index=frame["clip"])

    @cached_property
    def errors(self) -> pd.Series:
        """Clip -> how far the run's answer is from its label, where that is not one class.

        Of several classes, the mean binary cross-entropy in nats; of dimensions, the root mean square error.
        """
        frame = self.scored[self.answer]
        values, targets = frame[self.space.columns].to_numpy(float), self.space.targets(frame)
        if self.space.kind == "dimensions":
            return pd.Series(np.sqrt(np.square(values - targets).mean(1)), index=frame["clip"])
        return pd.Series(losses(values, targets, self.space), index=frame["clip"])

    @cached_property
    def tables_of_corpus(self) -> list[str]:
        """The names of the tables that the run has because its corpus says something about raters or people."""
        return of_corpus.names(self.table, self.space)

    def features(self) -> dict[str, Path]:
        """Return backbone -> its merged vectors."""
        head = "features/"
        return {s.removeprefix(head): paths[0] for s, paths in self.stages.items() if s.startswith(head)}
