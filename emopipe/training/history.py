"""How training went: a CSV, TensorBoard's event files and a picture of the curves."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import pandas as pd
from tensorboardX import SummaryWriter

from emopipe.core.atomic import replacing, write_text
from emopipe.core.log import LOGGER

matplotlib.use("Agg")
from matplotlib import pyplot as plt

COLUMNS = [
    "epoch",
    "lr",
    "loss",
    *(f"{part}_{score}" for part in ("held_out", "val") for score in ("loss", "accuracy", "uar")),
]


class Journal:
    """Event files are written as training runs, the others when it is over."""

    def __init__(self, events: Path) -> None:
        """`events`: TensorBoard's log folder; what an interrupted run wrote there is written anew."""
        events.mkdir(parents=True, exist_ok=True)
        for old in events.glob("events.out.tfevents.*"):
            old.unlink()
        self._writer = SummaryWriter(str(events))

    def tell(self, line: dict[str, float]) -> None:
        """Take in one epoch."""
        for name, value in line.items():
            if name != "epoch":
                group, _, score = name.rpartition("_")
                self._writer.add_scalar(f"{group or 'training'}/{score}", value, int(line["epoch"]))
        self._writer.flush()
        parts = [f"{name} {value:.4f}" for name, value in line.items() if name not in ("epoch", "lr")]
        LOGGER.info(f"epoch {line['epoch']:.0f}: {', '.join(parts)}")

    def close(self) -> None:
        """Close the event file."""
        self._writer.close()


def write_history(history: Sequence[dict[str, float]], path: Path) -> None:
    """One row an epoch; empty where a split was not looked at."""
    write_text(path, pd.DataFrame(history).reindex(columns=COLUMNS).round(6).to_csv(index=False))


def draw(history: Sequence[dict[str, float]], title: str, path: Path) -> None:
    """Loss and accuracy over epochs, as a PNG."""
    table = pd.DataFrame(history).reindex(columns=COLUMNS)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    left.plot(table["epoch"], table["loss"], label="training (augmented)")
    for part, name in (("held_out", "held out"), ("val", "val")):
        seen = table.dropna(subset=[f"{part}_loss"])
        if len(seen):
            left.plot(seen["epoch"], seen[f"{part}_loss"], marker=".", label=name)
            right.plot(seen["epoch"], 100 * seen[f"{part}_accuracy"], marker=".", label=f"{name}, accuracy")
            right.plot(seen["epoch"], 100 * seen[f"{part}_uar"], marker=".", linestyle="--", label=f"{name}, UAR")
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
