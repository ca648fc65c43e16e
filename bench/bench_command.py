"""``earmark bench``: from nothing to reports in one command; what is made once is kept."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import typer

from earmark.bench.etude_pipeline import CONFIGS, Step, further_of, make, make_further
from earmark.bench.run_command import run_suites, shipped_suites
from earmark.bench.suite import read_suite
from earmark.bench.terminal import progress_bar
from earmark.datasets.places import cache_folder


def bench_all(
    suites: list[Path] | None,
    *,
    out: Path,
    store: Path,
    fetch: bool,
    tracks: int,
    seconds: float,
    configs: Mapping[str, str] = CONFIGS,
    replicates: int | None,
) -> bool:
    """Make Etude and its checkpoints, run the suites, and say how long each part took.

    Returns whether any task ran.

    Raises
    ------
    DataError, ModelError, SuiteError, RecordError, Stopped
        As :func:`~earmark.bench.etude_pipeline.make`, :func:`~earmark.bench.suite.read_suite` and
        :func:`~earmark.bench.run_command.run_suites`.
    """
    started = time.perf_counter()
    further = further_of(read_suite(path) for path in suites or shipped_suites())
    with progress_bar() as progress:
        steps = make(
            cache_folder(),
            n_tracks=tracks,
            seconds=seconds,
            configs=configs,
            progress=progress,
            tell=typer.echo,
        )
        steps += make_further(cache_folder(), further, progress=progress, tell=typer.echo)
    measured = time.perf_counter()
    done = run_suites(
        suites,
        out=out,
        store=store,
        available=True,
        fetch=fetch,
        replicates=replicates,
        json=False,
    )
    finished = time.perf_counter()
    typer.echo(_sentence(steps, measuring=finished - measured, all_in_all=finished - started))
    return done


def _sentence(steps: Sequence[Step], *, measuring: float, all_in_all: float) -> str:
    kept = [step.name for step in steps if not step.done_now]
    there = f"; was there already: {', '.join(kept)}" if kept else ""
    return (
        f"made in {all_in_all - measuring:.0f} s, measured and reported in {measuring:.0f} s, "
        f"{all_in_all:.0f} s in all{there}. Etude and the models trained on it are synthetic: "
        f"their numbers say nothing of music that people made."
    )
