"""``earmark gate``, ``compare`` and ``baseline``: hold runs against each other."""

from __future__ import annotations

import json as json_module
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from earmark.bench.cli import INVALID, CustomTask, ExitError, Json
from earmark.bench.cli.console import add_row, new_console, new_table, print_table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from earmark.bench.gate.difference import Compared, Difference, Flip
    from earmark.bench.gate.verdict import Outcome

_STYLES = {"pass": "green", "regression": "bold red", "inconclusive": "yellow", "invalid": "red"}
_MOST_CAUSES = 40
_MOST_FLIPS = 10
_SHORT = {"baseline": "before", "candidate": "now", "difference": "change", "detectable": "detects"}
"""Heads of the terminal's narrow columns."""
_WORST_FIRST: Final[tuple[Outcome, ...]] = ("invalid", "regression", "inconclusive", "pass")
"""As in a verdict: what is invalid outweighs a regression, and a regression what is undecided."""


def gate(
    run: Annotated[Path, typer.Argument(help="A run record: runs/<id>.")],
    against: Annotated[
        Path,
        typer.Option(
            "--baseline", help="A baseline, e.g. bench/baselines/<suite>, or a run record."
        ),
    ],
    policy: Annotated[
        Path, typer.Option(help="Which scores are gated, and with which margins (TOML).")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for verdict.json, junit.xml, summary.md and comment.md."),
    ] = None,
    report: Annotated[
        bool,
        typer.Option(
            "--report", help="Render HTML and PDF with the verdict into the folder --out."
        ),
    ] = False,
    json: Json = False,
    custom_task: CustomTask = None,
) -> None:
    """Test a run for regressions against its baseline.

    Exit codes: 0 pass, 1 regression, 2 inconclusive, 3 invalid or not comparable.
    """
    from earmark.bench.gate.policy import read_policy
    from earmark.bench.gate.verdict import judge_files
    from earmark.bench.tasks.registry import load_tasks
    from earmark.reports.record.schema import RecordError

    load_tasks(custom_task)
    if report and out is None:
        raise RecordError("a report needs a place: give --out FOLDER beside --report")
    verdict = judge_files(run, against, read_policy(policy))
    plain = verdict.as_plain()
    written = [] if out is None else write_verdict(plain, out)
    if report and out is not None and verdict.candidate is not None:
        from earmark.bench.cli.report import render_reports

        written += render_reports(run, out, gate=plain)
    append_step_summary(plain)
    if json:
        typer.echo(json_module.dumps(plain, indent=1, allow_nan=False))
    else:
        print_verdict(plain, new_console())
        for path in written:
            typer.echo(path)
    if verdict.exit_code:
        raise ExitError(verdict.exit_code)


