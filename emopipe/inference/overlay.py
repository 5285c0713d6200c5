"""What is drawn into a frame: the box of the main face, its label, and bars of the probabilities."""

import unicodedata
from collections.abc import Sequence

import cv2
import numpy as np

from emopipe.core.labels import BASIC7, LabelSpace
from emopipe.inference.answer_display import answer_text, bar, named, number_text, ranked, short, zero
from emopipe.inference.predictions import Numbers

BOX, BAR, TEXT, DARK = (66, 228, 240), (233, 180, 86), (255, 255, 255), (0, 0, 0)
"""Colours as blue, green, red: yellow and sky blue, which differ for any colour vision."""
FONT = cv2.FONT_HERSHEY_SIMPLEX
CAP_PIXELS = 21.0
"""Height of a capital letter of the font at the scale 1."""
LEAST_ROW = 13.0
"""Rows of text are so many pixels high at least, unless the frame is very small."""
MOST_OF_HEIGHT, FEW, MANY = 0.45, 3, 7
"""If bars of all names would take a larger share of the height, so many are shown: those of the most probable classes.
Of more than MANY names, as many as there is room for, from FEW to MANY.
"""


class Overlay:
    """Draws into frames of one size; the bars stay in one corner."""

    def __init__(self, width: int, height: int, boxes: Sequence[np.ndarray], space: LabelSpace = BASIC7) -> None:
        """Choose the sizes, and the corner where the bars hide least of the faces.

        Args:
            width: Of the frames, in pixels.
            height: Of the frames, in pixels.
            boxes: (4,) each, as shares of the frame.
            space: The label space of the answers.
        """
        self.width, self.height, self._space = width, height, space
        row = round(max(min(0.035 * height, 0.045 * width), min(LEAST_ROW, 0.08 * height), 4))
        self._row, self._scale = row, 0.55 * row / CAP_PIXELS
        self._thick = max(1, round(row / 14))
        self._rows = self._rows_of(len(space))
        ends = ["100%"] if space.kind != "dimensions" else [number_text(end, space) for end in (space.low, space.high)]
        names, shares = (max(self._wide(text) for text in texts) for texts in (map(short, space.names), ends))
        self._bar_left, self._bar_width = names + row, 4 * row
        self._panel = self._bar_left + self._bar_width + shares + row, (self._rows + 1) * row
        self.left, self.top = self._corner(boxes)

    def _rows_of(self, count: int) -> int:
        """Return how many of `count` bars are shown."""
        room = int(MOST_OF_HEIGHT * self.height / self._row) - 1
        if (count + 1) * self._row <= MOST_OF_HEIGHT * self.height:
            return count
        return min(count, FEW if count <= MANY else max(FEW, min(MANY, room)))

    def draw(self, image: np.ndarray, box: np.ndarray | None, label: str | None, values: Numbers | None) -> None:
        """Draw into a frame (H, W, 3) uint8 BGR.

        Args:
            image: The frame.
            box: (4,) x1, y1, x2, y2 as shares of the frame; None: no box.
            label: The answer, if there is one.
            values: Its numbers, if there are any.
        """
        if box is not None:
            x1, y1, x2, y2 = self._pixels(box)
            for colour, thick in ((DARK, 3 * self._thick), (BOX, self._thick)):
                cv2.rectangle(image, (x1, y1), (x2, y2), colour, thick, cv2.LINE_AA)
            if label and values and self._space.kind != "dimensions":
                self._draw_label(image, self._fitting(answer_text(label, values, self._space), x1), x1, y1)
        self._draw_panel(image, label, values)

    def _pixels(self, box: np.ndarray) -> list[int]:
        ends = np.array([self.width - 1, self.height - 1] * 2)
        return np.rint(np.clip(box, 0, 1) * ends).astype(int).tolist()

    def _draw_panel(self, image: np.ndarray, label: str | None, values: Numbers | None) -> None:
        """Draw a name, a bar and a number for each name, on a dark ground that lets the frame through."""
        right, bottom = min(self.width, self.left + self._panel[0]), min(self.height, self.top + self._panel[1])
        ground = image[self.top : bottom, self.left : right]
        ground[:] = ground * 0.35
        if values is None:
            self._write(image, "no answer", self.left + self._row // 2, self.top + round(1.25 * self._row), TEXT)
            return
        space, best = self._space, ranked(values, self._space)[: self._rows]
        strong = named(label, space) if space.kind != "dimensions" else []
        for number, name in enumerate(name for name in space.names if name in best):
            base = self.top + round((number + 1.25) * self._row)
            start, end = self.left + self._bar_left, base - round(0.55 * self._row)
            colour = BOX if name in strong else TEXT
            self._write(image, short(name), self.left + self._row // 2, base, colour)
            first, last = (start + round(self._bar_width * edge) for edge in bar(values[name], space))
            cv2.rectangle(image, (first, end), (last, base), BAR, -1)
            if 0 < zero(space) < 1:
                middle = start + round(self._bar_width * zero(space))
                cv2.line(image, (middle, end - 1), (middle, base + 1), TEXT, 1)
            text = number_text(values[name], space)
            self._write(image, text, start + self._bar_width + self._row // 3, base, colour)

    def _fitting(self, text: str, x: int) -> str:
        """Return as many classes of an answer, and at least one, as there is room for to the right of a place."""
        while ", " in text and x + self._wide(text) + self._row // 2 > self.width:
            text = text.rpartition(", ")[0]
        return text

    def _draw_label(self, image: np.ndarray, text: str, x: int, y: int) -> None:
        """Write above a place if there is room, on a dark ground; otherwise below it."""
        top = y - self._row - 1 if y > self._row else y + 1
        ground = image[top : top + self._row, x : x + self._wide(text) + self._row // 2]
        ground[:] = ground * 0.35
        self._write(image, text, x + self._row // 4, top + round(0.8 * self._row), BOX)

    def _wide(self, text: str) -> int:
        """Return the width of a text in pixels."""
        return cv2.getTextSize(_drawable(text), FONT, self._scale, self._thick)[0][0]

    def _write(self, image: np.ndarray, text: str, x: int, y: int, colour: Sequence[int]) -> None:
        cv2.putText(image, _drawable(text), (x, y), FONT, self._scale, colour, self._thick, cv2.LINE_AA)

    def _corner(self, boxes: Sequence[np.ndarray]) -> tuple[int, int]:
        """Return left and top of the panel in the corner that shares least with the boxes; the first of equal ones."""
        right, bottom = max(0, self.width - self._panel[0]), max(0, self.height - self._panel[1])
        corners = [(0, bottom), (right, bottom), (0, 0), (right, 0)]

        def shared(corner: tuple[int, int]) -> float:
            first = np.array(corner)
            spans = [
                np.clip(np.minimum(b[2:], first + self._panel) - np.maximum(b[:2], first), 0, None)
                for b in (np.array(self._pixels(box)) for box in boxes)
            ]
            return float(sum(np.prod(span) for span in spans))

        return min(corners, key=shared)


def _drawable(text: str) -> str:
    """Return text in the characters of the font, which are those of ASCII: é becomes e."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode() if not text.isascii() else text
