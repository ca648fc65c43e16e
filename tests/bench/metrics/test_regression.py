"""Regression metrics against scikit-learn, scipy and the published faults of the legacy ones."""

from functools import partial
from itertools import product

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from earmark.bench.metrics import comparisons, regression
from earmark.bench.metrics.regression import (
    ccc,
    errors,
    evaluate,
    from_sums,
    legacy_essentia,
    mae,
    moments,
    pearson_r,
    r2,
    rmse,
)

FUNCTIONS = {"pearson_r": pearson_r, "r2": r2, "rmse": rmse, "mae": mae, "ccc": ccc}
REFERENCES = {
    "pearson_r": lambda rated, predicted: scipy.stats.pearsonr(rated, predicted).statistic,
    "r2": sklearn.metrics.r2_score,
    "rmse": sklearn.metrics.root_mean_squared_error,
    "mae": sklearn.metrics.mean_absolute_error,
    "ccc": lambda rated, predicted: (
        2
        * np.cov(rated, predicted, ddof=0)[0, 1]
        / (np.var(rated) + np.var(predicted) + (np.mean(rated) - np.mean(predicted)) ** 2)
    ),
}
# Ratings in hundredths, as rating scales are: no spread that is only rounding.
scores = st.integers(100, 900).map(lambda hundredths: hundredths / 100)
both = st.integers(3, 40).flatmap(
    lambda n: st.tuples(*(arrays(float, n, elements=scores, fill=st.nothing()) for _ in range(2)))
)


def compare(rated, predicted, *, metric, **options):
    return comparisons.compare(
        np.stack([moments(rated, values) for values in predicted]),
        partial(from_sums, metric=metric),
        scale=regression.PAIRED_SCALES[metric.name],
        **options,
    )


def rated_and_predicted(n=300, seed=0):
    rng = np.random.default_rng(seed)
    rated = np.clip(rng.normal(5, 1.3, n), 1, 9)
    return rated, 2 + 0.6 * rated + rng.normal(0, 0.8, n)


@given(both)
def test_agrees_with_scikit_learn_and_scipy(pair):
    rated, predicted = pair
    assume(np.ptp(rated) > 0 and np.ptp(predicted) > 0)
    for name, function in FUNCTIONS.items():
        expected = REFERENCES[name](rated, predicted)
        assert function(rated, predicted) == pytest.approx(expected, rel=1e-12, abs=1e-12), name


def test_agrees_with_the_values_worked_by_hand():
    # errors -1, 1, 0, 2; ratings of variance 5/4, predictions of 7/2 - 9/4, covariance 3/4
    rated, predicted = [1, 2, 3, 4], [0, 3, 3, 6]
    np.testing.assert_array_equal(errors(rated, predicted), [-1, 1, 0, 2])
    assert mae(rated, predicted) == 1
    assert rmse(rated, predicted) == pytest.approx(np.sqrt(6 / 4), abs=1e-12)
    assert r2(rated, predicted) == pytest.approx(1 - 6 / 5, abs=1e-12)
    # product about the means 0 + 6 + 9 + 24 - 4 * 2.5 * 3 = 9; squares 5 and 54 - 36 = 18
    assert pearson_r(rated, predicted) == pytest.approx(9 / np.sqrt(5 * 18), abs=1e-12)
    assert ccc(rated, predicted) == pytest.approx(2 * 9 / (5 + 18 + 4 * 0.25), abs=1e-12)


@given(both, st.data())
def test_the_order_of_items_does_not_matter(pair, data):
    rated, predicted = pair
    assume(np.ptp(rated) > 0 and np.ptp(predicted) > 0)
    order = data.draw(st.permutations(range(rated.size)))
    for function in FUNCTIONS.values():
        expected = function(rated, predicted)
        assert function(rated[order], predicted[order]) == pytest.approx(expected, abs=1e-11)


