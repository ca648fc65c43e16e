"""The leaderboard's figures: every model's mark, chance, names that stay inside."""

import math

import pytest
from figure_checks import WIDTHS, assert_inside, written

from earmark.reports.figures.parts import FigureError
from earmark.reports.figures.rows import leaderboard
from earmark.reports.figures.scatter import score_against_speed


def columns(n=3, sides=("arousal", "valence")):
    rows = [(f"model number {i} of a rather long name", side) for side in sides for i in range(n)]
    values = [0.9 - 0.02 * i for i, _ in enumerate(rows)]
    return {
        "model": [model for model, _ in rows],
        "dimension": [side for _, side in rows],
        "value": values,
        "low": [value - 0.05 for value in values],
        "high": [value + 0.04 for value in values],
        "chance": [0.5] * len(rows),
        "metric": "pairwise_accuracy_half_credit",
    }


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("n", [1, 3, 40])
@pytest.mark.parametrize("sides", [("all",), ("arousal", "valence")])
def test_every_text_is_inside(width, n, sides):
    figure = leaderboard(**columns(n, sides), width=width)
    assert_inside(figure)


def test_it_names_models_metric_sides_and_chance():
    said = written(leaderboard(**columns(2)))
    assert {"Arousal", "Valence", "Accuracy (%, ties half)", "chance"} <= set(said)
    assert sum("model" in text for text in said) == 2


def test_marks_stand_at_the_values_in_per_cent():
    figure = leaderboard(**columns(2, ("all",)))
    (axes,) = figure.axes
    (points,) = (line for line in axes.lines if line.get_marker() == "o")
    assert points.get_xydata().tolist() == [[90.0, 0], [88.0, 1]]
    chances, spans = (c.get_segments() for c in axes.collections)
    assert [one.tolist() for one in chances] == [
        [[50.0, -0.5], [50.0, 0.5]],
        [[50.0, 0.5], [50.0, 1.5]],
    ]
    assert [one[:, 0].tolist() for one in spans] == [
        pytest.approx([85.0, 94.0]),
        pytest.approx([83.0, 92.0]),
    ]


def test_what_is_not_known_is_not_drawn_and_nothing_at_all_is_refused():
    given = columns(2, ("all",))
    some = given | {"value": [0.9, math.nan], "low": [math.nan] * 2, "chance": [math.nan] * 2}
    (axes,) = leaderboard(**some).axes
    (points,) = (line for line in axes.lines if line.get_marker() == "o")
    assert points.get_xydata().tolist() == [[90.0, 0.0]]
    assert not axes.collections
    assert "chance" not in written(leaderboard(**some))
    with pytest.raises(FigureError, match="no pairwise_accuracy_half_credit to draw"):
        leaderboard(**given | {"value": [math.nan] * 2})
    with pytest.raises(FigureError, match="need one length"):
        leaderboard(**given | {"low": [0.1]})


def timed(n=3, **changes):
    given = columns(n, ("all",))
    kept = {name: given[name] for name in ("model", "value", "low", "high", "metric")}
    return kept | {"clips_per_second": [3.0 * 2**i for i in range(n)]} | changes


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("n", [1, 3, 12])
def test_names_beside_scores_against_speed_are_inside(width, n):
    assert_inside(score_against_speed(**timed(n), width=width))


def test_points_stand_at_their_speed_and_value():
    (axes,) = score_against_speed(**timed(2, low=[math.nan, 0.8])).axes
    assert [line.get_xydata()[0].tolist() for line in axes.lines] == [[3.0, 90.0], [6.0, 88.0]]
    assert [c.get_segments()[0][:, 1].tolist() for c in axes.collections] == [[80.0, 92.0]]
    assert axes.get_xscale() == "log"


def test_a_model_that_takes_no_time_is_refused():
    with pytest.raises(FigureError, match="no pairwise_accuracy_half_credit to draw"):
        score_against_speed(**timed(2, clips_per_second=[0.0, 0.0]))
