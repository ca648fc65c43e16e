"""A leaderboard of 50 models on 20 tasks, of one run and of fifty: within 5 MB, and whole."""

import re

import pytest
from large_records import compared, runs_of
from rendered import build, build_side_by_side

from earmark.bench.gate.leaderboard import compare_models
from earmark.reports.content import plain
from earmark.reports.page.side_by_side import side_by_side
from earmark.reports.render.html import page_html

MOST_BYTES = 5_000_000


def one_run():
    (run,) = runs_of(n_runs=1, n_models=50, n_tasks=20)
    run = compared(run)
    return build(run.record, run.items, run.arrays)


def many_runs():
    runs = runs_of(n_runs=50, n_models=50, n_tasks=20)
    return build_side_by_side(side_by_side(runs, compare_models))


@pytest.mark.parametrize("build", [one_run, many_runs], ids=["one run", "fifty runs"])
def test_fifty_models_on_twenty_tasks_are_a_page_of_less_than_five_megabytes(build):
    report = build()
    html = page_html(report)
    assert len(html.encode()) < MOST_BYTES
    boards = re.findall(r"<table>\s*<caption><span>Models by task \((\d) of 4\)", html)
    assert boards == ["1", "2", "3", "4"]
    assert html.count("<figure") == 1 + 20
    _, best, said = report.verdict
    assert len(best.rows) == 10 and len(said.items) == 3
    assert plain(said.items[0]).startswith(("model-", "No model is best on more than one"))
    assert "20\N{NO-BREAK SPACE}models were trained on 20\N{NO-BREAK SPACE}datasets" in html
    assert html.count("†") > 20


def test_models_of_fifty_runs_are_compared_as_those_of_one():
    apart = side_by_side(runs_of(n_runs=6, n_models=6, n_tasks=1), compare_models)
    (run,) = runs_of(n_runs=1, n_models=6, n_tasks=1)
    together = compared(run).record.tasks[0]
    assert apart.record.tasks[0].comparisons == together.comparisons
    assert apart.record.tasks[0].groups == together.groups
    assert apart.apart == [] and len(together.comparisons) == 15
