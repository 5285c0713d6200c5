"""What the card of a bundle says about labels: what answers are, what heads of networks know, and training labels."""

import numpy as np
import pandas as pd

from emopipe.backbones.shared_classes import remark
from emopipe.core.labels import BASIC7, NOTHING, LabelSpace
from emopipe.inference.run_model import RunModel


def what_it_gives(space: LabelSpace) -> str:
    """Return what the model of a bundle answers, as a part of a sentence."""
    names, numbers = ", ".join(space.names), "values" if space.kind == "dimensions" else "probabilities"
    order = f"(`labels.json` has them in the order of\nall {numbers})"
    if space.kind == "dimensions":
        return f"a number from {space.low:g} to {space.high:g} for each of {names} {order}"
    if space.kind == "multi":
        return f"a probability for each of the classes {names}, of which\nthey may show several or none {order}"
    votes = ". Probabilities stand for shares of raters' votes" if space.kind == "votes" else ""
    return f"one of the classes {names} {order}{votes}"


def of_heads(run: RunModel) -> list[str]:
    """Return a sentence for each network whose own head does not know all classes; none for the seven classes."""
    if run.space == BASIC7:
        return []
    said = [remark(f"The head of {name}", head.classes, run.space) for name, head in run.heads.items()]
    return [sentence for sentence in said if sentence]


def training_labels(clips: pd.DataFrame, space: LabelSpace) -> str:
    """Return what the labels of clips are: how many each class has, or the ends and the mean of each dimension."""
    if space.kind == "dimensions":
        values = space.targets(clips)
        ends = zip(space.names, values.min(0), values.max(0), values.mean(0), strict=True)
        return ", ".join(
            f"{name} from {low:.2f} to {high:.2f}, on average {mean:.2f}" for name, low, high, mean in ends
        )
    if space.has_one_class:
        counts = clips["label"].value_counts()
        ties = int(counts[~counts.index.isin(space.names)].sum())
        found = {name: int(counts[name]) for name in space.names if name in counts} | ({"ties": ties} if ties else {})
    else:
        shown = np.nansum(space.targets(clips), 0).astype(int).tolist()
        found = {**dict(zip(space.names, shown, strict=True)), NOTHING: int((clips["label"] == NOTHING).sum())}
    return ", ".join(f"{name} {count}" for name, count in found.items())
