"""Ratios saved by pytest-benchmark: read with every doubt spoken, shown with their intervals."""

from __future__ import annotations

import copy
import json

import pytest

from earmark.reports.content import Page, Paragraph, Section, TableBlock, plain
from earmark.reports.page.speed import Ratio, read_benchmarks, section, significant, with_speed
from earmark.reports.record.schema import RecordError

RATIO = {
    "name": "ranks",
    "reference": "argsort",
    "ratio": 6.5,
    "low": 6.0,
    "high": 7.25,
    "level": 0.97,
    "ratios": [6.0, 6.2, 6.5, 6.5, 7.0, 7.25],
    "target": 5.0,
    "clock": "processor",
    "ours_seconds": 0.0123,
    "reference_seconds": 0.08,
    "busy": "",
    "verdict": "fast enough",
}
FILE = {
    "machine_info": {
        "machine": "x86_64",
        "processor": "x86_64",
        "python_version": "3.11.7",
        "earmark": {"processor": "AMD EPYC", "cores": 2},
    },
    "commit_info": {"id": "0123456789abcdef", "dirty": True},
    "benchmarks": [
        {"name": "test_ranks", "extra_info": {"ratio": RATIO}, "stats": {}},
        {"name": "test_memory", "extra_info": {"megabytes": 3}, "stats": {}},
    ],
    "datetime": "2026-05-04T10:00:00.123456+00:00",
    "version": "5.3.1",
}


@pytest.fixture
def write(tmp_path):
    """Write a file of pytest-benchmark, after `change` had its way with it."""

    def written(change=lambda content: None):
        content = copy.deepcopy(FILE)
        change(content)
        path = tmp_path / "speed.json"
        path.write_text(json.dumps(content))
        return path

    return written


def ratio(**changes):
    return Ratio.model_validate(RATIO | changes)


def words(table):
    return [[cell.text for cell in row] for row in table.rows]


def test_ratios_are_read_with_machine_date_and_commit(write):
    found = read_benchmarks(write())
    assert found.machine == "AMD EPYC, 2\N{NO-BREAK SPACE}cores, Python 3.11.7"
    assert found.commit == "0123456789ab, with uncommitted changes"
    assert found.ratios == [ratio()]


def test_the_section_shows_each_ratio_with_its_interval_target_machine_and_date(write):
    shown = section([read_benchmarks(write())])
    (table,) = shown.blocks
    assert isinstance(table, TableBlock)
    assert "AMD EPYC" in table.caption
    assert "4 May 2026, 10:00 UTC, commit 0123456789ab" in table.caption
    assert words(table) == [["ranks", "argsort", "0.0123", "0.0800", "6.50", "5.00", "fast enough"]]
    assert table.rows[0][4].sub == "[6.00, 7.25]"
    assert table.rows[0][2].sub == "processor time"
    assert table.rows[0][0].sub == "6 rounds"


def test_what_is_too_slow_is_said_first(write):
    slow = {"target": 9.0, "verdict": "too slow"}
    path = write(lambda content: content["benchmarks"][0]["extra_info"]["ratio"].update(slow))
    shown = section([read_benchmarks(path)])
    assert isinstance(shown.blocks[0], Paragraph)
    assert shown.blocks[0].tone == "warning"
    assert plain(shown.blocks[0].text).startswith("Certainly below the target: ranks (AMD EPYC")


def test_it_stands_before_the_datasets(write):
    parts = [Section(name, name, []) for name in ("tasks", "datasets", "models")]
    page = Page("t", "s", [], parts, "c", "r", "2026-05-04T10:00:00+00:00")
    found = [read_benchmarks(write())]
    assert [one.anchor for one in with_speed(page, found).sections] == [
        *("tasks", "speed", "datasets", "models")
    ]
    assert with_speed(page, []) is page


def remove(*keys):
    def change(content):
        for key in keys[:-1]:
            content = content[key]
        del content[keys[-1]]

    return change


def put(value, *keys):
    def change(content):
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return change


OF_RATIO = ("benchmarks", 0, "extra_info", "ratio")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (remove("machine_info"), "is no file of pytest-benchmark"),
        (remove("benchmarks"), "is no file of pytest-benchmark"),
        (remove("datetime"), "is no whole file of pytest-benchmark: KeyError"),
        (remove("benchmarks", 0, "extra_info"), "is no whole file of pytest-benchmark"),
        (put("yesterday", "datetime"), "is no whole file of pytest-benchmark: ValueError"),
        (put([], "benchmarks"), "has no ratio in any extra_info"),
        (put({}, "benchmarks", 0, "extra_info"), "has no ratio in any extra_info"),
        (put(3, "benchmarks"), "is no whole file"),
        (remove(*OF_RATIO, "target"), "Field required"),
        (put(float("nan"), *OF_RATIO, "ratio"), "finite number"),
        (put(8.0, *OF_RATIO, "ratio"), "8.0 is not in"),
        (put("undecided", *OF_RATIO, "verdict"), "expected 'fast enough'"),
        (put("fast", *OF_RATIO, "verdict"), "Input should be"),
        (put([], *OF_RATIO, "ratios"), "at least 1 item"),
    ],
)
def test_another_file_is_refused_by_name(write, change, said):
    path = write(change)
    with pytest.raises(RecordError) as refused:
        read_benchmarks(path)
    assert str(refused.value).startswith(f"speed file {path}")
    assert said in str(refused.value)
    assert "pytest bench/speed --benchmark-json FILE" in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"[", b"\xff\xfe", b"[]", b"3", b'{"schema_version": 1}'])
def test_what_is_no_json_or_another_json_is_refused_by_name(tmp_path, content):
    path = tmp_path / "other.json"
    path.write_bytes(content)
    with pytest.raises(RecordError, match=r"speed file .*other\.json is no"):
        read_benchmarks(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RecordError, match=r"none\.json: No such file"):
        read_benchmarks(tmp_path / "none.json")


def test_a_busy_machine_is_never_too_slow():
    busy = {"target": 9.0, "busy": "ours got 0.40 of 1 core", "verdict": "undecided"}
    assert ratio(**busy).verdict == "undecided"
    with pytest.raises(ValueError, match="expected 'undecided'"):
        ratio(**busy | {"verdict": "too slow"})


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.001234, "0.00123"),
        (0.1, "0.100"),
        (1, "1.00"),
        (12.34, "12.3"),
        (123.4, "123"),
        (98765, "98,765"),
    ],
)
def test_three_digits_are_shown(value, shown):
    assert significant(value) == shown
