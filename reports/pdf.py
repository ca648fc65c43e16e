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
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from earmark.reports import formats, page
from earmark.reports.content import (
    Block,
    Page,
    Paragraph,
    Plot,
    Section,
    TableBlock,
    as_plain,
    text,
)
from earmark.reports.dates import timestamp
from earmark.reports.figure_style import printable, svg
from earmark.reports.record import RecordError, RunRecord

if TYPE_CHECKING:
    import pandas as pd

TEMPLATE = Path(__file__).parent / "templates" / "report.typ"
FACE = "Libertinus Serif"
MOST_ROWS = 300
"""Rows of a table on paper; a web page has all."""


def render_pdf(
    record: RunRecord,
    items: Mapping[str, pd.DataFrame],
    arrays: Mapping[str, Mapping[str, NDArray[Any]]],
    path: str | Path,
    *,
    gate: Section | None = None,
) -> None:
    """Write the report of a record as a PDF; arguments are those of ``render_html``.

    Raises
    ------
    RecordError
        If a task of the record has no items, or the file cannot be written.
    """
    write_pdf(page.build(record, items, arrays, gate=gate), path)


def write_pdf(report: Page, path: str | Path) -> None:
    """Write a report's content as a PDF.

    Raises
    ------
    RecordError
        If the file cannot be written.
    """
    with tempfile.TemporaryDirectory() as name:
        drawn = _compiled(_sources(report, Path(name)), timestamp(report.created))
    try:
        Path(path).write_bytes(drawn)
    except OSError as error:
        raise RecordError(f"report {path} could not be written: {error.strerror}") from error


def write_sources(
    record: RunRecord,
    items: Mapping[str, pd.DataFrame],
    arrays: Mapping[str, Mapping[str, NDArray[Any]]],
    folder: Path,
    *,
    gate: Section | None = None,
) -> Path:
    """Write what Typst reads into the folder (template, content, figures); return the template.

    Raises
    ------
    RecordError
        If a task of the record has no items.
    """
    return _sources(page.build(record, items, arrays, gate=gate), folder)


def _sources(report: Page, folder: Path) -> Path:
    content = _laid_out(report, folder)
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


def _laid_out(report: Page, folder: Path) -> dict[str, Any]:
    """Return the page as JSON's own types, with its figures drawn into the folder."""
    numbers = itertools.count(1)
    sections, long = [], []
    for section in report.sections:
        kept, moved = _without_long_tables(section)
        sections.append(kept)
        if moved:
            long.append(Section(section.title, f"{section.anchor}-long", list(moved)))
    if long:
        sections.append(Section("Appendix: long tables", "appendix", [], long))
    return {
        "title": report.title,
        "subtitle": report.subtitle,
        "colophon": report.colophon,
        "verdict": [_block(block, folder, numbers) for block in report.verdict],
        "sections": [_section(section, folder, numbers) for section in sections],
    }


def _without_long_tables(section: Section) -> tuple[Section, list[TableBlock]]:
    """Return the section with a pointer to the tables that a web page would fold away."""
    moved: list[TableBlock] = []
    blocks: list[Block] = []
    pointers: list[str] = []
    for block in section.blocks:
        if isinstance(block, TableBlock) and block.folded:
            moved.append(_cut(block))
            pointers.append(f"{block.caption} ({formats.plural(len(block.rows), 'row')})")
            continue
        if pointers:
            blocks.append(_in_appendix(pointers))
            pointers = []
        blocks.append(block)
    if pointers:
        blocks.append(_in_appendix(pointers))
    inner = [_without_long_tables(part) for part in section.sections]
    moved += [table for _, tables in inner for table in tables]
    return replace(section, blocks=blocks, sections=[part for part, _ in inner]), moved


def _in_appendix(captions: list[str]) -> Paragraph:
    return Paragraph(text(f"In the appendix: {'; '.join(captions)}."), "muted")


def _cut(table: TableBlock) -> TableBlock:
    """Return the table with no more rows than paper should hold, and a note of what is left."""
    if len(table.rows) <= MOST_ROWS:
        return table
    left = f"The first {MOST_ROWS} of {len(table.rows):,} rows; the HTML report has all of them."
    return replace(table, rows=table.rows[:MOST_ROWS], notes=[left, *table.notes])


def _section(
    section: Section, folder: Path, numbers: itertools.count[int], *, outlined: bool = True
) -> dict[str, Any]:
    """Return a section; of its parts the contents name those of tasks, not every model's card."""
    named = section.anchor.startswith("task-")
    return {
        "title": section.title,
        "outlined": outlined,
        "blocks": [_block(block, folder, numbers) for block in section.blocks],
        "sections": [_section(part, folder, numbers, outlined=named) for part in section.sections],
    }


def _block(block: Block, folder: Path, numbers: itertools.count[int]) -> dict[str, Any]:
    content: dict[str, Any] = as_plain(block)
    if block.kind == "plots":
        content["plots"] = [_plot(plot, folder, next(numbers)) for plot in block.plots]
    if block.kind == "table":
        runs = itertools.groupby(block.columns, key=lambda column: column.group)
        content["groups"] = [{"label": name, "width": len(list(run))} for name, run in runs]
    breakable: dict[str, Any] = _breakable(content)
    return breakable


def _plot(plot: Plot, folder: Path, number: int) -> dict[str, Any]:
    name = f"figure-{number}.svg"
    drawn = svg(
        plot.draw(width="full"),
        name=f"fig{number}",
        title=plot.title,
        text=plot.description,
        face=FACE,
    )
    (folder / name).write_text(drawn, encoding="utf-8")
    return {
        "number": number,
        "file": name,
        "title": plot.title,
        "caption": plot.caption,
        "description": plot.description,
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
