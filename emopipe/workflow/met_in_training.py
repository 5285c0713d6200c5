"""Clips of the corpus that weights were trained on before the run: scores on them say little about new clips."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from emopipe.weights import trained_on
from emopipe.workflow.config import BackboneBlock


def weights_of(block: BackboneBlock) -> str:
    """Return the file that a backbone's weights come from; "" without one. Of a schedule: what it starts from."""
    return block.weights or block.options.get("weights", "")


def met_clips(table: pd.DataFrame, kind: str, backbones: Mapping[str, BackboneBlock]) -> dict[str, pd.Series]:
    """Return, for each backbone whose weights were trained on clips of the corpus or on their people, how it met each.

    Args:
        table: The clip table with digests.
        kind: The kind of the corpus; people are compared with those of corpora of the same kind.
        backbones: The backbones of the run.
    """
    made = {}
    for name, block in backbones.items():
        path = weights_of(block)
        if path and Path(path).is_file():
            met = trained_on.met_clips(table, kind, path)
            if (met != "").any():
                made[name] = met
    return made


def remarks(table: pd.DataFrame, found: Mapping[str, pd.Series]) -> list[str]:
    """Return a sentence for each backbone that `met_clips` found."""
    return [_sentence(name, table["split"], met) for name, met in found.items()]


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
