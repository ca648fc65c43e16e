"""``earmark list``, and the suites that ``earmark run`` lists."""

from __future__ import annotations

import json as json_module
from collections.abc import Sequence

import typer
from rich.markup import escape

from earmark.bench.cli import doctor_data
from earmark.bench.cli.console import new_console, new_table, print_table
from earmark.bench.cli.doctor_packages import Finding
from earmark.bench.run.suite import read_suite, shipped_suites
from earmark.datasets.base import DataError
from earmark.datasets.registry import DATASETS
from earmark.models.registry import MODELS


def list_known(what: str, *, json: bool) -> None:
    """Print names with what stands behind them.

    Raises
    ------
    DataError
        If ``what`` is none of models, datasets and suites.
    """
    if what == "models":
        found = MODELS.targets()
    elif what == "datasets":
        found = DATASETS.targets()
    elif what == "suites":
        found = {str(path): read_suite(path).suite.title for path in shipped_suites()}
    else:
        raise DataError(f"cannot list {what!r}; expected models, datasets or suites")
    if json:
        typer.echo(json_module.dumps(found, indent=2))
        return
    width = max(map(len, found), default=0)
    for name, target in found.items():
        typer.echo(f"{name:{width}}  {target}")


def list_suites(*, json: bool) -> None:
    """Print the suites that come with Earmark: name, title, and whether their data are found."""
    suites = {path: read_suite(path) for path in shipped_suites()}
    missing = {path: doctor_data.missing_of(suite) for path, suite in suites.items()}
    if json:
        rows = [
            {
                "name": path.stem,
                "title": suite.suite.title,
                "path": str(path),
                "missing": [one.name for one in missing[path]],
            }
            for path, suite in suites.items()
        ]
        typer.echo(json_module.dumps(rows, indent=2))
        return
    console = new_console()
    table = new_table("Suites that come with Earmark")
    for head in ("name", "title", "data and weights"):
        table.add_column(head)
    for path, suite in suites.items():
        table.add_row(path.stem, escape(suite.suite.title), escape(_availability(missing[path])))
    print_table(console, table)
    typer.echo("One: earmark run NAME (--available: what can be run of it)")
    typer.echo("Your own: earmark run FILE.toml. All that come with Earmark: earmark bench")


def _availability(missing: Sequence[Finding]) -> str:
    """Return ``found``, or what is missing, a line for each way to get it."""
    lines = []
    for mend in dict.fromkeys(one.mend for one in missing):
        names = [one.name for one in missing if one.mend == mend]
        shown = names[0] if len(names) == 1 else f"{len(names)} places"
        lines.append(f"{shown} missing: {mend}")
    return "\n".join(lines) or "found"
