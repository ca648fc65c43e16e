"""The one look of all figures, and their SVG.

Colours are few, of at least 3:1 contrast on paper, told apart by colour-blind readers, and always
doubled by a marker's shape. They are drawn literally (for print) and, in :func:`svg`, may be named
as CSS variables so that a page can show the same figure light and dark. Type stays text, set in
the page's own face.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal
from xml.sax.saxutils import escape

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

Width = Literal["column", "full"]
INCHES: dict[Width, float] = {"column": 3.3, "full": 7.0}
"""A column of a two-column paper, and its text block."""


@dataclass(frozen=True, slots=True)
class Ink:
    """A colour on paper and on a dark page."""

    light: str
    dark: str


PAPER = Ink("#fffffe", "#15181c")
TEXT = Ink("#1c2126", "#e8eaed")
MUTED = Ink("#57606a", "#a5adb6")
GRID = Ink("#dde2e7", "#343a42")
BARS = (
    Ink("#0b5d92", "#4fa3dd"),
    Ink("#78b0d6", "#2a6796"),
    Ink("#d3d8dd", "#4a525b"),
    Ink("#eef0f2", "#2b3037"),
)
"""From most to least agreement."""
SERIES = (
    Ink("#0072b2", "#5ab4ee"),
    Ink("#d55e00", "#f58a45"),
    Ink("#00875f", "#3fcf9f"),
    Ink("#aa3377", "#e58cc3"),
    Ink("#9a6b00", "#e8b931"),
    Ink("#43484e", "#c3c8ce"),
    Ink("#3b9bd8", "#a9d9fa"),
    Ink("#882255", "#d77a9d"),
)
"""After Okabe and Ito, and Tol; darkened to 3:1 on white."""
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "p")

_ROLES: dict[str, Ink] = {
    "paper": PAPER,
    "text": TEXT,
    "muted": MUTED,
    "grid": GRID,
    **{f"bar-{i}": ink for i, ink in enumerate(BARS)},
    **{f"series-{i}": ink for i, ink in enumerate(SERIES)},
}

# Any: matplotlib types the keys by a literal that differs between its versions.
_RC: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 7.5,
    "text.color": TEXT.light,
    "text.parse_math": False,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 7,
    "axes.labelsize": 7.5,
    "axes.labelcolor": TEXT.light,
    "axes.edgecolor": MUTED.light,
    "axes.facecolor": "none",
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.formatter.use_mathtext": False,
    "grid.color": GRID.light,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED.light,
    "ytick.color": MUTED.light,
    "xtick.labelcolor": TEXT.light,
    "ytick.labelcolor": TEXT.light,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "legend.handlelength": 1.4,
    "legend.columnspacing": 1.4,
    "hatch.linewidth": 0.6,
    "hatch.color": MUTED.light,
    "figure.facecolor": "none",
    "figure.constrained_layout.w_pad": 0.05,
    "figure.constrained_layout.h_pad": 0.04,
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
}


def palette(theme: Literal["light", "dark"]) -> dict[str, str]:
    """Return the colour of each CSS variable of :func:`svg`, by the variable's name."""
    return {f"--fig-{role}": getattr(ink, theme) for role, ink in _ROLES.items()}


