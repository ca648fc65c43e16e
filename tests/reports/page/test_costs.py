"""What listening cost, in the leaderboard: what is shown, and what is not compared."""

import pytest

from earmark.bench.tasks.registry import VIEWS
from earmark.reports.content import Plots, TableBlock
from earmark.reports.findings.headlines import headlines_of
from earmark.reports.page import leaderboard
from earmark.reports.page import leaderboard as costs
from earmark.reports.record.schema import Cost

SPEEDS = {"emomusic-msd-musicnn-2": 2, "deam-msd-musicnn-2": 20, "muscall-text-axis": 200}


def costing(sample, speeds=SPEEDS, **changes):
    """Return the sample's record where these models heard so many clips in ten seconds."""
    models = []
    for model in sample.record.models:
        values = {"seconds": 10, "device": "cpu", "dtype": "float32"} | changes
        if model.id in speeds:
            cost = Cost(**{"clips": speeds[model.id]} | values)
            model = model.model_copy(update={"cost": cost})
        models.append(model)
    return sample.record.model_copy(update={"models": models})


def cost_table(record):
    (found,) = [
        block
        for block in leaderboard.leaderboard(record, VIEWS).blocks
        if isinstance(block, TableBlock) and block.caption == "Inference cost"
    ]
    return found


def test_a_row_a_model_with_a_dash_where_nothing_was_timed(sample):
    record = costing(sample, parameters=22_400_000, peak_memory_mib=1234.4)
    found = cost_table(record)
    rows = {row[0].text: [cell.text for cell in row[1:]] for row in found.rows}
    assert rows["deam-msd-musicnn-2"] == [
        *("2.00", "20", "22.4", "1,234", "cpu", "float32", "in this run")
    ]
    assert set(rows) == set(record.tasks[0].models) and rows["loudness"] == ["—"] * 7
    assert found.rows[0][1].sort is not None
    said = " ".join(found.notes)
    assert "different machines" in said and "not comparable" in said
    assert "the whole process" in said and "nothing was timed" in said


def test_what_is_not_known_of_a_timed_model_is_a_dash(sample):
    rows = {row[0].text: row for row in cost_table(costing(sample, dtype="not known")).rows}
    shown = [cell.text for cell in rows["muscall-text-axis"][3:7]]
    assert shown == ["—", "—", "cpu", "not known"]


def test_what_came_from_the_store_has_its_day(sample):
    record = costing(sample, measured="2026-05-02T23:00:00+00:00", device="NVIDIA H100")
    found = cost_table(record)
    rows = {row[0].text: row for row in found.rows}
    assert rows["muscall-text-axis"][-1].text == "on 2 May 2026"
    assert "on a GPU what was allocated" in found.notes[0]
    assert "the whole process" not in found.notes[0]


def test_scores_stand_against_speed_with_their_intervals(sample):
    record = costing(sample)
    (*_, last) = leaderboard.leaderboard(record, VIEWS).blocks
    assert isinstance(last, Plots)
    (plot,) = last.plots
    assert plot.title.endswith("Accuracy, arousal against speed")
    assert plot.data["clips_per_second"] == [0.2, 2.0, 20.0]
    assert "Not shown: 2\N{NO-BREAK SPACE}models without a time on it." in plot.caption
    assert "fastest: muscall-text-axis, 20.0 clips per second" in plot.description


@pytest.mark.parametrize(
    "speeds",
    [dict(list(SPEEDS.items())[:2]), dict.fromkeys(SPEEDS, 7), {}],
    ids=["two models", "one speed", "none"],
)
def test_a_figure_that_says_nothing_is_not_drawn(sample, speeds):
    record = costing(sample, speeds)
    assert costs.speed_plot(record, headlines_of(record, VIEWS)) is None


def test_models_of_another_device_are_not_drawn(sample):
    record = costing(sample)
    slow = record.models[0].model_copy(
        update={"cost": record.models[0].cost.model_copy(update={"device": "NVIDIA H100"})}
    )
    assert slow.id in SPEEDS
    record = record.model_copy(update={"models": [slow, *record.models[1:]]})
    assert costs.speed_plot(record, headlines_of(record, VIEWS)) is None
