"""Tagging metrics against scikit-learn, plain and weighted; the presorted bootstrap; bad input."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import average_precision_score, roc_auc_score

from earmark.bench.metrics.base import Metric
from earmark.bench.metrics.tagging import (
    AVERAGE_PRECISION,
    METRICS,
    ROC_AUC,
    PresortedScores,
    average_precision,
    compare,
    draw_weights,
    evaluate,
    macro,
    prevalence,
    random_average_precision,
    resample_scores,
    roc_auc,
    validate,
)

FUNCTIONS = (roc_auc, average_precision)
REFERENCES = (roc_auc_score, average_precision_score)

# Few distinct values, negative ones among them: ties are the rule. Tags may lack a side.
shapes = st.tuples(st.integers(2, 25), st.integers(1, 4))
tagged = shapes.flatmap(
    lambda shape: st.tuples(
        arrays(np.int64, shape, elements=st.integers(0, 1), fill=st.nothing()),
        arrays(float, shape, elements=st.integers(-4, 4).map(lambda v: v / 2), fill=st.nothing()),
        arrays(
            float, shape[0], elements=st.integers(0, 40).map(lambda v: v / 10), fill=st.nothing()
        ),
    )
)


def labels_and_scores(n=200, n_tags=6, seed=0, decimals=1):
    rng = np.random.default_rng(seed)
    labels = rng.random((n, n_tags)) < np.linspace(0.05, 0.4, n_tags)
    return labels.astype(int), np.round(rng.normal(size=labels.shape) + labels, decimals)


def reference(labels, scores, weights=None):
    """Both metrics of scikit-learn, (2, n_tags); NaN where positives or negatives lack weight."""
    weights = np.ones(len(labels)) if weights is None else weights
    result = np.full((2, labels.shape[1]), np.nan)
    for tag, truth in enumerate(labels.T):
        if weights[truth == 1].sum() > 0 and weights[truth == 0].sum() > 0:
            for place, function in enumerate(REFERENCES):
                result[place, tag] = function(truth, scores[:, tag], sample_weight=weights)
    return result


@given(tagged)
def test_agrees_with_scikit_learn(drawn):
    labels, scores, _ = drawn
    found = [function(labels, scores) for function in FUNCTIONS]
    np.testing.assert_allclose(found, reference(labels, scores), rtol=0, atol=1e-12)


@given(tagged)
def test_agrees_with_scikit_learn_under_sample_weights(drawn):
    labels, scores, weights = drawn
    found = [function(labels, scores, sample_weight=weights) for function in FUNCTIONS]
    np.testing.assert_allclose(found, reference(labels, scores, weights), rtol=0, atol=1e-12)


@pytest.mark.parametrize("decimals", [0, 1, 8])
def test_agrees_with_scikit_learn_on_many_clips(decimals):
    labels, scores = labels_and_scores(n=3000, n_tags=8, decimals=decimals)
    found = [function(labels, scores) for function in FUNCTIONS]
    np.testing.assert_allclose(found, reference(labels, scores), rtol=0, atol=1e-12)


def test_agrees_with_the_values_worked_by_hand():
    labels, scores = [[1], [0], [1], [0], [0]], [[3], [3], [-2], [-2], [-5]]
    # the first positive ties with one negative and beats two; the second beats one and ties one
    assert roc_auc(labels, scores) == pytest.approx((2.5 + 1.5) / 6, abs=1e-12)
    # recall 1/2 at precision 1/2, then another 1/2 at precision 2/4
    assert average_precision(labels, scores) == pytest.approx(0.5, abs=1e-12)


@given(tagged, st.data())
def test_the_order_of_clips_does_not_matter(drawn, data):
    labels, scores, weights = drawn
    order = data.draw(st.permutations(range(len(labels))))
    for function in FUNCTIONS:
        np.testing.assert_allclose(
            function(labels[order], scores[order], sample_weight=weights[order]),
            function(labels, scores, sample_weight=weights),
            rtol=0,
            atol=1e-12,
        )


@given(tagged)
def test_only_the_order_of_a_tags_scores_matters(drawn):
    labels, scores, _ = drawn
    for function in FUNCTIONS:
        expected = function(labels, scores)
        np.testing.assert_array_equal(function(labels, np.exp(scores) - 100), expected)


@given(tagged)
def test_reversed_scores_reverse_the_roc_auc(drawn):
    labels, scores, _ = drawn
    np.testing.assert_allclose(
        roc_auc(labels, -scores), 1 - roc_auc(labels, scores), rtol=0, atol=1e-12
    )


@given(tagged, st.integers(-3, 3))
def test_a_constant_scorer_lands_at_chance_whatever_the_constant(drawn, constant):
    labels, scores, _ = drawn
    found = evaluate(labels, np.full_like(scores, constant))
    for score in found.values():
        for tag, estimate in score.per_tag.items():
            expected = pytest.approx(score.chance_per_tag[tag], abs=1e-12, nan_ok=True)
            assert estimate.value == expected
        assert score.macro.value == pytest.approx(score.chance, abs=1e-12, nan_ok=True)


def test_the_chance_of_a_random_order_is_the_mean_over_all_orders():
    labels = np.array([1, 1, 0, 0, 0, 0])[:, None]
    orders = [np.array(order)[:, None] for order in permutations(range(6))]
    expected = np.mean([average_precision(labels, order) for order in orders])
    assert random_average_precision(labels) == pytest.approx(expected, abs=1e-12)
    assert expected > prevalence(labels)
    assert np.mean([roc_auc(labels, order) for order in orders]) == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize("units", [None, "artists"])
def test_every_replicate_is_scikit_learns_score_of_the_clips_drawn(units):
    labels, scores = labels_and_scores(n=90, n_tags=3)
    units = None if units is None else np.random.default_rng(1).integers(20, size=90)
    found = resample_scores(labels, [scores, -scores], units=units, replicates=150, seed=4)
    assert found.shape == (2, 2, 150, 3)
    weightings = draw_weights(units, 90, replicates=150, seed=4)
    counts = np.hstack([weights for _, weights in weightings]).astype(int)
    assert counts.shape == (90, 150)
    for replicate, drawn in enumerate(counts.T):
        clips = np.repeat(np.arange(90), drawn)  # the clips themselves, as often as drawn
        for model, given_scores in enumerate((scores, -scores)):
            np.testing.assert_allclose(
                found[model, :, replicate],
                reference(labels[clips], given_scores[clips]),
                rtol=0,
                atol=1e-12,
            )


def test_units_are_drawn_whole():
    units = np.array(["a", "b", "a", "c", "c", "c"])
    for _, weights in draw_weights(units, 6, replicates=40, seed=0):
        np.testing.assert_array_equal(weights[0], weights[2])
        np.testing.assert_array_equal(weights[3], weights[5])
        np.testing.assert_array_equal(weights[[0, 1, 3]].sum(axis=0), 3)


def test_replicates_scored_together_are_those_scored_one_by_one():
    labels, scores = labels_and_scores(n=60, n_tags=2)
    whole = resample_scores(labels, [scores], replicates=50, seed=2)
    counts = np.hstack([weights for _, weights in draw_weights(None, 60, replicates=50, seed=2)])
    ranking = PresortedScores(labels, scores)
    single = np.stack([ranking.score(counts[:, [place]])[:, 0] for place in range(50)], axis=1)
    np.testing.assert_allclose(whole[0], single, rtol=0, atol=1e-12)


def test_a_replicate_without_a_tags_positives_is_a_mean_over_the_other_tags():
    labels = np.array([[1, 1], [0, 1], [0, 0], [0, 0]])
    scores = np.array([[4, 1], [3, 4], [2, 3], [1, 2]], dtype=float)
    drawn = resample_scores(labels, [scores], replicates=500, seed=0)[0]
    lost = np.isnan(drawn[0, :, 0]) & ~np.isnan(drawn[0, :, 1])
    assert lost.any()
    np.testing.assert_array_equal(macro(drawn[0])[lost], drawn[0, lost, 1])
    without = PresortedScores(labels, scores).without_each()[0]
    assert np.isnan(without[0, 0])  # its only positive clip
    np.testing.assert_array_equal(macro(without)[0], without[0, 1])
    assert evaluate(labels, scores)["roc_auc"].without_each.tolist() == macro(without).tolist()


def test_a_tag_without_positives_or_negatives_is_named_left_out_and_counted():
    labels, scores = labels_and_scores()
    labels[:, 1], labels[:, 4] = 0, 1
    tags = ["guitar", "sitar", "slow", "loud", "music", "solo"]
    found = evaluate(labels, scores, tags=tags)
    rest = [0, 2, 3, 5]
    for place, (name, score) in enumerate(found.items()):
        assert score.left_out == {
            "sitar": "no clip is positive",
            "music": "all 200 clips are positive",
        }
        assert score.positives["sitar"] == 0
        assert np.isnan(score.per_tag["sitar"].value)
        assert score.per_tag["sitar"].interval is None
        assert score.per_tag["music"].reason == "all 200 clips are positive"
        expected = REFERENCES[place](labels[:, rest], scores[:, rest], average="macro")
        assert score.macro.value == pytest.approx(expected, abs=1e-12), name
    share = labels[:, rest].mean(axis=0)
    assert found["average_precision"].chance == pytest.approx(share.mean(), abs=1e-12)
    assert found["roc_auc"].chance == 0.5


def test_without_any_scored_tag_the_reason_is_given():
    found = evaluate(np.zeros((3, 2), int), np.ones((3, 2)))["roc_auc"]
    assert np.isnan(found.macro.value)
    assert found.macro.reason == "none of the 2 tags has both positive and negative clips"
    assert len(found.left_out) == 2


def test_scores_without_each_unit_are_those_of_the_other_clips():
    for seed, decimals in ((0, 0), (1, 1), (2, 9)):
        rng = np.random.default_rng(seed)
        labels = (rng.random((25, 3)) < 0.2).astype(int)
        scores = np.round(labels + rng.normal(0, 1.5, labels.shape), decimals)
        ranking = PresortedScores(labels, scores)
        alone = ranking.score(1.0 - np.eye(25))
        np.testing.assert_allclose(ranking.without_each(), alone, rtol=0, atol=1e-12)
        units = rng.integers(0, 6, 25)
        left = 1.0 * (units[:, None] != np.unique(units))
        found = ranking.without_each(units)
        np.testing.assert_allclose(found, ranking.score(left), rtol=0, atol=1e-12)


def test_intervals_are_near_those_of_the_bootstrap_on_many_clips():
    labels, scores = labels_and_scores(n=1500)
    found = evaluate(labels, scores, level=0.9)
    drawn = resample_scores(labels, [scores], replicates=400, seed=7)[0]
    for place, metric in enumerate(METRICS):
        score = found[metric.name]
        spread = np.std(macro(drawn[place]))
        width = score.macro.interval.high - score.macro.interval.low
        assert width == pytest.approx(2 * 1.645 * spread, rel=0.15)
        assert score.macro.interval.low < score.macro.value < score.macro.interval.high
        assert score.macro.interval.low > score.chance
        assert (score.macro.n, score.macro.n_units) == (1500, 1500)


def test_copies_of_a_clip_in_one_unit_do_not_narrow_the_interval():
    labels, scores = labels_and_scores(n=60)
    once = evaluate(labels, scores, units=range(60))
    twice = evaluate(
        np.tile(labels, (2, 1)),
        np.tile(scores, (2, 1)),
        units=np.tile(range(60), 2),
    )
    for name in once:
        assert twice[name].macro.n_units == 60
        low, high = once[name].macro.interval.low, once[name].macro.interval.high
        assert twice[name].macro.interval.low == pytest.approx(low, abs=1e-12)
        assert twice[name].macro.interval.high == pytest.approx(high, abs=1e-12)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_compares_models_on_the_same_draws(metric):
    labels, good = labels_and_scores()
    worse = good + np.random.default_rng(1).normal(0, 2, good.shape)
    found = compare(labels, [good, worse, 1000 * good], metric=metric, replicates=200, seed=0)
    better, same, reverse = found
    place = METRICS.index(metric)
    values = [macro(FUNCTIONS[place](labels, one)) for one in (good, worse)]
    assert better.difference == pytest.approx(values[0] - values[1], abs=1e-12)
    drawn = macro(resample_scores(labels, [good, worse], replicates=1000, seed=0)[:, place])
    assert better.standard_error == pytest.approx(np.std(drawn[0] - drawn[1]), rel=0.12)
    assert better.interval.low > 0
    assert better.p_value == 1 / 201
    assert better.p_holm >= better.p_value
    # another scale is no other model
    assert (same.difference, same.p_value) == (0, 1)
    assert same.standard_error < 1e-12
    assert reverse.difference == -better.difference
    assert not better.exact


def test_models_of_equal_skill_and_unlike_scale_are_not_told_apart():
    rng = np.random.default_rng(0)
    labels = (rng.random((300, 4)) < 0.3).astype(int)
    first, second = (labels + rng.normal(size=labels.shape) for _ in "ab")
    found = compare(labels, [first, 50 + 1000 * second], metric=ROC_AUC, replicates=300, seed=0)[0]
    assert found.p_value > 0.05
    assert found.interval.low < 0 < found.interval.high


@given(tagged)
def test_exchanging_identical_models_finds_no_difference(drawn):
    labels, scores, _ = drawn
    assume((np.ptp(labels, axis=0) > 0).any())
    found = compare(labels, [scores, scores], metric=AVERAGE_PRECISION, replicates=5, seed=0)[0]
    assert (found.difference, found.p_value) == (0, 1)


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([[0], [1]], [[1, 2], [1, 2]], r"got shapes \(2, 1\) and \(2, 2\)"),
        ([0, 1], [1, 2], r"got shapes \(2,\) and \(2,\)"),
        (np.empty((0, 3)), np.empty((0, 3)), r"at least one clip and one tag, got shape \(0, 3\)"),
        (np.empty((3, 0)), np.empty((3, 0)), r"at least one clip and one tag, got shape \(3, 0\)"),
        ([[0], [2]], [[1], [2]], r"label of clip 1, tag 0 is 2, expected 0 or 1"),
        ([[0, 0.5]], [[1, 2]], r"label of clip 0, tag 1 is 0.5, expected 0 or 1"),
        ([[np.nan]], [[1]], r"label of clip 0, tag 0 is nan, expected 0 or 1"),
        ([[0], [1]], [[1], [np.nan]], r"score of clip 1, tag 0 is nan, expected a finite number"),
        ([[0], [1]], [[-np.inf], [1]], r"score of clip 0, tag 0 is -inf"),
    ],
)
def test_refuses_what_cannot_be_scored(labels, scores, message):
    for function in (validate, *FUNCTIONS):
        with pytest.raises(ValueError, match=message):
            function(labels, scores)
    with pytest.raises(ValueError, match=message):
        evaluate(labels, scores)


def test_refuses_options_that_do_not_fit():
    labels, scores = labels_and_scores(n=10, n_tags=2)
    for weights in ([1, 2], -np.ones(10), np.full(10, np.nan)):
        with pytest.raises(ValueError, match=r"0 or more for each of the 10 clips"):
            roc_auc(labels, scores, sample_weight=weights)
    with pytest.raises(ValueError, match=r"2 different tags.* got 3"):
        evaluate(labels, scores, tags=["a", "b", "c"])
    with pytest.raises(ValueError, match=r"got 2 with 'a' more than once"):
        evaluate(labels, scores, tags=["a", "a"])
    with pytest.raises(ValueError, match=r"replicates must be at least 1, got 0"):
        resample_scores(labels, [scores], replicates=0, seed=0)
    with pytest.raises(ValueError, match=r"one label for each of the 10 items"):
        evaluate(labels, scores, units=[1, 2])
    with pytest.raises(ValueError, match=r"at least one model, got none"):
        resample_scores(labels, [], seed=0)
    with pytest.raises(ValueError, match=r"at least 2 models, got 1"):
        compare(labels, [scores], metric=ROC_AUC, seed=0)
    with pytest.raises(ValueError, match=r"nothing to compare"):
        compare(np.zeros((10, 2)), [scores, scores], metric=ROC_AUC, replicates=2, seed=0)
    other = Metric("kappa", higher_is_better=True, lower=None, upper=1, chance=0)
    with pytest.raises(ValueError, match=r"'kappa' is no metric of this task; known are roc_auc"):
        compare(labels, [scores, scores], metric=other, seed=0)
