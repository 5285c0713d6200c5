"""Clips of the corpus that weights were trained on before the run: scores on them say little about new clips."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from emopipe.weights import trained_on
from emopipe.workflow.config import BackboneBlock


def remarks(table: pd.DataFrame, kind: str, backbones: Mapping[str, BackboneBlock]) -> list[str]:
    """Return a sentence for each backbone whose weights were trained on clips of the corpus, or on their people.

    Args:
        table: The clip table with digests.
        kind: The kind of the corpus; people are compared with those of corpora of the same kind.
        backbones: The backbones of the run. Of a schedule, the weights that it starts from are looked at.
    """
    people = [trained_on.person(kind, subject) for subject in table["subject"]]
    made = []
    for name, block in backbones.items():
        path = block.weights or block.options.get("weights", "")
        if path and Path(path).is_file():
            met = pd.Series(trained_on.read(path).meets(table["digest"].tolist(), people), table.index)
            if (met != "").any():
                made.append(_sentence(name, table["split"], met))
    return made


def _sentence(name: str, split: pd.Series, met: pd.Series) -> str:
    counts = [
        f"{int((met[split == one] != '').sum())} of {int((split == one).sum())} {one} clips"
        for one in ("train", "val", "test")
        if (met[split == one] != "").any()
    ]
    by_content, by_person = (int((met == how).sum()) for how in (trained_on.CONTENT, trained_on.SPEAKER))
    return (
        f"The weights of {name} were trained on {', '.join(counts)} before this run ({by_content} by content, "
        f"{by_person} by another clip of the person): scores of models with this stream are too good on them, and "
        "models that are trained on them trust it too much."
    )
