"""Logs beside weights: what is read is what was logged, and what is thinned says so."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.models.base import ModelError
from earmark.models.support.exported import (
    LOG,
    TrainingLog,
    read_log,
    read_metrics,
    thinned,
    write_log,
)

COLUMNS = ("step", "loss", "valid_loss", "R@10")


def long_log(n_rows, validated=(), **changes):
    """A log of this many rows, those of these places with a validation."""
    rows = [
        (float(n), None, 2.0, 0.1) if n in validated else (float(n), 1.0 / (n + 1), None, None)
        for n in range(n_rows)
    ]
    return TrainingLog(COLUMNS, tuple(rows), **changes)


def test_what_was_logged_is_read_with_gaps_where_nothing_was_or_no_number(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("step,loss,mfu,R@10\n10,3.1429853439331055,nan,\n20,inf,,\n25,,,0.5\n")
    log = read_metrics(path)
    assert log.columns == ("step", "loss", "mfu", "R@10")
    assert log.rows == (
        (10, 3.142985, None, None),
        (20, None, None, None),
        (25, None, None, 0.5),
    )


@pytest.mark.parametrize("text", ["", "step,loss\n", "epoch,loss\n1,0.5\n"])
def test_a_log_of_no_steps_is_none(tmp_path, text):
    assert read_metrics(tmp_path / "metrics.csv") is None
    (tmp_path / "metrics.csv").write_text(text)
    assert read_metrics(tmp_path / "metrics.csv") is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("20,x", r":3: could not convert string to float: 'x'; fix the line"),
        ("20", r":3: 1 values, the first \[20\.0\]; expected a step and 1 more"),
        (",0.5", r":3: 2 values, the first \[None\]; expected a step and 1 more"),
    ],
)
def test_a_damaged_line_is_named(tmp_path, line, message):
    (tmp_path / "metrics.csv").write_text(f"step,loss\n10,1\n{line}\n")
    with pytest.raises(ModelError, match=rf"metrics\.csv{message}"):
        read_metrics(tmp_path / "metrics.csv")


def test_a_short_log_is_kept_as_it_is():
    log = long_log(500, note="As logged.")
    assert thinned(log) is log


def test_a_long_log_keeps_what_was_validated_exported_and_both_ends():
    validated = set(range(99, 20_000, 1000))
    log = long_log(20_000, validated, exported_step=1234)
    thin = thinned(log)
    assert len(thin.rows) == 500
    steps = {row[0] for row in thin.rows}
    assert validated | {0, 1234, 19_999} <= steps
    assert [row[0] for row in thin.rows] == sorted(steps)
    assert thin.note == "500 of 20,000 logged rows: every validation, and one in 42 of the others."
    assert all(log.rows[int(row[0])] == row for row in thin.rows), "no value is made up"


def test_validations_are_kept_even_if_they_are_too_many():
    thin = thinned(long_log(2000, set(range(0, 2000, 2))))
    assert sum(row[2] is not None for row in thin.rows) == 1000
    assert thin.note.endswith("every validation, no others.")


@given(st.integers(2, 60), st.integers(2, 60), st.sets(st.integers(0, 59)))
def test_no_row_is_doubled_and_none_is_more_than_asked_for(n_rows, most, validated):
    thin = thinned(long_log(n_rows, validated), most=most)
    steps = [row[0] for row in thin.rows]
    held = {n for n in validated if n < n_rows} | {0, n_rows - 1}
    assert steps == sorted(set(steps)) and held <= set(steps)
    assert len(steps) == (n_rows if n_rows <= most else max(most, len(held)))


def test_a_log_is_read_as_it_was_written(tmp_path):
    log = long_log(4, {3}, best_by="R@10", exported_step=3, note="said")
    write_log(log, tmp_path)
    assert read_log(tmp_path) == log
    assert (tmp_path / LOG).read_text().count("\n") == 4
    assert read_log(tmp_path / "elsewhere") is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "its format is 'other'"),
        ({"columns": ["epoch", "loss"], "rows": []}, "its first column is ('epoch',)"),
        ({"rows": [[1.0]]}, "a row of 1 values, expected 4"),
        ({"rows": None}, "NoneType"),
        ({"surplus": 1}, "surplus"),
    ],
)
def test_a_damaged_log_is_named(tmp_path, change, message):
    write_log(long_log(2), tmp_path)
    content = json.loads((tmp_path / LOG).read_text())
    (tmp_path / LOG).write_text(json.dumps(content | change))
    with pytest.raises(ModelError, match=rf"training\.json: damaged.*{re.escape(message)}"):
        read_log(tmp_path)
    (tmp_path / LOG).write_text("[")
    with pytest.raises(ModelError, match=r"training\.json: damaged .*export the checkpoint again"):
        read_log(tmp_path)