def write_verdict(plain: Mapping[str, Any], out: Path) -> list[Path]:
    """Write the verdict as JSON, JUnit XML and two pages of Markdown; return the paths."""
    from earmark.datasets.files.atomic_files import write_whole
    from earmark.reports.gate.junit import render_junit
    from earmark.reports.gate.summary import render_comment, render_step_summary
    from earmark.reports.record.schema import RecordError

    contents = {
        "verdict.json": json_module.dumps(plain, indent=1, allow_nan=False) + "\n",
        "junit.xml": render_junit(plain),
        "summary.md": render_step_summary(plain),
        "comment.md": render_comment(plain),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            write_whole(out / name, content.encode())
    except OSError as error:
        raise RecordError(
            f"the verdict ({plain['outcome']}) could not be written to {out}: "
            f"{error.strerror or error}"
        ) from error
    return [out / name for name in contents]


def append_step_summary(plain: Mapping[str, Any]) -> None:
    """Append to the summary of a step of GitHub Actions, which names the file; else nothing."""
    from earmark.reports.gate.summary import render_step_summary
    from earmark.reports.record.schema import RecordError

    place = os.environ.get("GITHUB_STEP_SUMMARY")
    if not place:
        return
    try:
        with Path(place).open("a", encoding="utf-8") as file:
            file.write(render_step_summary(plain))
    except OSError as error:
        raise RecordError(
            f"the step summary {place} (GITHUB_STEP_SUMMARY) could not be written: "
            f"{error.strerror or error}"
        ) from error


def print_verdict(plain: Mapping[str, Any], console: Console, *, with_passed: bool = True) -> None:
    """Print the gated scores, those that did not pass first, the causes, and the verdict last."""
    from earmark.reports.gate import verdict as verdicts

    found = verdicts.causes(plain)
    # What ails a whole task stands among the causes, once.
    rows = [
        row
        for row in plain["metrics"]
        if (with_passed or row["status"] != "pass") and not verdicts.is_of_a_whole_task(row)
    ]
    if rows:
        console.print("Gated scores, those that did not pass first", style="bold")
    for table in _tables(rows):
        print_table(console, table)
    for where, why in found[:_MOST_CAUSES]:
        console.print(f"{where}: {why}", style="red", markup=False, soft_wrap=True)
    if len(found) > _MOST_CAUSES:
        console.print(f"and {len(found) - _MOST_CAUSES} more causes, see --json or --out")
    for warning in plain["warnings"]:
        console.print(f"warning: {warning}", style="yellow", markup=False, soft_wrap=True)
    for side, identity in verdicts.identities(plain):
        console.print(f"{side}: {identity}", style="dim", markup=False, soft_wrap=True)
    console.print(
        f"{verdicts.TITLES[plain['outcome']]}. {verdicts.headline(plain)}",
        style=_STYLES[plain["outcome"]],
        markup=False,
        soft_wrap=True,
    )


def _tables(rows: Sequence[Mapping[str, Any]]) -> Iterator[Table]:
    """Yield a table for the scores in a row that are of one task and metric."""
    from earmark.reports.gate import verdict as verdicts

    status, _, _, model, *numbers = verdicts.HEADS
    for (task, name, tier), group in groupby(rows, key=_heading):
        title = f"{task}\n{name}" + (f" ({tier})" if tier != "critical" else "")
        short = [_SHORT.get(head, head) for head in numbers]
        table = new_table(title, (status, model), short)
        for row in group:
            cells = verdicts.cells(row)
            found = cells[0].removesuffix(f" ({tier})")
            add_row(table, found, *cells[3:], style="" if row["status"] == "pass" else "bold")
        yield table


def _heading(row: Mapping[str, Any]) -> tuple[str, str, str]:
    from earmark.reports.gate import verdict as verdicts

    return row["task"], verdicts.name(row), row["tier"]


# Gates of several suites


@dataclass(frozen=True, slots=True)
class SuiteVerdict:
    """One suite's verdict as plain data, where it was written, and how long it took."""

    suite: str
    plain: Mapping[str, Any]
    written: list[Path]
    seconds: float


@dataclass(slots=True)
class SuiteGates:
    """Judges each suite's record, once it is written, and remembers what was found."""

    baselines: Path
    """Folder of ``<suite>/`` and ``<suite>.toml``."""
    verdicts: list[SuiteVerdict] = field(default_factory=list)
    without_baseline: list[str] = field(default_factory=list)
    """Suites that were run and have none."""

    def prepare(self, suites: Iterable[str]) -> None:
        """Read what the suites will be held against, before hours are spent on running them."""
        from earmark.bench.gate.baseline import baseline_for
        from earmark.bench.gate.policy import read_policy

        for suite in suites:
            kept = baseline_for(suite, self.baselines)
            if kept is not None:
                read_policy(kept.policy)

    def judge(self, suite: str, record: Path | None, out: Path) -> Mapping[str, Any] | None:
        """Return the verdict on a suite's record, written to ``record/gate``; None: no baseline.

        A suite that has a baseline and left no record is invalid; its verdict is written to
        ``out/gate/<suite>``.
        """
        from earmark.bench.gate.baseline import baseline_for
        from earmark.bench.gate.checks import Mismatch
        from earmark.bench.gate.policy import read_policy
        from earmark.bench.gate.verdict import judge_files, unreadable

        started = time.perf_counter()
        kept = baseline_for(suite, self.baselines)
        if kept is None:
            self.without_baseline.append(suite)
            return None
        policy = read_policy(kept.policy)
        if record is None:
            hole = Mismatch(
                suite, "no task: nothing of this suite could run, and it has a baseline"
            )
            verdict, place = unreadable(policy, [hole]), out / "gate" / suite
        else:
            verdict, place = judge_files(record, kept.baseline, policy), record / "gate"
        plain = verdict.as_plain()
        written = write_verdict(plain, place)
        append_step_summary(plain)
        self.verdicts.append(SuiteVerdict(suite, plain, written, time.perf_counter() - started))
        return plain

    @property
    def outcome(self) -> Outcome | None:
        """The worst verdict; None where no suite has a baseline."""
        found = {one.plain["outcome"] for one in self.verdicts}
        return next((outcome for outcome in _WORST_FIRST if outcome in found), None)

    @property
    def exit_code(self) -> int:
        """The worst verdict's exit code; 0 where no suite has a baseline."""
        from earmark.bench.gate.verdict import EXIT_CODES

        outcome = self.outcome
        return 0 if outcome is None else EXIT_CODES[outcome]


# Comparisons


def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="A run record, or a baseline.")],
    second: Annotated[
        Path, typer.Argument(metavar="B", help="The run record or baseline to compare with it.")
    ],
    task: Annotated[str | None, typer.Option(help="Compare this task only.")] = None,
    metric: Annotated[
        str | None,
        typer.Option(help="Compare this metric, instead of each task's headline metric."),
    ] = None,
    json: Json = False,
    custom_task: CustomTask = None,
) -> None:
    """Compare two runs item by item, with paired tests and effect sizes."""
    from earmark.bench.gate.difference import compare_runs
    from earmark.bench.gate.evidence import read_evidence
    from earmark.bench.tasks.registry import load_tasks

    load_tasks(custom_task)
    found = compare_runs(
        read_evidence(first),
        read_evidence(second),
        task=task,
        metric=metric,
        replicates=10_000,
        seed=2022,
    )
    if json:
        typer.echo(json_module.dumps(asdict(found), indent=1, allow_nan=False))
    else:
        _print_differences(found, new_console())
    if not found.differences or found.holes:
        raise ExitError(INVALID)


