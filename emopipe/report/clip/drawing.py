"""How the pictures of a clip are made: sizes in pixels, one style, colours, and files that equal input makes equal."""

import contextlib
import io
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 100
"""Pixels of a picture per inch of matplotlib."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colours of lines, which people with colour blindness can distinguish (Okabe and Ito, 2008)."""
GREY = "#767676"
"""What belongs to no model: grids, frames without a face."""
_STYLE = {
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "lines.linewidth": 1.4,
    "legend.frameon": False,
    "text.parse_math": False,  # names may contain a dollar sign
}


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Draw in the style of the pictures of a clip, whatever the settings of the user are."""
    import matplotlib.style

    with matplotlib.style.context(["default", _STYLE]):
        yield


def new_figure(width: int, height: int) -> "Figure":
    """Return an empty figure of a size in pixels; it needs no screen."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width / DPI, height / DPI), dpi=DPI)


def to_png(figure: "Figure") -> bytes:
    """Return a figure as PNG without a time stamp: equal figures give equal bytes."""
    return _saved(figure, format="png", metadata={"Software": None})


def to_jpeg(figure: "Figure", quality: int = 80) -> bytes:
    """Return a figure as JPEG, which is smaller where it shows photographs or noise."""
    return _saved(figure, format="jpeg", pil_kwargs={"quality": quality, "optimize": True})


def _saved(figure: "Figure", **options: object) -> bytes:
    content = io.BytesIO()
    with warnings.catch_warnings():
        # Names may be in a script that the font does not have; it shows boxes then.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(content, dpi=DPI, **options)
    return content.getvalue()


def bare(axes: "Axes") -> None:
    """Remove ticks and borders."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def short(name: str, most: int = 30) -> str:
    """Return a name that fits into a margin: a long one loses its middle.

    >>> short("fused_" + "very_" * 20 + "long", 12)
    'fused_…_long'
    """
    return name if len(name) <= most else f"{name[: most // 2]}…{name[-(most - most // 2 - 1) :]}"
