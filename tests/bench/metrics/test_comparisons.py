"""Tests of comparisons: enumeration, scipy, definitions, and behaviour under the null."""

from itertools import combinations, product

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from earmark.bench.metrics import comparisons
from earmark.bench.metrics.comparisons import (
    compare,
    holm,
    indistinguishable_groups,
    minimum_detectable_difference,
    randomisation_test,
)
from earmark.bench.metrics.statistics import ratio, resample_sums, unit_sums

halves = st.lists(st.integers(-6, 6).map(lambda steps: steps / 2), min_size=1, max_size=9)
p_values = st.lists(st.floats(0, 1), min_size=1, max_size=7)


def enumerated_p_value(differences):
    """The share of all patterns of signs whose sum is farther from 0, and half of the equal."""
    sums = [np.dot(signs, differences) for signs in product((-1, 1), repeat=len(differences))]
    sizes, own = np.abs(sums), abs(sum(differences))
    if not any(differences):
        return 1.0
    return np.mean(sizes > own + 1e-9) + np.mean(np.abs(sizes - own) <= 1e-9) / 2


def accuracy_columns(n_models, n_items, seed, skill=0.7):
    rng = np.random.default_rng(seed)
    credit = (rng.random((n_models, n_items)) < skill).astype(float)
    return np.stack([credit, np.ones_like(credit)], axis=2)


@given(halves, st.sampled_from([1, 1 / 3, 0.1, 7e5]))
def test_the_exact_p_value_is_that_of_all_patterns_of_signs(differences, scale):
    found = randomisation_test(np.multiply(differences, scale), seed=0)
    assert found.exact
    assert found.p_value == pytest.approx(enumerated_p_value(differences), abs=1e-12)


def mid(p_value, positive, n):
    """An exact two-sided p-value of a sign test, less half the chance of the observed counts."""
    sides = 1 if 2 * positive == n else 2
    return p_value - sides * scipy.stats.binom.pmf(positive, n, 0.5) / 2


def test_the_exact_p_value_of_equal_steps_is_the_sign_tests():
    for n, positive in ((3000, 1600), (41, 30), (5, 5)):
        differences = np.r_[np.full(positive, 0.5), np.full(n - positive, -0.5)]
        found = randomisation_test(differences, seed=0)
        expected = mid(scipy.stats.binomtest(positive, n).pvalue, positive, n)
        assert found.exact
        assert found.p_value == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_scipys_permutation_test(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 4, (2, 12)) / 2
    reference = scipy.stats.permutation_test(
        (first, second),
        lambda x, y, axis: np.sum(x - y, axis=axis),
        permutation_type="samples",
        n_resamples=np.inf,
        vectorized=True,
    )
    found = randomisation_test(first - second, seed=0)
    null, observed = np.abs(reference.null_distribution), abs(reference.statistic)
    expected = reference.pvalue - np.mean(np.isclose(null, observed)) / 2
    assert found.p_value == pytest.approx(expected, abs=1e-12)


def test_drawn_signs_approach_the_counted_ones(monkeypatch):
    differences = np.r_[np.full(30, 0.5), np.full(16, -1.0), np.full(9, 1.5)]
    exact = randomisation_test(differences, seed=0)
    monkeypatch.setattr(comparisons, "_EXACT_STEPS", 10)
    drawn = randomisation_test(differences, replicates=40_000, seed=1)
    assert exact.exact
    assert not drawn.exact
    # A drawn p-value counts sums that are as large as the observed one in whole.
    sums = np.abs(np.random.default_rng(2).choice([-1, 1], (100_000, 55)) @ differences)
    expected = exact.p_value + np.mean(np.isclose(sums, abs(differences.sum()))) / 2
    error = np.sqrt(exact.p_value * (1 - exact.p_value) / 40_000)
    assert drawn.p_value == pytest.approx(expected, abs=5 * error)


def test_p_values_under_the_null_are_uniform():
    rng = np.random.default_rng(0)
    found = [
        randomisation_test(rng.normal(size=25), replicates=999, seed=seed) for seed in range(500)
    ]
    assert not any(test.exact for test in found)
    assert scipy.stats.kstest([test.p_value for test in found], "uniform").pvalue > 0.01


