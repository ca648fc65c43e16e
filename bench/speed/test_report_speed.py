"""How long a leaderboard of 50 models on 20 tasks takes, from records in memory to the HTML page.

Fifty records side by side are compared on the way, 24,500 pairs of models; in one record they are
compared already. The seconds are of the processor, and are printed; only the size is asserted.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from large_records import compared, runs_of  # type: ignore[import-not-found]
from pytest_benchmark.fixture import BenchmarkFixture

from earmark.bench.gate.leaderboard import compare_models
from earmark.bench.tasks.registry import VIEWS
from earmark.reports.page import page
from earmark.reports.page.side_by_side import side_by_side
from earmark.reports.record.files import Run
from earmark.reports.render.html import page_html

MOST_BYTES = 5_000_000


def _alone(runs: list[Run]) -> str:
    (run,) = runs
    return page_html(page.build(run.record, run.items, run.arrays, views=VIEWS))


def _beside(runs: list[Run]) -> str:
    return page_html(page.build_side_by_side(side_by_side(runs, compare_models), views=VIEWS))


@pytest.mark.parametrize(
    ("n_runs", "render"), [(1, _alone), (2, _beside), (50, _beside)], ids=["1", "2", "50"]
)
def test_a_leaderboard_of_50_models_and_20_tasks(
    benchmark: BenchmarkFixture, n_runs: int, render: Callable[[list[Run]], str]
) -> None:
    runs = runs_of(n_runs=n_runs, n_models=50, n_tasks=20)
    given = [compared(runs[0])] if n_runs == 1 else runs
    started = time.process_time()
    html = benchmark.pedantic(render, args=(given,), rounds=1)  # type: ignore[no-untyped-call]
    seconds = time.process_time() - started
    size = len(html.encode())
    benchmark.extra_info["processor_seconds"] = seconds
    benchmark.extra_info["bytes"] = size
    print(f"\n{n_runs} records: {seconds:.1f} s of the processor, {size / 1e6:.2f} MB")
    assert size < MOST_BYTES
