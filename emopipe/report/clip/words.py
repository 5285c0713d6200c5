"""What the terminal, the page and the pictures say of a clip, in sentences."""

from emopipe.core.labels import CLASSES
from emopipe.report.clip.story import Attention, ClipStory, Media, Track, Vote


def outcome(story: ClipStory) -> str:
    """Return the label and the run's answer in one sentence.

    >>> outcome(ClipStory("001", {"split": "val", "label": "Sad"}))
    'Split val, label Sad. No model predicts this clip.'
    """
    what = f"Split {story.split}, " + (f"label {story.label}." if story.label else "without a label.")
    if not story.votes:
        return f"{what} No model predicts this clip."
    if (answer := story.answer) is None:
        return what
    is_correct = answer.is_correct(story.label)
    judged = "" if is_correct is None else (", which is correct" if is_correct else ", which is wrong")
    return f"{what} The answer of the run ({answer.model}) is {answer.pred} ({answer.p(''):.0%}){judged}."


def remarks(story: ClipStory) -> list[str]:
    """Return what a reader has to know about the predictions, and what could not be found."""
    said = []
    if any(vote.out_of_fold for vote in story.votes):
        folds = ", ".join(sorted({vote.fold for vote in story.votes if vote.out_of_fold}))
        said.append(
            "Models were trained on this clip. So its predictions are out of fold: they are those of networks that "
            f"were trained without its fold ({folds})."
        )
    without = [vote.model for vote in story.votes if not vote.covered]
    if without:
        said.append(
            f"These have no vectors of this clip: {', '.join(without)}. So their probabilities are the frequencies of "
            "the classes among the training clips."
        )
    if len(without) < len(story.votes) and not story.attention:
        said.append("There are no attention weights: they are saved for models with attention, and for reported clips.")
    return [*said, *story.notes]


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
    """Return how many of the seeds predict the same class; "" if the run records no more than one."""
    if len(vote.seeds) < 2:
        return ""
    same = sum(CLASSES[int(found.argmax())] == vote.pred for found in vote.seeds.values())
    return f"{same} of {len(vote.seeds)}"
