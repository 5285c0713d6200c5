"""The clips that every model gets wrong."""

import pandas as pd

from emopipe.report.page.parts import Paragraphs, Section, Table
from emopipe.report.page.sources import Sources

MOST_ROWS = 500
"""How many clips the page lists."""


def section(sources: Sources) -> Section:
    """Return the section."""
    frame = wrong_everywhere(sources)
    total = len(sources.answers[sources.answer])
    said = (
        f"All {len(sources.names)} models and ensembles get {len(frame)} of the {total} labelled clips that are "
        "reported wrong."
    )
    parts: list[Paragraphs | Table] = [Paragraphs([said])]
    if len(frame):
        notes = [f"These are the first {MOST_ROWS}, by the probability of the label."] if len(frame) > MOST_ROWS else []
        parts.append(Table.of("Clips that every model gets wrong", frame.head(MOST_ROWS), notes))
    return Section("mistakes", "Clips that every model gets wrong", parts)


def wrong_everywhere(sources: Sources) -> pd.DataFrame:
    """Return clip, split, person, label, what the models say most often, and the label's probability by the answer."""
    said = pd.DataFrame({name: frame.set_index("clip")["pred"] for name, frame in sources.answers.items()})
    frame = sources.answers[sources.answer].set_index("clip")
    wrong = said.index[said.ne(frame["label"], axis=0).all(axis=1)]
    people = sources.table.set_index("clip")["subject"]
    rows = []
    for clip in wrong:
        counts = said.loc[clip].value_counts()
        often = f"{counts.index[0]} ({counts.iloc[0]} of {len(sources.names)})"
        label, split = frame.loc[clip, "label"], frame.loc[clip, "split"]
        rows.append((clip, split, people.get(clip, ""), label, often, round(float(sources.p_label[clip]), 3)))
    columns = ["clip", "split", "person", "label", "most models say", f"p of the label by {sources.answer}"]
    return pd.DataFrame(rows, columns=columns).sort_values(columns[-1], kind="stable")
