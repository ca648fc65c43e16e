"""The report as Markdown (GitHub's tables): its words and tables, for an issue or a README.

Text from the data is escaped: neither markup nor HTML in an id acts as such. Figures are named;
long tables, which a page folds away, are left to the HTML report and said to be there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from earmark.reports.content import (
    Block,
    Bullets,
    Cell,
    Code,
    Facts,
    Page,
    Paragraph,
    Section,
    TableBlock,
    Text,
)
from earmark.reports.figures.style import printable

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~#$])")


def page_markdown(report: Page) -> str:
    """Return the report as Markdown; the same text for the same content."""
    lines = [f"# {escaped(report.title)}", "", escaped(report.subtitle), "", "## Verdict", ""]
    for block in report.verdict:
        lines += [*_block(block), ""]
    for section in report.sections:
        lines += _section(section, 2)
    lines.append(escaped(report.colophon))
    return "\n".join(lines) + "\n"


def escaped(words: str) -> str:
    r"""Return text that Markdown shows as it is, on one line.

    >>> escaped("a|b <b> _c_ 1.\n@x")
    'a\\|b \\<b\\> \\_c\\_ 1. @\u200bx'
    """
    words = _SPECIAL.sub(r"\\\1", " ".join(printable(words).split()))
    # An address or a name after @ would notify somebody.
    return re.sub(r"(?<!\w)@(?=\w)", "@\u200b", words)


def _section(section: Section, level: int) -> list[str]:
    lines = [f"{'#' * min(level, 6)} {escaped(section.title)}", ""]
    for block in section.blocks:
        lines += [*_block(block), ""]
    for part in section.sections:
        lines += _section(part, level + 1)
    return lines


def _block(block: Block) -> list[str]:
    if isinstance(block, Paragraph):
        quoted = "> " if block.tone == "warning" else ""
        return [quoted + _words(block.text)]
    if isinstance(block, Bullets):
        quoted = "> " if block.tone == "warning" else ""
        return [f"{quoted}- {_words(item)}" for item in block.items]
    if isinstance(block, Facts):
        return [f"- {escaped(name)}: {_words(said)}" for name, said in block.rows]
    if isinstance(block, Code):
        return list(_code(block))
    if isinstance(block, TableBlock):
        return list(_table(block))
    return [f"*Figure: {escaped(plot.title)}.* {escaped(plot.caption)}" for plot in block.plots]


def _words(said: Text) -> str:
    parts = []
    for span in said:
        words = escaped(span.text)
        # Spaces at a run's ends, which `escaped` drops, part it from its neighbours.
        head = " " if span.text[:1].isspace() else ""
        tail = " " if len(span.text) > 1 and span.text[-1:].isspace() else ""
        if words and span.style in {"strong", "name"}:
            words = f"**{words}**"
        parts.append(f"{head}{words}{tail}")
    return "".join(parts)


def _code(block: Code) -> Iterator[str]:
    longest = max((len(run) for run in re.findall("`+", block.text)), default=0)
    fence = "`" * max(3, longest + 1)
    yield f"{escaped(block.label)}:"
    yield ""
    yield fence
    yield printable(block.text).rstrip("\n")
    yield fence


def _table(table: TableBlock) -> Iterator[str]:
    if table.folded:
        yield f"*{escaped(table.caption)}: {len(table.rows):,} rows, in the HTML report.*"
        return
    yield f"**{escaped(table.caption)}**"
    yield ""
    heads = [f"{c.group}: {c.label}" if c.group else c.label for c in table.columns]
    yield _row([escaped(head) for head in heads])
    yield _row(["---:" if column.numeric else "---" for column in table.columns])
    for row in table.rows:
        yield _row([_cell(cell) for cell in row])
    for row in table.foot:
        yield _row([f"*{_cell(cell)}*" if cell.text else "" for cell in row])
    for note in table.notes:
        yield ""
        yield escaped(note)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    words = escaped(cell.text)
    if cell.tone == "strong" and words:
        words = f"**{words}**"
    mark = f" ({escaped(cell.mark)})" if cell.mark else ""
    sub = f" {escaped(cell.sub)}" if cell.sub else ""
    return f"{words}{mark}{sub}"
