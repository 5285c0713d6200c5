"""The clips that every model gets wrong; of several classes and of dimensions, those with the largest errors."""

import pandas as pd

from emopipe.report.clip.answers import said
from emopipe.report.page.parts import Paragraphs, Section, Table
from emopipe.report.page.sources import Sources
from emopipe.report.rater_votes import votes_of

MOST_ROWS = 500
"""How many clips the page lists."""
MOST_ERRORS = 50
"""How many clips with the largest errors the page lists."""
ERRORS = {
    "multi": "The error of an answer is the mean over the classes of the binary cross-entropy, in nats.",
    "dimensions": "The error of an answer is the root of the mean over the dimensions of the squared difference.",
}
"""Kind of a label space -> what an error is."""


def section(sources: Sources) -> Section:
    """Return the section."""
    if not sources.space.has_one_class:
        return _largest_errors(sources)
    frame = wrong_everywhere(sources)
    total, ties = len(sources.scored[sources.answer]), len(sources.answers[sources.answer])
    said = (
        f"All {len(sources.names)} models and ensembles get {len(frame)} of the {total} labelled clips that are "
        "reported wrong."
    )
    if ties > total:
        said += f" {ties - total} further clips have no class, because several classes have the most votes."
    parts: list[Paragraphs | Table] = [Paragraphs([said])]
    if len(frame):
        notes = [f"These are the first {MOST_ROWS}, by the probability of the label."] if len(frame) > MOST_ROWS else []
        parts.append(Table.of("Clips that every model gets wrong", frame.head(MOST_ROWS), notes))
    return Section("mistakes", "Clips that every model gets wrong", parts)


def wrong_everywhere(sources: Sources) -> pd.DataFrame:
    """Return clip, split, person, label, what the models say most often, and the label's probability by the answer.

    Where the clip table has raters' votes, the share of the votes for what the models say most often follows.
    """
    said = pd.DataFrame({name: frame.set_index("clip")["pred"] for name, frame in sources.scored.items()})
    frame = sources.scored[sources.answer].set_index("clip")
    wrong = said.index[said.ne(frame["label"], axis=0).all(axis=1)]
    people = sources.table.set_index("clip")["subject"]
    rows, most = [], []
    for clip in wrong:
        counts = said.loc[clip].value_counts()
        often = f"{counts.index[0]} ({counts.iloc[0]} of {len(sources.names)})"
        label, split = frame.loc[clip, "label"], frame.loc[clip, "split"]
        rows.append((clip, split, people.get(clip, ""), label, often, round(float(sources.p_label[clip]), 3)))
        most.append(counts.index[0])
    columns = ["clip", "split", "person", "label", "most models say", f"p of the label by {sources.answer}"]
    made = pd.DataFrame(rows, columns=columns)
    if {*sources.space.vote_columns} <= {*sources.table}:
        made["votes for what they say"] = _votes(sources, wrong, most)
    return made.sort_values(columns[-1], kind="stable")


def _votes(sources: Sources, clips: pd.Index, classes: list[str]) -> list[str]:
    """Return the share of raters' votes that each clip has for a class, in percent; "" for clips without votes."""
    votes = votes_of(sources.table.set_index("clip").loc[clips], "clip", sources.space)
    places = [sources.space.names.index(name) for name in classes]
    return [f"{row[place] / row.sum():.0%}" if row.sum() > 0 else "" for row, place in zip(votes, places, strict=True)]


def _largest_errors(sources: Sources) -> Section:
    frame = sources.scored[sources.answer]
    made = frame[["clip", "split", "label", "pred"]].rename(columns={"pred": "answer"})
    people = sources.table.set_index("clip")["subject"]
    made.insert(2, "person", made["clip"].map(people).fillna(""))
    made = made.assign(error=sources.errors.to_numpy().round(3)).sort_values("error", ascending=False, kind="stable")
    note = (
        f"{ERRORS[sources.space.kind]} Of {len(made)} labelled clips that are reported, these are the "
        f"{min(len(made), MOST_ERRORS)} with the largest errors of {sources.answer}."
    )
    for column in ("label", "answer"):
        made[column] = [said(text, sources.space) for text in made[column]]
    title = "Clips with the largest errors"
    return Section("mistakes", title, [Paragraphs([note]), Table.of(title, made.head(MOST_ERRORS))])
