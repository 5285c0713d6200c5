"""The charts of the page as specifications of Vega-Lite (https://vega.github.io/vega-lite/), which draws them.

All are narrow enough for a phone. Text and axes take the colour of the page's text, so that they suit a dark page, too.
Colours are those of Okabe and Ito, which the colour-blind can distinguish; classes also differ in shape. Of more
classes than colours, no two have both the same colour and the same shape.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

WIDTH = 330
"""Most pixels that a chart is wide."""
COLOURS = ("#D55E00", "#009E73", "#CC79A7", "#E69F00", "#999999", "#0072B2", "#56B4E9", "#8C564B")
"""Okabe and Ito's colours without the yellow, which is invisible on white; grey and brown stand for black."""
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left")
LONG_NAME = 9
"""Legends with longer names have fewer columns, so that they fit."""
_TEXT = "currentColor"
_FAINT = "rgba(128, 128, 128, 0.25)"
CONFIG: Mapping[str, Any] = {
    "background": None,
    "font": "sans-serif",
    "view": {"stroke": _FAINT},
    "text": {"color": _TEXT},
    "rule": {"color": _TEXT},
    "axis": {
        "labelColor": _TEXT, "titleColor": _TEXT, "domainColor": _TEXT, "tickColor": _TEXT, "gridColor": _FAINT,
        "titleFontWeight": "normal", "labelLimit": 130,
    },
    "legend": {"labelColor": _TEXT, "titleColor": _TEXT, "titleFontWeight": "normal", "orient": "bottom", "columns": 4},
    "range": {"category": list(COLOURS), "symbol": list(SHAPES)},
}  # fmt: skip
Spec = dict[str, Any]


def spec_of(rows: pd.DataFrame, **parts: Any) -> Spec:
    """Return a specification with its data; missing numbers are null."""
    values = rows.astype(object).where(rows.notna(), None).to_dict("records")
    return {"data": {"values": values}, "config": CONFIG, "autosize": {"type": "pad"}, **parts}


def field_of(name: str, kind: str, title: str | None = None, **parts: Any) -> Spec:
    """Return how a channel of a chart shows a column; `kind` is quantitative or nominal."""
    return {"field": name, "type": kind, "title": title, **parts}


def tooltip(rows: pd.DataFrame) -> list[Spec]:
    """Return all columns as what is shown where the mouse is."""
    kinds = {name: "quantitative" if column.dtype.kind in "fi" else "nominal" for name, column in rows.items()}
    return [
        field_of(name, kind, name, **({"format": ".3~g"} if kind[0] == "q" else {})) for name, kind in kinds.items()
    ]


def heat_map(rows: pd.DataFrame, x: str, y: str, share: str, text: str, *, step: tuple[int, int]) -> Spec:
    """Return a heat map with a text in each cell.

    Args:
        rows: A row a cell.
        x: The column with the names on the x axis, in their order.
        y: That of the y axis.
        share: The column with the share in [0, 1] that shades a cell.
        text: The column with the text.
        step: Width of a column and height of a row, in pixels.
    """
    across = field_of(x, "nominal", x, sort=None, axis={"labelAngle": -45, "orient": "bottom"})
    down = field_of(y, "nominal", y, sort=None)
    scale = {"scheme": "blues", "domain": [0, 1]}
    dark = {"test": f"datum[{share!r}] > 0.5", "value": "white"}
    cells = {
        "mark": {"type": "rect", "tooltip": True},
        "encoding": {"color": field_of(share, "quantitative", scale=scale, legend=None), "tooltip": tooltip(rows)},
    }
    texts = {
        "mark": {"type": "text", "fontSize": 11, "aria": False},
        "encoding": {"text": field_of(text, "nominal"), "color": {"condition": dark, "value": "#111"}},
    }
    size = {"width": {"step": step[0]}, "height": {"step": step[1]}}
    return spec_of(rows, layer=[cells, texts], encoding={"x": across, "y": down}, **size)


def intervals(
    rows: pd.DataFrame,
    value: str,
    low: str,
    high: str,
    name: str,
    reference: float | None,
    least: float | None = None,
) -> Spec:
    """Return a point with its interval for each row, and a dashed line at a reference, such as chance.

    The axis shows percent from 0 to 100; with `least`, numbers from there to 1.
    """
    axis = {"format": "%", "values": [0, 0.25, 0.5, 0.75, 1]} if least is None else {"tickCount": 5}
    names = field_of(name, "nominal", None, sort=None)
    point = {
        "mark": {"type": "point", "filled": True, "size": 50, "color": COLOURS[5]},
        "encoding": {"x": field_of(value, "quantitative", value, axis=axis), "tooltip": tooltip(rows)},
    }
    bar = {
        "mark": {"type": "rule", "color": COLOURS[5], "aria": False},
        "encoding": {"x": field_of(low, "quantitative", value), "x2": {"field": high}},
    }
    layer = [bar, point]
    if reference is not None:
        layer.append(
            {
                "mark": {"type": "rule", "strokeDash": [4, 3], "aria": False},
                "data": {"values": [{}]},
                "encoding": {"x": {"datum": reference}, "y": {"value": 0}, "y2": {"value": "height"}},
            }
        )
    scale = {"scale": {"domain": [least or 0, 1]}}
    for one in layer:
        one["encoding"]["x"] |= scale
    for one in layer[:2]:
        one["encoding"]["y"] = names
    return spec_of(rows, layer=layer, width=170, height={"step": 18})


