"""Every figure of a report as files for a paper: SVG, PDF and PNG, each with its data as CSV."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure

from earmark.reports.content import Page, Plot, Section
from earmark.reports.figures.dates import timestamp
from earmark.reports.figures.parts import to_csv
from earmark.reports.figures.style import PAPER, Width, style, svg

DPI = 300
"""Of the PNG: print's."""


def write_figures(
    report: Page,
    folder: Path,
    *,
    width: Width = "full",
    write: Callable[[Path, bytes], object] = Path.write_bytes,
) -> list[Path]:
    """Write ``figure-<n>-<title>.{svg,pdf,png,csv}`` a figure; the same bytes for the same report.

    ``width`` is that of a paper's column or of its text block. Figures are numbered as on the
    page. An older file of the same name is replaced, by ``write``.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = datetime.fromtimestamp(timestamp(report.created), UTC)
    written = []
    for number, plot in enumerate(plots_of(report), start=1):
        name = f"figure-{number}-{_slug(plot.title)}"
        figure = plot.draw(width=width)
        files = {
            "csv": to_csv(plot.data).encode(),
            "svg": svg(
                figure,
                name=f"fig{number}",
                title=plot.title,
                text=plot.description,
                face="DejaVu Sans",
            ).encode(),
            "pdf": _saved(figure, "pdf", plot, {"CreationDate": made, "ModDate": made}),
            "png": _saved(figure, "png", plot, {}),
        }
        for ending, content in files.items():
            path = folder / f"{name}.{ending}"
            write(path, content)
            written.append(path)
    return written


def plots_of(report: Page) -> Iterator[Plot]:
    """Yield the figures of a report in their order."""
    sections = [Section("", "", report.verdict), *report.sections]
    for section in sections:
        yield from _plots(section)


def _plots(section: Section) -> Iterator[Plot]:
    for block in section.blocks:
        if block.kind == "plots":
            yield from block.plots
    for part in section.sections:
        yield from _plots(part)


def _saved(figure: Figure, kind: str, plot: Plot, metadata: dict[str, datetime]) -> bytes:
    """Return the figure on white paper; type is embedded, and no version or clock gets in."""
    canvas = FigureCanvasPdf(figure) if kind == "pdf" else FigureCanvasAgg(figure)
    own = {"Creator": None, "Producer": None} if kind == "pdf" else {"Software": None}
    file = io.BytesIO()
    with style():
        import matplotlib as mpl

        with mpl.rc_context({"pdf.fonttype": 42}):
            canvas.print_figure(
                file,
                format=kind,
                dpi=DPI,
                facecolor=PAPER.light,
                metadata={**own, **metadata, "Title": plot.title},
            )
    return file.getvalue()


def _slug(title: str) -> str:
    """Return the title as a file may be called on any system.

    >>> _slug("Recall at k: text → audio (1 of 2)")
    'recall-at-k-text-audio-1-of-2'
    """
    return re.sub(r"[^a-z0-9]+", "-", title.casefold()).strip("-")[:60].rstrip("-") or "untitled"
