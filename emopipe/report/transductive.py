"""What tables say of models that read unlabelled clips of the people whom they predict (`normalise: subject`)."""

from collections.abc import Mapping
from typing import Any

NOTE = "Transductive: sound is normalised by person."
"""The note in a model's row."""


def names(recipe: Mapping[str, Any]) -> list[str]:
    """Return the models and ensembles that are transductive, by `Plan.report`."""
    return list(recipe.get("transductive", ()))


def sentences(recipe: Mapping[str, Any]) -> list[str]:
    """Return the sentence on these models; none if there are none."""
    if not names(recipe):
        return []
    return [
        "Transductive, because the sound of each person is normalised over all of that person's clips, those that are "
        "tested included (not their labels), so their scores hold only where several clips of a person are at hand: "
        f"{', '.join(names(recipe))}."
    ]