def bars(rows: pd.DataFrame, value: str, name: str, *, colour: str | None = None) -> Spec:
    """Return horizontal bars, one a name; with `colour`, stacked by the values of that column."""
    axis = {"tickCount": 4}
    encoding = {
        "x": field_of(value, "quantitative", value, axis=axis, stack="zero"),
        "y": field_of(name, "nominal", None, sort=None),
        "tooltip": tooltip(rows),
    }
    if colour:
        encoding["color"] = field_of(colour, "nominal", colour, sort=None)
    mark = {"type": "bar", **({} if colour else {"color": COLOURS[5]})}
    return spec_of(rows, mark=mark, encoding=encoding, width=170, height={"step": 18})


def grouped_bars(rows: pd.DataFrame, value: str, name: str, kind: str) -> Spec:
    """Return horizontal bars from 0 to 1, for each name one a kind, below each other."""
    unit = {"scale": {"domain": [0, 1]}, "axis": {"format": "%", "values": [0, 0.25, 0.5, 0.75, 1]}}
    colours = {"range": [COLOURS[5], COLOURS[3]]}
    encoding = {
        "x": field_of(value, "quantitative", None, **unit),
        "y": field_of(name, "nominal", None, sort=None),
        "yOffset": {"field": kind, "sort": None},
        "color": field_of(kind, "nominal", None, sort=None, scale=colours),
        "tooltip": tooltip(rows),
    }
    return spec_of(rows, mark="bar", encoding=encoding, width=170, height={"step": 11})


def histogram(rows: pd.DataFrame, begin: str, end: str, count: str) -> Spec:
    """Return a histogram of bins that are computed already."""
    encoding = {
        "x": {**field_of(begin, "quantitative", begin), "bin": "binned"},
        "x2": {"field": end},
        "y": field_of(count, "quantitative", count),
        "tooltip": tooltip(rows),
    }
    return spec_of(rows, mark={"type": "bar", "color": COLOURS[5]}, encoding=encoding, width=240, height=140)


def reliability(rows: pd.DataFrame, x: str = "mean confidence", y: str = "accuracy") -> Spec:
    """Return accuracy over confidence: `confidence`, `accuracy` and `clips` of each bin, and the diagonal.

    Args:
        rows: A row a bin.
        x: The title of the axis of confidence.
        y: That of the axis of accuracy.
    """
    unit = {"scale": {"domain": [0, 1]}, "axis": {"format": "%", "values": [0, 0.25, 0.5, 0.75, 1]}}
    encoding = {
        "x": field_of("confidence", "quantitative", x, **unit),
        "y": field_of("accuracy", "quantitative", y, **unit),
    }
    diagonal = {
        "data": {"values": [{"confidence": 0, "accuracy": 0}, {"confidence": 1, "accuracy": 1}]},
        "mark": {"type": "line", "strokeDash": [4, 3], "color": _TEXT, "strokeWidth": 1, "aria": False},
    }
    line = {"mark": {"type": "line", "color": COLOURS[5], "aria": False}}
    size = field_of("clips", "quantitative", "clips", legend=None, scale={"range": [15, 150]})
    points = {
        "mark": {"type": "point", "filled": True, "color": COLOURS[5], "opacity": 1},
        "encoding": {"size": size, "tooltip": tooltip(rows)},
    }
    return spec_of(rows, layer=[diagonal, line, points], encoding=encoding, width=220, height=220)


def curves(rows: pd.DataFrame, x: str, y: str, series: str) -> Spec:
    """Return a line a series, which differ in colour and dashes."""
    encoding = {
        "x": field_of(x, "quantitative", x),
        "y": field_of(y, "quantitative", y, scale={"zero": False}),
        "color": field_of(series, "nominal", None, sort=None, legend={"columns": 2, "labelLimit": 140}),
        "strokeDash": field_of(series, "nominal", None, sort=None),
        "tooltip": tooltip(rows),
    }
    return spec_of(rows, mark={"type": "line"}, encoding=encoding, width=240, height=160)


def look(number: int) -> tuple[str, str]:
    """Return the colour and the shape of a class, by its number in the label space."""
    turns, place = divmod(number, len(COLOURS))
    return COLOURS[place], SHAPES[(place + turns) % len(SHAPES)]


def scatter(rows: pd.DataFrame, label: str, names: Sequence[str]) -> Spec:
    """Return the points `x`, `y` of clips, in the colour and shape of their label; a click on a name shows it alone.

    Args:
        rows: A row a clip; all columns but `x` and `y` are shown where the mouse is.
        label: The column with the label.
        names: All labels, in the order of their colours.
    """
    domain = [name for name in names if name in set(rows[label])]
    colours, shapes = ([look(names.index(name))[part] for name in domain] for part in (0, 1))
    legend = {"legend": {"columns": 2}} if any(len(name) > LONG_NAME for name in domain) else {}
    place = {"axis": None, "scale": {"zero": False}}
    encoding = {
        "x": field_of("x", "quantitative", **place),
        "y": field_of("y", "quantitative", **place),
        "color": field_of(label, "nominal", None, scale={"domain": domain, "range": colours}, **legend),
        "shape": field_of(label, "nominal", None, scale={"domain": domain, "range": shapes}, **legend),
        "opacity": {"condition": {"param": "shown", "value": 0.9}, "value": 0.08},
        "tooltip": tooltip(rows.drop(columns=["x", "y"])),
    }
    mark = {"type": "point", "filled": True, "size": 30, "aria": False}
    shown = {"name": "shown", "select": {"type": "point", "fields": [label]}, "bind": "legend"}
    return spec_of(rows, mark=mark, encoding=encoding, params=[shown], width=310, height=300)
