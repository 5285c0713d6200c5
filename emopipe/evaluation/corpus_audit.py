"""An audit as a whole: the findings, what was compared, and the numbers that splits by clip flatter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from emopipe.corpora.audit import contents
from emopipe.corpora.audit.findings import Finding
from emopipe.corpora.audit.people import Alike, alike_people
from emopipe.corpora.groups import groups_of_clips
from emopipe.evaluation.split_comparison import Comparison, compare
from emopipe.scoring.intervals import Intervals

CLIPS_OF_A_CONDITION = 10
"""So many clips have to share a label, or a label and a sentence, on average."""


@dataclass
class Audit:
    """What was found about a corpus."""

    clips: int
    counts: Mapping[str, Mapping[str, int]]
    """Split -> label -> number of clips."""
    findings: list[Finding] = field(default_factory=list)
    people: dict[str, Alike] = field(default_factory=dict)
    """Backbone -> what it says about the people."""
    comparisons: list[Comparison] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    """Sentences: what else makes numbers of this corpus too good."""
    not_done: list[str] = field(default_factory=list)
    """Sentences: what could not be examined, and what to do."""

    @property
    def conflicts(self) -> int:
        """How many pairs of clips have the same content, and different labels."""
        return len({finding.names for finding in self.findings if finding.is_conflict})

    def as_dict(self) -> dict[str, object]:
        """Return all of it for JSON."""
        return {
            "clips": self.clips,
            "class_counts": {split: dict(counts) for split, counts in self.counts.items()},
            "findings": [finding.as_dict() for finding in self.findings],
            "label_conflicts": self.conflicts,
            "people": {name: _people(alike) for name, alike in self.people.items()},
            "comparison_of_splits": [_comparison(one) for one in self.comparisons],
            "remarks": self.remarks,
            "not_examined": self.not_done,
        }


def add_people(audit: Audit, backbone: str, modality: str, table: pd.DataFrame, vectors: np.ndarray) -> None:
    """Add the people of different names and splits whom a backbone takes for one.

    Args:
        audit: Where to add them.
        backbone: The network's name.
        modality: What it reads, face or audio.
        table: The N clips with vectors.
        vectors: (N, D) their mean vectors.
    """
    found = alike_people(vectors, table["subject"], _conditions(table))
    audit.people[backbone] = found
    pairs = contents.same_people("face" if modality == "face" else "voice", table, found.pairs)
    known = {(finding.kind, finding.names) for finding in audit.findings}
    audit.findings += [finding for finding in pairs if (finding.kind, finding.names) not in known]


def _conditions(table: pd.DataFrame) -> pd.Series:
    """Return the label and the sentence of each clip, or its label alone, or "" if too few clips share one."""
    sentence = contents.sentence_column(table)
    candidates = [*([table["label"] + " " + table[sentence]] if sentence else []), table["label"]]
    shared = [one for one in candidates if len(one) >= CLIPS_OF_A_CONDITION * one.nunique()]
    return shared[0] if shared else pd.Series("", table.index)


def add_comparison(audit: Audit, backbone: str, table: pd.DataFrame, vectors: np.ndarray) -> None:
    """Add the accuracies of a backbone's vectors under folds by clip, by sentence and by subject; see `add_people`."""
    labelled = (table["label"] != "").to_numpy()
    clips = table[labelled].reset_index(drop=True)
    sentence = contents.sentence_column(clips)
    by = {**({"sentence": sentence} if sentence else {}), "subject": "subject"}
    if len(clips):
        audit.comparisons += compare(backbone, vectors[labelled], clips, by, groups_of_clips(clips)[0])


def flattery(comparisons: Sequence[Comparison]) -> list[str]:
    """Return a sentence for each comparison: both accuracies, and by how much folds by clip flatter."""
    return [
        f"{one.backbone}: by clip {_percent(one.by_clip)}, by {one.by} {_percent(one.by_group)} ({one.folds} folds "
        f"each): splits by clip {_effect(one)}."
        for one in comparisons
    ]


def _effect(one: Comparison) -> str:
    points, low, high = (100 * float(bound[0]) for bound in (one.gain.value, one.gain.low, one.gain.high))
    if np.isnan(low):
        few = f"{one.gain.groups} groups are too few for an interval"
        return f"flatter this corpus by {points:.1f} points ({few})" if points > 0 else f"are not better ({few})"
    interval = f"95 % interval {low:.1f} to {high:.1f}, over {one.gain.groups} groups"
    if low > 0:
        return f"flatter this corpus by {points:.1f} points ({interval})"
    return f"do not clearly flatter this corpus: {points:+.1f} points ({interval})"


def _percent(score: Intervals) -> str:
    return f"{100 * float(score.value[0]):.1f} %"


def _people(alike: Alike) -> dict[str, object]:
    numbers = {"halves_of_a_person": alike.same, "different_people": alike.different}
    known = {name: None if np.isnan(value) else round(float(value), 4) for name, value in numbers.items()}
    return {**known, "not_examined": alike.why_not}


def _comparison(one: Comparison) -> dict[str, object]:
    scores = {"by_clip": one.by_clip, "by_group": one.by_group, "gain": one.gain}
    facts = {"backbone": one.backbone, "by": one.by, "folds": one.folds, "clips": one.clips, "groups": one.gain.groups}
    return facts | {name: _interval(score) for name, score in scores.items()}


def _interval(score: Intervals) -> dict[str, float | None]:
    values = {"value": score.value[0], "low": score.low[0], "high": score.high[0]}
    return {name: None if np.isnan(value) else round(float(value), 4) for name, value in values.items()}
