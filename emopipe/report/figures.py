"""Confusion matrices as PNG images."""

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd

from emopipe.core.atomic import replacing

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