@contextmanager
def style() -> Iterator[None]:
    """Draw in the one look, whatever the user's own matplotlib settings are."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        yield


def new_figure(width: Width, height: float, *, headroom: float = 0.0) -> Figure:
    """Return an empty figure that needs no pyplot and no window.

    ``height`` is in inches, and so is ``headroom``, which is kept free above every panel.
    """
    layout = ConstrainedLayoutEngine(
        rect=(0, 0, 1, 1 - headroom / 2 / height), h_pad=0.04 + headroom / 2
    )
    figure = Figure(figsize=(INCHES[width], height), layout=layout)
    FigureCanvasSVG(figure)
    return figure


def series_style(number: int) -> dict[str, Any]:
    """Return colour and marker of the model of this number; unlike for the first 64."""
    colour = SERIES[number % len(SERIES)].light
    shift = number // len(SERIES)
    return {
        "color": colour,
        "marker": MARKERS[(number + shift) % len(MARKERS)],
        "markerfacecolor": PAPER.light if shift % 2 else colour,
    }


def quiet_grid(axes: Axes, axis: Literal["x", "y", "both"]) -> None:
    """Rule the plot along ``axis`` alone."""
    axes.grid(True, axis=axis)
    axes.tick_params(length=0, axis="y" if axis == "x" else "x" if axis == "y" else "both")


def svg(figure: Figure, *, name: str, title: str, text: str, face: str | None) -> str:
    """Return the figure as one ``<svg>`` element: the same bytes for the same figure.

    ``name`` makes its ids unlike those of every other figure of a page; ``title`` and ``text``
    are its accessible name and description. ``face`` is the font family of a printed page; with
    None the figure is for a web page: colours are CSS variables (:func:`palette`), and the face
    is the page's.
    """
    file = io.StringIO()
    with style(), mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    drawn = file.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", drawn, flags=re.DOTALL)
    drawn = _slim(_own_ids(drawn, name))
    return _labelled(_dressed(drawn, face), name, title, text)


def _in_tags(drawn: str, pattern: str, by: str | Callable[[re.Match[str]], str]) -> str:
    """Substitute inside the tags alone: what a label says is never touched."""
    return re.sub(r"<[^>]*>", lambda tag: re.sub(pattern, by, tag[0]), drawn)


def _own_ids(drawn: str, name: str) -> str:
    """Keep only the ids that are referred to, each prefixed by the figure's name."""
    used = set(re.findall(r'(?:xlink:href="#|url\(#)([^")]+)', drawn))
    drawn = _in_tags(
        drawn, r' id="([^"]+)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else ""
    )
    return _in_tags(drawn, r'(xlink:href="#|url\(#)', rf"\g<1>{name}-")


def _slim(drawn: str) -> str:
    """Leave out what does not show: digits below 1/100 point, empty and repeated attributes."""
    drawn = _in_tags(drawn, r"(\d\.\d\d)\d+", r"\1")
    drawn = _in_tags(drawn, r"\s*\n\s*", " ")
    drawn = _in_tags(drawn, r' transform="rotate\(-?0 [^"]*"', "")
    drawn = re.sub(r">\s+<", ">\n<", drawn)
    # A scatter repeats its style on every point: once, on the group around them, is enough.
    return re.sub(
        r'<g( clip-path="[^"]*")?>\n((?:<use [^>]*(style="[^"]*")/>\n)(?:<use [^>]*\3/>\n)*)</g>',
        lambda m: f"<g{m[1] or ''} {m[3]}>\n" + m[2].replace(f" {m[3]}", "") + "</g>",
        drawn,
    )


def _dressed(drawn: str, face: str | None) -> str:
    if face is not None:
        return _in_tags(drawn, r"font-family: [^;\"]+", f"font-family: '{face}'")
    drawn = _in_tags(drawn, r" font-family: [^;\"]+;", "")
    # CSS variables work in a style, not in an attribute.
    drawn = _in_tags(drawn, r'fill="(#[0-9a-f]{6})"', r'style="fill: \1"')
    names = {ink.light: f"var(--fig-{role})" for role, ink in _ROLES.items()}
    return _in_tags(drawn, r"#[0-9a-f]{6}(?=[;\"])", lambda m: names[m[0]])


def _labelled(drawn: str, name: str, title: str, text: str) -> str:
    head, rest = drawn.split(">", 1)
    head = re.sub(r' (width|height|version)="[^"]*"', "", head)
    return (
        f'{head} stroke-linejoin="round" role="img" '
        f'aria-labelledby="{name}-title" aria-describedby="{name}-desc">'
        f'<title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-desc">{escape(text)}</desc>{rest}'
    )
