"""The schema refuses what a reader could not believe."""

import pytest
from pydantic import ValidationError

from earmark.reports.record.schema import Interval, RunRecord, Score, Table, TaskResult


def score(**changes):
    values = {
        "model": "m",
        "metric": "pairwise_accuracy",
        "value": 0.7,
        "subset": "gt",
        "n": 10,
        "n_items": 12,
        "chance": 0.5,
        "higher_is_better": True,
        "lower_bound": 0.0,
        "upper_bound": 1.0,
        "item_digest": "0" * 64,
    }
    return Score(**values | changes)


def task(**changes):
    values = {
        "id": "t",
        "kind": "musav",
        "dataset": "d",
        "title": "T",
        "protocol": {},
        "models": ["m"],
        "scores": [score()],
    }
    return TaskResult(**values | changes)


def test_a_score_without_a_value_must_say_why():
    assert score(value=None, n=0, reason="no predictions").value is None
    with pytest.raises(ValidationError, match="neither a value nor a reason"):
        score(value=None)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_refused(value):
    with pytest.raises(ValidationError, match="finite"):
        score(value=value)


def test_a_score_cannot_rest_on_more_items_than_the_subset_has():
    with pytest.raises(ValidationError, match=r"n=13 of only n_items=12"):
        score(n=13)


def test_an_interval_is_ordered():
    with pytest.raises(ValidationError, match=r"low <= high, got 0\.6 to 0\.5"):
        Interval(low=0.6, high=0.5, method="m", unit="u", n_units=3, replicates=10)


def test_a_table_is_rectangular():
    with pytest.raises(ValidationError, match=r"row 1 of table 'T' has 1 cells, expected 2: a, b"):
        Table(title="T", columns=["a", "b"], rows=[[1, 2], [3]])


def test_a_task_may_not_score_a_model_that_it_does_not_list():
    with pytest.raises(ValidationError, match="results of stranger"):
        task(scores=[score(model="stranger")])


@pytest.mark.parametrize("name", ["", "../up", "a/b", "a b", ".hidden", "x" * 121, "tab\t"])
def test_ids_that_would_not_name_a_file_are_refused(name):
    with pytest.raises(ValidationError, match="id"):
        task(id=name)


def test_the_same_id_twice_is_refused(sample):
    content = sample.record.model_dump()
    content["tasks"].append(content["tasks"][0])
    with pytest.raises(ValidationError, match="task musav is in the record more than once"):
        RunRecord(**content)


@pytest.mark.parametrize("moment", ["2026-05-04T10:00:00", "yesterday"])
def test_the_moment_of_a_run_needs_its_offset(sample, moment):
    with pytest.raises(ValidationError, match="created"):
        RunRecord(**sample.record.model_dump() | {"created": moment})


def test_unknown_keys_are_refused(sample):
    with pytest.raises(ValidationError, match="sneaky"):
        RunRecord(**sample.record.model_dump() | {"sneaky": 1})
