"""The gallery: of each class, the clips that the run's answer names best and worst, with what it saw and heard."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import pandas as pd

from emopipe.core.labels import CLASSES
from emopipe.report.clip.gathering import gather
from emopipe.report.clip.spectrogram import spectrogram_image
from emopipe.report.clip.story import ClipStory
from emopipe.report.clip.strip import strip_image
from emopipe.report.page.parts import Paragraphs, Section
from emopipe.report.page.sources import Sources
from emopipe.scoring.predictions import PROBABILITIES

KINDS = {"best": 1, "worst": 2}
"""Kind -> how many clips of each class and split are shown."""


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
    prediction: str
    p_label: float
    """The probability of the label."""
    p_prediction: float
    kind: str
    """best or worst."""
    pictures: Sequence[Picture] = ()

    @property
    def correct(self) -> bool:
        """Whether the answer is the label."""
        return self.label == self.prediction


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
    said = (
        f"Of each class, the clip with the highest probability of its label by {sources.answer}, and the two with the "
        "lowest. Bars below the faces are the mean attention of the models to each of them, and lines above the "
        "spectrogram that of each model to the sound. The command emopipe clip shows all of a clip."
    )
    hidden = [] if faces else ["Faces are not shown, because the config says so (`report.faces: false`)."]
    return Section("gallery", "Best and worst clips", [Paragraphs([said, *hidden]), shown])


def chosen(sources: Sources) -> list[Card]:
    """Return the cards, without pictures: by split, then by class, the best clip before the worst ones."""
    frame = sources.answers[sources.answer].assign(p=sources.p_label.to_numpy())
    cards: list[Card] = []
    for _, part in frame.groupby(["split", "label"], sort=True):
        ranked = part.sort_values("p", ascending=False, kind="stable")
        best, rest = ranked.iloc[: KINDS["best"]], ranked.iloc[KINDS["best"] :]
        worst = rest.iloc[::-1].iloc[: KINDS["worst"]]
        cards += [_card(row, kind) for kind, rows in (("best", best), ("worst", worst)) for _, row in rows.iterrows()]
    return cards


def _card(row: pd.Series, kind: str) -> Card:
    top = float(row[PROBABILITIES[CLASSES.index(row["pred"])]])
    return Card(row["clip"], row["split"], row["label"], row["pred"], float(row["p"]), top, kind)


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
