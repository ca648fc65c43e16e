"""What a report says, before any page is set: HTML and PDF show one and the same content.

All text is plain text: no markup of any kind, so that no id or title from the data can act as
such. Whatever sets a page escapes what its format needs.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from earmark.reports.figures.parts import Columns
    from earmark.reports.figures.style import Width

Arrays = Mapping[str, NDArray[Any]]
"""The arrays of one task, by the names that it gave them."""
Audible = Literal["clip", "caption", "caption id", "pair"]
"""What a cell names that can be played: a clip, a pair of clips, a caption's words or id."""
MOST_ROWS = 60
"""Rows of a folded table that are in a web page as such; longer ones are built when opened."""
TALLEST = 7.6
"""Inches of a figure that still fits on a page with its caption."""


def even_parts(names: Sequence[str], *, at_most: int) -> list[list[str]]:
    """Return the names in as few runs as may be, of about one length.

    >>> even_parts(["a", "b", "c", "d", "e"], at_most=4)
    [['a', 'b', 'c'], ['d', 'e']]
    >>> even_parts([], at_most=4)
    []
    """
    if not names:
        return []
    n_parts = math.ceil(len(names) / at_most)
    return [[str(name) for name in part] for part in np.array_split(names, n_parts)]


def part_of(number: int, parts: Sequence[object]) -> str:
    """Return what the title of one figure of several ends with; nothing where there is one.

    >>> part_of(2, ["a", "b"]), part_of(1, ["a"])
    (' (2 of 2)', '')
    """
    return f" ({number} of {len(parts)})" if len(parts) > 1 else ""


@dataclass(frozen=True, slots=True)
class Span:
    """A run of text. ``name`` marks ids of models, sets and datasets."""

    text: str
    style: Literal["plain", "strong", "name", "code", "link"] = "plain"


Text = tuple[Span, ...]


def text(*parts: str | Span) -> Text:
    """Return plain strings and spans as one text.

    >>> text("beats ", Span("loudness", "name"))[1].style
    'name'
    """
    return tuple(Span(part) if isinstance(part, str) else part for part in parts)


def named_models(ids: Iterable[str]) -> Text:
    """Return ids of models as a sentence has them.

    >>> plain(named_models(["a", "b", "c"]))
    'a, b and c'
    """
    listed = list(ids)
    spans: list[Span] = []
    for place, name in enumerate(listed):
        if place:
            spans.append(Span(" and " if place == len(listed) - 1 else ", "))
        spans.append(Span(name, "name"))
    return tuple(spans)


def plain(parts: Text) -> str:
    """Return the text without its styles."""
    return "".join(part.text for part in parts)


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text; as a ``warning`` it is set off from the rest."""

    text: Text
    tone: Literal["plain", "lead", "warning", "muted"] = "plain"
    kind: Literal["paragraph"] = "paragraph"


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list; as a ``warning`` it is set off from the rest."""

    items: list[Text]
    tone: Literal["plain", "warning"] = "plain"
    kind: Literal["bullets"] = "bullets"


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and what they are."""

    rows: list[tuple[str, Text]]
    kind: Literal["facts"] = "facts"


@dataclass(frozen=True, slots=True)
class Code:
    """Text to copy as it is."""

    label: str
    text: str
    folded: bool = False
    kind: Literal["code"] = "code"


@dataclass(frozen=True, slots=True)
class Column:
    """A column; neighbours of one ``group`` stand under a common head."""

    label: str
    numeric: bool = False
    group: str = ""
    code: bool = False
    """Set in a monospaced face and broken anywhere: digests, ids of items."""
    audible: Audible | None = None
    """What its cells name that a web page can play."""


@dataclass(frozen=True, slots=True)
class Player:
    """A clip to play in a web page."""

    name: str
    """Of the clip, the same wherever it is played."""
    label: str
    """What the player is called by who cannot see where it stands."""
    shown: str
    """Small words beside it; may be empty."""
    source: str
    """A data address; empty where an earlier player of this name has it."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell: ``sub`` stands small below the text, ``mark`` points to a note of the table."""

    text: str
    sub: str = ""
    sort: float | None = None
    mark: str = ""
    tone: Literal["plain", "strong", "muted"] = "plain"
    players: tuple[Player, ...] = ()
    """On a web page alone; see :mod:`earmark.reports.page.players`."""


@dataclass(frozen=True, slots=True)
class TableBlock:
    """A table. The first column names its rows; ``foot`` rows stand apart below."""

    caption: str
    columns: list[Column]
    rows: list[list[Cell]]
    foot: list[list[Cell]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    folded: bool = False
    """Too long to read through: folded away where a page can fold."""
    detail: bool = False
    """The first to be left out where a report must be short."""
    kind: Literal["table"] = "table"


class Draw(Protocol):
    """Draws one figure in the width asked for."""

    def __call__(self, *, width: Width) -> Figure: ...


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure to be drawn, what it shows in words, and its data."""

    title: str
    caption: str
    description: str
    """What a reader who cannot see it needs: what is drawn, and what comes out."""
    draw: Draw
    data: Columns
    small: bool = False
    """One of a series: shown in columns on a page that has the room."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A figure that could not be drawn, in a sentence that says why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Plots:
    """Figures that belong together."""

    plots: list[Plot]
    detail: bool = False
    """The first to be left out where a report must be short."""
    kind: Literal["plots"] = "plots"


Block = Paragraph | Bullets | Facts | Code | TableBlock | Plots


@dataclass(frozen=True, slots=True)
class Section:
    """A headed part of the report."""

    title: str
    anchor: str
    blocks: list[Block]
    sections: list[Section] = field(default_factory=list)
    detail: bool = False
    """The first to be left out where a report must be short."""


@dataclass(frozen=True, slots=True)
class Page:
    """A whole report."""

    title: str
    subtitle: str
    verdict: list[Block]
    sections: list[Section]
    colophon: str
    run: str
    """Of the record, for the foot of a page."""
    created: str
    """ISO 8601: the date of the report is that of its record."""
    opening: str = "Verdict"
    """What its first part is called."""


def as_plain(value: Any) -> Any:
    """Return content as dictionaries, lists and text, for JSON; plots are left to the page."""
    if isinstance(value, Plots):
        return {"kind": "plots"}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: as_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, (list, tuple)):
        return [as_plain(part) for part in value]
    return value
