"""EmotiW's submission format: a zip with one file `<clip>.txt` for each test clip, which holds the predicted class."""

import zipfile
from pathlib import Path

import pandas as pd

from emopipe.core.atomic import replacing
from emopipe.core.labels import BASIC7, LabelSpace

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time stamp of every file in the zip, so that equal predictions give equal bytes."""


def wanted(predictions: pd.DataFrame, space: LabelSpace = BASIC7) -> bool:
    """Return whether there are unlabelled test clips, whose predicted class can be submitted."""
    return space.kind == "single" and bool(_is_unlabelled_test(predictions).any())


def write(predictions: pd.DataFrame, path: Path) -> None:
    """Write the predictions of the unlabelled test clips as a zip file."""
    unlabelled = predictions[_is_unlabelled_test(predictions)]
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for clip, pred in zip(unlabelled["clip"], unlabelled["pred"], strict=True):
            archive.writestr(zipfile.ZipInfo(f"{clip}.txt", EPOCH), f"{pred}\n")


def _is_unlabelled_test(predictions: pd.DataFrame) -> pd.Series:
    return (predictions["split"] == "test") & (predictions["label"] == "")