def test_exact_p_values_under_the_null_never_promise_too_much():
    rng = np.random.default_rng(1)
    found = np.array(
        [randomisation_test(rng.integers(-3, 4, 60) / 2, seed=0).p_value for _ in range(1000)]
    )
    for level in (0.01, 0.05, 0.2, 0.5):
        # A mid-p-value may pass its level by half the chance of one sum.
        assert np.mean(found <= level) < level + 4 * np.sqrt(level * (1 - level) / 1000)
    assert np.mean(found <= 0.2) > 0.14  # and are not merely timid


def test_a_drawn_p_value_counts_the_observed_pattern_itself():
    differences = np.linspace(1, 2, 40) ** 1.1
    assert randomisation_test(differences, replicates=99, seed=0).p_value == 1 / 100


def test_no_difference_is_no_evidence():
    found = randomisation_test([0.0, 0.0], seed=0)
    assert (found.p_value, found.exact) == (1.0, True)
    assert randomisation_test([0.5, -0.5], seed=0).p_value > 0.5


def test_an_exact_p_value_is_never_zero():
    assert 0 < randomisation_test(np.ones(5000), seed=0).p_value < 1e-300


@given(halves)
def test_reversing_the_models_or_their_order_changes_no_p_value(differences):
    p_value = randomisation_test(differences, seed=0).p_value
    assert randomisation_test(np.negative(differences), seed=0).p_value == p_value
    assert randomisation_test(differences[::-1], seed=0).p_value == p_value


@pytest.mark.parametrize(
    ("differences", "options", "message"),
    [
        ([], {}, r"filled array \(n_units,\), got \(0,\)"),
        ([[1.0]], {}, r"got \(1, 1\)"),
        ([1.0, np.nan], {}, "difference of unit 1 is nan"),
        ([1.0], {"replicates": 0}, "replicates must be at least 1, got 0"),
    ],
)
def test_refuses_differences_it_cannot_test(differences, options, message):
    with pytest.raises(ValueError, match=message):
        randomisation_test(differences, seed=0, **options)


def test_holm_agrees_with_a_worked_example():
    # Holm's procedure on four tests, as worked in R: p.adjust(c(...), "holm")
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])


@given(p_values)
def test_holm_is_the_closure_of_bonferroni(values):
    # A hypothesis falls only if every set of hypotheses that holds it does, by Bonferroni.
    tests = range(len(values))
    closed = [
        max(
            min(1, size * min(values[test] for test in family))
            for size in range(1, len(values) + 1)
            for family in combinations(tests, size)
            if chosen in family
        )
        for chosen in tests
    ]
    np.testing.assert_allclose(holm(values), closed, rtol=1e-12)


@given(p_values)
def test_holm_keeps_order_and_never_lowers(values):
    adjusted = holm(values)
    assert (adjusted >= values).all()
    assert (adjusted <= 1).all()
    assert (np.diff(adjusted[np.argsort(values, kind="stable")]) >= 0).all()


def test_holm_of_nothing_is_nothing():
    assert holm([]).size == 0


@pytest.mark.parametrize("values", [[0.1, 1.2], [-0.1, 0.2], [0.1, np.nan]])
def test_holm_refuses_what_is_no_p_value(values):
    with pytest.raises(ValueError, match=r"p-value \d is .*, expected a number from 0 to 1"):
        holm(values)


def test_holm_refuses_a_table():
    with pytest.raises(ValueError, match=r"array \(n_tests,\), got shape \(1, 1\)"):
        holm([[0.1]])


def test_the_detectable_difference_has_the_power_it_names():
    for alpha, power in ((0.05, 0.8), (0.01, 0.9)):
        least = minimum_detectable_difference(0.02, alpha=alpha, power=power)
        threshold = scipy.stats.norm.isf(alpha / 2) * 0.02
        assert scipy.stats.norm.sf(threshold, least, 0.02) == pytest.approx(power, abs=1e-12)
    assert minimum_detectable_difference(0.0) == 0


@pytest.mark.parametrize(
    ("error", "options", "message"),
    [
        (-1.0, {}, "standard_error must be finite and not negative, got -1.0"),
        (np.nan, {}, "got nan"),
        (np.inf, {}, "got inf"),
        (0.1, {"alpha": 0}, "alpha must lie between 0 and 1, got 0"),
        (0.1, {"power": 1}, "power must lie between 0 and 1, got 1"),
    ],
)
def test_refuses_an_impossible_power_calculation(error, options, message):
    with pytest.raises(ValueError, match=message):
        minimum_detectable_difference(error, **options)


