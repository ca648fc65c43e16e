"""One number for one score: that of the run, the gate and the leaderboard, from the same items."""

import re
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
from av_cross_sets import cross_world, names, rated
from captioned_sets import captioned, knowing, vectors_of
from gated_runs import recording
from invented_musav import write_musav

from earmark.bench.gate.leaderboard import compare_models
from earmark.bench.scoring.items import UnmeasurableError, table_of
from earmark.bench.scoring.results import wrong_scores
from earmark.bench.scoring.statistic import MedianStatistic, RankingStatistic
from earmark.bench.tasks import registry
from earmark.bench.tasks.probe import task as probe
from earmark.bench.tasks.registry import VIEWS
from earmark.bench.tasks.retrieval import task as retrieval
from earmark.bench.tasks.retrieval.protocol import resolve_protocol
from earmark.bench.tasks.vectors import JointVectors
from earmark.datasets.base import Clip, DatasetCard, RatedClips, Scale, Tagged
from earmark.datasets.judgements.musav import load
from earmark.reports.record.lookup import headline, select

CARD = DatasetCard("invented", "invented", "1", "CC0", "", "")
SCALE = (1.0, 9.0)


def of_recording(name):
    run = recording(tasks=(name,))
    (result,) = run.evidence().record.tasks
    return [(result, run.items[name], run.arrays[name])]


def parts_of(output):
    return output.result, table_of(output.items), dict(output.arrays)


def of_draws(**options):
    rng = np.random.default_rng(0)
    dataset = captioned([[f"{i} {j}" for j in range(rng.integers(1, 3))] for i in range(60)])
    models = {"one": knowing(dataset, noise=1.5), "two": knowing(dataset, noise=1.8, seed=5)}
    with mock.patch.object(retrieval, "draw_map", lambda *_, **__: "left out by the tests"):
        output = retrieval.evaluate(
            dataset,
            vectors_of(dataset, models),
            resolve_protocol(**options),
            replicates=100,
            seed=1,
        )
    return [parts_of(output)]


def of_probe(*, tagged):
    rng = np.random.default_rng(2)
    label = rng.integers(2, size=90)
    clips = tuple(
        Clip(f"p{i:02}", None, label="ab"[k], unit=f"u{i // 2}") for i, k in enumerate(label)
    )
    if tagged:
        labels = np.stack([label, 1 - label, rng.integers(2, size=90)], axis=1).astype(np.uint8)
        dataset = Tagged(CARD, clips, ("x", "y", "z"), labels, "all", (), "rule", "0")
    else:
        dataset = RatedClips(CARD, clips, np.zeros((90, 2)), Scale(0, 1), "0")
    audio = {}
    for model in ("one", "two"):
        rows = label[:, None] + rng.normal(scale=1.5, size=(90, 6))
        audio[model] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    vectors = JointVectors(clips, audio, (), {})
    output = probe.evaluate(
        dataset, vectors, probe.Probe(folds=3, grid=[1.0]), replicates=100, seed=1
    )
    return [parts_of(output)]


def of_cross_dataset(tmp_path):
    musav = load(write_musav(tmp_path / "musav", n_triplets=40))
    a = rated("a", names("a", 40), units=[f"u{i // 2}" for i in range(40)])
    b = rated("b", names("b", 30), seed=1)
    outputs = cross_world(tmp_path)(
        {"a": a, "b": b, "musav": musav},
        "a",
        train=["a", "b"],
        test=["b", "musav"],
        baselines=[],
    )
    return [parts_of(one) for one in outputs.values()]


CASES = {
    "captions": lambda _: of_recording("captions"),
    "genres": lambda _: of_recording("genres"),
    "tags": lambda _: of_recording("tags"),
    "musav": lambda _: of_recording("musav"),
    "ratings": lambda _: of_recording("ratings"),
    "drawn pools": lambda _: of_draws(pool=25, draws=4, captions="one"),
    "probe of classes": lambda _: of_probe(tagged=False),
    "probe of tags": lambda _: of_probe(tagged=True),
    "cross-dataset": of_cross_dataset,
}
MEDIANS = {("median_rank", way) for way in ("text-to-audio", "audio-to-text")}
NOT_KEPT = {
    "tags": {
        (metric, subset)
        for subset in ("{label}", "A {label} track", "mean of prompts")
        for metric in ("roc_auc", "average_precision")
    },
    "drawn pools": MEDIANS,
}


def items_of(result, items, arrays, *, scales=SCALE):
    return replace(
        registry.items_of(result, items, arrays),
        model_scales=dict.fromkeys(result.models, scales),
        rating_scale=scales,
    )


@pytest.fixture(scope="module", params=CASES)
def case(request, tmp_path_factory):
    """A name, and results with their items and arrays."""
    folder = tmp_path_factory.mktemp(request.param.replace(" ", "-"))
    return request.param, CASES[request.param](folder)


def test_every_recorded_score_is_that_of_its_items_or_is_refused(case):
    name, parts = case
    refused = set()
    for result, items, arrays in parts:
        outcomes = items_of(result, items, arrays)
        for score in result.scores:
            if score.value is None:
                continue
            try:
                found = outcomes.measured(score)
            except UnmeasurableError as error:
                assert "not gateable" in str(error)
                refused.add((score.metric, score.subset))
                continue
            assert found.value == pytest.approx(score.value, rel=1e-12, abs=1e-14)
            counted = np.count_nonzero(found.is_scored)
            assert counted == score.n or score.metric in ("median_rank", "roc_auc")
    assert refused == NOT_KEPT.get(name, set())


