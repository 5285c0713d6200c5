"""How the networks were trained, and what the ensembles are made of."""

from pathlib import Path

import pandas as pd

from emopipe.report import writing
from emopipe.report.page.charts import bars, curves
from emopipe.report.page.parts import Chart, Group, Paragraphs, Section, Table
from emopipe.report.page.sources import Sources
from emopipe.scoring.measures import primary

LOSSES = {"loss": "training", "held_out_loss": "held out", "val_loss": "val"}
"""Column of a history -> what the loss was computed on."""


def section(sources: Sources) -> Section:
    """Return the section."""
    charts = [_curves(name, path) for name, path in sources.histories.items()]
    parts: list[Group | Paragraphs | Table] = [Group(charts)]
    if not charts:
        parts = [Paragraphs(["No backbone was trained in this run, so there is no curve of one."])]
    parts.append(_fusion(sources))
    weights = sources.frame("ensembles")
    parts.append(Group([_weights(name, rows) for name, rows in weights.groupby("ensemble", sort=False)]))
    shown = writing.columns("ensembles", weights, sources.space)
    notes = writing.notes("ensembles", weights, sources.recipe["report"])
    parts.append(Table.of(writing.TITLES["ensembles"], shown, notes, closed=True))
    return Section("training", "Training and ensembles", parts)


def _fusion(sources: Sources) -> Table:
    """Return how the models came out of their training: the chosen candidate, as a mean over its seeds."""
    rows, measure = [], primary(sources.space)
    for name in sources.recipe["report"]["models"]:
        found = pd.read_csv(sources.folder / f"models/{name}.csv")
        chosen = found[found["chosen"] == 1].reindex(columns=["seed", "epochs", "oof_loss", f"oof_{measure.key}"])
        mean = chosen.mean()  # NaN if nothing could be trained, as without a training clip that has vectors
        score = round(measure.points * mean[f"oof_{measure.key}"], 1 if measure.is_share else 3)
        seeds = chosen["seed"].nunique()
        rows.append((name, found["candidate"].nunique(), seeds, mean["epochs"], mean["oof_loss"], score))
    of_score = f"{measure.name} out of fold" + (", %" if measure.is_share else "")
    columns = ["model", "candidates", "seeds", "epochs", "loss out of fold", of_score]
    notes = [
        "The candidate with the lowest loss out of fold was chosen. Numbers are means over single seeds. Pools of "
        "heads, and models of one candidate, had nothing to choose. The loss of single epochs is not recorded."
    ]
    return Table.of("Training of the models", pd.DataFrame(rows, columns=columns).round(3), notes)


def _curves(name: str, path: Path) -> Chart:
    """Return the losses of a backbone's networks over the epochs, each network and part of the data a line."""
    table = pd.read_csv(path)
    if "network" not in table:
        table["network"] = "all"
    losses = [column for column in LOSSES if column in table]
    rows = table.melt(["network", "epoch"], losses, "part", "value").dropna(subset="value")
    rows["line"] = rows["part"].map(LOSSES) + rows["network"].map(lambda network: f", {network}")
    rows = rows[["epoch", "line", "value"]].rename(columns={"value": "loss"}).round(4)
    numbers = Table.of("Losses", rows.pivot(index="epoch", columns="line", values="loss").reset_index())
    caption = "Loss by epoch. Lines that end higher on held-out clips than on training clips show over-fitting."
    return Chart(f"Training of {name}", curves(rows, "epoch", "loss", "line"), caption, numbers)


def _weights(name: str, rows: pd.DataFrame) -> Chart:
    shown = rows[["member", "weight"]].round(4)
    title = f"Weights of {name} ({rows['method'].iat[0]})"
    return Chart(title, bars(shown, "weight", "member"), numbers=Table.of(title, shown))
