"""The report as one HTML file that needs nothing else: no network, no fonts, no other files.

Everything from the data passes through Jinja2's autoescape. A content security policy in the
page forbids every load and every script but its own, whatever an id might hold.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from earmark.reports.content import MOST_ROWS, Cell, Column, Page, Plot, Section, TableBlock
from earmark.reports.figures.parts import figure_csv
from earmark.reports.figures.style import palette, printable, svg
from earmark.reports.render import data_files as exports

if TYPE_CHECKING:
    pass

_MOST_PLAIN = 250_000
"""Bytes of CSV above which a figure's data are compressed."""
_UNQUOTED = " !$()*,/:;=?@[]|\\{}^"
"""What may stand in a link to data as it is: nothing that HTML or a data address would act on."""
TEMPLATES = Path(__file__).parents[1] / "templates"


def page_html(report: Page) -> str:
    """Return a report's content as one HTML page."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters["groups"] = _groups
    # Read as they are: what is Markup here comes from the project, never from data.
    css, script = ((TEMPLATES / name).read_text() for name in ("report.css", "report.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    template = environment.get_template("report.html.j2")
    return template.render(
        page=report,
        css=Markup(css),
        script=Markup(script),
        script_digest=digest,
        light=palette("light"),
        dark=palette("dark"),
        drawn=_Drawn(itertools.count(1)),
        packed=_rows,
        players=_has_players(report.sections),
        exported=_Exported(itertools.count(1)),
    )


def _has_players(sections: Sequence[Section]) -> bool:
    return any(
        any(cell.players for row in block.rows for cell in row)
        for section in sections
        for block in section.blocks
        if isinstance(block, TableBlock)
    ) or any(_has_players(section.sections) for section in sections)


def _shown(value: Any) -> Any:
    """Return what the template prints; characters that HTML forbids are made visible."""
    return printable(value) if type(value) is str else value


def _groups(columns: list[Column]) -> list[dict[str, Any]]:
    """Return runs of columns under one common head, each with its label and width."""
    runs = itertools.groupby(columns, key=lambda column: column.group)
    return [{"label": label, "width": len(list(run))} for label, run in runs]


def _rows(table: TableBlock) -> Markup | None:
    """Return the rows of a long folded table as JSON, for the script to build when it is opened.

    A row is a list of cells: a text, or ``[text, sort, sub, mark, tone]`` without its empty end.
    """
    if not table.folded or len(table.rows) <= MOST_ROWS:
        return None
    rows = [[_packed(cell) for cell in row] for row in table.rows]
    written = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
    # Nothing in it can end the script element, or begin a comment in it.
    return Markup(written.replace("<", "\\u003c"))


def _packed(cell: Cell) -> str | list[str | float | None]:
    tone = "" if cell.tone == "plain" else cell.tone
    sort = None if cell.sort is None else float(f"{cell.sort:.8g}")
    parts: list[str | float | None] = [sort, cell.sub, cell.mark, tone]
    while parts and parts[-1] in {None, ""}:
        parts.pop()
    shown = printable(cell.text)
    return [shown, *parts] if parts else shown


class _Exported:
    """Makes the files of tables for the template, numbered in order of appearance."""

    def __init__(self, numbers: Iterator[int]) -> None:
        self._numbers = numbers

    def __call__(self, table: TableBlock) -> dict[str, str]:
        return {
            "name": f"table-{next(self._numbers)}",
            "csv": quote(exports.to_csv(table), safe=_UNQUOTED),
            "latex": quote(exports.to_latex(table), safe=_UNQUOTED),
        }


def _data_of(plot: Plot) -> dict[str, str]:
    """Return what is downloaded as a figure's data: CSV, compressed where it is long."""
    content = figure_csv(plot.data).encode()
    kind, ending = "text/csv;charset=utf-8", "csv"
    if len(content) > _MOST_PLAIN:
        content = gzip.compress(content, mtime=0)
        kind, ending = "application/gzip", "csv.gz"
    return {"data": f"data:{kind};base64,{base64.b64encode(content).decode()}", "ending": ending}


class _Drawn:
    """Draws plots for the template, numbered in order of appearance."""

    def __init__(self, numbers: Iterator[int]) -> None:
        self._numbers = numbers

    def __call__(self, plot: Plot) -> dict[str, Any]:
        number = next(self._numbers)
        return {
            "number": number,
            "plot": plot,
            "wide": None if plot.small else self._svg(plot, f"fig{number}w", wide=True),
            "narrow": self._svg(plot, f"fig{number}n", wide=False),
            **_data_of(plot),
        }

    def _svg(self, plot: Plot, name: str, *, wide: bool) -> Markup:
        drawn = svg(
            plot.draw(width="full" if wide else "column"),
            name=name,
            title=plot.title,
            text=plot.description,
            face=None,
        )
        return Markup(drawn)
