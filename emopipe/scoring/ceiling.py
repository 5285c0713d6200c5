"""The label ceiling: how often the raters of clips agree with each other, computed from counts of their votes.

The measure is leave-one-rater-out: a rater of a clip is drawn, and is correct if the answer is the one that most of the
other raters of the clip gave. If the others are tied, the rater is correct by a share: one half of a tie of two. It is
what the raters themselves reach, against a label that they did not take part in.

It is not a bound on the accuracy of a model. A model is scored against the label, which averages over many raters, so
a model can be above it: a model that always gives the answer of most people is better than one person.
"""

import numpy as np


def countable(votes: np.ndarray) -> np.ndarray:
    """Return which clips have at least two raters and whole numbers of votes, (N,) bool.

    One rater has nobody to agree with, and shares of votes do not say how many raters there were.

    Args:
        votes: (N, K) votes of each class; NaN if unknown.
    """
    known = np.nan_to_num(votes, nan=-1.0)
    return ((known >= 0) & (known == known.round())).all(1) & (known.sum(1) >= 2)


def leave_one_out(votes: np.ndarray) -> np.ndarray:
    """Return what each clip adds to the counts of scores, (N, 3 K) float64, as `emopipe.scoring.scores.counts` does.

    The label is the class with most votes of all raters but one, and the prediction is the answer of that one. Each
    number is the mean over the raters of the clip, so labels and predictions of a clip sum to 1 each. Of tied classes,
    each is the label by an equal share.

    Args:
        votes: (N, K) votes of each class, for clips that are `countable`.
    """
    share = votes / votes.sum(1, keepdims=True)
    correct, labelled = np.zeros(votes.shape), np.zeros(votes.shape)
    for answer in range(votes.shape[1]):
        others = votes.astype(float)
        others[:, answer] -= 1  # where nobody gave this answer, its share is 0, so this does not count
        most = others == others.max(1, keepdims=True)
        label = most / most.sum(1, keepdims=True)
        labelled += share[:, [answer]] * label
        correct[:, answer] = share[:, answer] * label[:, answer]
    return np.concatenate([correct, labelled, share], axis=1)


def with_label(votes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return how probable it is that a rater of each clip gives its label, (N,).

    Args:
        votes: (N, K) votes of each class; at least one for each clip.
        labels: (N, K) the label: 1 for its class, or equal shares for each class of a tie.
    """
    return (votes * labels).sum(1) / votes.sum(1)


def best_against_one(votes: np.ndarray) -> np.ndarray:
    """Return the largest share of the votes of each clip, (N,).

    Its mean is the best accuracy that any classifier can have against the answer of a single rater.

    Args:
        votes: (N, K) votes of each class; at least one for each clip.
    """
    return votes.max(1) / votes.sum(1)
