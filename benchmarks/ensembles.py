#!/usr/bin/env python3
"""Compare ways to combine the models of a finished run, by its out-of-fold predictions and on a reported split.

    python benchmarks/ensembles.py results/mine [--split val] [--against heads_product] [--clips cache/mine/clips.csv]

Each row is one set of members and one method, fitted on out-of-fold predictions. Columns: loss and accuracy out of
fold, where the clips of a fold are predicted by a combination that is fitted on the other folds; accuracy on the split
with its 95 % interval over subjects; and its difference in points to the model `--against`, with interval and p.
Choose a method by the columns out of fold; the split is for reporting.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
import yaml

from emopipe.core.labels import CLASSES
from emopipe.fusion.ensemble import FittedEnsemble
from emopipe.fusion.options import EnsembleOptions
from emopipe.scoring import predictions
from emopipe.scoring.intervals import groups_of
from emopipe.scoring.metrics import log_losses
from emopipe.scoring.paired_tests import paired_test
from emopipe.scoring.scores import difference_intervals, score_intervals

METHODS = {
    "mean": {},
    "mean, calibrated": {"calibrate": True},
    "geometric mean": {"mean": "geometric"},
    "weighted": {"method": "weighted"},
    "weighted, geometric": {"method": "weighted", "mean": "geometric"},
    "weighted, geometric, calibrated": {"method": "weighted", "mean": "geometric", "calibrate": True},
    "greedy": {"method": "greedy"},
    "greedy, geometric": {"method": "greedy", "mean": "geometric"},
    "bagged greedy": {"method": "greedy", "bags": 20},
    "bagged greedy, geometric": {"method": "greedy", "bags": 20, "mean": "geometric"},
    "bagged greedy, sorted start": {"method": "greedy", "bags": 20, "sorted_start": True},
    "stacking": {"method": "stacking"},
}
SETS = {
    "trained": ("face_", "audio_", "fused_"),
    "fused": ("fused_",),
    "one modality": ("face_", "audio_"),
    "heads": ("heads_",),
    "trained + heads": ("",),
}
"""Set of members -> beginnings of their names."""

Tables = Mapping[str, pd.DataFrame]


def main(
    run: Annotated[Path, typer.Argument(help="A finished run: results/NAME.")],
    split: Annotated[str, typer.Option(help="The reported split: val, test or kfold.")] = "val",
    against: Annotated[str, typer.Option(help="The model that others are compared with.")] = "heads_product",
    clips: Annotated[Path | None, typer.Option(help="Clip table with subjects; default: the run's.")] = None,
) -> None:
    """Print a row for each model alone, and for each set of members and method."""
    names = sorted(path.stem for path in (run / "oof").glob("*.csv") if not path.stem.startswith("ensemble"))
    oof, reported = ({name: predictions.read(run / kind / f"{name}.csv") for name in names} for kind in FOLDERS)
    groups, unit = _groups(clips or _clip_table(run), _labelled(reported[names[0]], split)["clip"].to_numpy())
    other = _labelled(reported[against], split) if against in names else None
    print(f"{run}: {len(oof[names[0]])} clips out of fold, {len(groups)} of {split}, G = {len(set(groups))} {unit}s")
    print(f"{'members':17}{'method':34}{'OOF loss':>9}{'OOF %':>7}  {split + ' % [95 %]':22}points to {against}")
    for members, method, of_fold, made in _combined(oof, reported):
        part = _labelled(made, split)
        found = score_intervals(part["label"], part["pred"], groups)
        loss, accuracy = _scores(of_fold)
        interval = _with_interval(100, found.value[0], found.low[0], found.high[0])
        print(f"{members:17}{method:34}{loss:9.4f}{100 * accuracy:7.1f}  {interval:22}", end="")
        print(_difference(part, other, groups, unit) if other is not None else "", flush=True)


FOLDERS = ("oof", "predictions")


def _combined(oof: Tables, reported: Tables) -> Iterator[tuple[str, str, pd.DataFrame, pd.DataFrame]]:
    """Yield the set of members, the method, and the predictions out of fold and of the reported clips."""
    for name in oof:
        yield name[:16], "(alone)", oof[name], reported[name]
    for title, beginnings in SETS.items():
        members = [name for name in oof if name.startswith(beginnings)]
        if len(members) < 2 or (title == "trained + heads" and not any(m.startswith("heads_") for m in members)):
            continue
        for method, options in METHODS.items():
            ensemble = FittedEnsemble(EnsembleOptions.model_validate(options), [oof[member] for member in members])
            of_fold, made = (ensemble.predict([tables[member] for member in members]) for tables in (oof, reported))
            yield title, method, of_fold, made


def _scores(table: pd.DataFrame) -> tuple[float, float]:
    """Return loss and accuracy of a table of predictions."""
    targets = table["label"].map(CLASSES.index).to_numpy()
    p = table[predictions.PROBABILITIES].to_numpy(float)
    return float(log_losses(p, targets).mean()), float((table["pred"] == table["label"]).mean())


def _difference(part: pd.DataFrame, other: pd.DataFrame, groups: np.ndarray, unit: str) -> str:
    """Return the difference in points of accuracy with its interval, and the p of the paired test."""
    found = difference_intervals(part["label"], part["pred"], other["pred"], groups)
    correct, of_other = ((each["label"] == each["pred"]).to_numpy() for each in (part, other))
    p, _ = paired_test(correct, of_other, groups, unit)
    return f"{_with_interval(100, found.value[0], found.low[0], found.high[0], '+')}  p = {p:.3g}"


def _with_interval(scale: float, value: float, low: float, high: float, sign: str = "") -> str:
    bounds = "" if np.isnan(low) else f" [{scale * low:{sign}.1f}, {scale * high:{sign}.1f}]"
    return f"{scale * value:{sign}.1f}{bounds}"


def _labelled(table: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return the labelled clips of a split."""
    return table[(table["split"] == split) & (table["label"] != "")].reset_index(drop=True)


def _clip_table(run: Path) -> Path:
    """Return the clip table of the run's corpus, beside its folder of results."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    return run.resolve().parents[1] / "cache" / config["corpus"]["name"] / "clips.csv"


def _groups(table: Path, clips: np.ndarray) -> tuple[np.ndarray, str]:
    """Return the groups of clips and what they are: their subjects, or the clips themselves if not all are known."""
    if not table.is_file():
        return clips, "clip"
    read = pd.read_csv(table, dtype=str, keep_default_na=False).set_index("clip")["subject"]
    return groups_of(clips, np.array([read.get(clip, "") for clip in clips], str))


if __name__ == "__main__":
    typer.run(main)
