"""Scores computed anew from items: those that the tasks recorded, or a refusal, never a guess."""

from unittest import mock

import numpy as np
import pandas as pd
import pytest
from captioned_sets import captioned, knowing, vectors_of
from gated_runs import recording

from earmark.bench.gate.evidence import rows_of
from earmark.bench.scoring.statistic import Median, NotGateableError, Rankings, Scales, measured
from earmark.bench.tasks.retrieval import task as retrieval
from earmark.bench.tasks.retrieval.protocol import settle

SCALES = Scales((1, 9), (1, 9))


def again(task, items, arrays, score, prompts=()):
    return measured(
        score,
        rows_of(items, score),
        arrays,
        headline_subset=task.headline_subset or task.scores[0].subset,
        scales=SCALES,
        prompts=prompts,
    )


@pytest.mark.parametrize(
    ("name", "not_determined"),
    [
        ("captions", set()),
        ("genres", set()),
        (
            "tags",
            {
                (subset, metric)
                for subset in ("{label}", "A {label} track", "mean of prompts")
                for metric in ("roc_auc", "average_precision")
            },
        ),
        ("musav", set()),
        ("ratings", set()),
    ],
)
def test_every_recorded_score_follows_from_the_items_or_is_refused(name, not_determined):
    run = recording(tasks=(name,)).evidence()
    (task,) = run.record.tasks
    refused = set()
    for score in task.scores:
        try:
            prompts = run.prompts(name, score)
            found = again(task, run.items[name], run.arrays[name], score, prompts)
        except NotGateableError as error:
            assert "not gateable" in str(error)
            refused.add((score.subset, score.metric))
            continue
        assert found.value == pytest.approx(score.value, rel=1e-12)
    assert refused == not_determined


def of_draws(**options):
    rng = np.random.default_rng(0)
    dataset = captioned([[f"{i} {j}" for j in range(rng.integers(1, 3))] for i in range(60)])
    vectors = vectors_of(dataset, {"one": knowing(dataset, noise=1.5)})
    with mock.patch.object(retrieval, "draw_map", lambda *_, **__: "left out by the tests"):
        output = retrieval.evaluate(dataset, vectors, settle(**options), replicates=100, seed=1)
    return output.result, pd.DataFrame(dict(output.items))


def test_queries_weigh_as_often_as_they_were_drawn():
    task, items = of_draws(pool=25, draws=4, captions="one")
    assert items["draws"].nunique() > 1
    for score in task.scores:
        if score.metric == "median_rank":
            with pytest.raises(NotGateableError, match="mean rank over the draws"):
                again(task, items, {}, score)
            continue
        assert again(task, items, {}, score).value == pytest.approx(score.value, rel=1e-12)


def test_a_median_is_a_median():
    task, items = of_draws()
    (score, _) = (one for one in task.scores if one.metric == "median_rank")
    found = again(task, items, {}, score)
    assert isinstance(found, Median)
    assert found.value == score.value


def test_scores_kept_as_float32_bound_what_their_ties_leave_open():
    run = recording(tasks=("tags",)).evidence()
    (task,) = run.record.tasks
    score = next(one for one in task.scores if one.subset == "ensemble" and one.model == "one")
    coarse = {
        name: np.round(values, 1) if name == "scores.one" else values
        for name, values in run.arrays["tags"].items()
    }
    found = again(task, run.items["tags"], coarse, score)
    assert isinstance(found, Rankings)
    low, high = found.bounds
    assert low < score.value < high
    assert low < found.value < high
    exact = again(task, run.items["tags"], run.arrays["tags"], score)
    assert exact.bounds == pytest.approx((score.value, score.value), abs=1e-12)


def test_two_tied_classes_share_a_clip_as_they_did_in_the_task():
    run = recording(tasks=("genres",))
    items = run.items["genres"]
    rows = items[(items["model"] == "one") & (items["subset"] == "ensemble")].copy()
    rows.loc[rows.index[0], "predicted"] = "blues or jazz"
    (score,) = (
        one
        for one in run.evidence().record.tasks[0].scores
        if (one.model, one.subset, one.metric) == ("one", "ensemble", "macro_f1")
    )
    found = measured(score, rows, run.arrays["genres"], headline_subset="ensemble", scales=SCALES)
    assigned = found.columns[0, -4:]
    assert assigned.tolist() == [0.5, 0.5, 0, 0]
    rows.loc[rows.index[0], "predicted"] = "blues or reggae"
    with pytest.raises(NotGateableError, match="name no class"):
        measured(score, rows, run.arrays["genres"], headline_subset="ensemble", scales=SCALES)


@pytest.mark.parametrize("metric", ["pearson_r", "rmse"])
def test_ratings_that_are_all_the_same_are_not_gateable(metric):
    run = recording(tasks=("ratings",)).evidence()
    score = next(one for one in run.record.tasks[0].scores if one.metric == metric)
    rows = rows_of(run.items["ratings"], score).assign(rated=5.0)
    with pytest.raises(NotGateableError, match="ratings are 5: agreement is undefined"):
        measured(score, rows, {}, headline_subset="all", scales=SCALES)


def test_a_scale_that_is_not_stated_is_no_scale():
    run = recording(tasks=("ratings",)).evidence()
    (task,) = run.record.tasks
    score = next(one for one in task.scores if one.metric == "rmse")
    with pytest.raises(NotGateableError, match="model's scale"):
        measured(
            score,
            rows_of(run.items["ratings"], score),
            {},
            headline_subset="all",
            scales=Scales(None, (1, 9)),
        )
