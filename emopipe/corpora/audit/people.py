"""People of different names who look or sound like one person, by a vector for each of their clips.

The vectors are what networks gave, or the statistics of a voice (`voices`). For a single clip, they are weak at saying
who it is. The means over the clips of two names are not. They are compared by their distance, measured in units of what
the clips of one person scatter (Hotelling's two-sample statistic, divided by its dimensions): about 1 for one person.

Whether this suffices is measured on the corpus itself. Two names are taken for one person if they are as near as one
person is, and much nearer than other people are with as many clips. If the people of a corpus are not far enough from
each other, nothing is reported.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtr

from emopipe.core.hashing import stable_hash

FEWEST_CLIPS = 12
"""People with fewer clips are not compared."""
FEWEST_PEOPLE = 4
"""With fewer people, there is nothing to measure the vectors by."""
DIRECTIONS = 32
"""The most directions of the vectors that are compared."""
SHRINKAGE = 0.1
"""The share of the scatter that is taken to be equal in all directions."""
NEAR = 2.5
"""The most distance of two names that are taken for one person."""
APART = 4.0
"""The least distance of nine of ten pairs of people; if people are nearer, the vectors say too little about them."""
TIMES_NEARER = 3.0
"""By how much they have to be nearer than nine of ten pairs of other people are."""
CHANCE = 0.01
"""The most pairs of different people that may be so near by chance, in the whole corpus."""
MOST_PAIRS = 20_000
"""More pairs of other people than this are not looked at for one pair."""


@dataclass(frozen=True)
class Alike:
    """What vectors say about the people of a corpus. A similarity is one divided by the distance, at most 1."""

    pairs: Mapping[tuple[str, str], float]
    """Two people -> their similarity, for those who are taken for one person."""
    same: float = np.nan
    """The similarity of both halves of a person's clips that all but a twentieth of people exceed."""
    different: float = np.nan
    """The similarity of different people that a tenth of pairs exceed."""
    why_not: str = ""
    """Why nothing is said; "" if the vectors tell people apart."""
    too_few: int = 0
    """How many people have too few clips, so that they are not compared."""


def alike_people(vectors: np.ndarray, subjects: pd.Series, conditions: pd.Series) -> Alike:
    """Return the people who are as alike as the halves of one person.

    Args:
        vectors: (N, D) the vector of each clip; finite.
        subjects: (N,) the person of each clip; "" if unknown.
        conditions: (N,) what else differs between clips, such as their label; the mean of each condition is
            subtracted, so that emotions count less. Conditions with few clips each would take the person away, too.
    """
    known = (subjects != "").to_numpy()
    vectors, subjects = np.asarray(vectors, float)[known], subjects[known].to_numpy()
    conditions = conditions[known].to_numpy()
    counts = pd.Series(subjects).value_counts()
    people = sorted(counts.index[counts >= FEWEST_CLIPS])
    too_few = len(counts) - len(people)
    if len(people) < FEWEST_PEOPLE:
        few = f"{len(people)} people with {FEWEST_CLIPS} or more clips are known, but {FEWEST_PEOPLE} are needed"
        return Alike({}, why_not=few, too_few=too_few)
    scattered = _in_units_of_scatter(vectors, subjects, conditions)
    rows = [_shuffled(np.flatnonzero(subjects == person)) for person in people]
    halves = np.array([_half_distance(scattered[found]) for found in rows])
    means, sizes = np.stack([scattered[found].mean(0) for found in rows]), np.array([len(found) for found in rows])
    first, second = np.triu_indices(len(people), 1)
    weight = sizes[first] * sizes[second] / (sizes[first] + sizes[second])
    distance = weight * _squared(means)[first, second] / scattered.shape[1]
    same, different = np.percentile(halves, 95), np.percentile(distance, 10)
    seen = {"same": min(1.0, 1 / same), "different": min(1.0, 1 / different), "too_few": too_few}
    if different < APART:
        return Alike({}, why_not="it does not tell the people of this corpus apart well enough", **seen)
    near = [place for place in np.flatnonzero(distance <= NEAR) if _is_nearer(place, distance, weight)]
    pairs = {(people[first[place]], people[second[place]]): min(1.0, 1 / distance[place]) for place in near}
    return Alike(pairs, **seen)


def _is_nearer(place: int, distance: np.ndarray, weight: np.ndarray) -> bool:
    """Return whether a pair of people is much nearer than other pairs would be with as many clips.

    Args:
        place: The pair.
        distance: (P,) the distance of each pair.
        weight: (P,) the factor of its squared distance, which grows with the number of clips.
    """
    others = np.delete(np.arange(len(distance)), place)[:: max(1, len(distance) // MOST_PAIRS)]
    beyond = np.maximum(distance[others] - 1, 0) / weight[others]  # 1 is what the scatter of one person gives
    as_many = 1 + weight[place] * beyond
    logarithm = np.log(as_many)
    chance = ndtr((np.log(distance[place]) - logarithm.mean()) / max(logarithm.std(), 1e-9))
    return bool(distance[place] * TIMES_NEARER <= np.percentile(as_many, 10) and chance * len(distance) < CHANCE)


def _in_units_of_scatter(vectors: np.ndarray, subjects: np.ndarray, conditions: np.ndarray) -> np.ndarray:
    """Return the vectors (N, K), less the mean of their condition, in directions in which people scatter by 1."""
    frame = pd.DataFrame(vectors)
    centred = (frame - frame.groupby(conditions).transform("mean")).to_numpy()
    spread = centred.std(0)
    centred = centred[:, spread > 0] / spread[spread > 0]
    left, strength, _ = np.linalg.svd(centred, full_matrices=False)
    free = len(vectors) - len(set(subjects))
    kept = max(1, min(DIRECTIONS, free // 4, int((strength > 1e-6 * max(strength.max(initial=0), 1e-12)).sum())))
    directions = pd.DataFrame(left[:, :kept] * np.sqrt(len(vectors)))
    within = (directions - directions.groupby(subjects).transform("mean")).to_numpy()
    scatter = within.T @ within / max(1, free)
    scatter = (1 - SHRINKAGE) * scatter + SHRINKAGE * np.trace(scatter) / kept * np.eye(kept)
    variance, axes = np.linalg.eigh(scatter)
    return directions.to_numpy() @ axes / np.sqrt(variance.clip(1e-12))


def _shuffled(rows: np.ndarray) -> np.ndarray:
    """Return rows in an order that does not depend on their names, so that both halves have all labels."""
    return np.array(sorted(rows.tolist(), key=lambda row: stable_hash(str(row))))


def _half_distance(vectors: np.ndarray) -> float:
    """Return the distance of the two halves of the clips (n, K) of a person."""
    one, other = vectors[::2], vectors[1::2]
    weight = len(one) * len(other) / len(vectors)
    return float(weight * ((one.mean(0) - other.mean(0)) ** 2).mean())


def _squared(means: np.ndarray) -> np.ndarray:
    """Return the squared distances (P, P) of vectors (P, K)."""
    length = (means**2).sum(1)
    return (length[:, None] + length - 2 * means @ means.T).clip(0)
