"""``earmark compare``: how two runs differ, item by item."""

from __future__ import annotations

import json as json_module
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from earmark.bench.cli.console import new_console, new_table, print_table
from earmark.bench.gate.difference import Compared, Difference, Flip, compare_runs
from earmark.bench.gate.evidence import read_evidence
from earmark.reports import words as formats
from earmark.reports.gate import verdict as verdicts

if TYPE_CHECKING:
    from rich.console import Console

_SHOWN = 10


def compare_records(
    first: Path,
    second: Path,
    *,
    task: str | None = None,
    metric: str | None = None,
    replicates: int = 10_000,
    seed: int = 2022,
    json: bool = False,
) -> bool:
    """Print how the second run differs from the first; return whether all could be compared.

    Raises
    ------
    RecordError
        If a record cannot be read.
    """
    found = compare_runs(
        read_evidence(first),
        read_evidence(second),
        task=task,
        metric=metric,
        replicates=replicates,
        seed=seed,
    )
    if json:
        typer.echo(json_module.dumps(asdict(found), indent=1, allow_nan=False))
    else:
        _print(found, new_console())
    return bool(found.differences) and not found.holes


def _print(found: Compared, console: Console) -> None:
    if found.differences:
        table = new_table("Second run minus first; positive is better")
        for place, head in enumerate(
            ("task", "metric", "model", "first", "second", "difference", "95 %", "p", "effect", "n")
        ):
            table.add_column(head, justify="right" if place > 2 else "left")
        for one in found.differences:
            table.add_row(*_cells(one))
        print_table(console, table)
        console.print("p: paired randomisation test over units, Holm over the scores.", style="dim")
    for one in found.differences:
        _print_flips(one, console)
    for hole in found.holes:
        console.print(
            f"not compared: {hole.where}: {hole.cause}", style="red", markup=False, soft_wrap=True
        )


def _cells(one: Difference) -> list[str]:
    from rich.markup import escape

    row = asdict(one)
    ends = [verdicts.value(row, end) for end in (one.low, one.high)]
    sizes = [f"{name} {value:.2f}" for name, value in one.effects.items() if value is not None]
    p_value = formats.NOTHING if one.p_holm is None else formats.p_value(one.p_holm)
    cells = [
        one.task,
        verdicts.name(row),
        one.model,
        verdicts.value(row, one.first),
        verdicts.value(row, one.second),
        verdicts.signed(row, one.difference),
        f"[{ends[0]}, {ends[1]}]" if one.low is not None else "",
        p_value,
        "\n".join(sizes),
        formats.count(one.n_items),
    ]
    return [escape(cell) for cell in cells]


def _print_flips(one: Difference, console: Console) -> None:
    if one.gained is None or one.lost is None:
        return
    head = f"{one.task} / {one.model} / {verdicts.name(asdict(one))}"
    console.print(
        f"{head}: {len(one.gained)} better, {len(one.lost)} worse, of {one.n_items}",
        markup=False,
        soft_wrap=True,
    )
    for word, flips in (("worse", one.lost), ("better", one.gained)):
        if flips:
            console.print(f"  {word}: {_listed(flips)}", markup=False, soft_wrap=True)


def _listed(flips: list[Flip]) -> str:
    shown = ", ".join(
        f"{flip.item} ({flip.first:.3g} to {flip.second:.3g})" for flip in flips[:_SHOWN]
    )
    more = len(flips) - _SHOWN
    return f"{shown}, and {more} more" if more > 0 else shown
