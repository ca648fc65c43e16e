"""``earmark run`` and ``earmark embed``: evaluate suites, or only fill the store for them."""

from __future__ import annotations

import json as json_module
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from earmark.bench.cli import (
    INTERNAL,
    INVALID,
    ExitError,
    Fetch,
    Json,
    Replicates,
    Runs,
    Store,
    if_interrupted,
)
from earmark.bench.cli.console import (
    add_row,
    duration,
    new_console,
    new_table,
    print_table,
    progress_bar,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from earmark.bench.embeddings.embeddings import Embeddings
    from earmark.bench.run.suite import Suite
    from earmark.reports.record.schema import NotRun, RunRecord, TaskResult

Gate = Callable[[str, Path | None], Mapping[str, Any] | None]
"""Takes a suite's name and its record's folder (None: nothing could run); returns a verdict."""


def run(
    suites: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Suite files (TOML), or names of suites that come with Earmark; without any: "
            "lists these."
        ),
    ] = None,
    out: Runs = Path("runs"),
    store: Store = Path("store"),
    available: Annotated[
        bool,
        typer.Option(
            "--available",
            help="Leave out what is not available, and name it with the reason; otherwise it is "
            "an error.",
        ),
    ] = False,
    fetch: Fetch = False,
    replicates: Replicates = None,
    trust_card: Annotated[
        bool,
        typer.Option(
            "--trust-card",
            help="Use kept embeddings of a model with the same card, even if its code has changed.",
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Only print how many items would be embedded, and the time it takes."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Evaluate models on suites of tasks; write run records and reports."""
    if not suites:
        from earmark.bench.cli.catalogue import list_suites

        list_suites(json=json)
        return
    if_interrupted(f"finished embeddings are kept in {store}, records of finished suites in {out}")
    paths = found(suites)
    if dry_run:
        _print_plans(paths, store=store, available=available, trust_card=trust_card, json=json)
        return
    report_on(
        paths,
        out=out,
        store=store,
        available=available,
        fetch=fetch,
        replicates=replicates,
        trust_card=trust_card,
        json=json,
    )


def report_on(suites: Sequence[Path | Suite], *, json: bool, **options: Any) -> None:
    """Evaluate suites, print what came of them, and end with their exit code."""
    console, left = new_console(stderr=json), LeftOut()
    done = [evaluate(suite, console=console, left=left, **options) for suite in suites]
    left.print(console)
    if json:
        typer.echo(json_module.dumps([one.plain() for one in done], indent=2))
    if left.exit_code:
        raise ExitError(left.exit_code)
    if not any(one.record for one in done):
        raise ExitError(INVALID)


def embed(
    suites: Annotated[list[Path], typer.Argument(help="Suite files (TOML), or names.")],
    store: Store = Path("store"),
    json: Json = False,
) -> None:
    """Compute and keep the embeddings of suites, without scoring.

    Under `torchrun --nproc-per-node N -m earmark.bench.cli embed SUITE` (or on several machines
    with one shared store) each process embeds its share of the clips.
    """
    if_interrupted(f"finished embeddings are kept in {store}")
    paths = found(suites)
    from lightning_fabric import Fabric

    from earmark.bench.embeddings.embeddings import Embeddings
    from earmark.bench.embeddings.store import Store
    from earmark.bench.run.runner import read_checked
    from earmark.models.training.distributed import ends_together, launched, start

    # A mistake is every process's own: none waits for one that ended of it.
    checked = [(path, read_checked(path)) for path in paths]

    # torchrun or the scheduler starts the processes; Fabric finds out which of them this one is.
    nodes, processes = launched() or (1, 1)
    fabric = Fabric(
        accelerator="cpu",  # for the barrier alone: a model chooses its own device
        strategy="ddp" if nodes * processes > 1 else "auto",
        devices=processes,
        num_nodes=nodes,
    )
    start(fabric)
    done: list[dict[str, object]] = []
    with ends_together(go_on="what was heard is kept, and the same command goes on"):
        for path, suite in checked:
            with progress_bar() as progress:
                share = (fabric.global_rank, fabric.world_size)
                n_clips = _embed(suite, Embeddings(Store(store), progress=progress, share=share))
            said = f"{path}: {n_clips} clips, process {share[0] + 1} of {share[1]}"
            typer.echo(said, err=json)
            named = {"suite": str(path), "clips": n_clips}
            done.append(named | {"process": share[0] + 1, "processes": share[1]})
        fabric.barrier()
    if json:
        typer.echo(json_module.dumps(done, indent=2))


def _embed(suite: Suite, embeddings: Embeddings) -> int:
    """Embed what this process's share of the tasks' clips is; return how many clips there are."""
    from earmark.bench.run.runner import Run, able, context_of, open_all
    from earmark.bench.tasks import vectors
    from earmark.bench.tasks.task import Unavailable

    run = Run(suite=suite, embeddings=embeddings, replicates=suite.suite.replicates)
    open_all(run, strict=True)
    heard: set[str] = set()
    for entry in suite.tasks:
        dataset = run.datasets[entry.dataset]
        if isinstance(dataset, Unavailable):  # optional, and not available
            continue
        task, models = run.tasks[suite.id_of(entry)], able(run, entry)
        wanted = task.wanted(context_of(run, entry), dataset, models)
        heard |= vectors.embed(task, wanted, models, embeddings)
    return len(heard)


def found(suites: Sequence[Path]) -> list[Path]:
    """Return the suites' files; a wrong one is named before anything slow is imported."""
    from earmark.bench.run.suite import find_suite, read_suite

    paths = [find_suite(suite) for suite in suites]
    for path in paths:
        read_suite(path)
    return paths


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What came of a suite."""

    suite: str
    path: Path
    record: Path | None
    """None: nothing could run."""
    reports: list[Path]
    not_run: list[NotRun]
    seconds: float
    """Of running and reporting."""

    def plain(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return {
            "suite": str(self.path),
            "record": None if self.record is None else str(self.record),
            "reports": [str(report) for report in self.reports],
            "not_run": [one.model_dump() for one in self.not_run],
        }


@dataclass(slots=True)
class LeftOut:
    """What could not be fetched or run, gathered over suites and told once, after the results."""

    not_fetched: dict[str, str] = field(default_factory=dict)
    """Names of ``earmark fetch``, each with its reason."""
    nothing_of: list[str] = field(default_factory=list)
    """Suites of which nothing could run."""
    not_run: dict[str, list[str]] = field(default_factory=dict)
    """Reasons, each with what it concerns."""
    not_rendered: dict[str, str] = field(default_factory=dict)
    """Suites whose record is whole and has no reports, each with the reason."""
    exit_code: int = 0
    """3 where a task failed, 70 where the fault is Earmark's or an adapter's unforeseen one."""

    def add(self, suite: str, not_run: Iterable[NotRun]) -> None:
        """Note what a suite could not run, beside what has the same reason."""
        from earmark.bench.run.runner import UNFORESEEN

        for one in not_run:
            self.not_run.setdefault(one.reason, []).append(f"{suite}: {one.what}")
            if one.failed:
                code = INTERNAL if one.reason.startswith(UNFORESEEN) else INVALID
                self.exit_code = max(self.exit_code, code)

    def add_report(self, suite: str, error: Exception) -> None:
        """Note that the reports of a suite could not be made, which ends nothing else."""
        from earmark.bench.run.runner import reason_of

        reason, told = reason_of(error)
        self.not_rendered[suite] = reason
        self.exit_code = max(self.exit_code, INVALID if told else INTERNAL)

    def print(self, console: Console) -> None:
        """Say each thing once, one line each."""
        lines = [f"could not fetch {name}: {why}" for name, why in self.not_fetched.items()]
        if self.nothing_of:
            lines.append(f"nothing could run of {', '.join(self.nothing_of)}")
        lines += [f"not run: {', '.join(names)}: {why}" for why, names in self.not_run.items()]
        lines += [f"no report of {suite}: {why}" for suite, why in self.not_rendered.items()]
        for line in lines:
            console.print(line, style="yellow", markup=False, soft_wrap=True)


def evaluate(
    source: Path | Suite,
    *,
    out: Path,
    console: Console,
    left: LeftOut,
    store: Path = Path("store"),
    available: bool = False,
    fetch: bool = False,
    replicates: int | None = None,
    trust_card: bool = False,
    gate: Gate | None = None,
    speed: Sequence[Path] = (),
    scored: Callable[[TaskResult], None] = lambda result: None,
) -> Evaluated:
    """Run a suite, write its reports and print its first scores.

    Parameters
    ----------
    source
        A suite, or its file.
    available
        List what cannot run; otherwise it is an error.
    left
        What could not run is added to it.
    gate
        Its verdict is shown in the reports.
    speed
        Files of pytest-benchmark for the reports.
    scored
        Called with what a task found, as soon as it did.
    """
    from rich.markup import escape

    from earmark.bench.cli import report
    from earmark.bench.run import runner
    from earmark.bench.run.suite import read_suite
    from earmark.reports.record.files import read

    started = time.perf_counter()
    head = (read_suite(source) if isinstance(source, Path) else source).suite
    path = source if isinstance(source, Path) else Path(head.name)
    if fetch:
        fetch_for(head.fetch, left)
    with progress_bar() as progress:
        folder, not_run = runner.run_suite(
            source,
            out=out,
            store=store,
            available=available,
            replicates=replicates,
            progress=progress,
            trust_card=trust_card,
            scored=scored,
        )
    verdict = None if gate is None else gate(head.name, folder)
    left.add(head.name, not_run)
    reports: list[Path] = []
    if folder is None:
        left.nothing_of.append(head.name)
    else:
        try:
            reports = report.render_reports(folder, folder, gate=verdict, speed=speed)
        except Exception as error:  # the record is whole, and suites stand alone
            if os.environ.get("EARMARK_DEBUG"):
                raise
            left.add_report(head.name, error)
        record = read(folder)
        title, name = escape(head.title), escape(path.name)
        console.print(f"\n[bold]{title}[/bold]  [dim]{name}[/dim]")
        print_record(console, record)
        for task in record.tasks:
            left.add(head.name, task.not_run)
        for place in (folder / "run.json", *reports):
            console.print(str(place), markup=False, soft_wrap=True)
    seconds = time.perf_counter() - started
    return Evaluated(head.name, path, folder, reports, not_run, seconds)


def fetch_for(names: Iterable[str], left: LeftOut) -> None:
    """Download what a suite needs and is nowhere; a failure is noted once, and not fatal."""
    from earmark.bench.cli.catalogue import is_available
    from earmark.datasets.base import DataError
    from earmark.datasets.files.fetch import fetch

    for name in names:
        if name in left.not_fetched or is_available(name):
            continue
        try:
            with progress_bar() as progress:
                fetch(name, progress=progress)
        except DataError as error:
            left.not_fetched[name] = str(error)


def _print_plans(
    paths: Sequence[Path], *, store: Path, available: bool, trust_card: bool, json: bool
) -> None:
    """Print what runs of suites would embed."""
    from earmark.bench.run.dry_run import plan_suite

    plans = [
        plan_suite(path, store=store, available=available, trust_card=trust_card) for path in paths
    ]
    if json:
        typer.echo(json_module.dumps([plan.plain() for plan in plans], indent=2))
        return
    console = new_console()
    for plan in plans:
        heads = ("items", "kept or embedded above", "to embed", "time")
        table = new_table(plan.suite, ("task", "model"), heads)
        for row in plan.rows:
            time = "not known" if row.seconds is None else duration(row.seconds)
            counts = (f"{row.items} {row.what}", str(row.items - row.new), str(row.new), time)
            add_row(table, row.task, row.model, *counts)
        print_table(console, table)
        unknown = sum(row.new for row in plan.rows if row.seconds is None)
        more = f", and {unknown} items of unknown cost" if unknown else ""
        console.print(f"about {duration(plan.seconds)} in the models, without decoding{more}")
        left = LeftOut()
        left.add(plan.suite, plan.not_run)
        left.print(console)


def print_record(console: Console, record: RunRecord) -> None:
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
    from earmark.bench.tasks.registry import VIEWS
    from earmark.reports import words
    from earmark.reports.page.tables import common_chance
    from earmark.reports.record.lookup import headline, select
    from earmark.reports.view import view_of

    metric, subset = headline(task) or ("", "")
    first = select(task.scores, metric=metric, subset=subset)[0]
    shown = list(dict.fromkeys([first.subset, *view_of(VIEWS, task).directions(task)]))
    scores = [s for s in select(task.scores, metric=metric) if s.subset in shown]
    scores.sort(key=lambda score: score.subset != first.subset)
    shared = common_chance(scores)
    own_chance = shared is None and any(score.chance is not None for score in scores)
    chance = "" if shared is None else f", chance {shared:.3g}"
    table = new_table(
        f"{task.title}\n{first.metric}, {first.subset}{chance}",
        ("", "model"),
        ("score", "95 % interval", *(["chance"] if own_chance else []), "n"),
    )
    before = None
    for score in scores:
        interval = score.interval
        part = score.dimension or (score.subset if len(shown) > 1 else "")
        add_row(
            table,
            "" if part == before else part,
            score.model,
            "undefined" if score.value is None else f"{score.value:.3f}",
            f"{interval.low:.3f} to {interval.high:.3f}" if interval else score.reason or "",
            *([words.cell(score.chance)] if own_chance else []),
            str(score.n),
        )
        before = part
    return table
