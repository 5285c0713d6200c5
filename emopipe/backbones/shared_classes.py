"""What the head of a network says in a label space: it serves the space by the classes that the two share.

Classes are matched by their names as they are written. Of a head with further classes, the probabilities are those
given that one of the shared classes is shown; about classes of the space that it does not know, it says nothing.
"""

from collections.abc import Sequence

import numpy as np

from emopipe.core.labels import CLASSES, PROBABILITY_FLOOR, LabelSpace, shared

FEWEST = 2
"""How many classes a head and a label space need in common: with fewer, an answer of the head says nothing."""


def answered(classes: Sequence[str], wanted: Sequence[str] = CLASSES) -> tuple[str, ...]:
    """Return the classes for which a head answers: those of its network.

    A network with the seven and further classes answers for the seven alone, unless a further one is wanted.

    Args:
        classes: The classes of the network.
        wanted: The classes of the label space.
    """
    further = {*classes} - {*CLASSES}
    return CLASSES if {*CLASSES} <= {*classes} and further.isdisjoint(wanted) else tuple(classes)


def can_answer(classes: Sequence[str], space: LabelSpace) -> bool:
    """Return whether a head with these classes can answer in a label space."""
    return space.has_one_class and len(shared(classes, space)) >= FEWEST


def in_space(logp: np.ndarray, classes: Sequence[str], space: LabelSpace) -> np.ndarray:
    """Return log-probabilities (..., K) of a label space, of those of a head (..., C), in the same precision.

    They are conditioned on the shared classes; the others have the logarithm of PROBABILITY_FLOOR. Rows of NaN have NaN
    for the shared classes.

    Args:
        logp: The head's log-probabilities.
        classes: Its C classes. A file of features has them in its attribute `head_classes`, unless they are the seven.
        space: The label space, of one class for each clip.
    """
    if tuple(classes) == space.names:
        return logp
    names = shared(classes, space)
    own = logp[..., [classes.index(name) for name in names]]
    if 0 < len(names) < len(classes):
        highest = own.max(-1, keepdims=True)
        own = own - highest - np.log(np.exp(own - highest).sum(-1, keepdims=True))
    found = np.full((*logp.shape[:-1], len(space)), np.log(PROBABILITY_FLOOR), logp.dtype)
    found[..., [space.names.index(name) for name in names]] = own
    return found


def prior_in_space(prior: Sequence[float], classes: Sequence[str], space: LabelSpace) -> np.ndarray:
    """Return the shares (K,) of a space's classes in what a head was trained on, from those of its own classes (C,).

    They sum to 1 over the shared classes. 0 stands for a class that the head does not know.
    """
    share_of = dict(zip(classes, prior, strict=True))
    found = np.array([share_of.get(name, 0.0) for name in space.names])
    if not found.any():
        found = np.array([float(name in share_of) for name in space.names])
    return found if tuple(classes) == space.names else found / max(found.sum(), PROBABILITY_FLOOR)


def lacks(classes: Sequence[str], space: LabelSpace) -> list[str]:
    """Return the classes of a label space that a network with these classes does not know."""
    return [name for name in space.names if name not in classes]


def remark(name: str, classes: Sequence[str], space: LabelSpace) -> str:
    """Return sentences on what a network lacks of a label space; "" if it knows all of its classes.

    >>> remark("expression", CLASSES, LabelSpace(("Happy", "Sad", "Bored")))
    'expression knows 2 of the 3 classes: Happy, Sad. It says nothing about Bored.'

    Args:
        name: What the network is called.
        classes: Its classes.
        space: The label space of the run.
    """
    known, lacking = shared(classes, space), lacks(classes, space)
    if space.has_one_class and not lacking:
        return ""
    instead = "Only its vectors are used, and not its own answers."
    if not space.has_one_class:
        return f"{name} answers with one class of {', '.join(classes)}, but labels has the kind {space.kind}. {instead}"
    if len(known) >= FEWEST:
        return (
            f"{name} knows {len(known)} of the {len(space)} classes: {', '.join(known)}. It says nothing about "
            f"{', '.join(lacking)}."
        )
    return (
        f"{name} knows the classes {', '.join(classes)}, of which labels has {', '.join(known) or 'none'}; at least "
        f"{FEWEST} are needed. {instead} Classes are compared by their exact names."
    )
