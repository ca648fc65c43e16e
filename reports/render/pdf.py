"""The report as a PDF, typeset by the Typst compiler inside the ``typst`` wheel.

Data reaches Typst as JSON strings, which it never parses as markup. The same record gives the
same bytes: the date is the record's own or ``SOURCE_DATE_EPOCH``, and the fonts are those inside
the wheel. Only where the record holds characters that these lack (e.g. Chinese titles) are the
system's fonts allowed as a fallback; such a PDF may differ between machines, and does not claim
the accessibility standard PDF/UA-1 as the others do, since a glyph may be missing from all fonts.
"""

from __future__ import annotations

import itertools
import json
import re
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earmark.reports import words
from earmark.reports.content import (
    Block,
    Facts,
    Page,
    Paragraph,
    Plot,
    Plots,
    Section,
    TableBlock,
    as_plain,
    plain,
)
from earmark.reports.figures.style import printable, svg
from earmark.reports.render.short import IN_HTML, LEVELS, in_html, shortened
from earmark.reports.words import timestamp

if TYPE_CHECKING:
    pass

TEMPLATE = Path(__file__).parents[1] / "templates" / "report.typ"
FACE = "Libertinus Serif"
Drawings = dict[int, dict[str, Any]]
"""Figures that were drawn, by the identity of their plots."""
MOST_PAGES = 10
"""Of a report of a few tasks: the least important is left to the HTML until it fits."""
MOST_ROWS = 300
"""Rows of a table on paper; a web page has all."""
HALVED = 6
"""Facts that stand in two columns from this number on."""
TALLEST_OF_PAIR = 4.0
"""Inches of the tallest figure that stands beside another."""
LONGEST_TEXT = 160
"""Letters of the longest text that is printed whole in a cell."""


def pdf_bytes(report: Page) -> bytes:
    """Return a report's content as a PDF."""
    drawn: Drawings = {}
    with tempfile.TemporaryDirectory() as name:
        for level in LEVELS:
            source = write_sources(shortened(report, level), Path(name), drawn)
            printed = _compiled(source, timestamp(report.created))
            if n_pages(printed) <= MOST_PAGES:
                break
    return printed


def n_pages(printed: bytes) -> int:
    """Return the number of pages of a PDF by Typst."""
    return len(re.findall(rb"/Type\s*/Page\b", printed))


def write_sources(report: Page, folder: Path, drawn: Drawings | None = None) -> Path:
    """Write what Typst reads into the folder (template, content, figures); return the template.

    ``drawn`` holds the figures that are in the folder already.
    """
    content = _laid_out(report, _Figures(folder, {} if drawn is None else drawn))
    content["run"] = report.run
    written = json.dumps(content, ensure_ascii=False)
    (folder / "content.json").write_text(written, encoding="utf-8")
    return Path(shutil.copyfile(TEMPLATE, folder / TEMPLATE.name))


def _compiled(source: Path, timestamp: int) -> bytes:
    import typst

    def compiled(*, system_fonts: bool, standards: list[typst.PDFStandard]) -> bytes:
        return typst.compile(
            source,
            root=source.parent,
            ignore_system_fonts=not system_fonts,
            pdf_standards=standards,
            timestamp=timestamp,
        )

    try:
        return compiled(system_fonts=False, standards=["ua-1"])
    except typst.TypstError:
        # The standard demands a glyph for every character. A fault of another kind raises again.
        return compiled(system_fonts=True, standards=[])


class _Figures:
    """Draws figures into a folder, each once, and numbers them in order of appearance."""

    def __init__(self, folder: Path, drawn: Drawings) -> None:
        self._folder, self._drawn, self._numbers = folder, drawn, itertools.count(1)

    def __call__(self, plot: Plot) -> dict[str, Any]:
        number = next(self._numbers)
        if id(plot) not in self._drawn:
            self._drawn[id(plot)] = _plot(plot, self._folder, len(self._drawn) + 1)
        return self._drawn[id(plot)] | {"number": number}


def _laid_out(report: Page, figures: _Figures) -> dict[str, Any]:
    """Return the page as JSON's own types, with its figures drawn."""
    sections = [_printed(section) for section in report.sections]
    return {
        "title": report.title,
        "subtitle": report.subtitle,
        "colophon": report.colophon,
        "unprinted": any(map(_is_short, sections)),
        "verdict": [_block(block, figures) for block in report.verdict],
        "sections": [_section(section, figures) for section in sections],
    }


def _is_short(section: Section) -> bool:
    """Return whether something of a section is left to the HTML report."""
    said = [plain(one.text) for one in section.blocks if isinstance(one, Paragraph)]
    cut = any(one.startswith(IN_HTML) for one in said) or any(
        "The HTML report has all." in note
        for one in section.blocks
        if isinstance(one, TableBlock)
        for note in one.notes
    )
    return cut or any(map(_is_short, section.sections))


