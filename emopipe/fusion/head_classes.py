"""What a backbone's own emotion head says of clips in the label space of a run, from its features.

A head serves a label space by the classes that they share (`emopipe.backbones.shared_classes`). Of the other ones it
says nothing: their prior is 0, so they get no evidence (`fusion.product.Heads`), and the prior of the run decides.
"""

import numpy as np

from emopipe.backbones.shared_classes import can_answer, in_space, prior_in_space, remark
from emopipe.core.errors import ConfigError
from emopipe.core.labels import LabelSpace
from emopipe.fusion.features import Features


def of_clips(logp: np.ndarray, features: Features, space: LabelSpace) -> tuple[np.ndarray, np.ndarray]:
    """Return log-probabilities (N, K) of clips, and the prior (K,) of the head: both as they are for equal classes.

    Args:
        logp: (N, C) log-probabilities of clips, after their frames are pooled: a frame that the head is sure shows a
            class which the space lacks has little weight then.
        features: Whose head it is: its C classes, and its prior; equal shares if that is unknown.
        space: The label space.

    Raises:
        ConfigError: They share too few classes, or an answer in this space is not one class.
    """
    classes = features.head_classes
    if not can_answer(classes, space):
        raise ConfigError(
            f"{remark('An emotion head', classes, space)} Remove evidence, product, product_untrained and "
            "mean_of_heads from the models, or change labels."
        )
    prior = features.prior or (1 / len(classes),) * len(classes)
    return in_space(logp, classes, space), prior_in_space(prior, classes, space)
