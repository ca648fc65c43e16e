"""``earmark baseline update``: make a run what later runs are held against."""

from __future__ import annotations

import json as json_module
from pathlib import Path

import typer

from earmark.bench.gate.baseline import write_baseline
from earmark.bench.gate.evidence import read_evidence
from earmark.bench.run.environment import git_state
from earmark.reports.record.schema import RecordError


def update_baseline(run: Path, *, reason: str, out: Path, json: bool = False) -> Path:
    """Write a run to ``out/<suite>``, and return that folder.

    Raises
    ------
    RecordError
        If the run is not readable or was made from a dirty tree, the tree that ``out`` lies in is
        dirty (but for the baselines themselves), or the folder cannot be written.
    """
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