def _printed(section: Section) -> Section:
    """Return the section with a pointer in place of tables that a web page folds away."""
    blocks: list[Block] = []
    pointers: list[str] = []
    for block in section.blocks:
        if isinstance(block, TableBlock) and block.folded:
            pointers.append(f"{block.caption} ({words.plural(len(block.rows), 'row')})")
            continue
        if pointers:
            blocks.append(in_html(pointers))
            pointers = []
        blocks.append(_cut(block) if isinstance(block, TableBlock) else block)
    if pointers:
        blocks.append(in_html(pointers))
    sections = [_printed(part) for part in section.sections]
    return replace(section, blocks=blocks, sections=sections)


def _cut(table: TableBlock) -> TableBlock:
    """Return the table as paper holds it, with a note of what is left out."""
    left = []
    rows = table.rows[:MOST_ROWS]
    if len(rows) < len(table.rows):
        left.append(f"The first {MOST_ROWS} of {len(table.rows):,} rows.")
    shown = [[replace(cell, text=_shortened(cell.text)) for cell in row] for row in rows]
    if shown != rows:
        left.append("Longer texts are cut (…).")
    if not left:
        return table
    left.append("The HTML report has all.")
    return replace(table, rows=shown, notes=[" ".join(left), *table.notes])


def _shortened(words: str) -> str:
    """Return the text, cut at a space where it is too long for a cell."""
    if len(words) <= LONGEST_TEXT:
        return words
    kept = words[: LONGEST_TEXT - 2]
    return f"{kept.rsplit(' ', 1)[0] if ' ' in kept else kept} …"


def _section(section: Section, figures: _Figures, *, outlined: bool = True) -> dict[str, Any]:
    """Return a section; of its parts the contents name those of tasks, not every model's card."""
    named = section.anchor.startswith("task-")
    return {
        "title": section.title,
        "outlined": outlined,
        "blocks": [_block(block, figures) for block in section.blocks],
        "sections": [_section(part, figures, outlined=named) for part in section.sections],
    }


def _block(block: Block, figures: _Figures) -> dict[str, Any]:
    content: dict[str, Any] = as_plain(block)
    if isinstance(block, Plots):
        content["plots"] = [figures(plot) for plot in block.plots]
    if isinstance(block, TableBlock):
        runs = itertools.groupby(block.columns, key=lambda column: column.group)
        content["groups"] = [{"label": name, "width": len(list(run))} for name, run in runs]
    if isinstance(block, Facts):
        content["halves"] = _halves(content["rows"], [plain(said) for _, said in block.rows])
    breakable: dict[str, Any] = _breakable(content)
    return breakable


def _halves(rows: list[Any], said: list[str]) -> list[list[Any]]:
    """Return facts as they stand beside each other: two columns of about one length."""
    if len(rows) < HALVED:
        return [rows]
    # About 38 letters fit on a line of half a page's values.
    lines = list(itertools.accumulate(1 + len(words) // 38 for words in said))
    middle = min(range(1, len(rows)), key=lambda n: max(lines[n - 1], lines[-1] - lines[n - 1]))
    return [rows[:middle], rows[middle:]]


def _plot(plot: Plot, folder: Path, number: int) -> dict[str, Any]:
    name = f"figure-{number}.svg"
    figure = plot.draw(width="column" if plot.small else "full")
    # A tall one of a series would leave half of a page empty: it stands across the page instead.
    small = plot.small and bool(figure.get_figheight() <= TALLEST_OF_PAIR)
    if plot.small and not small:
        figure = plot.draw(width="full")
    drawn = svg(figure, name=f"fig{number}", title=plot.title, text=plot.description, face=FACE)
    (folder / name).write_text(drawn, encoding="utf-8")
    return {
        "number": number,
        "file": name,
        "title": plot.title,
        "caption": plot.caption,
        "description": plot.description,
        "small": small,
    }


def _breakable(content: Any) -> Any:
    """Let long words break at a line's end, by zero-width spaces; links keep their target."""
    if isinstance(content, list):
        return [_breakable(part) for part in content]
    if isinstance(content, dict):
        if content.get("style") == "link":
            content = content | {"target": content["text"]}
        fixed = ("kind", "style", "tone", "file", "target")
        code = content.get("kind") == "code"
        return {
            key: value
            if key in fixed
            else printable(value)
            if code and key == "text"
            else _breakable(value)
            for key, value in content.items()
        }
    return _soft(printable(content)) if isinstance(content, str) else content


def _soft(words: str) -> str:
    """Return the text with places to break in words of more than 12 characters.

    >>> _soft("gt.ct.fa of ismir2022.gt.ct").replace("\\u200b", "|")
    'gt.ct.fa of ismir2022.|gt.|ct'
    >>> _soft("deam-msd-musicnn-1-exchanged") == "deam-msd-musicnn-1-exchanged"
    True
    """
    return re.sub(r"\S{13,}", lambda word: _soft_word(word[0]), words)


def _soft_word(word: str) -> str:
    marked = re.sub(r"([._/:@=&?])(?=\w)", "\\1\u200b", word)
    return re.sub(r"[^\s\u200b-]{20}(?=[^\s\u200b-])", "\\g<0>\u200b", marked)
