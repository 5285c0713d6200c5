"""The classes that the shipped networks are asked to answer in, in place of their seven."""

from collections.abc import Sequence

import numpy as np

from emopipe.backbones.shared_classes import can_answer, lacks, remark
from emopipe.core.errors import ConfigError
from emopipe.core.label_block import LabelsBlock
from emopipe.core.labels import BASIC7, CLASSES, SETS, LabelSpace, shared
from emopipe.core.validation import checked


def space_of(labels: str | Sequence[str] | None) -> LabelSpace:
    """Return the label space that is asked for: a named set, or names, which a text has commas between.

    Raises:
        ConfigError: A name cannot be a class, the set is unknown, or the shipped networks know fewer than two of them.
    """
    if labels is None:
        return BASIC7
    if isinstance(labels, str):
        labels = labels if "," not in labels else [name.strip() for name in labels.split(",")]
    block = {"set": labels} if isinstance(labels, str) else {"names": list(labels)}
    space = checked(LabelsBlock, block, "--labels").space
    if not can_answer(CLASSES, space):
        raise ConfigError(
            f"--labels has {', '.join(space.names)}, but the shipped networks know {', '.join(CLASSES)}: they share "
            f"{', '.join(shared(CLASSES, space)) or 'none'}. Expected at least two of these, or one of the sets "
            f"{', '.join(SETS)}. Classes are compared by their exact names. Give others, or train on clips with these."
        )
    return space


def in_space(p: np.ndarray, space: LabelSpace) -> np.ndarray:
    """Return probabilities (..., K) of a label space, of those (..., 7) of the seven classes.

    They are those given that one of the shared classes is shown; 0 for the other classes of the space.
    """
    if space == BASIC7:
        return p
    names = shared(CLASSES, space)
    own = p[..., [CLASSES.index(name) for name in names]]
    found = np.zeros((*p.shape[:-1], len(space)))
    found[..., [space.names.index(name) for name in names]] = own / own.sum(-1, keepdims=True)
    return found


def about(space: LabelSpace) -> str:
    """Return sentences on what the shipped networks lack of a label space; "" if they know all of its classes."""
    return remark("The shipped model", CLASSES, space)


def unknown(space: LabelSpace) -> list[int]:
    """Return the numbers of the classes that the shipped networks do not know."""
    return [space.names.index(name) for name in lacks(CLASSES, space)]
