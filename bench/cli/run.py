"""``earmark run``: run suites, draw progress, say what came out and what could not run."""

from __future__ import annotations

import json as json_module
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.markup import escape

from earmark.bench.cli.cli_base import INTERNAL, INVALID, ExitError
from earmark.bench.cli.console import duration, new_console, new_table, print_table, progress_bar
from earmark.bench.cli.fetch_command import is_at_hand
from earmark.bench.run.runner import UNFORESEEN, render_reports, run_suite
from earmark.bench.run.suite import read_suite
from earmark.datasets.base import DataError
from earmark.datasets.files.fetch import fetch as download
from earmark.reports import words as formats
from earmark.reports.page.tables import common_chance
from earmark.reports.record.files import read
from earmark.reports.record.lookup import headline, select
from earmark.reports.record.schema import NotRun, RunRecord, TaskResult

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Gate = Callable[[str, Path | None], Mapping[str, Any] | None]


@dataclass(slots=True)
class LeftOut:
    """What could not be fetched or run, gathered over suites and told once, after the results."""

    not_fetched: dict[str, str] = field(default_factory=dict)
    """Names of ``earmark fetch``, each with its reason."""
    nothing_of: list[str] = field(default_factory=list)
    """Suites of which nothing could run."""
    not_run: dict[str, list[str]] = field(default_factory=dict)
    """Reasons, each with what it concerns."""
    exit_code: int = 0
    """3 where a task failed, 70 where the fault is Earmark's or an adapter's unforeseen one."""

    def add(self, suite: str, not_run: Iterable[NotRun]) -> None:
        """Note what a suite could not run, beside what has the same reason."""
        for one in not_run:
            self.not_run.setdefault(one.reason, []).append(f"{suite}: {one.what}")
            if one.failed:
                code = INTERNAL if one.reason.startswith(UNFORESEEN) else INVALID
                self.exit_code = max(self.exit_code, code)

    def print(self, console: Console) -> None:
        """Say each thing once, one line each."""
        lines = [f"could not fetch {name}: {why}" for name, why in self.not_fetched.items()]
        if self.nothing_of:
            lines.append(f"nothing could run of {', '.join(self.nothing_of)}")
        lines += [f"not run: {', '.join(names)}: {why}" for why, names in self.not_run.items()]
        for line in lines:
            console.print(line, style="yellow", markup=False, soft_wrap=True)


def run_suites(
    paths: Sequence[Path],
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
    left_out: LeftOut | None = None,
) -> list[Path]:
    """Run suites; return their records' folders.

    ``gate`` gets a suite's name and its record's folder (None where nothing could run), and returns
    a verdict for the reports, if there is one. ``speed`` are files of pytest-benchmark for them.
    What could not run is added to ``left_out``, for a caller who prints it later.

    Raises
    ------
    DataError, ModelError, SuiteError, RecordError
        If something is not as expected; with ``available``, what cannot run is listed instead.
    ExitError
        If a task failed, after the records of the others are written; not with ``left_out``.
    """
    console = new_console(stderr=json)
    heads = [read_suite(path).suite for path in paths]  # a wrong one is refused before any runs
    printed, records = [], []
    left = left_out or LeftOut()
    for path, head in zip(paths, heads, strict=True):
        if fetch:
            _fetch_for(head.fetch, left)
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
        left.add(head.name, not_run)
        if folder is None:
            left.nothing_of.append(head.name)
        else:
            records.append(folder)
            record = read(folder)
            console.print(f"\n[bold]{escape(head.title)}[/bold]  [dim]{escape(path.name)}[/dim]")
            _print_record(console, record)
            for task in record.tasks:
                left.add(head.name, task.not_run)
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
    if left_out is None:
        left.print(console)
    if json:
        typer.echo(json_module.dumps(printed, indent=2))
    if left_out is None and left.exit_code:
        raise ExitError(left.exit_code)
    return records


def plan_suites(
    paths: Sequence[Path], *, store: Path, available: bool, trust_card: bool, json: bool
) -> None:
    """Print what runs of suites would listen to, and stop.

    Raises
    ------
    DataError, ModelError, SuiteError
        As :func:`run_suites`, before anything is listened to.
    """
    from earmark.bench.run.dry_run import plan_suite

    plans = [
        plan_suite(path, store=store, available=available, trust_card=trust_card) for path in paths
    ]
    if json:
        typer.echo(json_module.dumps([plan.plain() for plan in plans], indent=2))
        return
    console = new_console()
    for plan in plans:
        table = new_table(escape(plan.suite))
        for column in ("task", "model"):
            table.add_column(column)
        for column in ("items", "kept or heard above", "to hear or read", "time"):
            table.add_column(column, justify="right")
        for row in plan.rows:
            time = "not known" if row.seconds is None else duration(row.seconds)
            counts = (f"{row.items} {row.what}", str(row.items - row.new), str(row.new), time)
            table.add_row(escape(row.task), escape(row.model), *counts)
        print_table(console, table)
        unknown = sum(row.new for row in plan.rows if row.seconds is None)
        more = f", and {unknown} items whose cost nobody has measured" if unknown else ""
        console.print(f"about {duration(plan.seconds)} in the models, without decoding{more}")
        left = LeftOut()
        left.add(plan.suite, plan.not_run)
        left.print(console)


def _fetch_for(names: Iterable[str], left: LeftOut) -> None:
    """Download what a suite needs and is nowhere; a failure is noted once, and not fatal."""
    for name in names:
        if name in left.not_fetched or is_at_hand(name):
            continue
        try:
            with progress_bar() as progress:
                download(name, progress=progress)
        except DataError as error:
            left.not_fetched[name] = str(error)


def _print_record(console: Console, record: RunRecord) -> None:
    for task in record.tasks:
        if task.scores:
            print_table(console, _first_scores(task))
        for warning in task.warnings:
            console.print(f"warning: {warning}", style="yellow", markup=False)
        for problem in task.problems[:10]:
            console.print(f"{problem.item}: {problem.reason}", style="yellow", markup=False)
        if len(task.problems) > 10:
            console.print(f"and {len(task.problems) - 10} more items, see the report")


def _first_scores(task: TaskResult) -> Table:
    """Return the scores to read first: of the headline metric and subset, or of both directions."""
    metric, subset = headline(task) or ("", "")
    first = select(task.scores, metric=metric, subset=subset)[0]
    subsets = list(dict.fromkeys(s.subset for s in task.scores if s.metric == first.metric))
    shown = subsets if task.kind == "retrieval" else [first.subset]
    scores = [s for s in select(task.scores, metric=metric) if s.subset in shown]
    scores.sort(key=lambda score: score.subset != first.subset)
    shared = common_chance(scores)
    own_chance = shared is None and any(score.chance is not None for score in scores)
    chance = "" if shared is None else f", chance {shared:.3g}"
    table = new_table(escape(f"{task.title}\n{first.metric}, {first.subset}{chance}"))
    for column in ("", "model"):
        table.add_column(column)
    for column in ("score", "95 % interval", *(["chance"] if own_chance else []), "n"):
        table.add_column(column, justify="right")
    before = None
    for score in scores:
        interval = score.interval
        part = score.dimension or (score.subset if len(shown) > 1 else "")
        cells = (
            "" if part == before else part,
            score.model,
            "undefined" if score.value is None else f"{score.value:.3f}",
            f"{interval.low:.3f} to {interval.high:.3f}" if interval else score.reason or "",
            *([formats.cell(score.chance)] if own_chance else []),
            str(score.n),
        )
        table.add_row(*map(escape, cells))
        before = part
    return table