@given(both, st.integers(1, 8), st.integers(-50, 50))
def test_a_shift_and_a_stretch_leave_r_but_not_concordance(pair, scale, shift):
    rated, predicted = pair
    assume(np.ptp(rated) > 0 and np.ptp(predicted) > 0)
    mapped = scale * predicted + shift
    expected = pearson_r(rated, predicted)
    assert pearson_r(rated, mapped) == pytest.approx(expected, abs=1e-9)
    assert pearson_r(rated, -mapped) == pytest.approx(-expected, abs=1e-9)
    assert abs(ccc(rated, mapped)) <= abs(expected) + 1e-12


@given(both)
def test_values_keep_to_their_bounds(pair):
    rated, predicted = pair
    assume(np.ptp(rated) > 0 and np.ptp(predicted) > 0)
    for metric in regression.METRICS:
        value = FUNCTIONS[metric.name](rated, predicted)
        assert metric.lower is None or value >= metric.lower - 1e-12
        assert metric.upper is None or value <= metric.upper + 1e-12
    assert rmse(rated, predicted) >= mae(rated, predicted) - 1e-12


def test_the_ratings_themselves_are_predicted_perfectly():
    rated, _ = rated_and_predicted()
    values = {name: function(rated, rated) for name, function in FUNCTIONS.items()}
    expected = {"pearson_r": 1, "r2": 1, "rmse": 0, "mae": 0, "ccc": 1}
    assert values == pytest.approx(expected, abs=1e-12)


def test_predicting_the_mean_is_at_the_chance_level_of_r2_and_ccc():
    rated, _ = rated_and_predicted()
    constant = np.full(rated.size, rated.mean())
    assert r2(rated, constant) == pytest.approx(regression.R2.chance, abs=1e-12)
    assert ccc(rated, constant) == regression.CCC.chance == 0


@pytest.mark.parametrize("constant", [0.1, 4.7, 1e6 + 0.1, -3.3])
def test_a_constant_prediction_has_no_correlation_and_no_concordance(constant):
    rated, _ = rated_and_predicted()
    predicted = np.full(rated.size, constant)
    assert np.isnan(pearson_r(rated, predicted))
    assert ccc(rated, predicted) == 0
    found = evaluate(rated, predicted)
    assert np.isnan(found["pearson_r"].value)
    assert found["pearson_r"].interval is None
    assert found["pearson_r"].reason == "all 300 predictions are the same"
    assert (found["ccc"].value, found["ccc"].interval.high) == (0, 0)
    assert found["rmse"].interval.low < found["rmse"].value < found["rmse"].interval.high


def test_a_large_offset_costs_no_digits():
    rated, predicted = rated_and_predicted()
    assert pearson_r(rated + 1e6, predicted + 1e6) == pytest.approx(
        pearson_r(rated, predicted), abs=1e-9
    )
    assert ccc(rated + 1e6, predicted + 1e6) == pytest.approx(ccc(rated, predicted), abs=1e-9)


@pytest.mark.parametrize("clustered", [False, True])
def test_intervals_are_those_of_a_plain_loop(clustered):
    rated, predicted = rated_and_predicted(90, seed=3)
    predicted = predicted + np.repeat(np.random.default_rng(1).normal(0, 0.8, 30), 3)
    units = np.repeat(np.arange(30), 3) if clustered else np.arange(90)
    members = [np.flatnonzero(units == unit) for unit in np.unique(units)]
    rng = np.random.default_rng(0)
    drawn = [
        np.concatenate([members[one] for one in rng.integers(0, len(members), len(members))])
        for _ in range(1000)
    ]
    labels = units if clustered else None
    found = evaluate(rated, predicted, units=labels)
    assert set(found) == set(FUNCTIONS)
    for name, function in FUNCTIONS.items():
        looped = [REFERENCES[name](rated[items], predicted[items]) for items in drawn]
        low, high = np.quantile(looped, [0.025, 0.975])
        assert found[name].value == function(rated, predicted)
        # The bootstrap is too narrow on few units, and has no correction of bias and skewness.
        width = found[name].interval.high - found[name].interval.low
        assert 0.95 * (high - low) < width < 1.6 * (high - low), name
        assert found[name].interval.low == pytest.approx(low, abs=0.6 * np.std(looped)), name
        assert (found[name].n, found[name].n_units) == (90, len(members))


