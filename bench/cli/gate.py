"""``earmark gate``: hold a run against its baseline, and write what was found for every reader."""

from __future__ import annotations

import json as json_module
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from earmark.bench.cli.console import new_console, new_table, print_table
from earmark.bench.gate.checks import Hole
from earmark.bench.gate.evidence import Evidence, read_evidence
from earmark.bench.gate.policy import Policy, read_policy
from earmark.bench.gate.verdict import Verdict, judge, unreadable
from earmark.datasets.files.atomic import write_whole
from earmark.reports.gate import verdict as verdicts
from earmark.reports.gate.junit import render_junit
from earmark.reports.gate.summary import render_comment, render_step_summary
from earmark.reports.record.schema import RecordError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_STYLES = {"pass": "green", "regression": "bold red", "inconclusive": "yellow", "invalid": "red"}
_MOST_CAUSES = 40
_SHORT = {"baseline": "before", "candidate": "now", "difference": "change", "detectable": "detects"}
"""Heads of the terminal's narrow columns."""


def gate_run(
    run: Path,
    *,
    baseline: Path,
    policy: Path,
    out: Path | None = None,
    report: bool = False,
    json: bool = False,
) -> int:
    """Gate a run; return the exit code.

    Parameters
    ----------
    out
        Folder for ``verdict.json``, ``junit.xml``, ``summary.md`` and ``comment.md``.
    report
        Whether the HTML and the PDF are rendered into ``out`` as well, with the verdict in them.

    Raises
    ------
    PolicyError
        If the policy cannot be followed.
    RecordError
        If what was found cannot be written.
    """
    if report and out is None:
        raise RecordError("a report needs a place: give --out FOLDER beside --report")
    verdict = judge_files(run, baseline, read_policy(policy))
    plain = verdict.as_plain()
    written = [] if out is None else write_verdict(plain, out)
    if report and out is not None and verdict.candidate is not None:
        from earmark.bench.run.runner import render_reports

        written += render_reports(run, out, gate=plain)
    append_step_summary(plain)
    if json:
        typer.echo(json_module.dumps(plain, indent=1, allow_nan=False))
    else:
        print_verdict(plain, new_console())
        for path in written:
            typer.echo(path)
    return verdict.exit_code


def judge_files(run: Path, baseline: Path, policy: Policy) -> Verdict:
    """Return the verdict on a record; one that cannot be read is invalid, never an error."""
    read: dict[str, Evidence] = {}
    holes = []
    for side, path in (("candidate", run), ("baseline", baseline)):
        try:
            read[side] = read_evidence(path)
        except RecordError as error:
            holes.append(Hole(side, str(error)))
    if holes:
        return unreadable(policy, holes, read.get("candidate"), read.get("baseline"))
    return judge(read["candidate"], read["baseline"], policy)


def write_verdict(plain: Mapping[str, Any], out: Path) -> list[Path]:
    """Write ``verdict.json``, ``junit.xml``, ``summary.md`` and ``comment.md``; return the paths.

    Raises
    ------
    RecordError
        If the disk refuses.
    """
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
    for side, words in verdicts.identities(plain):
        console.print(f"{side}: {words}", style="dim", markup=False, soft_wrap=True)
    console.print(
        f"{verdicts.TITLES[plain['outcome']]}. {verdicts.headline(plain)}",
        style=_STYLES[plain["outcome"]],
        markup=False,
        soft_wrap=True,
    )


def _tables(rows: Sequence[Mapping[str, Any]]) -> Iterator[Table]:
    """Yield a table for the scores in a row that are of one task and metric."""
    status, _, _, model, *numbers = verdicts.HEADS
    for (task, name, tier), group in groupby(rows, key=_heading):
        table = new_table(_plain(f"{task}\n{name}" + (f" ({tier})" if tier != "critical" else "")))
        for head in (status, model):
            table.add_column(head)
        for head in numbers:
            short = _SHORT.get(head, head)
            table.add_column(short, justify="right")
        for row in group:
            cells = verdicts.cells(row)
            found = cells[0].removesuffix(f" ({tier})")
            shown = [_plain(cell) for cell in (found, *cells[3:])]
            table.add_row(*shown, style="" if row["status"] == "pass" else "bold")
        yield table


def _heading(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return row["task"], verdicts.name(row), row["tier"]


def _plain(words: str) -> str:
    """Return text that Rich takes for no markup."""
    from rich.markup import escape

    return escape(words)