def test_the_standard_error_of_plain_means_is_that_of_their_paired_difference():
    first, second = accuracy_columns(2, 80, seed=0)
    first[:, 0] += np.linspace(0, 1e-3, 80)  # no unit without a difference
    (found,) = compare([first, second], replicates=200, seed=0)
    expected = (first[:, 0] - second[:, 0]).std(ddof=1) / np.sqrt(80)
    assert found.standard_error == pytest.approx(expected, rel=1e-9)


def test_the_standard_error_of_clustered_ratios_is_the_bootstraps():
    rng = np.random.default_rng(4)
    units = np.repeat(np.arange(400), rng.integers(1, 4, 400))
    easy = rng.beta(1.5, 0.5, 400)[units]
    first, second = (
        np.stack([rng.random(units.size) < easy, np.ones(units.size)], axis=1) for _ in range(2)
    )
    second[::7] = 0  # pairs that the second model leaves undecided
    drawn = resample_sums(np.hstack([first, second]), units=units, replicates=20_000, seed=0)
    spread = (ratio(drawn[:, :2]) - ratio(drawn[:, 2:])).std()
    (found,) = compare(np.stack([first, second]), units=units, replicates=200, seed=0)
    assert found.standard_error == pytest.approx(spread, rel=0.02)


@given(
    arrays(float, (2, 12), elements=st.sampled_from([0.0, 0.5, 1.0]) | st.floats(0, 1)),
    st.sampled_from([0.8, 0.9, 0.95]),
)
def test_the_interval_excludes_0_exactly_where_the_test_is_significant(credit, level):
    columns = np.stack([credit, np.ones_like(credit)], axis=2)
    (found,) = compare(columns, level=level, replicates=199, seed=0)
    significant = found.p_value < 1 - level
    assert significant == (not found.interval.low <= 0 <= found.interval.high)


def test_without_any_difference_the_interval_still_has_width():
    columns = np.repeat(accuracy_columns(1, 40, seed=0), 2, axis=0)
    (found,) = compare(columns, replicates=200, seed=0)
    assert (found.difference, found.p_value) == (0, 1)
    assert found.interval.low < -0.02 < 0.02 < found.interval.high


def test_compares_every_pair_once_and_holm_spans_them_all():
    columns = accuracy_columns(4, 60, seed=0)
    found = compare(columns, replicates=500, seed=0)
    assert [(one.first, one.second) for one in found] == list(combinations(range(4), 2))
    np.testing.assert_allclose([one.p_holm for one in found], holm([one.p_value for one in found]))
    for one in found:
        first, second = columns[one.first, :, 0], columns[one.second, :, 0]
        assert one.difference == pytest.approx(first.mean() - second.mean(), abs=1e-12)
        assert one.interval.low <= one.difference <= one.interval.high
        assert one.exact
        assert one.p_value == randomisation_test(first - second, seed=0).p_value
        expected = minimum_detectable_difference(one.standard_error, degrees_of_freedom=59)
        assert one.minimum_detectable_difference == expected


def test_adding_a_model_leaves_the_p_value_of_the_others_as_it_was():
    columns = accuracy_columns(3, 50, seed=1)
    two, three = (compare(columns[:n], replicates=200, seed=0)[0] for n in (2, 3))
    assert two.p_value == three.p_value
    assert two.difference == three.difference


def test_where_denominators_differ_the_signs_of_pseudo_values_are_flipped():
    # One of eight units is left undecided by the second model: all patterns can be listed.
    columns = accuracy_columns(2, 8, seed=6)
    columns[:, :, 0] = np.random.default_rng(6).integers(0, 2, (2, 8))
    columns[1, 3] = 0
    whole = ratio(columns.sum(axis=1))
    without = np.array(
        [[ratio(np.delete(one, u, 0).sum(axis=0)) for u in range(8)] for one in columns]
    )
    pseudo = 8 * whole[:, None] - 7 * without
    influence = pseudo[0] - pseudo[1]
    influence += whole[0] - whole[1] - influence.mean()
    null = [np.dot(signs, influence) for signs in product((-1, 1), repeat=8)]
    expected = np.mean(np.abs(null) >= abs(influence.sum()) - 1e-9)
    (found,) = compare(columns, replicates=40_000, seed=0)
    assert found.difference == pytest.approx(whole[0] - whole[1])
    assert found.p_value == pytest.approx(expected, abs=0.02)


