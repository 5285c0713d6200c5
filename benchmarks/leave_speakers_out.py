"""Trains a recipe of `emopipe pretrain` without some speakers, scores it on these, and repeats this for all speakers.

    python benchmarks/leave_speakers_out.py RECIPE --data DATA --out FOLDER [--folds 4] [--only 3] [--product OTHER.csv]

The folds are blocks of speakers in the order of their names: for four folds of RAVDESS' actors 1 to 16 they are 1-4,
5-8 and so on, with two women and two men each. The recipe has one source, a kind of corpus with the options
`val_subjects` and `test_subjects`; all speakers but those of the fold are trained on. Prints n, accuracy and UAR of
each fold and of all, with 95 % intervals over speakers. Writes to FOLDER the weights of each fold, and `scores.csv`
with each utterance's log-probabilities of the seven classes. A second call continues an interrupted one.

--product names the scores.csv of another network, which may be repeated: the product of their probabilities (the sum of
the log-probabilities) is scored as well, on the utterances that all have.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
import yaml

from emopipe import corpora
from emopipe.commands.pretrain import pretrain
from emopipe.core.atomic import write_text
from emopipe.core.errors import ConfigError
from emopipe.core.labels import CLASSES, PROBABILITY_FLOOR
from emopipe.corpora.labelling import in_classes
from emopipe.evaluation import networks, samples, scoring
from emopipe.runtime import device as devices
from emopipe.scoring.metrics import uar
from emopipe.scoring.predictions import PROBABILITIES
from emopipe.scoring.scores import score_intervals

LOGS = [f"log_{label}" for label in CLASSES]
"""The columns of the log-probabilities."""


def main(
    recipe: Annotated[Path, typer.Argument(help="A recipe such as configs/weights/speech_logmel.yaml.")],
    data: Annotated[Path, typer.Option(help="The folder that contains the recipe's corpus.")],
    out: Annotated[Path, typer.Option(help="The folder for weights and scores.")],
    folds: Annotated[int, typer.Option(help="The number of folds.", min=2)] = 4,
    only: Annotated[list[int] | None, typer.Option(help="Run this fold alone, from 0. May be repeated.")] = None,
    product: Annotated[list[Path] | None, typer.Option(help="Scores of another network. May be repeated.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
) -> None:
    """Train and score every fold, and print the table in Markdown."""
    whole = yaml.safe_load(recipe.read_text())
    out.mkdir(parents=True, exist_ok=True)
    others = [pd.read_csv(path, dtype={"subject": str}) for path in product or ()]
    print("| network | speakers | n | accuracy % | UAR % |\n|---|---|---|---|---|")
    parts = []
    names = speakers(whole, data)
    for number, held_out in enumerate(blocks(names, folds)):
        if only and number not in only:
            continue
        written = out / f"fold{number}.yaml"
        write_text(written, yaml.safe_dump(fold_recipe(whole, held_out, names)))
        weights = written.with_suffix(".safetensors")
        pretrain(written, data, weights, device, threads)
        parts.append(score(weights, whole, data, held_out, device, threads).assign(fold=number))
        print_row(recipe.stem, parts[-1], ", ".join(held_out))
    table = pd.concat(parts, ignore_index=True)
    write_text(out / "scores.csv", table.to_csv(index=False, float_format="%.6f", lineterminator="\n"))
    print_row(recipe.stem, table, "all")
    for path, other in zip(product or (), others, strict=True):
        print_row(str(path), other, "all")
    if others:
        print_row("product of all", multiplied([table, *others]), "all")


def source(whole: Mapping[str, Any]) -> dict[str, Any]:
    """Return the recipe's only source."""
    if len(whole["sources"]) != 1:
        raise ConfigError(
            f"The recipe has the sources {', '.join(whole['sources'])}. Expected one, whose speakers form the folds."
        )
    return next(iter(whole["sources"].values()))


def speakers(whole: Mapping[str, Any], data: Path) -> list[str]:
    """Return the speakers of the recipe's source, sorted."""
    block = source(whole)
    options = {key: value for key, value in block["options"].items() if key not in ("val_subjects", "test_subjects")}
    context = in_classes(whole.get("classes", CLASSES))
    checked = corpora.options_class(block["kind"]).model_validate(options, context=context)
    return sorted(set(corpora.scan(block["kind"], data / block["path"], checked)["subject"]))


def blocks(names: Sequence[str], folds: int) -> list[list[str]]:
    """Return the speakers of each fold, in blocks of (nearly) equal size.

    >>> blocks(["01", "02", "03", "04", "05"], 2)
    [['01', '02', '03'], ['04', '05']]
    """
    if len(names) < folds:
        raise ConfigError(f"There are {folds} folds, but only {len(names)} speakers. Lower --folds.")
    return [part.tolist() for part in np.array_split(np.array(names, object), folds)]


def fold_recipe(whole: Mapping[str, Any], held_out: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """Return the recipe that trains on all other speakers; one of them is the split val, but is trained on as well."""
    trained = [name for name in names if name not in held_out]
    (name,), block = whole["sources"], source(whole)
    options = block["options"] | {"val_subjects": trained[-1:], "test_subjects": list(held_out)}
    return {**whole, "sources": {name: block | {"train": ["train", "val"], "val": [], "options": options}}}


def score(
    weights: Path, whole: Mapping[str, Any], data: Path, held_out: Sequence[str], device: str, threads: int
) -> pd.DataFrame:
    """Return a row per utterance of these speakers that shows one of the seven classes."""
    block = source(whole)
    network = networks.open_network(str(weights), device=devices.prepare(device, threads), threads=threads)
    corpus = samples.Corpus(block["kind"], data / block["path"], subjects=held_out)
    given = samples.open_corpus(corpus, network.spec, detector=_no_detector, detect=False, flip=False)
    found = scoring.score(network, given).table
    found = found[found["label"] < len(CLASSES)].reset_index(drop=True)  # further classes are not scored
    p = found[PROBABILITIES].to_numpy(float)
    logs = np.log((p / p.sum(1, keepdims=True)).clip(PROBABILITY_FLOOR))
    label = found["label"].map(dict(enumerate(CLASSES)))
    return found[["sample", "subject"]].assign(label=label, **dict(zip(LOGS, logs.T, strict=True)))


def multiplied(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the table of the product: the sums of the log-probabilities of the utterances that all tables have."""
    first, *others = (table.set_index("sample") for table in tables)
    common = first.index[np.logical_and.reduce([first.index.isin(other.index) for other in others])]
    summed = first.loc[common, LOGS] + sum(other.loc[common, LOGS] for other in others)
    return first.loc[common].assign(**summed).reset_index()


def print_row(name: str, table: pd.DataFrame, shown: str) -> None:
    """Print a row of the table, with intervals over speakers if these are all."""
    label, found = table["label"].to_numpy(str), np.array(CLASSES)[table[LOGS].to_numpy().argmax(1)]
    figures = [100 * float((label == found).mean()), 100 * uar(label, found)]
    cells = [f"{figure:.1f}" for figure in figures]
    bounds = score_intervals(label, found, table["subject"].to_numpy(str))
    if shown == "all" and np.isfinite(bounds.low).all():  # too few speakers have no interval
        cells = [f"{cell} [{100 * bounds.low[k]:.1f}, {100 * bounds.high[k]:.1f}]" for k, cell in enumerate(cells)]
    print(f"| {name} | {shown} | {len(table)} | {' | '.join(cells)} |", flush=True)


def _no_detector() -> Any:
    raise ConfigError("The recipe trains a face network, but leave-speakers-out is for sounds. Give another recipe.")


if __name__ == "__main__":
    typer.run(main)
