"""A report cut down to fit on few pages, with a pointer to all that was left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from earmark.reports import words
from earmark.reports.content import Block, Code, Page, Paragraph, Plots, Section, TableBlock, text

IN_HTML = "In the HTML report: "
MOST_ROWS = 25
"""Rows of a table in the shortest form."""
MOST_NAMED = 6
"""Parts of a section that a pointer names; of more it gives the number."""
LEVELS = range(4)
"""How much is left out: nothing, details, all but one figure a part, all but the main tables."""


def shortened(report: Page, level: int) -> Page:
    """Return the report without what this level leaves out; level 0 leaves out nothing."""
    if level == 0:
        return report
    kept, gone = _sections(report.sections, level)
    if gone and kept:
        kept[-1] = replace(kept[-1], blocks=[*kept[-1].blocks, in_html(gone)])
    return replace(report, sections=kept)


def brief(report: Page, *, whole: str) -> Page:
    """Return the first screen alone; ``whole`` is the command that renders the whole report."""
    said = Paragraph(text(f"This is the first page alone; for the whole report: {whole}"), "muted")
    return replace(report, sections=[], verdict=[*report.verdict, said])


def in_html(names: Sequence[str]) -> Paragraph:
    """Return the pointer to what a page leaves out."""
    return Paragraph(text(f"{IN_HTML}{'; '.join(names)}."), "muted")


def _sections(sections: Sequence[Section], level: int) -> tuple[list[Section], list[str]]:
    """Return the sections that stay, and the titles of those that go; empty ones go."""
    kept: list[Section] = []
    gone: list[str] = []
    for section in sections:
        short = None if section.detail else _section(section, level)
        if short is None or not (short.blocks or short.sections):
            gone.append(section.title)
        else:
            kept.append(short)
    return kept, gone


def _section(section: Section, level: int) -> Section:
    blocks: list[Block] = []
    gone: list[str] = []
    for block in section.blocks:
        short, left = _block(block, level)
        gone += [left] if left else []
        blocks += [short] if short is not None else []
    sections, parts = _sections(section.sections, level)
    gone += parts if len(parts) <= MOST_NAMED else [f"{len(parts)} parts, from {parts[0]}"]
    if gone:
        blocks.append(in_html(gone))
    return replace(section, blocks=blocks, sections=sections)


def _block(block: Block, level: int) -> tuple[Block | None, str]:
    """Return what stays of a block, and the name of what goes."""
    if isinstance(block, TableBlock):
        if block.detail or block.folded:
            return None, f"{block.caption} ({words.plural(len(block.rows), 'row')})"
        if level < LEVELS[-1] or len(block.rows) <= MOST_ROWS:
            return block, ""
        note = f"The first {MOST_ROWS} of {len(block.rows):,} rows. The HTML report has all."
        return replace(block, rows=block.rows[:MOST_ROWS], notes=[note, *block.notes]), ""
    if isinstance(block, Plots):
        most = 0 if block.detail or level == LEVELS[-1] else 1 if level == LEVELS[-2] else None
        kept = block.plots[:most]
        left = len(block.plots) - len(kept)
        return (replace(block, plots=kept) if kept else None), (
            words.plural(left, "figure") if left else ""
        )
    if isinstance(block, Code) and block.folded:
        return None, block.label
    return block, ""
