"""The curves of a training: event files of TensorBoard, and a figure."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from tensorboardX import SummaryWriter

from emopipe.core.atomic import replacing
from emopipe.core.log import LOGGER
from emopipe.training.history import EpochMetrics, history_table

matplotlib.use("Agg")
from matplotlib import pyplot as plt


class TensorBoardLog:
    """Writes event files of TensorBoard during training."""

    def __init__(self, events: Path) -> None:
        """Open the log folder `events`; event files of an interrupted run in it are deleted and written again."""
        events.mkdir(parents=True, exist_ok=True)
        for old in events.glob("events.out.tfevents.*"):
            old.unlink()
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


def plot_history(history: Sequence[EpochMetrics], title: str, path: Path) -> None:
    """Write a PNG with the curves of loss and accuracy."""
    table = history_table(history)
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
