"""Names of the files of a report that depend on the label space of the run."""

from emopipe.core.labels import LabelSpace


def by_class_table(space: LabelSpace) -> str:
    """Return the name, without its ending, of the table with the scores of each class or dimension."""
    return {"multi": "classes", "dimensions": "dimensions"}.get(space.kind, "recalls")


def figure_name(space: LabelSpace, model: str, split: str) -> str:
    """Return the name, without its ending, of the figure of a model's answers on a split."""
    drawn = {"multi": "precision_recall", "dimensions": "scatter"}.get(space.kind, "confusion")
    return f"{drawn}_{model}_{split}"
