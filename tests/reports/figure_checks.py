"""What the tests of all figures look at: the SVG, its texts, and whether they are inside."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

from earmark.reports.figures.style import svg

WIDTHS = ("column", "full")
SVG = "{http://www.w3.org/2000/svg}"


def drawn_svg(figure, *, face=None, name="fig1"):
    return svg(figure, name=name, title="A title", text="What it shows", face=face)


def written(figure):
    return [element.text for element in ET.fromstring(drawn_svg(figure)).iter(f"{SVG}text")]


def text_box(element):
    """The left, top, right and bottom of a text of the SVG, in points; upright or turned by 90."""
    style = dict(part.split(": ") for part in element.attrib["style"].split("; "))
    face = FontProperties(
        family="DejaVu Sans",
        size=float(style["font-size"].removesuffix("px")),
        weight=style.get("font-weight", "normal"),
    )
    width, height, _ = TextToPath().get_text_width_height_descent(element.text, face, ismath=False)
    turn = element.attrib.get("transform", "")
    if moved := re.match(r"translate\(([-.\d]+) ([-.\d]+)\)", turn):
        x, y = map(float, moved.groups())
    else:
        x, y = float(element.attrib["x"]), float(element.attrib["y"])
    before = width * {"start": 0, "middle": 0.5, "end": 1}[style.get("text-anchor", "start")]
    if "rotate(-90" in turn:
        return x - height, y - width + before, x, y + before
    return x - before, y - height, x - before + width, y


def assert_inside(figure):
    """Assert that every text lies within the figure."""
    root = ET.fromstring(drawn_svg(figure, face="DejaVu Sans"))
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    texts = list(root.iter(f"{SVG}text"))
    assert texts
    for element in texts:
        left, top, right, bottom = text_box(element)
        inside = left >= -1 and top >= -1 and right <= width + 1 and bottom <= height + 1
        assert inside, f"{element.text!r} {left, top, right, bottom} of {width, height}"
