"""Charts of clips whose labels are numbers: given against predicted values, two dimensions, and maps in their shades.

They are specifications of Vega-Lite, as those of `charts`.
"""

import pandas as pd

from emopipe.core.labels import LabelSpace
from emopipe.report.page.charts import COLOURS, Spec, field_of, spec_of, tooltip

SHADES = ("#0072B2", "#999999", "#D55E00")
"""From small to large values: blue, grey, orange, each of which a light and a dark page show."""
GIVEN, PREDICTED = "given", "predicted"


def agreement(rows: pd.DataFrame, space: LabelSpace) -> Spec:
    """Return `predicted` over `given` of clips, with the line on which both are equal.

    Args:
        rows: A row a clip.
        space: The label space, whose range the axes have.
    """
    unit = _range(space)
    encoding = {
        "x": field_of(GIVEN, "quantitative", GIVEN, **unit),
        "y": field_of(PREDICTED, "quantitative", PREDICTED, **unit),
    }
    ends = [{GIVEN: value, PREDICTED: value} for value in (space.low, space.high)]
    line = {"type": "line", "strokeDash": [4, 3], "color": "currentColor", "strokeWidth": 1, "aria": False}
    points = {"type": "point", "filled": True, "size": 25, "color": COLOURS[5], "opacity": 0.6, "aria": False}
    layer = [
        {"data": {"values": ends}, "mark": line},
        {"mark": points, "encoding": {"tooltip": tooltip(rows)}},
    ]
    return spec_of(rows, layer=layer, encoding=encoding, width=240, height=240)


def plane(rows: pd.DataFrame, kind: str, space: LabelSpace) -> Spec:
    """Return the points `x`, `y` of clips: their first two dimensions, as they are given, and as they are predicted.

    A click on given or on predicted shows these points alone.

    Args:
        rows: A row a clip and kind.
        kind: The column that says which of both a point is.
        space: The label space, whose range the axes have.
    """
    unit = _range(space)
    looks = {"domain": [GIVEN, PREDICTED], "range": [COLOURS[0], COLOURS[5]]}
    encoding = {
        "x": field_of("x", "quantitative", space.names[0], **unit),
        "y": field_of("y", "quantitative", space.names[1], **unit),
        "color": field_of(kind, "nominal", None, scale=looks),
        "shape": field_of(kind, "nominal", None, scale={"domain": looks["domain"], "range": ["square", "circle"]}),
        "opacity": {"condition": {"param": "shown", "value": 0.6}, "value": 0.05},
        "tooltip": tooltip(rows),
    }
    mark = {"type": "point", "filled": True, "size": 25, "aria": False}
    shown = {"name": "shown", "select": {"type": "point", "fields": [kind]}, "bind": "legend"}
    return spec_of(rows, mark=mark, encoding=encoding, params=[shown], width=240, height=240)


def shaded(rows: pd.DataFrame, value: str, title: str, space: LabelSpace) -> Spec:
    """Return the points `x`, `y` of clips, in the shade of their value.

    Args:
        rows: A row a clip; all columns but `x` and `y` are shown where the mouse is.
        value: The column with the value.
        title: What the value is.
        space: The label space, whose range the shades have.
    """
    place = {"axis": None, "scale": {"zero": False}}
    scale = {"domain": [space.low, (space.low + space.high) / 2, space.high], "range": list(SHADES)}
    encoding = {
        "x": field_of("x", "quantitative", **place),
        "y": field_of("y", "quantitative", **place),
        "color": field_of(value, "quantitative", title, scale=scale, legend={"gradientLength": 200}),
        "tooltip": tooltip(rows.drop(columns=["x", "y"])),
    }
    mark = {"type": "point", "filled": True, "size": 30, "opacity": 0.9, "aria": False}
    return spec_of(rows, mark=mark, encoding=encoding, width=310, height=300)


def _range(space: LabelSpace) -> dict[str, object]:
    return {"scale": {"domain": [space.low, space.high], "clamp": True}, "axis": {"tickCount": 5}}