@given(both, st.data())
def test_metrics_of_a_resample_are_those_of_its_items(pair, data):
    rated, predicted = pair
    assume(np.ptp(rated) > 0 and np.ptp(predicted) > 0)
    n = rated.size
    items = data.draw(st.lists(st.integers(0, n - 1), min_size=n, max_size=n))
    assume(np.ptp(rated[items]) > 0 and np.ptp(predicted[items]) > 0)
    sums = moments(rated, predicted)[items].sum(axis=0)
    for metric in regression.METRICS:
        expected = REFERENCES[metric.name](rated[items], predicted[items])
        assert from_sums(sums, metric) == pytest.approx(expected, rel=1e-8, abs=1e-8)


def test_what_is_undefined_without_an_item_is_counted():
    found = evaluate([1.37] * 4 + [5.31], [2.73] * 4 + [3.99])
    for name in ("pearson_r", "r2", "ccc"):
        assert found[name].interval.undefined == 1
    assert found["rmse"].interval.undefined == found["mae"].interval.undefined == 0


def test_of_three_items_there_is_no_interval_and_a_reason():
    found = evaluate([1, 2, 3], [1, 2, 4])["pearson_r"]
    assert found.interval is None
    assert found.reason == "no interval: 3 units are too few for one"


increasing = st.tuples(st.floats(1e-3, 1e3), st.floats(-1e4, 1e4))


@given(increasing, increasing)
def test_what_is_said_of_r_does_not_depend_on_the_scales_that_models_predict_on(one, other):
    rated, good = rated_and_predicted(40)
    poor = good + np.random.default_rng(9).normal(0, 0.9, 40)
    options = {"metric": regression.PEARSON_R, "replicates": 299, "seed": 0}
    (plain,) = compare(rated, [good, poor], **options)
    (mapped,) = compare(rated, [one[0] * good + one[1], other[0] * poor + other[1]], **options)
    assert mapped.p_value == plain.p_value
    for name in ("difference", "standard_error", "minimum_detectable_difference"):
        assert getattr(mapped, name) == pytest.approx(getattr(plain, name), rel=1e-6)
    ends = pytest.approx((plain.interval.low, plain.interval.high), rel=1e-6)
    assert (mapped.interval.low, mapped.interval.high) == ends
    found = evaluate(rated, one[0] * good + one[1])["pearson_r"].interval
    expected = evaluate(rated, good)["pearson_r"].interval
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-6)


def test_what_rounding_leaves_of_no_spread_is_no_spread():
    # Seven times the same item; for about a third of these values n * xx - x ** 2 is not 0.
    x = np.linspace(-3, 3, 1001)
    columns = [np.ones_like(x), x, x, x**2, x**2, x**2, np.zeros_like(x)]
    sums = np.sum([np.stack([*columns, np.zeros_like(x), np.zeros_like(x)], axis=1)] * 7, axis=0)
    for metric in (regression.PEARSON_R, regression.R2, regression.CCC):
        assert np.isnan(from_sums(sums, metric)).all()


def test_models_are_compared_by_any_metric():
    rated, good = rated_and_predicted(120)
    poor = good + np.random.default_rng(9).normal(0, 1.5, 120)
    for metric in regression.METRICS:
        found, same = (
            compare(rated, [good, other], metric=metric, replicates=500, seed=0)[0]
            for other in (poor, good)
        )
        expected = FUNCTIONS[metric.name](rated, good) - FUNCTIONS[metric.name](rated, poor)
        assert found.difference == pytest.approx(expected, abs=1e-10)
        assert metric.better(found.difference, 0)
        assert found.p_value < 0.01
        assert found.interval.low * found.interval.high > 0
        assert (same.difference, same.p_value) == (0, 1)


