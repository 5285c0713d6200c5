"""The gallery: of each class, the clips that the run's answer names best and worst, with what it saw and heard.

Where labels are values of dimensions, they are the clips with the smallest and the largest errors.
"""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import pandas as pd

from emopipe.core.labels import SEPARATOR, LabelSpace
from emopipe.report.clip.answers import listed, numbers, said
from emopipe.report.clip.gathering import gather
from emopipe.report.clip.spectrogram import spectrogram_image
from emopipe.report.clip.story import ClipStory
from emopipe.report.clip.strip import strip_image
from emopipe.report.page.parts import Paragraphs, Section
from emopipe.report.page.sources import Sources

KINDS = {"best": 1, "worst": 2}
"""Kind -> how many clips of each class and split are shown."""
OF_DIMENSIONS = {"best": 4, "worst": 8}
"""The same of each split, where labels are values of dimensions."""
ALL = "all clips"
"""What stands for a class there."""


@dataclass(frozen=True)
class Picture:
    """A picture in the page."""

    data: str
    """A data URL."""
    text: str
    """What it shows, for those who cannot see it."""


@dataclass(frozen=True)
class Card:
    """One clip."""

    clip: str
    split: str
    label: str
    """The class whose best or worst clip it is."""
    said: str
    """What the answer is, and how well it fits the label."""
    kind: str
    """best or worst."""
    pictures: Sequence[Picture] = ()


@dataclass(frozen=True)
class Gallery:
    """The cards, and a sentence on pictures that are omitted."""

    shown_by: ClassVar = "gallery"

    cards: Sequence[Card]
    note: str = ""

    def without_pictures(self, size: int) -> "Gallery":
        """Return the gallery without as many pictures, from its end, as have `size` bytes together."""
        left, cards, gone = size, list(self.cards), 0
        for number in reversed(range(len(cards))):
            if left <= 0:
                break
            left -= sum(len(picture.data) for picture in cards[number].pictures)
            gone += len(cards[number].pictures)
            cards[number] = replace(cards[number], pictures=())
        return Gallery(cards, f"{gone} pictures are omitted, because the page would be too large with them.")


def section(sources: Sources) -> Section:
    """Return the section."""
    cards = chosen(sources)
    faces = bool(sources.recipe["faces"])
    stories = gather([card.clip for card in cards], sources.of_clips, faces=faces)
    shown = Gallery([replace(card, pictures=_pictures(stories[card.clip])) for card in cards])
    note = (
        f"{_chosen_how(sources)} Bars below the faces are the mean attention of the models to each of them, and lines "
        "above the spectrogram that of each model to the sound. The command emopipe clip shows all of a clip."
    )
    hidden = [] if faces else ["Faces are not shown, because the config says so (`report.faces: false`)."]
    return Section("gallery", "Best and worst clips", [Paragraphs([note, *hidden]), shown])


def _chosen_how(sources: Sources) -> str:
    if sources.space.kind == "dimensions":
        return (
            f"Of each split, the {OF_DIMENSIONS['best']} clips with the smallest errors of {sources.answer}, and the "
            f"{OF_DIMENSIONS['worst']} with the largest."
        )
    clips = "of the clips that show it, the one with its highest probability"
    clips = clips if sources.space.kind == "multi" else "the clip with the highest probability of its label"
    return f"Of each class, {clips} by {sources.answer}, and the two with the lowest."


def chosen(sources: Sources) -> list[Card]:
    """Return the cards, without pictures: by split, then by class, the best clip before the worst ones."""
    space, frame = sources.space, sources.scored[sources.answer]
    counts = OF_DIMENSIONS if space.kind == "dimensions" else KINDS
    cards: list[Card] = []
    for name, part in _groups(sources, frame):
        ranked = part.sort_values("p", ascending=False, kind="stable")
        best, rest = ranked.iloc[: counts["best"]], ranked.iloc[counts["best"] :]
        worst = rest.iloc[::-1].iloc[: counts["worst"]]
        cards += [
            Card(row["clip"], row["split"], name, _outcome(row, name, space), kind)
            for kind, rows in (("best", best), ("worst", worst))
            for _, row in rows.iterrows()
        ]
    return cards


def _groups(sources: Sources, frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield class and clips, by split; `p` is larger where the answer fits better. A clip may show several classes."""
    if sources.space.kind == "dimensions":
        frame = frame.assign(p=-sources.errors.to_numpy())
        yield from ((ALL, part) for _, part in frame.groupby("split", sort=True))
    elif sources.space.kind == "multi":
        for _, part in frame.groupby("split", sort=True):
            shown = sources.space.targets(part).astype(bool)
            for number, name in enumerate(sources.space.names):
                rows = part[shown[:, number]]
                yield name, rows.assign(p=rows[sources.space.columns[number]])
    else:
        frame = frame.assign(p=sources.p_label.to_numpy())
        yield from ((label, part) for (_, label), part in frame.groupby(["split", "label"], sort=True))


def _outcome(row: pd.Series, name: str, space: LabelSpace) -> str:
    """Return what a card says of the answer; `name` is the class whose card it is."""
    if space.kind == "dimensions":
        given, answer = (numbers(space.vector(row[column]), space) for column in ("label", "pred"))
        return f"Given: {given}. The answer is {answer}; its error is {-row['p']:.2f}."
    percent = {one: f"{100 * row[column]:.0f} %" for one, column in zip(space.names, space.columns, strict=True)}
    if space.kind == "multi":
        predicted = [f"{one} ({percent[one]})" for one in row["pred"].split(SEPARATOR) if one in percent]
        given, answer = said(row["label"], space), listed(predicted) if predicted else said(row["pred"], space)
        return f"Given: {given}. The answer is {answer}; {name} has {percent[name]}."
    if row["label"] == row["pred"]:
        return f"Correct: the answer is {row['pred']} ({percent[row['pred']]})."
    return f"Wrong: the answer is {row['pred']} ({percent[row['pred']]}); {name} has {percent[name]}."


def _pictures(story: ClipStory) -> list[Picture]:
    """Return the strip of faces and the spectrogram of a clip, as far as the caches hold them."""
    drawn = {
        "Faces over time, with the attention to each": strip_image(story),
        "Spectrogram, with the attention to it": spectrogram_image(story),
    }
    return [
        Picture(f"data:image/jpeg;base64,{base64.b64encode(data).decode()}", f"{text}: {story.clip}")
        for text, data in drawn.items()
        if data
    ]
