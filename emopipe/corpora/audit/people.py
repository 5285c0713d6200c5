"""People of different names who look or sound like one person, by the vectors that networks gave for their clips.

Networks for emotions are weak at this for a single clip. The mean over the clips of a person is much better. Whether it
suffices is measured on the corpus itself: the clips of each person are halved, and both halves have to be much more
alike than different people are. If they are not, nothing is reported.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from emopipe.core.hashing import stable_hash
from emopipe.corpora.audit.alike import unit

FEWEST_CLIPS = 4
"""People with fewer clips in a split are not compared."""
FEWEST_PEOPLE = 4
"""With fewer people, there is nothing to measure the network by."""
DIRECTIONS = 32
"""The most directions of the vectors that are compared, all with the same weight."""
LEAST = 0.5
"""The least similarity of two names that are taken for one person."""


@dataclass(frozen=True)
class Alike:
    """What a network says about the people of a corpus."""

    pairs: Mapping[tuple[str, str], float]
    """Two people -> their similarity, for those who are taken for one person."""
    same: float = np.nan
    """The similarity of both halves of a person that all but a twentieth of people exceed."""
    different: float = np.nan
    """The similarity of different people that a tenth of pairs exceed."""
    why_not: str = ""
    """Why nothing is said; "" if the network tells people apart."""


def alike_people(vectors: np.ndarray, subjects: pd.Series, labels: pd.Series) -> Alike:
    """Return the people who are as alike as the halves of one person.

    Args:
        vectors: (N, D) the mean vector of each clip; finite.
        subjects: (N,) the person of each clip; "" if unknown.
        labels: (N,) its label, whose mean is subtracted, so that emotions count less.
    """
    subjects, labels = subjects.to_numpy(), labels.to_numpy()
    counts = pd.Series(subjects[subjects != ""]).value_counts()
    people = sorted(counts.index[counts >= FEWEST_CLIPS])
    if len(people) < FEWEST_PEOPLE:
        few = f"{len(people)} people with {FEWEST_CLIPS} or more clips are known, but {FEWEST_PEOPLE} are needed"
        return Alike({}, why_not=few)
    white = _whitened(vectors, labels)
    rows = {person: _shuffled(np.flatnonzero(subjects == person)) for person in people}
    halves = np.array([_alike(white[found[::2]], white[found[1::2]]) for found in rows.values()])
    means = unit(np.stack([white[found].mean(0) for found in rows.values()]))
    similar = means @ means.T
    same, different = np.percentile(halves, 5), np.percentile(similar[np.triu_indices(len(people), 1)], 90)
    if not same > max(LEAST, different + 0.2):
        return Alike({}, same, different, "it does not tell the people of this corpus apart well enough")
    places = combinations(range(len(people)), 2)
    pairs = {(people[a], people[b]): float(similar[a, b]) for a, b in places if similar[a, b] >= max(LEAST, same)}
    return Alike(pairs, float(same), float(different))


def _whitened(vectors: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the vectors (N, K) in directions of equal variance, less the mean of their label."""
    frame = pd.DataFrame(np.asarray(vectors, float))
    centred = (frame - frame.groupby(labels).transform("mean")).to_numpy()
    left, strength, _ = np.linalg.svd(centred, full_matrices=False)
    kept = min(DIRECTIONS, len(vectors) // 4, int((strength > 1e-6 * max(strength[0], 1e-12)).sum()))
    return left[:, : max(1, kept)]


def _shuffled(rows: np.ndarray) -> np.ndarray:
    """Return rows in an order that does not depend on their names, so that both halves have all labels."""
    return np.array(sorted(rows.tolist(), key=lambda row: stable_hash(str(row))))


def _alike(first: np.ndarray, second: np.ndarray) -> float:
    """Return the similarity of the means of two sets of vectors."""
    one, other = unit(np.stack([first.mean(0), second.mean(0)]))
    return float(one @ other)
