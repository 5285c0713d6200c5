"""What the page consists of: sections with paragraphs, tables and charts. `page.html.j2` shows each of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pandas as pd


@dataclass(frozen=True)
class Paragraphs:
    """Plain text."""

    shown_by: ClassVar = "paragraphs"

    texts: Sequence[str]


@dataclass(frozen=True)
class Points:
    """A list of sentences."""

    shown_by: ClassVar = "points"

    texts: Sequence[str]


@dataclass(frozen=True)
class Code:
    """Text that is shown as it is, such as the config."""

    shown_by: ClassVar = "code"

    title: str
    text: str


@dataclass(frozen=True)
class Table:
    """A table of texts. Columns can be sorted, and long tables can be filtered, where JavaScript runs."""

    shown_by: ClassVar = "table"

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    """Paragraphs below the table."""
    closed: bool = False
    """Whether the table opens only when it is asked for."""

    @classmethod
    def of(cls, title: str, frame: pd.DataFrame, notes: Sequence[str] = (), *, closed: bool = False) -> "Table":
        """Return the table of a frame, whose cells become texts; missing values are empty."""
        texts = frame.astype(object).where(frame.notna(), "")
        return cls(title, [str(name) for name in frame], [[str(c) for c in row] for row in texts.values], notes, closed)


@dataclass(frozen=True)
class Chart:
    """A chart of Vega-Lite, with the same numbers as a table for those who cannot see it."""

    shown_by: ClassVar = "chart"

    title: str
    spec: Mapping[str, Any]
    """The specification, without width limits: charts are at most `charts.WIDTH` wide."""
    caption: str = ""
    numbers: Table | None = None


@dataclass(frozen=True)
class Group:
    """Parts that stand side by side where there is room; with a title, they open when they are asked for."""

    shown_by: ClassVar = "group"

    parts: Sequence[Any]
    title: str = ""
    opened: bool = False


@dataclass(frozen=True)
class Section:
    """A section of the page."""

    name: str
    """Its anchor."""
    title: str
    parts: Sequence[Any] = field(default_factory=tuple)
