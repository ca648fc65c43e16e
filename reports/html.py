"""The report as one HTML file that needs nothing else: no network, no fonts, no other files.

Everything from the data passes through Jinja2's autoescape. A content security policy in the
page forbids every load and every script but its own, whatever an id might hold.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from earmark.reports import page
from earmark.reports.content import Column, Page, Plot, Section
from earmark.reports.figure_style import palette, printable, svg
from earmark.reports.figures import to_csv
from earmark.reports.record import RunRecord

if TYPE_CHECKING:
    import pandas as pd

TEMPLATES = Path(__file__).parent / "templates"


def render_html(
    record: RunRecord,
    items: Mapping[str, pd.DataFrame],
    arrays: Mapping[str, Mapping[str, NDArray[Any]]],
    *,
    gate: Section | None = None,
) -> str:
    """Return the report of a record as one HTML page; the same bytes for the same record.

    ``items`` and ``arrays`` are those of each task, as :mod:`earmark.reports.record_io` reads
    them; a figure whose arrays are not there is a stated gap. ``gate`` is the part on a gate's
    verdict (:func:`earmark.reports.verdicts.section`), where there is one.

    Raises
    ------
    RecordError
        If a task of the record has no items.
    """
    return page_html(page.build(record, items, arrays, gate=gate))


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
    )


def _shown(value: Any) -> Any:
    """Return what the template prints; characters that HTML forbids are made visible."""
    return printable(value) if type(value) is str else value


def _groups(columns: list[Column]) -> list[dict[str, Any]]:
    """Return runs of columns under one common head, each with its label and width."""
    runs = itertools.groupby(columns, key=lambda column: column.group)
    return [{"label": label, "width": len(list(run))} for label, run in runs]


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
            "csv": base64.b64encode(to_csv(plot.data).encode()).decode(),
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
