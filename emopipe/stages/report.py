"""Stage report: predictions and the caches' statuses -> metrics, ledger, figures, summary, submission."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from emopipe import metrics, predictions, tables
from emopipe.files import write_text
from emopipe.progress import LOGGER
from emopipe.report import figures, ledger, submission, summary


def run(clips: Path, stages: Mapping[str, Sequence[Path]], predicted: Mapping[str, Path], folder: Path) -> None:
    """Write everything that a reader of the run wants.

    Args:
        clips: The clip table.
        stages: Stage -> its files, for the ledger.
        predicted: Model -> its predictions; the last one is the run's answer.
        folder: The run's results: metrics.csv, ledger.csv, summary.md, figures/ and, where there are unlabelled
            test clips, submission.zip are written there.
    """
    answers = {model: predictions.read(path) for model, path in predicted.items()}
    scores = pd.concat([metrics.score(table, model) for model, table in answers.items()], ignore_index=True)
    fates = ledger.build(tables.read(clips), stages)
    write_text(folder / "metrics.csv", scores.to_csv(index=False, float_format="%.6f"))
    write_text(folder / "ledger.csv", fates.to_csv(index=False))
    write_text(folder / "summary.md", summary.markdown(scores, folder.name))
    for model, table in answers.items():
        for split, part in table[table["label"] != ""].groupby("split"):
            counts = metrics.confusion(part)
            title = f"{model} on {split}: {counts.to_numpy().trace()} of {len(part)} right"
            figures.confusion_matrix(counts, title, folder / "figures" / f"confusion_{model}_{split}.png")
    answer = answers[list(answers)[-1]]
    if ((answer["split"] == "test") & (answer["label"] == "")).any():
        submission.write(answer, folder / "submission.zip")
    if scores.empty:
        LOGGER.info("No clip outside the training split is labelled: there is nothing to score.")
    LOGGER.info(summary.terminal(scores, ledger.counts(fates), folder.name, f"{folder}/"))
