"""Draws the charts of the page: as pictures that stand in it, and as what its JavaScript draws again to be touched.

Vega-Lite comes with the package vl-convert-python, its JavaScript included, so nothing is fetched from anywhere.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

_IDS = re.compile(r'(\bid="|url\(#|href="#)(?=\w)')
_PLACES = re.compile(r'(?<= )(?:d|transform|x|y|x1|x2|y1|y2|width|height)="[^"<]*"')
_NUMBERS = re.compile(r"(\d+\.\d\d)\d+")


def picture(spec: Mapping[str, Any], prefix: str) -> str:
    """Return a chart as SVG to put into HTML.

    Args:
        spec: A specification of Vega-Lite.
        prefix: What the ids in the SVG begin with: several pictures stand in one page.
    """
    import vl_convert

    drawn = vl_convert.vegalite_to_svg(dict(spec))
    # Places are cut to hundredths of a pixel. Texts stay as they are: a name may have such a number in it.
    return _PLACES.sub(lambda place: _NUMBERS.sub(r"\1", place[0]), _IDS.sub(rf"\g<1>{prefix}-", drawn))


def embedded(value: Any) -> str:
    """Return a value as JSON that may stand in a script element: no text of it can end the element."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def library() -> str:
    """Return the JavaScript of Vega-Lite, to stand in a script element."""
    import vl_convert

    return vl_convert.javascript_bundle().replace("</script", "<\\/script")
