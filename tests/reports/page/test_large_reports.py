"""Reports of many models and rows: what is drawn, compared and built later, and said so."""

import json
import re

import pytest
from rendered import build

from earmark.reports.content import MOST_ROWS, Cell, Column, Plots, TableBlock, plain
from earmark.reports.record import lookup as scores
from earmark.reports.render.html import _rows, page_html


def crowded(joint, n):
    names = [f"model-{number:02d}" for number in range(n)]
    return joint.classification(names, kind="probe")


def built(sample, parts):
    tasks = []
    for number, (task, _, _) in enumerate(parts):
        tasks.append(task.model_copy(update={"id": f"t{number}", "title": f"Task {number}"}))
    record = sample.record.model_copy(update={"tasks": tasks, "models": []})
    items = {f"t{number}": items for number, (_, items, _) in enumerate(parts)}
    arrays = {f"t{number}": arrays for number, (_, _, arrays) in enumerate(parts)}
    return build(record, items, arrays)


def said(section):
    return [plain(block.text) for block in section.blocks if block.kind == "paragraph"]


def test_figures_show_the_best_models_and_say_how_many_are_left(sample, joint):
    report = built(sample, [crowded(joint, 20)])
    figures = next(part for part in report.sections[1].sections if part.title == "Figures")
    assert said(figures) == [
        "The figures show the best 12 of 20 models; the other 8 are in the tables."
    ]
    task, _, _ = crowded(joint, 20)
    ranked = scores.best_first(scores.select(task.scores, metric="accuracy"))
    drawn = {
        model
        for block in figures.blocks
        if isinstance(block, Plots)
        for plot in block.plots
        for model in plot.data["model"]
    }
    assert drawn <= {score.model for score in ranked[:12]} and ranked[0].model in drawn


def test_of_very_many_models_only_the_leaderboard_is_drawn(sample, joint):
    report = built(sample, [crowded(joint, 42)] * 5)
    board, first = report.sections[:2]
    assert sum(len(b.plots) for b in board.blocks if isinstance(b, Plots)) == 5
    figures = next(part for part in first.sections if part.title == "Figures")
    assert not any(isinstance(block, Plots) for block in figures.blocks)
    assert said(figures)[0].startswith("With 42\N{NO-BREAK SPACE}models here and as many on other")
    (plot,) = [p for b in board.blocks if isinstance(b, Plots) for p in b.plots][:1]
    assert len(set(plot.data["model"])) == 20
    assert "The best 20 of 42 models; the table has all." in plot.caption


def test_of_many_comparisons_those_with_the_best_and_of_neighbours_stay(sample, joint):
    report = built(sample, [crowded(joint, 30)])
    part = next(part for part in report.sections[1].sections if part.title == "Comparisons")
    assert said(part)[0].startswith("Of 435 comparisons, those with the best model and those of")
    (table,) = [b for b in part.blocks if isinstance(b, TableBlock) and "Paired" in b.caption]
    assert len(table.rows) == 29 + 28
    task, _, _ = crowded(joint, 30)
    assert scores.telling(task, task.comparisons[:300]) == task.comparisons[:300]


def long(n):
    rows = [[Cell(f"</script><b>{i}"), Cell("1.5", sort=1.5, tone="strong")] for i in range(n)]
    return TableBlock("L", [Column("a"), Column("b", numeric=True)], rows, folded=True)


def test_rows_of_a_long_folded_table_are_data_that_cannot_end_their_script():
    packed = _rows(long(MOST_ROWS + 1))
    assert "<" not in packed
    assert json.loads(packed)[3] == ["</script><b>3", ["1.5", 1.5, "", "", "strong"]]
    assert _rows(long(MOST_ROWS)) is None


def test_ten_thousand_rows_take_little_room(small):
    report = build(small.record, small.items, small.arrays)
    plain_size = len(page_html(report).encode())
    report.sections[-1].blocks.append(long(10_000))
    html = page_html(report)
    assert len(html.encode()) - plain_size < 1.3e6
    assert re.search(r"<tbody>\s*</tbody>", html)


@pytest.mark.parametrize("n", [1, 2])
def test_few_models_are_all_drawn(joint, n):
    task, _, _ = crowded(joint, n)
    assert scores.most_drawn(task, of=n) is task
