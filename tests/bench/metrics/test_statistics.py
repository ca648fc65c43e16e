"""The bootstrap against scipy, a plain loop, full enumeration, and its promised coverage."""

from itertools import product

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from earmark.bench.metrics import statistics
from earmark.bench.metrics.statistics import (
    estimate_ratio,
    percentile_interval,
    ratio,
    resample_sums,
    unit_labels,
    unit_sums,
)

outcomes = arrays(float, st.tuples(st.integers(1, 20), st.integers(1, 4)), elements=st.floats(0, 9))


def triplets(n_units: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Credit and scored of pairs whose triplet makes them easy or hard."""
    rng = np.random.default_rng(seed)
    units = np.repeat(np.arange(n_units), rng.integers(1, 4, n_units))
    easy = rng.beta(1.5, 0.5, n_units)[units]
    return np.stack([rng.random(units.size) < easy, np.ones(units.size)], axis=1), units


def both_routes(sums, replicates, seed):
    rows, sizes = np.unique(sums, axis=0, return_counts=True)
    yield statistics._sums_over_distinct_rows(rows, sizes, replicates, np.random.default_rng(seed))
    yield statistics._sums_over_units(sums, replicates, np.random.default_rng(seed))


def test_both_routes_draw_from_the_distribution_of_all_equally_likely_samples():
    sums = np.array([[0.0, 1.0], [2.0, 3.0], [2.0, 3.0], [5.0, 1.0]])
    samples = np.array([sums[list(drawn)].sum(axis=0) for drawn in product(range(4), repeat=4)])
    values, counts = np.unique(samples, axis=0, return_counts=True)
    for drawn in both_routes(sums, 40_000, seed=3):
        found, frequency = np.unique(drawn, axis=0, return_counts=True)
        np.testing.assert_array_equal(found, values)
        expected = counts / counts.sum() * 40_000
        assert scipy.stats.chisquare(frequency, expected).pvalue > 0.01


def test_agrees_in_mean_and_spread_with_scipys_bootstrap_of_unit_sums():
    columns, units = triplets(300, seed=1)
    sums = unit_sums(columns, units)
    reference = scipy.stats.bootstrap(
        (sums[:, 0], sums[:, 1]),
        lambda credit, scored, axis: credit.sum(axis=axis) / scored.sum(axis=axis),
        paired=True,
        n_resamples=20_000,
        method="percentile",
        rng=np.random.default_rng(5),
    )
    spread = reference.bootstrap_distribution.std()
    for drawn in both_routes(sums, 20_000, seed=7):
        scores = ratio(drawn)
        # Two means of 20,000 differ by sqrt(2 / 20,000) = 1 % of the spread, and so do spreads.
        assert abs(scores.mean() - reference.bootstrap_distribution.mean()) < 0.04 * spread
        assert abs(scores.std() / spread - 1) < 0.03
        interval = percentile_interval(scores)
        assert interval.low == pytest.approx(reference.confidence_interval.low, abs=0.1 * spread)
        assert interval.high == pytest.approx(reference.confidence_interval.high, abs=0.1 * spread)


def test_agrees_in_distribution_with_a_plain_loop_over_items_of_drawn_units():
    columns, units = triplets(40, seed=2)
    rng = np.random.default_rng(11)
    looped = np.array(
        [
            np.concatenate([columns[units == unit] for unit in rng.integers(0, 40, 40)]).sum(axis=0)
            for _ in range(3000)
        ]
    )
    drawn = resample_sums(columns, units=units, replicates=3000, seed=13)
    assert scipy.stats.ks_2samp(ratio(drawn), ratio(looped)).pvalue > 0.01
    assert scipy.stats.ks_2samp(drawn[:, 1], looped[:, 1]).pvalue > 0.01


def test_takes_the_multinomial_where_rows_are_few_and_counts_units_where_they_are_not(monkeypatch):
    def forbidden(*_):
        raise AssertionError("the other route was expected")

    few, many = np.ones((100, 2)), np.arange(200.0).reshape(100, 2)
    with monkeypatch.context() as patch:
        patch.setattr(statistics, "_sums_over_units", forbidden)
        resample_sums(few, replicates=2, seed=0)
    monkeypatch.setattr(statistics, "_sums_over_distinct_rows", forbidden)
    resample_sums(many, replicates=2, seed=0)


def test_blocks_are_put_together_in_order_and_leave_no_replicate_out(monkeypatch):
    values = np.random.default_rng(0).random((50, 3))
    monkeypatch.setattr(statistics, "_BLOCK", 50 * 7)
    drawn = resample_sums(np.c_[values, np.ones(50)], replicates=100, seed=4)
    assert (drawn[:, 3] == 50).all()
    assert len(np.unique(drawn[:, 0])) == 100


def test_more_units_than_a_block_or_a_16_bit_index_holds():
    n = 2**16 + 10
    drawn = resample_sums(np.c_[np.arange(n), np.ones(n)], replicates=3, seed=0)
    assert (drawn[:, 1] == n).all()
    sem = n * np.arange(n).std() / np.sqrt(n)
    assert (abs(drawn[:, 0] - n * (n - 1) / 2) < 5 * sem).all()


@given(outcomes, st.integers(0, 2**32 - 1))
def test_the_same_seed_draws_the_same_sums(values, seed):
    first, second = (resample_sums(values, replicates=5, seed=seed) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@given(outcomes, st.data())
def test_unit_sums_do_not_depend_on_the_order_of_items_and_add_up(values, data):
    units = data.draw(st.lists(st.sampled_from("pqr"), min_size=len(values), max_size=len(values)))
    order = data.draw(st.permutations(range(len(values))))
    sums = unit_sums(values, units)
    np.testing.assert_allclose(sums.sum(axis=0), values.sum(axis=0), rtol=1e-12, atol=1e-12)
    shuffled = unit_sums(values[order], [units[item] for item in order])
    np.testing.assert_allclose(sums, shuffled, rtol=1e-12, atol=1e-12)


def test_columns_of_two_models_stay_paired():
    columns = np.random.default_rng(0).random((30, 1))
    drawn = resample_sums(np.hstack([columns, columns]), replicates=50, seed=0)
    np.testing.assert_array_equal(drawn[:, 0], drawn[:, 1])


def test_the_interval_covers_the_truth_and_ignoring_clusters_does_not():
    # Triplets of three pairs that all share one fate: the effective n is the number of triplets.
    simulations, n_units, truth = 600, 100, 0.75
    rng = np.random.default_rng(2024)
    units = np.repeat(np.arange(n_units), 3)
    covered = {"triplets": 0, "pairs": 0}
    for _ in range(simulations):
        credit = np.repeat(rng.random(n_units) < truth, 3)
        columns = np.stack([credit, np.ones(credit.size)], axis=1)
        for name, labels in (("triplets", units), ("pairs", None)):
            found = estimate_ratio(columns, units=labels).interval
            covered[name] += found.low <= truth <= found.high
    # Binomial limits of 600 draws at 0.95: 3 * sqrt(0.95 * 0.05 / 600) = 0.027. One interval too
    # narrow by sqrt(3) covers 2 * Phi(1.96 / sqrt(3)) - 1 = 0.742, give or take 0.054.
    assert covered["triplets"] / simulations == pytest.approx(0.95, abs=0.027)
    assert covered["pairs"] / simulations == pytest.approx(0.742, abs=0.054)


def test_the_interval_covers_where_triplets_differ_in_size_and_difficulty():
    simulations, n_units = 500, 150
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(simulations):
        units = np.repeat(np.arange(n_units), rng.integers(1, 4, n_units))
        credit = rng.random(units.size) < rng.beta(1.5, 0.5, n_units)[units]
        columns = np.stack([credit, np.ones(units.size)], axis=1)
        found = estimate_ratio(columns, units=units).interval
        covered += found.low <= 0.75 <= found.high
    assert covered / simulations == pytest.approx(0.95, abs=0.03)  # 3 binomial standard errors


def test_the_quantiles_are_numpys():
    scores = np.random.default_rng(0).normal(size=1001)
    interval = percentile_interval(scores, level=0.9)
    assert (interval.low, interval.high) == pytest.approx(np.quantile(scores, [0.05, 0.95]))
    assert (interval.level, interval.replicates, interval.undefined) == (0.9, 1001, 0)


@given(arrays(float, st.integers(50, 200), elements=st.floats(-9, 9)), st.integers(0, 100))
def test_undefined_replicates_are_counted_and_never_narrow_the_interval(scores, n_undefined):
    full = percentile_interval(scores)
    spoilt = percentile_interval(np.r_[scores, np.full(n_undefined, np.nan)])
    assert spoilt.undefined == n_undefined
    assert not spoilt.low > full.low
    assert not spoilt.high < full.high


def test_an_end_among_undefined_replicates_is_nan():
    interval = percentile_interval([1.0, np.nan, np.nan, 2.0], level=0.95)
    assert np.isnan([interval.low, interval.high]).all()
    assert interval.undefined == 2
    few = percentile_interval(np.r_[np.arange(999.0), np.nan])
    assert few.undefined == 1
    assert np.isfinite([few.low, few.high]).all()


def test_a_ratio_counts_scored_items_and_units():
    found = estimate_ratio([[1, 1], [0, 1], [0, 0]], units=["t", "t", "u"])
    assert (found.value, found.n, found.n_units, found.interval) == (0.5, 2, 1, None)
    assert found.reason == "no interval: 1 unit is too few for one"


def test_a_ratio_is_undefined_without_a_denominator_whatever_the_numerator():
    found = ratio(np.array([[1.0, 2.0], [0.0, 0.0], [1.0, 0.0]]))
    np.testing.assert_array_equal(found, [0.5, np.nan, np.nan])


def test_a_ratio_without_a_scored_item_is_nan_with_a_reason():
    found = estimate_ratio([[0, 0], [0, 0]])
    assert np.isnan(found.value)
    assert found.interval is None
    assert found.reason == "no item is scored"


@pytest.mark.parametrize(
    ("values", "units", "options", "message"),
    [
        ([1, 2], None, {}, r"values must be \(n_items, n_columns\).*got \(2,\)"),
        (np.empty((0, 2)), None, {}, r"at least one of each, got \(0, 2\)"),
        ([[1.0], [np.nan]], None, {}, "value of item 1, column 0 is nan"),
        ([[1.0], [np.inf]], None, {}, "value of item 1, column 0 is inf"),
        ([[1.0], [2.0]], ["t"], {}, r"one label for each of the 2 items, got shape \(1,\)"),
        ([[1.0], [2.0]], [0.5, 1.5], {}, "units must be strings or integers, got float64"),
        ([[1.0], [2.0]], ["t", None], {}, "units hold None among strings"),
        ([[1.0], [2.0]], None, {"replicates": 0}, "replicates must be at least 1, got 0"),
    ],
)
def test_refuses_what_it_cannot_resample(values, units, options, message):
    with pytest.raises(ValueError, match=message):
        resample_sums(values, units=units, seed=0, **options)


def test_takes_labels_as_pandas_gives_them():
    labels = unit_labels(np.array(["b", "a", "b"], dtype=object), 3)
    np.testing.assert_array_equal(labels, [1, 0, 1])


@pytest.mark.parametrize(
    ("replicates", "level", "message"),
    [
        ([], 0.95, r"filled array \(n_replicates,\), got \(0,\)"),
        ([[1.0, 2.0]], 0.95, r"got \(1, 2\)"),
        ([1.0, np.inf], 0.95, "replicate 1 is infinite; give NaN"),
        ([1.0], 95, "level must lie between 0 and 1, e.g. 0.95, got 95"),
        ([1.0], float("nan"), "level must lie between 0 and 1"),
    ],
)
def test_refuses_what_has_no_interval(replicates, level, message):
    with pytest.raises(ValueError, match=message):
        percentile_interval(replicates, level=level)


@pytest.mark.parametrize("columns", [[[1.0]], [[1.0, -1.0]], [1.0, 2.0]])
def test_refuses_a_ratio_without_two_columns_or_with_a_negative_denominator(columns):
    with pytest.raises(ValueError, match=r"a ratio needs columns \(n_items, 2\)"):
        estimate_ratio(columns)
