"""The charts of the page as specifications of Vega-Lite (https://vega.github.io/vega-lite/), which draws them.

All are narrow enough for a phone. Text and axes take the colour of the page's text, so that they suit a dark page, too.
Colours are those of Okabe and Ito, which the colour-blind can distinguish; classes also differ in shape.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from emopipe.core.labels import CLASSES

WIDTH = 330
"""Most pixels that a chart is wide."""
COLOURS = ("#D55E00", "#009E73", "#CC79A7", "#E69F00", "#999999", "#0072B2", "#56B4E9", "#8C564B")
"""Okabe and Ito's colours without the yellow, which is invisible on white; grey and brown stand for black."""
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left")
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


def _spec(rows: pd.DataFrame, **parts: Any) -> Spec:
    """Return a specification with its data; missing numbers are null."""
    values = rows.astype(object).where(rows.notna(), None).to_dict("records")
    return {"data": {"values": values}, "config": CONFIG, "autosize": {"type": "pad"}, **parts}


def _field(name: str, kind: str, title: str | None = None, **parts: Any) -> Spec:
    return {"field": name, "type": kind, "title": title, **parts}


def _tooltip(rows: pd.DataFrame) -> list[Spec]:
    kinds = {name: "quantitative" if column.dtype.kind in "fi" else "nominal" for name, column in rows.items()}
    return [_field(name, kind, name, **({"format": ".3~g"} if kind[0] == "q" else {})) for name, kind in kinds.items()]


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
    across = _field(x, "nominal", x, sort=None, axis={"labelAngle": -45, "orient": "bottom"})
    down = _field(y, "nominal", y, sort=None)
    scale = {"scheme": "blues", "domain": [0, 1]}
    dark = {"test": f"datum[{share!r}] > 0.5", "value": "white"}
    cells = {
        "mark": {"type": "rect", "tooltip": True},
        "encoding": {"color": _field(share, "quantitative", scale=scale, legend=None), "tooltip": _tooltip(rows)},
    }
    texts = {
        "mark": {"type": "text", "fontSize": 11, "aria": False},
        "encoding": {"text": _field(text, "nominal"), "color": {"condition": dark, "value": "#111"}},
    }
    size = {"width": {"step": step[0]}, "height": {"step": step[1]}}
    return _spec(rows, layer=[cells, texts], encoding={"x": across, "y": down}, **size)


def intervals(rows: pd.DataFrame, value: str, low: str, high: str, name: str, reference: float | None) -> Spec:
    """Return a point with its interval for each row, and a dashed line at a reference, such as chance."""
    axis = {"format": "%", "values": [0, 0.25, 0.5, 0.75, 1]}
    names = _field(name, "nominal", None, sort=None)
    point = {
        "mark": {"type": "point", "filled": True, "size": 50, "color": COLOURS[5]},
        "encoding": {"x": _field(value, "quantitative", value, axis=axis), "tooltip": _tooltip(rows)},
    }
    bar = {
        "mark": {"type": "rule", "color": COLOURS[5], "aria": False},
        "encoding": {"x": _field(low, "quantitative", value), "x2": {"field": high}},
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
    scale = {"scale": {"domain": [0, 1]}}
    for one in layer:
        one["encoding"]["x"] |= scale
    for one in layer[:2]:
        one["encoding"]["y"] = names
    return _spec(rows, layer=layer, width=170, height={"step": 18})


def bars(rows: pd.DataFrame, value: str, name: str, *, colour: str | None = None) -> Spec:
    """Return horizontal bars, one a name; with `colour`, stacked by the values of that column."""
    axis = {"tickCount": 4}
    encoding = {
        "x": _field(value, "quantitative", value, axis=axis, stack="zero"),
        "y": _field(name, "nominal", None, sort=None),
        "tooltip": _tooltip(rows),
    }
    if colour:
        encoding["color"] = _field(colour, "nominal", colour, sort=None)
    mark = {"type": "bar", **({} if colour else {"color": COLOURS[5]})}
    return _spec(rows, mark=mark, encoding=encoding, width=170, height={"step": 18})


def histogram(rows: pd.DataFrame, begin: str, end: str, count: str) -> Spec:
    """Return a histogram of bins that are computed already."""
    encoding = {
        "x": {**_field(begin, "quantitative", begin), "bin": "binned"},
        "x2": {"field": end},
        "y": _field(count, "quantitative", count),
        "tooltip": _tooltip(rows),
    }
    return _spec(rows, mark={"type": "bar", "color": COLOURS[5]}, encoding=encoding, width=240, height=140)


def reliability(rows: pd.DataFrame) -> Spec:
    """Return accuracy over confidence: `confidence`, `accuracy` and `clips` of each bin, and the diagonal."""
    unit = {"scale": {"domain": [0, 1]}, "axis": {"format": "%", "values": [0, 0.25, 0.5, 0.75, 1]}}
    encoding = {
        "x": _field("confidence", "quantitative", "mean confidence", **unit),
        "y": _field("accuracy", "quantitative", "accuracy", **unit),
    }
    diagonal = {
        "data": {"values": [{"confidence": 0, "accuracy": 0}, {"confidence": 1, "accuracy": 1}]},
        "mark": {"type": "line", "strokeDash": [4, 3], "color": _TEXT, "strokeWidth": 1, "aria": False},
    }
    line = {"mark": {"type": "line", "color": COLOURS[5], "aria": False}}
    size = _field("clips", "quantitative", "clips", legend=None, scale={"range": [15, 150]})
    points = {
        "mark": {"type": "point", "filled": True, "color": COLOURS[5], "opacity": 1},
        "encoding": {"size": size, "tooltip": _tooltip(rows)},
    }
    return _spec(rows, layer=[diagonal, line, points], encoding=encoding, width=220, height=220)


def curves(rows: pd.DataFrame, x: str, y: str, series: str) -> Spec:
    """Return a line a series, which differ in colour and dashes."""
    encoding = {
        "x": _field(x, "quantitative", x),
        "y": _field(y, "quantitative", y, scale={"zero": False}),
        "color": _field(series, "nominal", None, sort=None, legend={"columns": 2, "labelLimit": 140}),
        "strokeDash": _field(series, "nominal", None, sort=None),
        "tooltip": _tooltip(rows),
    }
    return _spec(rows, mark={"type": "line"}, encoding=encoding, width=240, height=160)


def scatter(rows: pd.DataFrame, label: str, names: Sequence[str] = CLASSES) -> Spec:
    """Return the points `x`, `y` of clips, in the colour and shape of their label; a click on a name shows it alone."""
    domain = [name for name in names if name in set(rows[label])]
    colours = [COLOURS[names.index(name) % len(COLOURS)] for name in domain]
    shapes = [SHAPES[names.index(name) % len(SHAPES)] for name in domain]
    place = {"axis": None, "scale": {"zero": False}}
    encoding = {
        "x": _field("x", "quantitative", **place),
        "y": _field("y", "quantitative", **place),
        "color": _field(label, "nominal", None, scale={"domain": domain, "range": colours}),
        "shape": _field(label, "nominal", None, scale={"domain": domain, "range": shapes}),
        "opacity": {"condition": {"param": "shown", "value": 0.9}, "value": 0.08},
        "tooltip": _tooltip(rows.drop(columns=["x", "y"])),
    }
    mark = {"type": "point", "filled": True, "size": 30, "aria": False}
    shown = {"name": "shown", "select": {"type": "point", "fields": [label]}, "bind": "legend"}
    return _spec(rows, mark=mark, encoding=encoding, params=[shown], width=310, height=300)
