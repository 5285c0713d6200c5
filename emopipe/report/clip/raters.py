"""What raters said of a clip, which stands beside what models say."""

import pandas as pd

from emopipe.report.clip.story import ClipStory, Vote
from emopipe.report.rater_votes import PREFIXES, Shown, votes_of

RATERS: dict[Shown, str] = {"clip": "raters", "voice": "raters, sound alone", "face": "raters, picture alone"}
"""What raters had -> the name of their row."""


def raters(story: ClipStory) -> list[Vote]:
    """Return the raters' votes of a clip in the form of answers: shares, and the class with most of them, or a tie.

    There are none where the clip table has no votes of the clip, or what is not a number, and where an answer is not
    one class.
    """
    if not story.space.has_one_class:
        return []
    found, row = [], pd.DataFrame([dict(story.row)], dtype=object)
    for shown, name in RATERS.items():
        votes = votes_of(row, shown, story.space)[0]
        if votes.sum() > 0:
            found.append(Vote(name, story.space.label(votes), votes / votes.sum(), True, False, "", {}, story.space))
    return found


def other_columns(story: ClipStory) -> dict[str, str]:
    """Return what the row of the clip table says, without empty texts, and without the votes that `raters` returns."""
    said = {vote.model for vote in raters(story)}
    votes = {f"{PREFIXES[shown]}{one}" for shown, name in RATERS.items() if name in said for one in story.space.names}
    return {name: value for name, value in story.row.items() if value and name not in votes}
