"""What the commands draw: progress bars (silent where there is no terminal) and tables."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

Progress = Callable[[int, int, str], None]
"""Called with what is done, what there is in all, and of what."""


def silent(done: int, total: int, name: str) -> None:
    """Report nothing."""


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Draw one bar for each kind of work that is reported."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    bars = Bars(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())
    tasks: dict[str, TaskID] = {}

    def report(done: int, total: int, name: str) -> None:
        if name not in tasks:
            tasks[name] = bars.add_task(name, total=total)
        bars.update(tasks[name], completed=done, total=total)

    with bars:
        yield report


def new_table(title: str) -> Table:
    """Return an empty table that fits a narrow terminal."""
    from rich import box
    from rich.table import Table

    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
