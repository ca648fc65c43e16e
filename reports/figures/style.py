"""The one look of all figures, and their SVG.

Colours are few, of at least 3:1 contrast on paper, told apart by colour-blind readers, and always
doubled by a marker's shape. They are drawn literally (for print) and, in :func:`svg`, may be named
as CSS variables so that a page can show the same figure light and dark. Type stays text, set in
the page's own face.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal
from xml.sax.saxutils import escape

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.textpath import TextToPath

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
    Ink("#0072b2", "#3f9fe0"),
    Ink("#d55e00", "#f0803c"),
    Ink("#aa3377", "#d873b0"),
    Ink("#2a2f35", "#dfe3e7"),
    Ink("#7a4d1d", "#a07a50"),
    Ink("#332288", "#7d6cf0"),
    Ink("#3b9bd8", "#a9d9fa"),
    Ink("#cc6677", "#ffc9b8"),
)
"""After Okabe and Ito, and Tol: 3:1 on the page, apart under each of the colour blindnesses."""
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


# What XML forbids, and other control characters but tab and line feed.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def printable(words: str) -> str:
    r"""Return the text with control characters, which no page can show, made visible.

    >>> printable("a\x0bb") == "a\N{REPLACEMENT CHARACTER}b"
    True
    """
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", words)


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


def text_width(words: str, size: float) -> float:
    """Return the width in points of text in matplotlib's own face, the widest that we set."""
    face = FontProperties(family="DejaVu Sans", size=size)
    width, _, _ = TextToPath().get_text_width_height_descent(words, face, ismath=False)
    return float(width)


def svg(figure: Figure, *, name: str, title: str, text: str, face: str | None) -> str:
    """Return the figure as one ``<svg>`` element: the same bytes for the same figure.

    ``name`` makes its ids unlike those of every other figure of a page; ``title`` and ``text``
    are its accessible name and description. ``face`` is the font family of a printed page; with
    None the figure is for a web page: colours are CSS variables (:func:`palette`), and the face
    is the page's.
    """
    file = io.StringIO()
    with style(), mpl.rc_context({"svg.hashsalt": name}), warnings.catch_warnings():
        # Type stays text: the page's faces draw what matplotlib's own face lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    # Laid out once: another round would move the panels a little, and change the bytes.
    figure.set_layout_engine("none")
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
        f'<title id="{name}-title">{escape(printable(title))}</title>'
        f'<desc id="{name}-desc">{escape(printable(text))}</desc>{rest}'
    )
