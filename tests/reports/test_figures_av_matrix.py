"""The matrix of trained heads by tested sets, and when a task has one."""

import math

import numpy as np
import pytest

from earmark.reports.figure_style import SERIES
from earmark.reports.figures import FigureError
from earmark.reports.figures_av_matrix import matrix
from earmark.reports.plots_av_matrix import TITLE, plots_of
from earmark.reports.record import Table, TaskResult

COLUMNS = {
    "model": ["ridge(a)@e", "ridge(a)@e", "ridge(b)@e", "ridge(b)@e"],
    "tested_on": ["a", "musav", "a", "musav"],
    "dimension": ["arousal"] * 4,
    "metric": ["pearson_r", "pairwise_accuracy", "pearson_r", "pairwise_accuracy"],
    "value": [0.8, 0.75, -0.1, math.nan],
    "how": ["in folds", "across", "across", "across"],
}


def test_every_cell_has_its_number_and_its_distance_from_chance_as_its_shade():
    (axes,) = matrix(**COLUMNS).axes
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written == {(0, 0): "0.80", (1, 0): "75.0", (0, 1): "−0.10", (1, 1): "—"}
    shades = [p.get_alpha() for p in axes.patches if p.get_alpha() is not None]
    np.testing.assert_allclose(np.array(shades) / shades[0], [1, 0.5 / 0.8, 0])
    framed = [p for p in axes.patches if p.get_alpha() is None]
    assert [p.get_xy() for p in framed] == [(-0.46, -0.44)]
    assert {p.get_facecolor()[:3] for p in axes.patches if p.get_alpha()} == {
        tuple(int(SERIES[0].light[i : i + 2], 16) / 255 for i in (1, 3, 5))
    }


def test_a_matrix_without_a_value_or_with_uneven_columns_is_refused():
    with pytest.raises(FigureError):
        matrix(**{**COLUMNS, "value": [math.nan] * 4})
    with pytest.raises(FigureError):
        matrix(**{**COLUMNS, "how": ["across"]})


def task(n_models, value=0.5):
    names = ["model", "tested on", "dimension", "metric", "value", "how"]
    rows = [[f"m{i}", "a", "valence", "pearson_r", value, "across"] for i in range(n_models)]
    return TaskResult(
        id="cross", kind="av_cross_dataset", dataset="a", title="t", protocol={}, models=[],
        scores=[], tables=[Table(title=TITLE, columns=names, rows=rows)],
    )  # fmt: skip


def test_the_matrix_of_many_models_is_on_several_figures_and_none_is_drawn_of_nothing():
    (single,) = plots_of(task(9))
    assert single.title == TITLE
    assert single.data["value"] == [0.5] * 9
    plots = plots_of(task(70))
    assert [plot.title.rpartition(" (")[2] for plot in plots] == ["1 of 3)", "2 of 3)", "3 of 3)"]
    assert sum(len(plot.data["model"]) for plot in plots) == 70
    assert all(plot.draw(width="full").axes for plot in plots)
    assert plots_of(task(3, value=None)) == []
