"""Figures as PNG images: confusion matrices, precision against recall, predicted against given, a sheet of faces."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pandas as pd

from emopipe.cache.store import Reader
from emopipe.core.atomic import replacing
from emopipe.core.labels import CLASSES, LabelSpace
from emopipe.media.decoded import decode_jpegs
from emopipe.scoring.average_precision import average_precisions
from emopipe.scoring.concordance import concordances, moments

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

MORE = 0.5
"""By how many inches a confusion matrix grows for each class beyond seven."""
STYLES = ("solid", "dashed", "dotted", "dashdot")
"""Lines of ten classes each, which differ in colour."""


def confusion_matrix(counts: pd.DataFrame, title: str, path: Path) -> None:
    """Draw a confusion matrix as a PNG image without a time stamp, so that equal counts give equal bytes.

    Args:
        counts: (classes, classes), a row for each label and a column for each prediction; cells are shaded by their
            share of the row.
        title: The title above the matrix.
        path: The file to write.
    """
    shares = counts.to_numpy() / np.maximum(counts.to_numpy().sum(1, keepdims=True), 1)
    more = MORE * max(0, len(counts) - len(CLASSES))
    figure, axes = plt.subplots(figsize=(5.2 + more, 4.6 + more), layout="constrained")
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
    _save(figure, path)


def precision_recall(p: np.ndarray, present: np.ndarray, names: Sequence[str], title: str, path: Path) -> None:
    """Draw the precision of each class against its recall, with its average precision, as a PNG image.

    Args:
        p: (N, K) a probability for each class.
        present: (N, K) 1 where the clip shows the class, else 0; classes that no clip shows are not drawn.
        names: The K classes.
        title: The title above the curves.
        path: The file to write.
    """
    from sklearn.metrics import precision_recall_curve  # slow to import, and few need it

    figure, axes = plt.subplots(figsize=(6.4, 4.6), layout="constrained")
    ap = average_precisions(p, present, np.ones((1, len(p))))[0]
    for k in np.flatnonzero(present.any(0)):
        precision, recall, _ = precision_recall_curve(present[:, k], p[:, k])
        label = f"{names[k]}: AP {ap[k]:.1%}, by chance {present[:, k].mean():.1%}"
        axes.step(recall, precision, where="post", label=label, color=f"C{k % 10}", linestyle=STYLES[k // 10 % 4])
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    axes.set_title(title, fontsize=10, parse_math=False)
    for text in figure.legend(loc="outside lower center", ncols=2, fontsize=8).get_texts():
        text.set_parse_math(False)
    _save(figure, path)


def scatter(values: np.ndarray, given: np.ndarray, space: LabelSpace, title: str, path: Path) -> None:
    """Draw what is predicted against what is given, with the CCC, for each dimension, as a PNG image.

    Args:
        values: (N, K) the predictions.
        given: (N, K) the labels.
        space: A label space of dimensions.
        title: The title above all.
        path: The file to write.
    """
    figure, panels = plt.subplots(
        1, len(space), figsize=(3.6 * len(space), 4.0), layout="constrained", squeeze=False, sharey=True
    )
    for name, x, y, ccc, axes in zip(
        space.names, given.T, values.T, concordances(moments(values, given).sum(0)), panels[0], strict=True
    ):
        axes.plot([space.low, space.high], [space.low, space.high], color="0.7", linewidth=1)
        axes.scatter(x, y, s=10, alpha=0.5, linewidths=0)
        axes.set(xlim=(space.low, space.high), ylim=(space.low, space.high), xlabel="given")
        axes.set_aspect("equal")
        axes.set_title(f"{name}: CCC {ccc:.3f}", fontsize=10, parse_math=False)
    panels[0, 0].set_ylabel("predicted")
    figure.suptitle(title, fontsize=10, parse_math=False)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
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
