"""The matrix of trained heads by tested sets, and what level does to them."""

import math

import numpy as np
import pytest
from rendered import figures_of

from earmark.bench.tasks.av_cross_dataset.view import GAIN, MATRIX, VIEW
from earmark.reports.content import plain
from earmark.reports.figures.lines import gain
from earmark.reports.figures.matrix import matrix
from earmark.reports.figures.parts import FigureError
from earmark.reports.figures.style import SERIES
from earmark.reports.record.schema import Table, TaskResult

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
        scores=[], tables=[Table(title=MATRIX, columns=names, rows=rows)],
    )  # fmt: skip


def test_the_matrix_of_many_models_is_on_several_figures_and_none_is_drawn_of_nothing():
    (single,) = figures_of(task(9), None, {})
    assert single.title == MATRIX
    assert single.data["value"] == [0.5] * 9
    plots = figures_of(task(70), None, {})
    assert [plot.title.rpartition(" (")[2] for plot in plots] == ["1 of 3)", "2 of 3)", "3 of 3)"]
    assert sum(len(plot.data["model"]) for plot in plots) == 70
    assert all(plot.draw(width="full").axes for plot in plots)
    assert figures_of(task(3, value=None), None, {}) == []


SHIFTS = {
    "model": ["a", "a", "b", "b"],
    "dimension": ["arousal"] * 4,
    "gain_db": [-6.0, 6.0, -6.0, 6.0],
    "shift": [-1.0, 1.2, 0.0, 0.1],
    "low": [-1.1, 1.1, math.nan, 0.0],
    "high": [-0.9, 1.3, math.nan, 0.2],
}


def test_lines_of_a_gain_pass_through_zero_and_intervals_stand_at_their_marks():
    (axes,) = gain(**SHIFTS).axes
    lines = [line for line in axes.lines if len(line.get_xdata()) == 3]
    assert [line.get_ydata().tolist() for line in lines] == [[-1.0, 0.0, 1.2], [0.0, 0.0, 0.1]]
    assert all(line.get_xdata()[1] == 0 for line in lines)
    bars = [segment for part in axes.collections for segment in part.get_segments()]
    np.testing.assert_allclose(
        [ends[:, 1] for ends in bars if ends.size and np.isfinite(ends).all()],
        [[-1.1, -0.9], [1.1, 1.3], [0.0, 0.2]],
    )
    marks = [
        line for line in axes.lines if line.get_linestyle() == "None" and len(line.get_xdata())
    ]
    assert all(abs(abs(x) - 6) < 1.5 for mark in marks for x in mark.get_xdata())
    assert [label.get_text() for label in axes.get_xticklabels()] == ["−6", "0", "+6"]
    with pytest.raises(FigureError):
        gain(**{**SHIFTS, "shift": [math.nan] * 4})


def gained(*rows):
    names = ["model", "dimension", "gain (dB)", "shift (deviations)", "shift low", "shift high"]
    return task(1).model_copy(
        update={"tables": [Table(title=GAIN, columns=names, rows=[list(row) for row in rows])]}
    )


def test_what_follows_level_is_said_where_all_of_the_interval_is_beyond_half_a_deviation():
    of = gained(
        ("up", "arousal", 12.0, 1.25, 1.0, 1.5),
        ("down", "valence", 12.0, -2.0, -2.2, -1.8),
        ("unsure", "arousal", 12.0, 0.7, 0.4, 1.0),
        ("constant", "arousal", 12.0, None, None, None),
        ("up", "arousal", -12.0, -9.0, -9.5, -8.5),
    )
    (said,) = VIEW.findings(of, "", "")
    assert plain(said) == (
        "With a gain of +12 dB, predictions shift, in deviations of those without gain: "
        "valence of down by −2.0, arousal of up by +1.2."
    )
    (plot,) = figures_of(of, None, {})
    assert plot.title == GAIN
    assert plain(said) in plot.description
    assert plot.draw(width="column").axes
    assert "constant" not in plot.data["model"]


def test_many_shifts_are_counted_and_none_is_said_too():
    many = gained(*((f"m{i}", "arousal", -6.0, -1.0, -1.1, -0.9) for i in range(6)))
    (said,) = VIEW.findings(many, "", "")
    assert plain(said).startswith("With a gain of −6 dB")
    assert plain(said).endswith("arousal of m3 by −1.0, and 2 more by over 0.5.")
    (said,) = VIEW.findings(gained(("m", "arousal", 6.0, 0.1, 0.0, 0.2)), "", "")
    assert "no predictions shift by 0.5 deviations" in plain(said)
    assert VIEW.findings(task(3), "", "") == []
