"""What raters said of a clip, which stands beside what models say."""

import numpy as np

from emopipe.core.labels import VOTES
from emopipe.report.clip.story import ClipStory, Vote

RATERS = {VOTES: "raters", f"voice_{VOTES}": "raters, sound alone", f"face_{VOTES}": "raters, picture alone"}
"""What the columns of votes begin with -> who voted."""


def raters(story: ClipStory) -> list[Vote]:
    """Return the raters' votes of a clip in the form of answers: shares, and the class with most of them, or a tie.

    There are none where the clip table has no votes of the clip, and where an answer is not one class.
    """
    if not story.space.has_one_class:
        return []
    found = []
    for prefix, name in RATERS.items():
        votes = np.array([float(story.row.get(f"{prefix}{one}") or 0) for one in story.space.names])
        if votes.sum() > 0:
            found.append(Vote(name, story.space.label(votes), votes / votes.sum(), True, False, "", {}, story.space))
    return found


def other_columns(story: ClipStory) -> dict[str, str]:
    """Return what the row of the clip table says, without empty texts, and without the votes that `raters` returns."""
    votes = {f"{prefix}{name}" for prefix in RATERS for name in story.space.names if story.space.has_one_class}
    return {name: value for name, value in story.row.items() if value and name not in votes}
