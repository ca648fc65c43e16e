r"""A table as CSV and as LaTeX, to copy into a spreadsheet or a paper.

CSV holds each column as it is shown, an interval in a column of its own, and for a number that is
shown rounded its value to ten digits. LaTeX needs the package ``booktabs`` alone; every character
of the data that LaTeX would act on is escaped.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure

from earmark.reports.content import Cell, Column, Page, Plot, Plots, Section, TableBlock
from earmark.reports.figures.parts import figure_csv
from earmark.reports.figures.style import PAPER, Width, printable, style, svg
from earmark.reports.words import timestamp

MOST_ROWS = 60
"""Rows of a table in LaTeX, more than a page holds; CSV has all."""
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "\N{NO-BREAK SPACE}": "~",
    "\N{MINUS SIGN}": r"\ensuremath{-}",
    "\N{EM DASH}": "---",
    "\N{EN DASH}": "--",
    "\N{HORIZONTAL ELLIPSIS}": r"\ldots{}",
    "†": r"\textsuperscript{\dag}",
    "²": r"\textsuperscript{2}",
    "ρ": r"\ensuremath{\rho}",
    "τ": r"\ensuremath{\tau}",
    "→": r"\ensuremath{\rightarrow}",
    "“": "``",
    "”": "''",
    "‘": "`",
    "’": "'",
}


def to_csv(table: TableBlock) -> str:
    r"""Return the table as CSV with a header: rows first, then those of its foot.

    >>> column = Column("R@10 (%)", numeric=True)
    >>> cell = Cell("39.0", sub="[31.7, 46.3]", sort=0.3902)
    >>> to_csv(TableBlock("T", [Column("Model"), column], [[Cell("a, b"), cell]]))
    'Model,R@10 (%),"R@10 (%), beside",value of R@10 (%)\n"a, b",39.0,"[31.7, 46.3]",0.3902\n'
    """
    rows = [*table.rows, *table.foot]
    beside = [any(row[place].sub for row in rows) for place in range(len(table.columns))]
    exact = [
        column.numeric and any(_is_rounded(row[place]) for row in rows)
        for place, column in enumerate(table.columns)
    ]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    heads: list[str] = []
    for column, with_sub, with_value in zip(table.columns, beside, exact, strict=True):
        name = f"{column.group}: {column.label}" if column.group else column.label
        heads += [name]
        heads += [f"{name}, beside"] * with_sub + [f"value of {name}"] * with_value
    writer.writerow(map(_plain, heads))
    for row in rows:
        cells: list[object] = []
        for cell, with_sub, with_value in zip(row, beside, exact, strict=True):
            cells += [_plain(cell.text)]
            cells += [_plain(cell.sub)] * with_sub
            cells += ["" if cell.sort is None else f"{cell.sort:.10g}"] * with_value
        writer.writerow(cells)
    return file.getvalue()


def to_latex(table: TableBlock) -> str:
    r"""Return the table as a LaTeX ``table`` with its caption; notes stand below as comments.

    >>> columns = [Column("Model"), Column("n", numeric=True)]
    >>> print(to_latex(TableBlock("A & B", columns, [])).splitlines()[2])
    \begin{tabular}{lr}
    """
    columns = "".join("r" if column.numeric else "l" for column in table.columns)
    lines = [
        r"\begin{table}",
        rf"\caption{{{latex(table.caption)}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
    ]
    if any(column.group for column in table.columns):
        lines.append(_groups(table.columns))
    lines.append(_line(latex(column.label) for column in table.columns))
    lines.append(r"\midrule")
    lines += [_line(map(_cell, row)) for row in table.rows[:MOST_ROWS]]
    if len(table.rows) > MOST_ROWS:
        lines.append(f"% the first {MOST_ROWS} of {len(table.rows)} rows; the CSV has all")
    if table.foot:
        lines.append(r"\midrule")
        lines += [_line(map(_cell, row)) for row in table.foot]
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [f"% {' '.join(printable(note).split())}" for note in table.notes]
    lines.append(r"\end{table}")
    return "\n".join(lines) + "\n"


def latex(words: str) -> str:
    r"""Return text that LaTeX typesets as it is.

    >>> latex("50 % of $x_1$ \\ {a}")
    '50 \\% of \\$x\\_1\\$ \\textbackslash{} \\{a\\}'
    """
    words = " ".join(re.sub(r"[ \n\t]+", " ", printable(words)).strip(" ").split("\n"))
    return "".join(_LATEX.get(character, character) for character in words)


def _is_rounded(cell: Cell) -> bool:
    if cell.sort is None:
        return False
    try:
        return float(_plain(cell.text).rstrip("†").replace(",", "")) != cell.sort
    except ValueError:
        # An interval, a share of two numbers: words, which no value stands behind.
        return False


def _plain(words: str) -> str:
    """Return text as a spreadsheet reads it: a true minus as a hyphen, no space that holds."""
    words = printable(words).replace("\N{MINUS SIGN}", "-").replace("\N{NO-BREAK SPACE}", " ")
    # A formula in the data must not run where the file is opened.
    return f"'{words}" if re.match(r"[=+@]|-(?![\d.])", words) and not _number(words) else words


def _number(words: str) -> bool:
    return re.fullmatch(r"[-+]?[\d,]*\.?\d+", words) is not None


def _groups(columns: Sequence[Column]) -> str:
    parts, rules, place = [], [], 1
    for name, run in itertools.groupby(columns, key=lambda column: column.group):
        width = len(list(run))
        if name:
            parts.append(rf"\multicolumn{{{width}}}{{c}}{{{latex(name)}}}")
            rules.append(rf"\cmidrule(lr){{{place}-{place + width - 1}}}")
        else:
            parts += [""] * width
        place += width
    return _line(parts) + "\n" + "".join(rules)


def _line(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _cell(cell: Cell) -> str:
    words = latex(cell.text)
    if cell.tone == "strong" and words:
        words = rf"\textbf{{{words}}}"
    if cell.mark:
        words += rf"\textsuperscript{{({latex(cell.mark)})}}"
    return rf"{words} {{\scriptsize {latex(cell.sub)}}}" if cell.sub else words


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
            "csv": figure_csv(plot.data).encode(),
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
        if isinstance(block, Plots):
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
