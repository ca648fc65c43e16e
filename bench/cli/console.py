"""What the commands draw: progress bars (where there is no terminal: lines) and tables."""

from __future__ import annotations

import os
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from earmark.datasets.base import Progress

_WIDE = 120
"""Columns where there is no terminal and COLUMNS does not say."""

_LINE_SECONDS = 60.0
"""Between two lines of progress where there is no terminal."""


def silent(done: int, total: int, name: str) -> None:
    """Report nothing."""


class MinuteLines:
    """Writes one line per minute of work: items done, rate and time left."""

    def __init__(
        self, write: Callable[[str], None], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._write = write
        self._clock = clock
        self._last = clock()
        self._began: dict[str, tuple[float, int]] = {}
        self._seen: dict[str, tuple[int, int]] = {}

    def __call__(self, done: int, total: int, name: str) -> None:
        """Take a report of progress."""
        now = self._clock()
        seen, of = self._seen.get(name, (done, total))
        if done < seen or total != of:  # the same kind of work, begun anew
            del self._began[name]
        self._seen[name] = done, total
        start, before = self._began.setdefault(name, (now, done))
        if now - self._last < _LINE_SECONDS:
            return
        self._last = now
        line = f"{name}: {done} of {total}"
        if done > before and now > start:
            rate = (done - before) / (now - start)
            pace = f"{rate:.3g} per s" if rate >= 1 else f"{60 * rate:.3g} per min"
            line += f", {pace}, {duration((total - done) / rate)} left"
        self._write(line)


def duration(seconds: float) -> str:
    """Return a length of time for people.

    >>> duration(4), duration(200), duration(9000)
    ('4 s', '3 min', '2 h 30 min')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Draw one bar for each kind of work that is reported; without a terminal, write lines."""
    if not sys.stderr.isatty():
        yield MinuteLines(lambda line: print(line, file=sys.stderr, flush=True))
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    bars = Bars(*columns, console=Console(stderr=True))
    tasks: dict[str, TaskID] = {}

    def report(done: int, total: int, name: str) -> None:
        if name not in tasks:
            tasks[name] = bars.add_task(name, total=total)
        bars.update(tasks[name], completed=done, total=total)

    with bars:
        yield report


def new_console(*, stderr: bool = False) -> Console:
    """Return where to print: as wide as COLUMNS or the terminal says, else 120 columns."""
    from rich.console import Console

    columns = os.environ.get("COLUMNS", "")
    width = int(columns) if columns.isdigit() and int(columns) else None
    if width is None and not (sys.stderr if stderr else sys.stdout).isatty():
        width = _WIDE
    return Console(stderr=stderr, highlight=False, width=width)


def new_table(title: str = "", words: Sequence[str] = (), numbers: Sequence[str] = ()) -> Table:
    """Return an empty table for :func:`print_table`, its numbers in columns after its words."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        title=escape(title) or None, box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)
    )
    for head in words:
        table.add_column(escape(head))
    for head in numbers:
        table.add_column(escape(head), justify="right")
    return table


def add_row(table: Table, *cells: str, style: str = "") -> None:
    """Add a row of plain text: brackets in it are no markup."""
    from rich.markup import escape

    table.add_row(*map(escape, cells), style=style)


def print_table(console: Console, table: Table) -> None:
    """Print a table whose words stay whole.

    Where the longest words of all columns do not fit side by side, a row becomes a block: what its
    columns before the first number say, and below it one value per line.
    """
    title, caption = table.title, table.caption
    table.title = table.caption = None
    if title:
        _print_words(console, str(title), style="bold")
    cells = [[column.header, *column.cells] for column in table.columns]
    least = [max(1, *(_longest_word(console, str(cell)) for cell in column)) for column in cells]
    natural = [max(console.measure(cell).maximum for cell in column) for column in cells]
    room = console.width - 2 * len(table.columns)  # less gaps and edges
    if sum(least) <= room:
        for column, width in zip(table.columns, _widths(least, natural, room), strict=True):
            column.width = width
        console.print(table)
    else:
        _print_blocks(console, table)
    if caption:
        _print_words(console, str(caption), style="dim")


def _longest_word(console: Console, cell: str) -> int:
    """Return the width of the longest word, with what a line is indented by."""
    indents = (len(line) - len(line.lstrip()) for line in cell.splitlines())
    return console.measure(cell).minimum + max(indents, default=0)


def _widths(least: Sequence[int], natural: Sequence[int], room: int) -> list[int]:
    """Return the width of each column: at least its longest word, and the rest shared evenly."""
    widths = list(least)
    while left := room - sum(widths):
        wanting = [place for place, width in enumerate(widths) if width < natural[place]]
        if not wanting:
            break
        for place in wanting[:left]:
            widths[place] += 1
    return widths


def _print_blocks(console: Console, table: Table) -> None:
    heads = [str(column.header) for column in table.columns]
    right = [place for place, column in enumerate(table.columns) if column.justify == "right"]
    first = right[0] if right else len(heads) - 1
    above = ""
    for row, *cells in zip(table.rows, *(column.cells for column in table.columns), strict=True):
        if first > 1:  # an empty first cell is that of the row above
            above = cells[0] = str(cells[0]) or above
        name = "  ".join(str(cell).strip() for cell in cells[:first] if str(cell))
        _print_words(console, name, style=str(row.style or ""))
        for head, cell in zip(heads[first:], cells[first:], strict=True):
            if str(cell):
                _print_words(console, f"{head}: {cell}" if head else str(cell), indent="    ")
    console.print()


def _print_words(console: Console, words: str, *, style: str = "", indent: str = "") -> None:
    """Print markup, lines broken between words; a word is broken that no line can hold."""
    from rich.text import Text

    for line in words.split("\n"):
        for part in textwrap.wrap(
            Text.from_markup(line).plain,
            console.width,
            initial_indent=indent,
            subsequent_indent=indent,
            break_on_hyphens=False,
        ):
            console.print(part, style=style, markup=False, soft_wrap=True)
