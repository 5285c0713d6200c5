"""The history of a training: a CSV, event files of TensorBoard, and a figure of the curves."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import pandas as pd

from emopipe.core.atomic import replacing, write_text
from emopipe.core.log import LOGGER

matplotlib.use("Agg")
from matplotlib import pyplot as plt

EpochMetrics = dict[str, float]
"""The metrics of one epoch: epoch, lr, loss, and held_out_ and val_ loss, accuracy and uar if they were evaluated."""
COLUMNS = [
    "epoch",
    "lr",
    "loss",
    *(f"{part}_{score}" for part in ("held_out", "val") for score in ("loss", "accuracy", "uar")),
]


class TensorBoardLog:
    """Writes event files of TensorBoard during training."""

    def __init__(self, events: Path) -> None:
        """Open the log folder `events`; event files of an interrupted run in it are deleted and written again."""
        events.mkdir(parents=True, exist_ok=True)
        for old in events.glob("events.out.tfevents.*"):
            old.unlink()
        from tensorboardX import SummaryWriter  # the trainer, which needs only the names above, runs without it

        self._writer = SummaryWriter(str(events))

    def write(self, metrics: EpochMetrics) -> None:
        """Write the metrics of one epoch, and log them."""
        for name, value in metrics.items():
            if name != "epoch":
                group, _, score = name.rpartition("_")
                self._writer.add_scalar(f"{group or 'training'}/{score}", value, int(metrics["epoch"]))
        self._writer.flush()
        parts = [f"{name} {value:.4f}" for name, value in metrics.items() if name not in ("epoch", "lr")]
        LOGGER.info(f"epoch {metrics['epoch']:.0f}: {', '.join(parts)}")

    def close(self) -> None:
        """Close the event file."""
        self._writer.close()


def write_history(history: Sequence[EpochMetrics], path: Path) -> None:
    """Write a CSV with one row per epoch; cells of scores that were not evaluated are empty."""
    write_text(path, pd.DataFrame(history).reindex(columns=COLUMNS).round(6).to_csv(index=False))


def plot_history(history: Sequence[EpochMetrics], title: str, path: Path) -> None:
    """Write a PNG with the curves of loss and accuracy."""
    table = pd.DataFrame(history).reindex(columns=COLUMNS)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    left.plot(table["epoch"], table["loss"], label="training (augmented)")
    for part, name in (("held_out", "held out"), ("val", "val")):
        evaluated = table.dropna(subset=[f"{part}_loss"])
        if len(evaluated):
            epoch = evaluated["epoch"]
            left.plot(epoch, evaluated[f"{part}_loss"], marker=".", label=name)
            right.plot(epoch, 100 * evaluated[f"{part}_accuracy"], marker=".", label=f"{name}, accuracy")
            right.plot(epoch, 100 * evaluated[f"{part}_uar"], marker=".", linestyle="--", label=f"{name}, UAR")
    left.set(xlabel="epoch", ylabel="loss")
    left.set_title(title, parse_math=False)
    right.set(xlabel="epoch", ylabel="%")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    with replacing(path) as unfinished:
        figure.savefig(unfinished, dpi=110, metadata={"Software": None})
    plt.close(figure)