def test_a_run_says_which_of_its_scores_are_not_those_of_its_items(case):
    for result, items, arrays in case[1]:
        assert not list(wrong_scores(items_of(result, items, arrays)))
        metric, subset = headline(result)
        spoilt = select(result.scores, metric=metric, subset=subset)[0]
        off = spoilt.model_copy(update={"value": spoilt.value - 0.05})
        scores = [off if one is spoilt else one for one in result.scores]
        (said,) = wrong_scores(
            items_of(result.model_copy(update={"scores": scores}), items, arrays)
        )
        assert said.startswith(f"{off.model}: {metric} on {subset}")


def test_a_leaderboard_pairs_models_as_the_run_did(case):
    for result, items, arrays in case[1]:
        found = compare_models(result, items.sample(frac=1, random_state=1), arrays)
        metric, subset = headline(result)
        subsets = {pair.subset for pair in found.comparisons}
        assert subset in subsets
        assert found.how and all(": paired on" in how for how in found.how)
        own = [one for one in select(result.comparisons, metric=metric) if one.subset in subsets]
        assert len(found.comparisons) == len(own) > 0
        for one, other in zip(found.comparisons, own, strict=True):
            assert (one.model, one.other, one.subset, one.dimension, one.n) == (
                other.model, other.other, other.subset, other.dimension, other.n,
            )  # fmt: skip
            assert one.interval.n_units == other.interval.n_units
            assert one.difference == pytest.approx(other.difference, rel=1e-9, abs=1e-12)
            assert one.minimum_detectable_difference == pytest.approx(
                other.minimum_detectable_difference, rel=1e-9
            )


DATA = {"changed from the protocol", "prompts", "labels", "ratings", "directions", "C", "split"}
OF_A_MODEL = ("crop of ", "scale of ", "predictions of ")


def test_what_the_gate_compares_of_a_protocol_is_tokens_numbers_and_data(case):
    for result, _, _ in case[1]:
        view = VIEWS[result.kind]
        for name, value in result.protocol.items():
            if name in DATA or name.startswith((*OF_A_MODEL, "prompts of ", "embedding ")):
                continue
            assert isinstance(value, int) or re.fullmatch(r"[\w.-]+", str(value)), (name, value)
        shown = {name: view.sentence(name, value) for name, value in result.protocol.items()}
        assert len(str(shown["interval"])) > 80 and "Holm" in str(shown["paired test"])


def test_queries_weigh_as_often_as_they_were_drawn():
    ((result, items, arrays),) = of_draws(pool=25, draws=4, captions="one")
    assert items["draws"].nunique() > 1
    score = next(one for one in result.scores if one.metric == "median_rank")
    with pytest.raises(UnmeasurableError, match="mean rank over the draws"):
        items_of(result, items, arrays).measured(score)


def test_a_median_is_a_median():
    ((result, items, arrays),) = of_draws()
    score = next(one for one in result.scores if one.metric == "median_rank")
    found = items_of(result, items, arrays).measured(score)
    assert isinstance(found, MedianStatistic)
    assert found.value == score.value


def test_scores_kept_as_float32_bound_what_their_ties_leave_open():
    ((result, items, arrays),) = of_recording("tags")
    score = next(one for one in result.scores if one.subset == "ensemble" and one.model == "one")
    coarse = arrays | {"scores.one": np.round(arrays["scores.one"], 1)}
    found = items_of(result, items, coarse).measured(score)
    assert isinstance(found, RankingStatistic)
    low, high = found.bounds
    assert low < score.value < high
    assert low < found.value < high
    exact = items_of(result, items, arrays).measured(score)
    assert exact.bounds == pytest.approx((score.value, score.value), abs=1e-12)


def test_two_tied_classes_share_a_clip_as_they_did_in_the_task():
    ((result, items, arrays),) = of_recording("genres")
    (score,) = (
        one
        for one in result.scores
        if (one.model, one.subset, one.metric) == ("one", "ensemble", "macro_f1")
    )
    items = items.sort_values("item", kind="stable")
    row = items.index[(items["model"] == "one") & (items["subset"] == "ensemble")][0]
    items.loc[row, "predicted"] = "blues or jazz"
    found = items_of(result, items, arrays).measured(score)
    assert found.columns[0, -4:].tolist() == [0.5, 0.5, 0, 0]
    items.loc[row, "predicted"] = "blues or reggae"
    with pytest.raises(UnmeasurableError, match="name no class"):
        items_of(result, items, arrays).measured(score)


@pytest.mark.parametrize("metric", ["pearson_r", "rmse"])
def test_ratings_that_are_all_the_same_are_not_gateable(metric):
    ((result, items, arrays),) = of_recording("ratings")
    score = next(one for one in result.scores if one.metric == metric)
    with pytest.raises(UnmeasurableError, match="ratings are 5: agreement is undefined"):
        items_of(result, items.assign(rated=5.0), arrays).measured(score)


def test_a_scale_that_is_not_stated_is_no_scale():
    ((result, items, arrays),) = of_recording("ratings")
    score = next(one for one in result.scores if one.metric == "rmse")
    with pytest.raises(UnmeasurableError, match="model's scale"):
        items_of(result, items, arrays, scales=None).measured(score)