def test_differences_near_a_lattice_but_not_on_it_are_drawn():
    assert randomisation_test([1, 2, 3, -2], seed=0).exact
    assert not randomisation_test([1, 2, 3 + 1e-4, -2], seed=0).exact


def test_any_statistic_of_sums_is_compared_and_identical_models_are_equal():
    rng = np.random.default_rng(0)
    error = rng.normal(size=(30, 1)) ** 2
    columns = np.stack([np.hstack([error, np.ones((30, 1))])] * 2)
    (found,) = compare(columns, lambda sums: np.sqrt(ratio(sums)), replicates=300, seed=0)
    assert (found.difference, found.p_value, found.standard_error) == (0, 1, 0)
    assert (found.interval.low, found.interval.high) == (0, 0)


def test_units_are_what_is_resampled_and_exchanged():
    columns = accuracy_columns(2, 90, seed=3)
    units = np.repeat(np.arange(30), 3)
    (by_unit,) = compare(columns, units=units, replicates=200, seed=0)
    sums = np.stack([unit_sums(model, units) for model in columns])
    (of_sums,) = compare(sums, replicates=200, seed=0)
    assert by_unit == of_sums


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (np.ones((1, 3, 2)), r"at least 2 models, got shape \(1, 3, 2\)"),
        (np.ones((3, 2)), r"got shape \(3, 2\)"),
        (np.stack([np.ones((3, 2)), np.zeros((3, 2))]), "statistic of model 1 is undefined"),
        (np.full((2, 3, 2), np.nan), "value of item 0, column 0 is nan"),
        (np.ones((2, 1, 2)), "at least 2 units, got 1"),
        ([[[1, 1], [0, 0]], [[0, 1], [0, 0]]], "at least 2 units, got 1"),  # one is scored
    ],
)
def test_refuses_models_it_cannot_compare(columns, message):
    with pytest.raises(ValueError, match=message):
        compare(columns, seed=0)


different_matrices = st.integers(1, 6).flatmap(
    lambda n: arrays(bool, (n, n)).map(lambda matrix: np.triu(matrix, 1) | np.triu(matrix, 1).T)
)


@given(different_matrices)
def test_groups_are_the_maximal_cliques_of_models_not_told_apart(different):
    n = len(different)
    cliques = [
        set(members)
        for size in range(1, n + 1)
        for members in combinations(range(n), size)
        if not different[np.ix_(members, members)].any()
    ]
    maximal = sorted(sorted(one) for one in cliques if not any(one < other for other in cliques))
    names = [f"model {rank}" for rank in range(n)]
    found = indistinguishable_groups(names, different)
    assert found == [tuple(names[rank] for rank in clique) for clique in maximal]
    assert {name for group in found for name in group} == set(names)


def test_all_alike_are_one_group_and_all_different_are_each_their_own():
    alike = np.zeros((3, 3), bool)
    assert indistinguishable_groups("ABC", alike) == [("A", "B", "C")]
    assert indistinguishable_groups("ABC", ~np.eye(3, dtype=bool)) == [("A",), ("B",), ("C",)]
    assert indistinguishable_groups([], np.zeros((0, 0), bool)) == []


@pytest.mark.parametrize(
    ("names", "different", "message"),
    [
        (["A", "A"], np.zeros((2, 2), bool), "model 'A' is named more than once"),
        (["A", "B"], np.zeros((2, 2)), "must be boolean of shape .*got float64"),
        (["A"], np.zeros((2, 2), bool), r"shape \(1, 1\), got bool of shape \(2, 2\)"),
        (["A", "B"], np.array([[False, True], [False, False]]), "not at 'A', 'B'"),
        (["A"], np.array([[True]]), "not at 'A', 'A'"),
    ],
)
def test_refuses_what_is_no_relation_between_models(names, different, message):
    with pytest.raises(ValueError, match=message):
        indistinguishable_groups(names, different)
