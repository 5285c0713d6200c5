"""What a network's own emotion head says of the classes of a run, which may be others than it was trained on.

A head serves a label space by the classes that they share. Its probabilities and its prior are conditioned on these:
what it gives to other classes does not count. Of classes that it does not know, it says nothing: its prior is 0 there,
so they get no evidence (`product.Heads`), and the fitted prior of the run decides on them.
"""

from collections.abc import Sequence

import numpy as np

from emopipe.core.errors import ConfigError
from emopipe.core.labels import LabelSpace, shared

FEWEST = 2
"""A head answers for label spaces with which it shares at least this number of classes."""


def in_space(
    logp: np.ndarray, prior: np.ndarray, classes: Sequence[str], space: LabelSpace
) -> tuple[np.ndarray, np.ndarray]:
    """Return log-probabilities (..., K) and the prior (K,) of a head for a label space; as they are if both have the
    same classes in the same order.

    Args:
        logp: (..., C) log-probabilities of clips, after frames are pooled: a frame that the head is sure shows a class
            which the space lacks then has little say.
        prior: (C,) the shares of the classes in what the head was trained on.
        classes: Their C names, `Features.head_classes`.
        space: The label space, of the kind single or votes.

    Raises:
        ConfigError: They share fewer than FEWEST classes, or an answer is not one class.
    """
    if space.has_one_class and tuple(classes) == space.names:
        return logp, prior
    known = shared(classes, space)
    if not space.has_one_class or len(known) < FEWEST:
        raise ConfigError(
            f"An emotion head knows {', '.join(classes)}, and the labels are {', '.join(space.names)} (kind "
            f"{space.kind}). They share {len(known)} classes. Expected at least {FEWEST}, and the kind single or "
            "votes. Remove evidence, product, product_untrained and mean_of_heads from the models."
        )
    given, taken = [list(classes).index(name) for name in known], [space.names.index(name) for name in known]
    # The smallest float, and not minus infinity: log-probabilities are multiplied by shares that may be 0.
    found = np.full((*logp.shape[:-1], len(space)), np.log(np.finfo(float).tiny))
    found[..., taken] = logp[..., given] - np.logaddexp.reduce(logp[..., given], axis=-1, keepdims=True)
    found_prior = np.zeros(len(space))
    found_prior[taken] = prior[given] / max(prior[given].sum(), np.finfo(float).tiny)
    return found, found_prior