def test_the_p_value_is_that_of_all_signs_of_jackknifed_differences():
    rated, good = rated_and_predicted(9, seed=5)
    other = 2 * good + 1.5 + np.random.default_rng(2).normal(0, 1, 9)
    scales = {"pearson_r": np.arctanh, "ccc": np.arctanh, "rmse": np.square}
    for metric in regression.METRICS:
        score, scale = REFERENCES[metric.name], scales.get(metric.name, lambda value: value)
        whole = np.array([score(rated, one) for one in (good, other)])
        slope = (scale(whole + 1e-6) - scale(whole - 1e-6)) / 2e-6
        kept = [np.delete(np.arange(9), item) for item in range(9)]
        without = np.array([[score(rated[k], one[k]) for k in kept] for one in (good, other)])
        pulls = 8 * slope[:, None] * (without.mean(axis=1, keepdims=True) - without)
        influence = scale(whole[0]) - scale(whole[1]) + pulls[0] - pulls[1]
        null = [abs(np.dot(signs, influence)) for signs in product((-1, 1), repeat=9)]
        expected = np.mean(np.array(null) >= abs(influence.sum()) - 1e-9)
        (found,) = compare(rated, [good, other], metric=metric, replicates=20_000, seed=0)
        error = np.sqrt(expected * (1 - expected) / 20_000) + 1e-4
        assert found.p_value == pytest.approx(expected, abs=4 * error), metric.name


def test_a_constant_model_is_not_compared_by_correlation():
    rated, good = rated_and_predicted(50)
    with pytest.raises(ValueError, match="statistic of model 1 is undefined: leave the model out"):
        compare(rated, [good, np.full(50, 0.1)], metric=regression.PEARSON_R, seed=0)


@pytest.mark.parametrize(
    ("rated", "predicted", "message"),
    [
        ([1, 2], [1, 2, 3], r"one length, got shapes \(2,\) and \(3,\)"),
        ([[1, 2]], [[1, 2]], r"got shapes \(1, 2\)"),
        ([1], [1], "at least 2 items, got 1"),
        ([1, np.nan], [1, 2], "rating of item 1 is nan"),
        ([1, 2], [np.inf, 2], "prediction of item 0 is inf"),
        ([0.1] * 3, [1, 2, 3], "all 3 ratings are 0.1: agreement with them is undefined"),
    ],
)
@pytest.mark.parametrize(
    "function", [*FUNCTIONS.values(), errors, moments, lambda *pair: evaluate(*pair)]
)
def test_refuses_what_it_cannot_score(function, rated, predicted, message):
    with pytest.raises(ValueError, match=message):
        function(rated, predicted)


def test_refuses_a_metric_of_another_task():
    other = regression.Metric("auc", higher_is_better=True, lower=0, upper=1, chance=0.5)
    with pytest.raises(ValueError, match="'auc' is no regression metric; known are pearson_r, r2"):
        from_sums(moments([1, 2], [1, 2]).sum(axis=0), other)


def two_dimensions(n=200, seed=0):
    rng = np.random.default_rng(seed)
    rated = rng.multivariate_normal([5.0, 4.8], [[1.55, 1.0], [1.0, 1.89]], n)
    return rated, 0.7 * rated + [1.5, 1.2] + rng.normal(0, 0.7, (n, 2))


def test_the_legacy_rmse_is_the_mean_squared_error():
    rated, predicted = two_dimensions()
    expected = sklearn.metrics.mean_squared_error(rated, predicted, multioutput="raw_values")
    found = legacy_essentia(rated, predicted)
    assert found.mse_published_as_rmse == pytest.approx(tuple(expected), abs=1e-12)


