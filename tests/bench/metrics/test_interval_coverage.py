"""Intervals cover, and tests hold their level: a reduced form of what the docs show."""

import csv
import math
from pathlib import Path

import pytest
from interval_coverage import (
    count_coverage,
    count_power,
    count_rejections,
    coverages,
    in_markdown,
    measure,
    paired_tests,
)

COVERED = {(one.metric, one.population): one for one in coverages()}
TESTED = {(one.metric, one.population): one for one in paired_tests()}
MACRO = "macro of 5 tags, 10 to 40 %"
CLASSES = "4 classes, 40 to 10 %"


def slack(percent, repetitions):
    """Four Monte Carlo standard errors, in percentage points."""
    return 400 * math.sqrt(percent / 100 * (1 - percent / 100) / repetitions)


@pytest.mark.parametrize(
    ("metric", "population", "n"),
    [
        ("pearson_r", "normal errors", 30),
        ("ccc", "normal errors", 30),
        ("rmse", "normal errors", 30),
        ("accuracy", "0.02", 30),
        ("accuracy", "0.98", 100),
        ("pairwise accuracy", "0.97, 0 of triplets alike", 30),
        ("pairwise accuracy", "0.75, 0.3 of triplets alike", 100),
        ("balanced_accuracy", CLASSES, 30),
        ("macro_f1", CLASSES, 30),
        ("roc_auc", MACRO, 30),
        ("average_precision", MACRO, 100),
        ("mrr", "geometric ranks", 30),
        ("mean_rank", "geometric ranks", 30),
        ("krippendorff_alpha", "nominal, 3 raters", 30),
    ],
)
def test_intervals_cover_the_populations_score(metric, population, n):
    found = count_coverage(COVERED[metric, population], n, repetitions=400, seed=1)
    assert found.percent >= 95 - slack(95, 400)
    assert (found.question, found.n, found.repetitions) == ("coverage", n, 400)


@pytest.mark.parametrize(
    ("metric", "population", "n"),
    [
        ("pearson_r", "normal errors", 30),
        ("rmse", "normal errors", 30),
        ("accuracy", "0.6, half in common", 100),
        ("pairwise accuracy", "0.9 in triplets", 30),
        ("balanced_accuracy", CLASSES, 30),
        ("roc_auc", "unlike spread", 100),
        ("average_precision", MACRO, 30),
    ],
)
def test_tests_of_equal_models_hold_their_level(metric, population, n):
    found = count_rejections(TESTED[metric, population], n, repetitions=300, seed=1)
    assert found.percent <= 5 + slack(5, 300)


def test_the_stated_detectable_difference_is_found_about_four_times_in_five():
    found = count_power(TESTED["pearson_r", "normal errors"], 100, repetitions=300, seed=1)
    assert found.question == "power"
    assert found.percent == pytest.approx(80, abs=slack(80, 300))
    assert count_power(TESTED["accuracy", "0.6, half in common"], 30, repetitions=1, seed=1) is None


def test_the_documents_tables_are_those_of_the_file():
    docs = Path(__file__).parents[3] / "docs"
    with (docs / "statistics.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    text = (docs / "statistics.md").read_text(encoding="utf-8")
    for question in ("coverage", "false alarms", "power"):
        assert in_markdown(rows, question) in text


def test_every_case_is_counted_once():
    found = list(measure(repetitions=1, seed=0, sizes=(30,)))
    keys = [(one.question, one.metric, one.population, one.n) for one in found]
    assert len(keys) == len(set(keys))
    assert {one.question for one in found} == {"coverage", "false alarms", "power"}