def _print_differences(found: Compared, console: Console) -> None:
    if found.differences:
        table = new_table(
            "Second run minus first; positive is better",
            ("task", "metric", "model"),
            ("first", "second", "difference", "95 %", "p", "effect", "n"),
        )
        for one in found.differences:
            add_row(table, *_cells(one))
        print_table(console, table)
        console.print("p: paired randomisation test over units, Holm over the scores.", style="dim")
    for one in found.differences:
        _print_flips(one, console)
    for hole in found.holes:
        console.print(
            f"not compared: {hole.where}: {hole.cause}", style="red", markup=False, soft_wrap=True
        )


def _cells(one: Difference) -> list[str]:
    from earmark.reports import words
    from earmark.reports.gate import verdict as verdicts

    row = asdict(one)
    ends = [verdicts.value(row, end) for end in (one.low, one.high)]
    sizes = [f"{name} {value:.2f}" for name, value in one.effects.items() if value is not None]
    p_value = words.NOTHING if one.p_holm is None else words.p_value(one.p_holm)
    return [
        one.task,
        verdicts.name(row),
        one.model,
        verdicts.value(row, one.first),
        verdicts.value(row, one.second),
        verdicts.signed(row, one.difference),
        f"[{ends[0]}, {ends[1]}]" if one.low is not None else "",
        p_value,
        "\n".join(sizes),
        words.count(one.n_items),
    ]


def _print_flips(one: Difference, console: Console) -> None:
    from earmark.reports.gate import verdict as verdicts

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
        f"{flip.item} ({flip.first:.3g} to {flip.second:.3g})" for flip in flips[:_MOST_FLIPS]
    )
    more = len(flips) - _MOST_FLIPS
    return f"{shown}, and {more} more" if more > 0 else shown


# Baselines

baseline = typer.Typer(
    help="Keep a run as the baseline of later gates.", no_args_is_help=True, add_completion=False
)


@baseline.command("update")
def update_baseline(
    run: Annotated[Path, typer.Argument(help="A run record: runs/<id>.")],
    reason: Annotated[
        str, typer.Option(help="Why the baseline changes, for those who find it changed.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the baselines.")] = Path("bench/baselines"),
    json: Json = False,
    custom_task: CustomTask = None,
) -> Path:
    """Write a run to OUT/<suite>: scores and per-item outcomes, no texts, labels or ratings."""
    from earmark.bench.gate.baseline import write_baseline
    from earmark.bench.gate.evidence import read_evidence
    from earmark.bench.run.environment import git_state
    from earmark.bench.tasks.registry import load_tasks
    from earmark.reports.record.schema import RecordError

    load_tasks(custom_task)
    read = read_evidence(run)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordError(f"{out} cannot be made: {error.strerror or error}") from error
    commit, dirty = git_state(out, but=out)
    if dirty:
        raise RecordError(
            f"the tree of {out} is dirty ({commit} with uncommitted changes): a baseline must "
            f"belong to a commit; commit or set the changes aside, then update"
        )
    place = write_baseline(read, out / read.record.suite.name, reason=reason)
    size = sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
    if json:
        typer.echo(json_module.dumps({"baseline": str(place), "bytes": size}))
        return place
    for part in read.record.not_run:
        typer.echo(f"not in this baseline: {part.what}: {part.reason}", err=True)
    n_tasks = len(read.record.tasks)
    typer.echo(f"{place}: {n_tasks} task{'s' * (n_tasks != 1)}, {size / 1024:,.0f} KiB")
    return place
