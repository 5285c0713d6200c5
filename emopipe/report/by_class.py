"""Tables of what a mean hides: the recall of each class, and the accuracy of each person."""

import pandas as pd

from emopipe.report.results import Results
from emopipe.scoring.metrics import recalls as recall_of

RECALL_COLUMNS = ["model", "split", "label", "n", "right", "recall"]
SUBJECT_COLUMNS = ["model", "split", "subject", "n", "right", "accuracy"]


def recalls(results: Results) -> pd.DataFrame:
    """Return a row for each model, split and class that occurs: clips, correct clips, recall."""
    rows = []
    for name, model in results.models.items():
        for split in results.splits:
            part = model.on(split)
            counts = part["label"].value_counts()
            for label, recall in recall_of(part["label"], part["pred"]).items():
                n = int(counts[label])
                rows.append((name, split, label, n, round(recall * n), recall))
    return pd.DataFrame(rows, columns=RECALL_COLUMNS)


def by_subject(results: Results) -> pd.DataFrame:
    """Return a row for each model, split and known person: clips, correct clips, accuracy."""
    rows = []
    for name, model in results.models.items():
        for split in results.splits:
            part = model.on(split)
            subjects = part["clip"].map(lambda clip: results.subjects.get(clip, ""))
            correct = (part["label"] == part["pred"])[subjects != ""].groupby(subjects[subjects != ""])
            rows += [(name, split, who, len(c), int(c.sum()), c.mean()) for who, c in correct]
    return pd.DataFrame(rows, columns=SUBJECT_COLUMNS)
