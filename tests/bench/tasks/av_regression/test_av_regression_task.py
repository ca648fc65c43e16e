"""Ratings that are all the same in one dimension: the other one is scored as without it."""

import numpy as np
import pytest

from earmark.bench.tasks.av_cross_dataset.results import ceiling
from earmark.bench.tasks.av_regression.task import evaluate
from earmark.bench.tasks.av_regression.view import VIEW
from earmark.datasets.base import DataError, DatasetCard, Scale
from earmark.datasets.ratings.table import Rating, assemble
from earmark.reports.content import plain
from earmark.reports.findings.task import findings
from earmark.reports.page import tables
from earmark.reports.record.schema import TaskResult

CARD = DatasetCard("x", "X", "1", "CC0", "@misc{x}", "here")
N = 12


def rated(tmp_path, arousal, valence, **options):
    rows = [
        Rating(f"t{i:02}", a, v, **options)
        for i, (a, v) in enumerate(zip(arousal, valence, strict=True))
    ]
    return assemble(rows, CARD, root=tmp_path, scale=Scale(1, 9), paths={})


def predictions(*models, seed=0):
    rng = np.random.default_rng(seed)
    return {
        model: {f"t{i:02}": tuple(rng.uniform(1, 9, 2).tolist()) for i in range(N)}
        for model in models
    }


def run(dataset, **options):
    scales = options.pop("scales", {"a": (1, 9), "b": None})
    return evaluate(dataset, predictions("a", "b"), scales=scales, replicates=200, **options)


@pytest.mark.parametrize(("constant", "other"), [("arousal", "valence"), ("valence", "arousal")])
def test_the_other_dimension_is_scored_and_this_one_undefined_with_its_reason(
    tmp_path, constant, other
):
    varied = np.linspace(2, 8, N).tolist()
    values = {constant: [5.0] * N, other: varied}
    result = run(rated(tmp_path, **values)).result
    whole = run(rated(tmp_path, varied, varied)).result
    reason = f"all 12 ratings of {constant} are 5: agreement with them is undefined"
    assert {(s.value, s.reason) for s in result.scores if s.dimension == constant} == {
        (None, reason)
    }
    for part in ("scores", "comparisons", "groups", "references"):
        of = [[one for one in getattr(r, part) if one.dimension == other] for r in (result, whole)]
        assert of[0] == of[1] and of[0]
        if part != "scores":
            assert {one.dimension for one in getattr(result, part)} == {other}
    assert result.warnings == [f"{reason}; its scores are undefined"]
    assert TaskResult.model_validate_json(result.model_dump_json()) == result


def test_ratings_that_are_the_same_in_both_dimensions_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"x: all 12 .* arousal are 5: .*valence are 1: .*nothing"):
        run(rated(tmp_path, [5.0] * N, [1.0] * N))


def test_an_interval_that_three_clips_cannot_give_is_missed_with_its_reason(tmp_path):
    line = [2.0, 4.0, 8.0]
    said = {"a": {f"t{i:02}": (v, v) for i, v in enumerate(line)}}
    result = evaluate(rated(tmp_path, line, line), said, scales={"a": (1, 9)}, replicates=200)
    (score, *_) = (s for s in result.result.scores if s.metric == "pearson_r")
    assert score.value == pytest.approx(1) and score.interval is None
    assert score.reason == "no interval: 3 units are too few for one"
    assert result.result.tables == []
    (told, *_) = (plain(text) for text in findings(result.result, VIEW))
    said_so = f"a has Pearson r 1.000 ({score.reason})."
    assert told.replace("\N{NO-BREAK SPACE}", " ") == f"On arousal (set all, 3 clips), {said_so}"
    table = tables.verdict(result.result, metric="pearson_r", subset="all", dimension="arousal")
    assert (table.rows[0][1].mark, table.notes[-1]) == ("1", f"(1) {score.reason}")


def test_the_ceiling_of_annotators_is_left_out_where_ratings_are_the_same(tmp_path):
    varied = np.linspace(2, 8, N).tolist()
    for deviations in ((0.0, 1.0), (1.0, 1.0)):
        found = ceiling(rated(tmp_path, [5.0] * N, varied, deviations=deviations))
        assert [one.dimension for one in found] == ["valence"]
