"""``earmark run``: run suites, draw progress, say what came out and what could not run."""

from __future__ import annotations

import json as json_module
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from earmark.bench.fetch_command import is_at_hand
from earmark.bench.runner import render_reports, run_suite
from earmark.bench.suite import read_suite, shipped_suites
from earmark.bench.terminal import new_table, progress_bar
from earmark.datasets.base import DataError
from earmark.datasets.fetch import fetch as download
from earmark.reports.record import NotRun, RunRecord, TaskResult
from earmark.reports.record_io import read

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Gate = Callable[[str, Path | None], Mapping[str, Any] | None]


def run_suites(
    paths: list[Path] | None,
    *,
    out: Path,
    store: Path,
    available: bool,
    fetch: bool,
    replicates: int | None,
    json: bool,
    gate: Gate | None = None,
    speed: Sequence[Path] = (),
    trust_card: bool = False,
) -> list[Path]:
    """Run suites (all that come with Earmark where none is given); return their records' folders.

    ``gate`` gets a suite's name and its record's folder (None where nothing could run), and returns
    a verdict for the reports, if there is one. ``speed`` are files of pytest-benchmark for them.

    Raises
    ------
    DataError, ModelError, SuiteError, RecordError
        If something is not as expected; with ``available``, what cannot run is listed instead.
    """
    from rich.console import Console

    console = Console(stderr=json, highlight=False)
    printed, records = [], []
    for path in paths or shipped_suites():
        if fetch:
            _fetch_for(path, console)
        head = read_suite(path).suite
        console.print(f"\n[bold]{head.title}[/bold]  [dim]{path.name}[/dim]")
        with progress_bar() as progress:
            folder, not_run = run_suite(
                path,
                out=out,
                store=store,
                available=available,
                replicates=replicates,
                progress=progress,
                trust_card=trust_card,
            )
        verdict = None if gate is None else gate(head.name, folder)
        reports = (
            [] if folder is None else render_reports(folder, folder, gate=verdict, speed=speed)
        )
        _print_not_run(console, not_run)
        if folder is None:
            console.print("nothing could run", style="bold red")
        else:
            records.append(folder)
            _print_record(console, read(folder))
            for place in (folder / "run.json", *reports):
                console.print(str(place), markup=False, soft_wrap=True)
        printed.append(
            {
                "suite": str(path),
                "record": None if folder is None else str(folder),
                "reports": [str(report) for report in reports],
                "not_run": [one.model_dump() for one in not_run],
            }
        )
    if json:
        typer.echo(json_module.dumps(printed, indent=2))
    return records


def _fetch_for(path: Path, console: Console) -> None:
    """Download what a suite says it needs and is nowhere; a failure is told, not fatal."""
    for name in read_suite(path).suite.fetch:
        if is_at_hand(name):
            continue
        try:
            with progress_bar() as progress:
                download(name, progress=progress)
        except DataError as error:
            console.print(f"could not fetch {name}: {error}", style="yellow", markup=False)


def _print_not_run(console: Console, not_run: list[NotRun]) -> None:
    by_reason: dict[str, list[str]] = {}
    for one in not_run:
        by_reason.setdefault(one.reason, []).append(one.what)
    for reason, names in by_reason.items():
        console.print(f"not run: {', '.join(names)}: {reason}", style="yellow", markup=False)


def _print_record(console: Console, record: RunRecord) -> None:
    for task in record.tasks:
        console.print(_first_scores(task))
        for warning in task.warnings:
            console.print(f"warning: {warning}", style="yellow", markup=False)
        for problem in task.problems[:10]:
            console.print(f"{problem.item}: {problem.reason}", style="yellow", markup=False)
        if len(task.problems) > 10:
            console.print(f"and {len(task.problems) - 10} more items, see the report")
        _print_not_run(console, task.not_run)


def _first_scores(task: TaskResult) -> Table:
    """Return the scores to read first: of the headline metric and subset, or of both directions."""
    first = next(
        score
        for score in task.scores
        if task.headline_metric in (None, score.metric)
        and task.headline_subset in (None, score.subset)
    )
    subsets = list(dict.fromkeys(s.subset for s in task.scores if s.metric == first.metric))
    shown = subsets if task.kind == "retrieval" else [first.subset]
    chance = "" if first.chance is None else f", chance {first.chance:.3g}"
    table = new_table(f"{task.title}\n{first.metric}, {first.subset}{chance}")
    for column in ("", "model"):
        table.add_column(column, overflow="fold")
    for column in ("score", "95 % interval", "n"):
        table.add_column(column, justify="right", no_wrap=True)
    before = None
    for score in sorted(task.scores, key=lambda score: score.subset != first.subset):
        if score.metric != first.metric or score.subset not in shown:
            continue
        interval = score.interval
        part = score.dimension or (score.subset if len(shown) > 1 else "")
        table.add_row(
            "" if part == before else part,
            score.model,
            "undefined" if score.value is None else f"{score.value:.3f}",
            f"{interval.low:.3f} to {interval.high:.3f}" if interval else score.reason or "",
            str(score.n),
        )
        before = part
    return table
