"""Figures as PNG images: confusion matrices, and a sheet of faces."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pandas as pd

from emopipe.cache.store import Reader
from emopipe.core.atomic import replacing
from emopipe.media.decoded import decode_jpegs

matplotlib.use("Agg")
from matplotlib import pyplot as plt


def confusion_matrix(counts: pd.DataFrame, title: str, path: Path) -> None:
    """Draw a confusion matrix as a PNG image without a time stamp, so that equal counts give equal bytes.

    Args:
        counts: (classes, classes), a row for each label and a column for each prediction; cells are shaded by their
            share of the row.
        title: The title above the matrix.
        path: The file to write.
    """
    shares = counts.to_numpy() / np.maximum(counts.to_numpy().sum(1, keepdims=True), 1)
    figure, axes = plt.subplots(figsize=(5.2, 4.6), layout="constrained")
    image = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    axes.set_xticks(range(len(counts)), counts.columns, rotation=45, ha="right")
    axes.set_yticks(range(len(counts)), counts.index)
    axes.set_xlabel("predicted")
    axes.set_ylabel("labelled")
    axes.set_title(title, fontsize=10, parse_math=False)
    for (row, column), count in np.ndenumerate(counts.to_numpy()):
        axes.text(
            column, row, str(count), ha="center", va="center", color="white" if shares[row, column] > 0.5 else "black"
        )
    figure.colorbar(image, ax=axes, label="share of the class")
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120, metadata={"Software": None})
    plt.close(figure)


FACE_SIDE = 128
"""Side of a face on a sheet, in pixels."""
FACES_IN_A_ROW = 7
"""How many faces a row of a sheet has at most."""


def face_sheet(shards: Sequence[Path], clips: pd.DataFrame, path: Path) -> None:
    """Write a PNG image with the middle face of clips, one row after the other; clips without a face are omitted.

    Args:
        shards: The files of the faces stage.
        clips: Rows of the clip table, in the order in which their faces are to be shown.
        path: The file to write.
    """
    found: dict[str, np.ndarray] = {}
    for shard in shards:
        with Reader(shard) as faces:
            for clip in set(clips["clip"]).intersection(faces.clips):
                crops = decode_jpegs(faces.field(clip, "crop"), faces.field(clip, "crop_size"))
                if crops:
                    middle = crops[len(crops) // 2]
                    found[clip] = cv2.resize(middle, (FACE_SIDE, FACE_SIDE), interpolation=cv2.INTER_AREA)
    shown = [found[clip] for clip in clips["clip"] if clip in found]
    rows = max(1, -(-len(shown) // FACES_IN_A_ROW))
    sheet = np.full((rows * FACE_SIDE, FACES_IN_A_ROW * FACE_SIDE, 3), 255, np.uint8)
    for number, face in enumerate(shown):
        top, left = (FACE_SIDE * place for place in divmod(number, FACES_IN_A_ROW))
        sheet[top : top + FACE_SIDE, left : left + FACE_SIDE] = face
    with replacing(path) as temporary:
        temporary.write_bytes(cv2.imencode(".png", sheet)[1].tobytes())