def test_the_legacy_r2_is_sklearns_only_where_both_means_are_one():
    rated, predicted = two_dimensions()
    true = sklearn.metrics.r2_score(rated, predicted, multioutput="raw_values")
    # A wrong mean adds to the total squares, so the published figure is the higher one.
    assert (np.array(legacy_essentia(rated, predicted).r2_about_grand_mean) > true).all()
    centred = rated - rated.mean(axis=0)
    shifted = predicted - rated.mean(axis=0)
    found = legacy_essentia(centred, shifted).r2_about_grand_mean
    assert found == pytest.approx(tuple(true), abs=1e-12)


def test_the_legacy_concordances_weigh_to_the_true_ones_though_each_is_off():
    rated, predicted = two_dimensions()
    true = np.array([ccc(rated[:, axis], predicted[:, axis]) for axis in (0, 1)])
    found = np.array(legacy_essentia(rated, predicted).ccc_of_pooled_covariance)
    spread = rated.var(axis=0) + predicted.var(axis=0)
    denominators = spread + (rated - predicted).mean(axis=0) ** 2
    # Pooling shares the sum of both covariances out equally.
    assert found @ denominators == pytest.approx(true @ denominators, abs=1e-12)
    assert found * denominators == pytest.approx(np.full(2, (found @ denominators) / 2), abs=1e-12)
    assert abs(found - true).min() > 1e-3


def test_the_legacy_concordance_can_exceed_the_correlation_as_published():
    # Essentia's emomusic-msd-musicnn-2 states CCC .812 beside r .736: a true CCC never exceeds r.
    rng = np.random.default_rng(0)
    rated = rng.normal(size=(500, 2)) * [0.7, 2.0]
    predicted = rated + rng.normal(size=(500, 2)) * [0.6, 0.6]
    found = legacy_essentia(rated, predicted)
    assert found.ccc_of_pooled_covariance[0] > found.pearson_r[0]
    assert ccc(rated[:, 0], predicted[:, 0]) <= pearson_r(rated[:, 0], predicted[:, 0])


def test_the_legacy_correlation_was_right():
    rated, predicted = two_dimensions()
    expected = tuple(
        scipy.stats.pearsonr(rated[:, axis], predicted[:, axis]).statistic for axis in (0, 1)
    )
    assert legacy_essentia(rated, predicted).pearson_r == pytest.approx(expected, abs=1e-12)


def test_the_published_figures_of_emomusic_are_those_of_the_legacy_definitions(shared_data):
    # (valence, arousal) as stated in emomusic-msd-musicnn-2.json: r2 .515, .646; "RMSE" .760, .667
    columns = ["mean_valence", "mean_arousal"]
    path = next((shared_data / "emomusic").rglob("static_annotations.csv"))
    rows = [[cell.strip() for cell in line.split(",")] for line in path.read_text().splitlines()]
    places = [rows[0].index(name) for name in columns]
    rated = np.array([[float(row[place]) for place in places] for row in rows[1:]])
    grand = ((rated - rated.mean()) ** 2).mean(axis=0)
    published = np.array([0.760, 0.667])
    stated_r2 = np.array([0.515, 0.646])
    # Their own R2 implies this mean squared error; were ".760" a root, it would be .578.
    np.testing.assert_allclose((1 - stated_r2) * grand, published, atol=0.02)


@pytest.mark.parametrize("shape", [(5,), (5, 3), (1, 5, 2)])
def test_the_legacy_figures_need_two_dimensions(shape):
    with pytest.raises(ValueError, match=r"must both be \(n_items, 2\)"):
        legacy_essentia(np.ones(shape), np.ones(shape))


def test_the_legacy_figures_refuse_a_constant_dimension():
    rated, predicted = two_dimensions(10)
    rated[:, 1] = 5
    with pytest.raises(ValueError, match=r"all 10 ratings are 5\.0"):
        legacy_essentia(rated, predicted)
