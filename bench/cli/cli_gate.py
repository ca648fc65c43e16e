"""The commands that hold runs against each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from earmark.bench.cli.cli_base import INVALID, ExitError, Json, app

baseline = typer.Typer(help="What later runs are held against.", no_args_is_help=True)
app.add_typer(baseline, name="baseline")


@app.command()
def gate(
    run: Annotated[Path, typer.Argument(help="A run record: runs/<id>.")],
    against: Annotated[
        Path,
        typer.Option("--baseline", help="Another record, or bench/baselines/<suite>."),
    ],
    policy: Annotated[Path, typer.Option(help="What is gated, and by how much (TOML).")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for verdict.json, junit.xml, summary.md and comment.md."),
    ] = None,
    report: Annotated[
        bool, typer.Option("--report", help="Render HTML and PDF with the verdict into OUT.")
    ] = False,
    json: Json = False,
) -> None:
    """May this run take its baseline's place? Exit 0 yes, 1 no, 2 undecided, 3 uncomparable."""
    from earmark.bench.cli.gate import gate_run

    code = gate_run(run, baseline=against, policy=policy, out=out, report=report, json=json)
    if code:
        raise ExitError(code)


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="A run record, or a baseline.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another.")],
    task: Annotated[str | None, typer.Option(help="This task alone.")] = None,
    metric: Annotated[str | None, typer.Option(help="Instead of each task's headline.")] = None,
    json: Json = False,
) -> None:
    """Show which items flipped from A to B, with paired tests and effect sizes."""
    from earmark.bench.cli.compare_command import compare_records

    if not compare_records(first, second, task=task, metric=metric, json=json):
        raise ExitError(INVALID)


@baseline.command("update")
def baseline_update(
    run: Annotated[Path, typer.Argument(help="A run record: runs/<id>.")],
    reason: Annotated[str, typer.Option(help="Why, for whoever finds the baseline changed.")],
    out: Annotated[Path, typer.Option(help="Folder of the baselines.")] = Path("bench/baselines"),
    json: Json = False,
) -> None:
    """Write a run to OUT/<suite>: scores and per-item outcomes, no texts, labels or ratings."""
    from earmark.bench.cli.baseline_command import update_baseline

    update_baseline(run, reason=reason, out=out, json=json)
