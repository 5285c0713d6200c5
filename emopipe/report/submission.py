"""EmotiW's submission: a zip with one `<clip>.txt` a test clip, holding one class word."""

import zipfile
from pathlib import Path

import pandas as pd

from emopipe.core.atomic import replacing

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time stamp of every member, so that equal predictions give equal bytes."""


def wanted(predictions: pd.DataFrame) -> bool:
    """Whether there are unlabelled test clips to answer for."""
    return bool(((predictions["split"] == "test") & (predictions["label"] == "")).any())


def write(predictions: pd.DataFrame, path: Path) -> None:
    """Write the predictions of the unlabelled test clips."""
    unlabelled = predictions[(predictions["split"] == "test") & (predictions["label"] == "")]
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for clip, pred in zip(unlabelled["clip"], unlabelled["pred"], strict=True):
            archive.writestr(zipfile.ZipInfo(f"{clip}.txt", EPOCH), f"{pred}\n")
