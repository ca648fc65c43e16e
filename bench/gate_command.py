"""``earmark gate``: hold a run against its baseline, and write what was found for every reader."""

from __future__ import annotations

import json as json_module
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from earmark.bench.gate.evidence import Evidence, read_evidence
from earmark.bench.gate.policy import Policy, read_policy
from earmark.bench.gate.verdict import Verdict, judge, unreadable
from earmark.bench.runner import render_reports
from earmark.bench.terminal import new_table
from earmark.reports import verdicts
from earmark.reports.junit import render_junit
from earmark.reports.record import RecordError
from earmark.reports.summary import render_comment, render_step_summary

if TYPE_CHECKING:
    from rich.console import Console

_STYLES = {"pass": "green", "regression": "bold red", "inconclusive": "yellow", "invalid": "red"}
_MOST_CAUSES = 40


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
    from rich.console import Console

    if report and out is None:
        raise RecordError("a report needs a place: give --out FOLDER beside --report")
    rules = read_policy(policy)
    verdict = _judged(run, baseline, rules)
    plain = verdict.as_plain()
    written = _write(plain, out)
    if report and out is not None and verdict.candidate is not None:
        written += render_reports(run, out, gate=plain)
    _step_summary(plain)
    if json:
        typer.echo(json_module.dumps(plain, indent=1, allow_nan=False))
    else:
        _print(plain, Console(highlight=False))
        for path in written:
            typer.echo(path)
    return verdict.exit_code


def _judged(run: Path, baseline: Path, policy: Policy) -> Verdict:
    read: dict[str, Evidence] = {}
    for side, path in (("candidate", run), ("baseline", baseline)):
        try:
            read[side] = read_evidence(path)
        except RecordError as error:
            return unreadable(policy, side, str(error))
    return judge(read["candidate"], read["baseline"], policy)


def _write(plain: dict[str, Any], out: Path | None) -> list[Path]:
    if out is None:
        return []
    contents = {
        "verdict.json": json_module.dumps(plain, indent=1, allow_nan=False) + "\n",
        "junit.xml": render_junit(plain),
        "summary.md": render_step_summary(plain),
        "comment.md": render_comment(plain),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            (out / name).write_text(content, encoding="utf-8")
    except OSError as error:
        raise RecordError(
            f"the verdict ({plain['outcome']}) could not be written to {out}: "
            f"{error.strerror or error}"
        ) from error
    return [out / name for name in contents]


def _step_summary(plain: dict[str, Any]) -> None:
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


def _print(plain: dict[str, Any], console: Console) -> None:
    found = verdicts.causes(plain)
    if plain["metrics"]:
        table = new_table("Gated scores, those that did not pass first")
        for head in verdicts.HEADS:
            numeric = head in verdicts.HEADS[4:]
            table.add_column(head, justify="right" if numeric else "left", overflow="fold")
        for row in plain["metrics"]:
            style = "" if row["status"] == "pass" else "bold"
            table.add_row(*(_plain(cell) for cell in verdicts.cells(row)), style=style)
        console.print(table)
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


def _plain(words: str) -> str:
    """Return text that Rich takes for no markup."""
    from rich.markup import escape

    return escape(words)
