"""Intervals of medians: published ranks, exact coverage, and every bad input."""

import itertools

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from earmark.bench.metrics.order_statistics import fewest_values, median_interval

# Ranks of the 95 % interval, e.g. table A.12 of Gibbons and Chakraborti (sign test).
RANKS = [(6, 1), (7, 1), (8, 1), (9, 2), (10, 2), (11, 2), (12, 3), (15, 4), (20, 6), (25, 8)]


@pytest.mark.parametrize(("n", "rank"), RANKS)
def test_the_ranks_are_those_of_the_sign_test(n, rank):
    low, high, coverage = median_interval(np.arange(1, n + 1))
    assert (low, high) == (rank, n + 1 - rank)
    expected = 1 - 2 * scipy.stats.binom.cdf(rank - 1, n, 0.5)
    assert coverage == pytest.approx(expected, abs=1e-12)


def test_every_outcome_of_signs_is_counted_once():
    n = 9
    low, high, coverage = median_interval(np.arange(n))
    place = int(low)
    covered = sum(place < sum(signs) < n - place for signs in itertools.product((0, 1), repeat=n))
    assert covered / 2**n == coverage
    assert high == n - 1 - place


@given(st.lists(st.floats(-1e6, 1e6), min_size=6, max_size=60), st.randoms())
def test_it_holds_the_median_whatever_the_order(values, random):
    low, high, coverage = median_interval(values)
    assert low <= np.median(values) <= high
    assert coverage >= 0.95
    random.shuffle(values)
    assert median_interval(values) == (low, high, coverage)


@given(st.lists(st.floats(0.1, 10), min_size=6, max_size=20), st.floats(0.5, 2))
def test_it_is_scaled_with_the_values(values, factor):
    low, high, _ = median_interval(values)
    scaled = median_interval(np.array(values) * factor)
    assert scaled[:2] == pytest.approx((low * factor, high * factor), rel=1e-12)


def test_it_covers_a_skewed_median_as_often_as_it_says():
    rng = np.random.default_rng(0)
    samples = np.exp(rng.standard_normal((4000, 7)))
    inside = [low <= 1 <= high for low, high, _ in map(median_interval, samples)]
    assert np.mean(inside) == pytest.approx(0.984375, abs=0.008)


@pytest.mark.parametrize("level", [0.0, 1.0, -0.1, 95])
def test_a_level_out_of_range_is_refused(level):
    with pytest.raises(ValueError, match=r"expected a number in \(0, 1\)"):
        median_interval(range(20), level=level)


def test_too_few_or_bad_values_are_refused():
    with pytest.raises(ValueError, match=r"at 0\.95 needs 6 values, got 5"):
        median_interval(range(5))
    assert fewest_values(0.99) == 8
    for bad in ([1.0] * 6 + [np.nan], [1.0] * 6 + [np.inf], np.ones((2, 6))):
        with pytest.raises(ValueError, match="expected finite values"):
            median_interval(bad)
