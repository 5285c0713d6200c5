"""Stage report: predictions and the caches' statuses -> metrics, tables, ledger, figures, summary, submission."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from emopipe.cache.status import text
from emopipe.core import tables
from emopipe.core.atomic import write_text
from emopipe.core.labels import of_recipe
from emopipe.core.log import LOGGER
from emopipe.report import (
    by_class,
    ceiling,
    comparisons,
    figures,
    ledger,
    of_corpus,
    read_first,
    results,
    streams,
    submission,
    summary,
    transductive,
    unseen,
    writing,
)
from emopipe.report.files import by_class_table, figure_name
from emopipe.report.options import Comparison
from emopipe.report.results import Model, Results
from emopipe.scoring import metrics, predictions

MOST_FACES = 14
"""How many faces the sheet of drawn faces shows at most."""


def run(
    recipe: Mapping[str, Any],
    clips: Path,
    stages: Mapping[str, Sequence[Path]],
    predicted: Mapping[str, Path],
    out_of_fold: Mapping[str, Path],
    seeds: Mapping[str, Path],
    candidates: Mapping[str, Path],
    weights: Path,
    met_weights: Mapping[str, str],
    config: Mapping[str, Any],
    folder: Path,
) -> None:
    """Write the results of a run.

    Args:
        recipe: `Plan.report`.
        clips: The clip table.
        stages: Stage -> its files, for the ledger.
        predicted: Model or ensemble -> its predictions.
        out_of_fold: Model or ensemble -> its out-of-fold predictions of the clips that it was trained on.
        seeds: Model or ensemble -> the predictions of each of its seeds.
        candidates: Model -> its table of candidates, which has a note.
        weights: The ensembles' weights.
        met_weights: `Plan.met_weights`.
        config: The run's config as it was given, with which `emopipe predict` finds what the run consists of.
        folder: Where to write config.yaml, metrics.csv, ledger.csv, summary.md, tables/, figures/ and, if there are
            unlabelled test clips, submission.zip.
    """
    table = tables.read(clips)
    space = of_recipe(recipe)
    models = _models(recipe, predicted, out_of_fold, seeds, candidates, unseen.met_clips(table, recipe, met_weights))
    subjects = dict(zip(table["clip"], table["subject"], strict=True))
    run_results = Results(models, subjects, recipe["missing"], table, space)
    parts = [metrics.score(m.predictions, name, space) for name, m in models.items()]
    scores = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=metrics.columns(space))
    statuses = ledger.build(table, stages)
    write_text(folder / "config.yaml", yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))
    write_text(folder / "metrics.csv", scores.to_csv(index=False, float_format="%.6f"))
    tables.write(statuses, folder / "ledger.csv")
    compared = comparisons.table(run_results, [Comparison.model_validate(block) for block in recipe["comparisons"]])
    vectors = {n.removeprefix("features/"): paths[0] for n, paths in stages.items() if n.startswith("features/")}
    heads = streams.table(vectors, recipe["heads"], table, space)
    more = of_corpus.tables(run_results, table, space)
    lines = [*streams.sentences(heads), *read_first.sentences(table, run_results, compared, recipe)]
    lines[-1:-1] = ceiling.sentences(more)  # the headline stays the last one
    first = read_first.markdown(lines)
    _tables(recipe, run_results, compared, pd.read_csv(weights), heads, first, more, folder / "tables")
    remarks = [*filter(None, [recipe["absent_classes"]]), *recipe.get("remarks", ())]
    write_text(folder / "summary.md", summary.markdown(scores, folder.name, first, remarks, space))
    _figures(recipe, run_results, table, stages, folder / "figures")
    if "ensemble" in models and submission.wanted(models["ensemble"].predictions, space):
        submission.write(models["ensemble"].predictions, folder / "submission.zip")
    if scores.empty:
        LOGGER.info("No clip outside the training split has a label, so there is nothing to score.")
    LOGGER.info(summary.statuses(ledger.counts(statuses)))


def _models(
    recipe: Mapping[str, Any],
    predicted: Mapping[str, Path],
    out_of_fold: Mapping[str, Path],
    seeds: Mapping[str, Path],
    candidates: Mapping[str, Path],
    met: Mapping[str, frozenset[str]],
) -> dict[str, Model]:
    """Return the models and ensembles with what the tables say about them."""
    notes = {name: text(pd.read_csv(path, keep_default_na=False)["note"].iat[0]) for name, path in candidates.items()}
    notes |= {n: " ".join(filter(None, [transductive.NOTE, notes.get(n)])) for n in transductive.names(recipe)}
    return {
        name: Model(
            name,
            predictions.read(path),
            predictions.read(out_of_fold[name]),
            predictions.read(seeds[name]),
            combines=name not in candidates,
            note=" ".join(filter(None, [recipe.get("taken", {}).get(name, ""), notes.get(name, "")])),
            selected_on="val" if name in recipe["selected_on_val"] else "",
            paper=recipe["paper"].get(name, ""),
            met=met.get(name, frozenset()),
            space=of_recipe(recipe),
        )
        for name, path in predicted.items()
    }


def _answers(model: Model, split: str, path: Path) -> None:
    """Draw the answers of a model for a split: a confusion matrix, or what stands for it in other label spaces."""
    space, part = model.space, model.on(split)
    if space.has_one_class:
        counts = metrics.confusion(part["label"], part["pred"], space.names)
        title = f"{model.name} on {split}: {counts.to_numpy().trace()} of {len(part)} correct"
        return figures.confusion_matrix(counts, title, path)
    given, targets = part[space.columns].to_numpy(float), space.targets(part)
    title = f"{model.name} on {split}: {len(part)} clips"
    if space.kind == "multi":
        return figures.precision_recall(given, targets, space.names, title, path)
    return figures.scatter(given, targets, space, title, path)


def _figures(
    recipe: Mapping[str, Any],
    run_results: Results,
    table: pd.DataFrame,
    stages: Mapping[str, Sequence[Path]],
    folder: Path,
) -> None:
    """Draw the answers of each model, and the faces of a corpus of drawn ones."""
    for name, model in run_results.models.items():
        for split in run_results.splits:
            _answers(model, split, folder / f"{figure_name(run_results.space, name, split)}.png")
    if recipe["shows_faces"]:
        files = [path for stage, paths in stages.items() if stage.startswith("faces") for path in paths]
        first = table[(table["split"] == "val") & (table["label"] != "")].sort_values(["subject", "label"])
        figures.face_sheet(files, first.head(MOST_FACES), folder / "faces.png")


def _tables(
    recipe: Mapping[str, Any],
    run_results: Results,
    compared: pd.DataFrame,
    weights: pd.DataFrame,
    heads: pd.DataFrame,
    first: str,
    more: Mapping[str, pd.DataFrame],
    folder: Path,
) -> None:
    made = {
        "results": ceiling.beside(results.table(run_results), more),
        "comparisons": compared,
        "ensembles": weights,
        "streams": heads,
        by_class_table(run_results.space): by_class.by_class(run_results),
        "subjects": by_class.by_subject(run_results),
        **more,
    }
    for name, frame in made.items():
        write_text(folder / f"{name}.csv", frame.to_csv(index=False, float_format="%.6f", lineterminator="\n"))
        if name in writing.TITLES:
            write_text(folder / f"{name}.md", writing.markdown(name, frame, recipe, first))
    for name, model in run_results.models.items() if run_results.space.has_one_class else ():
        for split in run_results.splits:
            part = model.on(split)
            counts = metrics.confusion(part["label"], part["pred"], run_results.space.names)
            text = counts.rename_axis("label").to_csv(lineterminator="\n")
            write_text(folder / f"confusion_{name}_{split}.csv", text)
