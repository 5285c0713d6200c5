"""What the terminal, the page and the pictures say of a clip, in sentences."""

import numpy as np

from emopipe.report.clip.answers import answer as answer_of_vote
from emopipe.report.clip.answers import judged, said
from emopipe.report.clip.raters import raters
from emopipe.report.clip.story import Attention, ClipStory, Media, Track, Vote

WITHOUT_VECTORS = {
    "single": "probabilities are the frequencies of the classes among the training clips",
    "votes": "probabilities are the shares of all votes of the training clips",
    "multi": "probabilities are the frequencies of the classes among the training clips",
    "dimensions": "answers are the means of the training clips",
}
"""Kind of a label space -> what a model answers without any vector of a clip."""
SEEDS = {
    "single": "how many of them predict the same class",
    "votes": "how many of them predict the same class",
    "multi": "how many of them predict the same classes",
    "dimensions": "the standard deviation of their answers",
}
"""Kind of a label space -> what `seeds` returns."""


def outcome(story: ClipStory) -> str:
    """Return the label and the run's answer in one sentence.

    >>> outcome(ClipStory("001", {"split": "val", "label": "Sad"}))
    'Split val, label Sad. No model predicts this clip.'
    """
    label = f"label {said(story.label, story.space)}." if story.label else "without a label."
    what = f"Split {story.split}, {label}"
    if not story.votes:
        return f"{what} No model predicts this clip."
    if (answer := story.answer) is None:
        return what
    clause = f", {judgement}" if (judgement := judged(answer, story.label)) else ""
    return f"{what} The answer of the run ({answer.model}) is {answer_of_vote(answer)}{clause}."


def predictions(story: ClipStory) -> str:
    """Return how to read the table of predictions on the page."""
    seeds_are = f"Seeds: {SEEDS[story.space.kind]}. The answer of the run is first, then models by"
    if story.space.kind == "dimensions":
        ordered = "the mean distance from the label" if story.label else "their names"
        return f"Values from {story.space.low:g} to {story.space.high:g}. {seeds_are} {ordered}."
    if story.space.kind == "multi":
        underlined = "; the classes of the label are underlined" if story.label else ""
        ordered = "the mean distance of the probabilities from the label" if story.label else "their names"
        return f"Probabilities. A frame marks each predicted class{underlined}. {seeds_are} {ordered}."
    label = f"; the label, {story.label}, is underlined" if story.label else ""
    ordered = f"the probability of the {'label' if story.label else 'class that they predict'}"
    voted = " Raters: the shares of their votes." if raters(story) else ""
    return f"Probabilities. A frame marks the prediction{label}. {seeds_are} {ordered}.{voted}"


def remarks(story: ClipStory) -> list[str]:
    """Return what a reader has to know about the predictions, and what could not be found."""
    found = []
    if any(vote.out_of_fold for vote in story.votes):
        folds = ", ".join(sorted({vote.fold for vote in story.votes if vote.out_of_fold}))
        found.append(
            "Models were trained on this clip. So its predictions are out of fold: they are those of networks that "
            f"were trained without its fold ({folds})."
        )
    without = [vote.model for vote in story.votes if not vote.covered]
    if without:
        found.append(
            f"These have no vectors of this clip: {', '.join(without)}. So their {WITHOUT_VECTORS[story.space.kind]}."
        )
    if len(without) < len(story.votes) and not story.attention:
        found.append(
            "There are no attention weights: they are saved for models with attention, and for reported clips."
        )
    return [*found, *story.notes]


def face(track: Track) -> str:
    """Return in how many frames the main face was found, and how many faces there were."""
    if not len(track.time):
        return "There are no frames in which to search for faces."
    sentence = f"The main face was found in {track.found} of {len(track.time)} sampled frames."
    return sentence + (f" {track.tracks} faces were tracked." if track.tracks > 1 else "")


def media(found: Media) -> str:
    """Return how many frames were sampled, and how long the sound is."""
    frames = f"{len(found.time) or 'no'} sampled frames"
    if len(found.time):
        frames += f", from {found.time[0]:.2f} s to {found.time[-1]:.2f} s"
    return f"{frames}; {found.sound_seconds:.2f} s of sound." if len(found.audio) else f"{frames}; no sound."


def attention(one: Attention) -> str:
    """Return where the attention of a model is largest, and how large that is."""
    time, weight, ratio = one.peak
    return f"largest at {time:.2f} s: {weight:.0%}, {ratio:.1f} times the mean of {len(one.weight)} vectors"


def seeds(vote: Vote) -> str:
    """Return what SEEDS says of the seeds; "" if the run records no more than one."""
    if len(vote.seeds) < 2:
        return ""
    found = np.array(list(vote.seeds.values()))
    if vote.space.kind == "dimensions":
        return ", ".join(f"{spread:.2f}" for spread in found.std(0, ddof=1))
    return f"{vote.space.answers(found).count(vote.pred)} of {len(found)}"
