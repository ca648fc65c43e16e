"""Which of two models is better, and how sure one may be: paired on the same items.

Conventions
-----------
Models are compared by a statistic of their column sums (``columns`` of shape
``(n_models, n_items, n_columns)``; for an accuracy: credit and whether it is scored). Tests work on
units (:mod:`earmark.bench.metrics.statistics`).

Each unit has an *influence* on the difference of two models: its own difference for a mean, its
jackknife pseudo-value [1]_ for any other statistic, on the scale of
:mod:`earmark.bench.metrics.intervals`. If the models are equally good, influences have the mean 0,
and the test gives each of them a random sign. Signs leave the sum of squares as it is, so that the
test of the sum is that of the studentised sum [2]_: it holds its level also where the two models'
values are not exchangeable (other scales, other spread), and is exact for means where they are. The
interval comes from the same null distribution, so that it excludes 0 exactly where ``p < 0.05``.

Functions
---------
* :func:`compare`: every pair of models: difference, interval, p-value, Holm, least difference.
* :func:`compare_left_out`: the same of a statistic that is known without each unit.
* :func:`randomisation_test`: may a mean difference of this size be the luck of the signs?
* :func:`holm`: p-values corrected for their number.
* :func:`minimum_detectable_difference`: what a test of this precision would have found.
* :func:`indistinguishable_groups`: the models that a leaderboard must not separate.

References
----------
.. [1] B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, eq. 11.16.
.. [2] A. Janssen, "Studentized permutation tests for non-i.i.d. hypotheses and the generalized
       Behrens-Fisher problem", Stat. Probab. Lett. 36(1), 1997; E. Chung and J. P. Romano, "Exact
       and asymptotically robust permutation tests", Ann. Stat. 41(2), 2013.
.. [3] S. Holm, "A simple sequentially rejective multiple test procedure", 1979, sec. 2.
.. [4] E. Miller, "Adding error bars to evals", arXiv:2411.00640, 2024: clustered standard
       errors, paired differences, power analysis.
.. [5] H.-P. Piepho, "An algorithm for a letter-based representation of all-pairwise
       comparisons", J. Comput. Graph. Stat. 13(2), 2004, sec. 3 (insert and absorb).
.. [6] A. Agresti and Y. Min, "Simple improved confidence intervals for comparing matched
       proportions", Stat. Med. 24(5), 2005.
.. [7] M. W. Fagerland, S. Lydersen and P. Laake, "The McNemar test for binary matched-pairs data:
       mid-p and asymptotic are better than exact conditional", BMC Med. Res. Methodol. 13, 2013.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earmark.bench.metrics.base import Floats
from earmark.bench.metrics.intervals import (
    IDENTITY,
    LEVEL,
    Interval,
    Scale,
    Statistic,
    leave_one_out,
    student_quantile,
)
from earmark.bench.metrics.statistics import (
    REPLICATES,
    ratio,
    rows_at_once,
    unit_sums,
)

# The exact null distribution has one cell a lattice step; beyond this, convolving costs seconds.
_EXACT_STEPS = 2**14
# How finely the smallest difference may be divided to find the lattice: halves, thirds, ... 12ths.
_LATTICE_DIVISORS = 12
# Pairs of models whose null distributions are held at once.
_PAIRS = 64
METHOD = "sign flips of influences, studentised"


@dataclass(frozen=True, slots=True)
class RandomisationTest:
    """A two-sided p-value; ``exact`` where every pattern of signs was counted."""

    p_value: float
    exact: bool
    critical: float
    """The largest absolute sum of differences that is not significant."""


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """Model ``first`` minus model ``second`` (indices), on the same items."""

    first: int
    second: int
    difference: float
    interval: Interval
    """Excludes 0 exactly where ``p_value`` is below 1 minus its level."""
    p_value: float
    exact: bool
    p_holm: float
    """After Holm's correction over all pairs of models compared together."""
    standard_error: float
    minimum_detectable_difference: float
    """At a two-sided 5 % level with 80 % power."""


def compare(
    columns: ArrayLike,
    statistic: Statistic = ratio,
    *,
    scale: Scale = IDENTITY,
    units: ArrayLike | None = None,
    level: float = LEVEL,
    replicates: int = REPLICATES,
    seed: int,
) -> list[PairedComparison]:
    """Compare every pair of models by a statistic of their column sums.

    ``columns`` are ``(n_models, n_items, n_columns)``; the statistic is compared on ``scale``.
    Where it is a ratio and both models score the same items, the test is
    :func:`randomisation_test` of the numerators, exact on a small lattice.

    Raises
    ------
    ValueError
        If there are fewer than two models or two units, the statistic of a model is undefined
        (leave it out), or as :func:`~earmark.bench.metrics.statistics.unit_sums`.
    """
    table = np.asarray(columns, dtype=np.float64)
    if table.ndim != 3 or len(table) < 2:
        raise ValueError(
            f"columns must be (n_models, n_items, n_columns) with at least 2 models, "
            f"got shape {table.shape}"
        )
    n_models, n_items, n_columns = table.shape
    wide = table.transpose(1, 0, 2).reshape(n_items, n_models * n_columns)
    sums = unit_sums(wide, units).reshape(-1, n_models, n_columns).transpose(1, 0, 2)
    values = statistic(sums.sum(axis=1))
    if statistic is ratio and (sums[..., 1] == sums[0, :, 1]).all():
        return _compare_means(values, sums, level=level, replicates=replicates, seed=seed)
    left_out = np.stack([leave_one_out(one, statistic) for one in sums])
    return compare_left_out(
        values, left_out, scale=scale, level=level, replicates=replicates, seed=seed
    )


def _compare_means(
    values: Floats, sums: Floats, *, level: float, replicates: int, seed: int
) -> list[PairedComparison]:
    """Compare ratios with the same denominators, of sums ``(n_models, n_units, 2)``."""
    items = float(sums[0, :, 1].sum())
    used = sums[0, :, 1] > 0
    n_units = int(used.sum())
    _check(values, n_units)
    credit = sums[:, used, 0] * (n_units / items)
    within = bool(((sums[..., 0] >= 0) & (sums[..., 0] <= sums[..., 1])).all())
    pairs = list(combinations(range(len(values)), 2))
    influences = np.stack([credit[first] - credit[second] for first, second in pairs])
    return _compared(
        values,
        pairs,
        influences,
        np.ones(len(pairs)),
        # Two more units with the largest differences there can be, as far as units do not differ.
        added=2 * np.mean(influences == 0, axis=1) if within else np.zeros(len(pairs)),
        bound=1.0 if within else np.inf,
        level=level,
        replicates=replicates,
        seed=seed,
    )


def compare_left_out(
    values: ArrayLike,
    left_out: ArrayLike,
    *,
    scale: Scale = IDENTITY,
    level: float = LEVEL,
    replicates: int = REPLICATES,
    seed: int,
) -> list[PairedComparison]:
    """Compare every pair of models by their values, and those without each unit.

    ``values`` are ``(n_models,)``, ``left_out`` ``(n_models, n_units)``. A unit without which a
    value is undefined counts as if it had no influence.

    Raises
    ------
    ValueError
        If there are fewer than two models or two units, or a value is undefined.
    """
    scores, without = np.asarray(values, np.float64), np.asarray(left_out, np.float64)
    _check(scores, without.shape[1])
    n_units = without.shape[1]
    pull = np.nanmean(without, axis=1, keepdims=True) - without
    pull = np.where(np.isfinite(pull), pull, 0.0)
    pairs = list(combinations(range(len(scores)), 2))
    inside = (scores > scale.lower + 1e-9) & (scores < scale.upper - 1e-9)
    influences, slopes = np.empty((len(pairs), n_units)), np.empty(len(pairs))
    for row, (first, second) in enumerate(pairs):
        on = scale if inside[first] and inside[second] else IDENTITY
        ends = scores[[first, second]]
        (one, other), (steep, flat) = on.forward(ends), on.derivative(ends)
        influences[row] = one - other + (n_units - 1) * (steep * pull[first] - flat * pull[second])
        slopes[row] = on.slope(*ends)
    return _compared(
        scores,
        pairs,
        influences,
        slopes,
        added=np.zeros(len(pairs)),
        bound=scale.upper - scale.lower,
        level=level,
        replicates=replicates,
        seed=seed,
    )


def _check(values: Floats, n_units: int) -> None:
    if len(values) < 2:
        raise ValueError(f"expected at least 2 models, got {len(values)}")
    if not np.isfinite(values).all():
        model = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ValueError(f"the statistic of model {model} is undefined: leave the model out")
    if n_units < 2:
        raise ValueError(f"a comparison needs at least 2 units, got {n_units}")


def _compared(
    values: Floats,
    pairs: Sequence[tuple[int, int]],
    influences: Floats,
    slopes: Floats,
    *,
    added: Floats,
    bound: float,
    level: float,
    replicates: int,
    seed: int,
) -> list[PairedComparison]:
    """Test influences ``(n_pairs, n_units)``, whose means are the differences on a scale.

    ``slopes`` turn that scale's unit into the statistic's; ``added`` is added to the sums of
    squares for what few units cannot show [6]_; differences lie within ``bound``.
    """
    n_units = influences.shape[1]
    tests = _sign_flip_tests(influences, replicates=replicates, seed=seed, level=level)
    adjusted = holm([test.p_value for test in tests])
    squares = np.sum(influences**2, axis=1) + added
    compared = []
    for row, (first, second) in enumerate(pairs):
        test, difference = tests[row], float(values[first] - values[second])
        total = abs(float(influences[row].sum()))
        error = _error_of_mean(total, squares[row], n_units)
        half = error * _quantile(test, total, squares[row], n_units, level)
        half, error = half * float(slopes[row]), error * float(slopes[row])
        compared.append(
            PairedComparison(
                first=first,
                second=second,
                difference=difference,
                interval=Interval(
                    max(difference - half, -bound),
                    min(difference + half, bound),
                    level,
                    0 if test.exact else replicates,
                    0,
                    METHOD,
                ),
                p_value=test.p_value,
                exact=test.exact,
                p_holm=float(adjusted[row]),
                standard_error=error,
                minimum_detectable_difference=minimum_detectable_difference(
                    error, degrees_of_freedom=n_units - 1
                ),
            )
        )
    return compared


def _error_of_mean(total: float, squares: float, n_units: int) -> float:
    """Return the standard error of a mean from the absolute sum and the sum of squares."""
    return float(np.sqrt(max(squares - total**2 / n_units, 0) / (n_units * (n_units - 1))))


def _quantile(
    test: RandomisationTest, total: float, squares: float, n_units: int, level: float
) -> float:
    """Return by how many standard errors the interval extends to either side.

    The studentised critical sum of the test, or Student's quantile where that is larger and does
    not take a significant difference back: a test of few signs has a coarse null distribution.
    """
    error = _error_of_mean(test.critical, squares, n_units)
    by_signs = test.critical / n_units / error if error else 0.0
    by_student = student_quantile(level, n_units - 1)
    own = _error_of_mean(total, squares, n_units)
    if test.p_value < 1 - level and own * by_student >= total / n_units:
        return by_signs
    return max(by_signs, by_student)


def randomisation_test(
    differences: ArrayLike, *, replicates: int = REPLICATES, seed: int, level: float = LEVEL
) -> RandomisationTest:
    """Test whether paired differences, one a unit ``(n_units,)``, could as well be reversed.

    Each difference might have had the other sign; the statistic is the absolute sum. Differences
    on a small lattice (all multiples of 0.5, say) have a null distribution that is counted exactly
    by convolution, and a mid-p-value [7]_: a sum as large as the observed one counts half.
    Otherwise ``replicates`` patterns of signs are drawn, and ``p = (1 + hits) / (1 + replicates)``.
    Without any difference p is 1.

    >>> found = randomisation_test([1, 1, 1, 1, 1], seed=0)
    >>> found.p_value, found.exact, round(found.critical, 6)
    (0.03125, True, 3.0)

    Raises
    ------
    ValueError
        If no difference is given, one is not finite, or ``replicates`` is less than 1.
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"differences must be a filled array (n_units,), got {values.shape}")
    if not np.isfinite(values).all():
        unit = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ValueError(f"difference of unit {unit} is {values[unit]}, expected a finite number")
    return _sign_flip_tests(values[None], replicates=replicates, seed=seed, level=level)[0]


def _sign_flip_tests(
    differences: Floats, *, replicates: int, seed: int, level: float
) -> list[RandomisationTest]:
    """Return the test of each row of ``(n_tests, n_units)``; all share the drawn signs."""
    if replicates < 1:
        raise ValueError(f"replicates must be at least 1, got {replicates}")
    tests: list[RandomisationTest | None] = [_exact_test(row, level) for row in differences]
    drawn = [row for row, test in enumerate(tests) if test is None]
    for start in range(0, len(drawn), _PAIRS):
        rows = drawn[start : start + _PAIRS]
        values = np.ascontiguousarray(differences[rows].T)
        flipped = _flipped_sums(values, replicates, np.random.default_rng(seed))
        for row, null in zip(rows, np.abs(values.sum(axis=0) - 2 * flipped).T, strict=True):
            tests[row] = _drawn_test(differences[row], null, level)
    return [test for test in tests if test is not None]


def _drawn_test(values: Floats, null: Floats, level: float) -> RandomisationTest:
    # Sums that are equal on paper differ in the last digits.
    tolerance = 1e-10 * float(np.abs(values).sum())
    hits = int(np.count_nonzero(null >= abs(float(values.sum())) - tolerance))
    rank = int(np.ceil((1 - level) * (1 + len(null)) - 1e-9)) - 1  # hits below it are significant
    critical = float(np.partition(null, -rank)[-rank]) if rank > 0 else float(np.abs(values).sum())
    return RandomisationTest((1 + hits) / (1 + len(null)), False, critical + tolerance)


def _exact_test(values: Floats, level: float) -> RandomisationTest | None:
    """Return the test from every pattern of signs, or None where there are too many sums."""
    values = values[values != 0]
    if not values.size:
        return RandomisationTest(1.0, exact=True, critical=0.0)
    found = _lattice_steps(values)
    if found is None:
        return None
    steps, step = found
    chances = _chances_of_sums(steps)
    total = len(chances) - 1
    sums = np.abs(2 * np.arange(total + 1) - total)
    # Of each absolute sum, the chance of a larger one and half of its own [7]_.
    sizes, place = np.unique(sums, return_inverse=True)
    own_chance = np.bincount(place, chances)
    tails = np.cumsum(own_chance[::-1])[::-1] - own_chance / 2
    own = float(tails[np.searchsorted(sizes, abs(int(steps.sum())))])
    p_value = min(1.0, max(own, sys.float_info.min))
    insignificant = sizes[tails >= 1 - level]
    return RandomisationTest(p_value, True, float(insignificant[-1]) * step * (1 + 1e-12))


def _lattice_steps(values: Floats) -> tuple[NDArray[np.int64], float] | None:
    """Return non-zero differences in steps of their lattice, and the step; None: too many."""
    multiples = values / np.abs(values).min()
    for divisor in range(1, _LATTICE_DIVISORS + 1):
        steps = multiples * divisor
        if not np.abs(steps).sum() <= _EXACT_STEPS:
            return None
        whole: NDArray[np.int64] = np.rint(steps).astype(np.int64)
        if np.abs(steps - whole).max() < 1e-9:
            return whole, float(np.abs(values).min()) / divisor
    return None


def _chances_of_sums(steps: NDArray[np.int64]) -> Floats:
    """Return the chances of the sums of steps with random signs, from least to greatest."""
    # The sum of m * (+-1) is 2 * (sum of m * coin) - total; coins of equal m are a binomial.
    chances = np.ones(1)
    for size, count in zip(*np.unique(np.abs(steps), return_counts=True), strict=True):
        spread = np.zeros(size * count + 1)
        spread[::size] = _fair_coins(int(count))
        chances = np.convolve(chances, spread)
    return chances


@lru_cache(maxsize=256)
def _fair_coins(count: int) -> tuple[float, ...]:
    """Return the chances of 0 to ``count`` heads, from whole numbers: no rounding adds up."""
    ways, chances = 1, []
    for heads in range(count // 2 + 1):
        chances.append(ways / 2**count)
        ways = ways * (count - heads) // (heads + 1)
    return (*chances, *chances[: count - count // 2][::-1])


def _flipped_sums(sums: Floats, replicates: int, rng: np.random.Generator) -> Floats:
    """Return column sums over a random half of the units, ``(replicates, n_columns)``."""
    n_units = len(sums)
    # A whole number of random words a block, so that the signs do not depend on its size.
    per_block = max(4, rows_at_once(sums) // 4 * 4)
    result = np.empty((replicates, sums.shape[1]))
    for start in range(0, replicates, per_block):
        block = result[start : start + per_block]
        bits = rng.integers(256, size=(len(block), (n_units + 7) // 8), dtype=np.uint8)
        block[:] = np.unpackbits(bits, axis=1, count=n_units).astype(np.float64) @ sums
    return result


def holm(p_values: ArrayLike) -> Floats:
    """Return p-values corrected by Holm's step-down procedure [3]_, in the order given.

    >>> holm([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])

    Raises
    ------
    ValueError
        If the p-values are not one array of numbers from 0 to 1.
    """
    values = np.asarray(p_values, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"p-values must be an array (n_tests,), got shape {values.shape}")
    outside = ~((values >= 0) & (values <= 1))
    if outside.any():
        test = int(np.flatnonzero(outside)[0])
        raise ValueError(f"p-value {test} is {values[test]}, expected a number from 0 to 1")
    order = np.argsort(values, kind="stable")
    stepped = values[order] * np.arange(values.size, 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(stepped))
    return adjusted


def minimum_detectable_difference(
    standard_error: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    degrees_of_freedom: int | None = None,
) -> float:
    """Return the least true difference that a two-sided test would find with this power [4]_.

    ``(q(1 - alpha / 2) + q(power)) * standard_error`` with the quantiles of Student's distribution,
    or without ``degrees_of_freedom`` of the normal one.

    >>> round(minimum_detectable_difference(0.01), 4)
    0.028

    Raises
    ------
    ValueError
        If the error is negative or not finite, or ``alpha`` or ``power`` is not in (0, 1).
    """
    if not 0 <= standard_error < np.inf:
        raise ValueError(f"standard_error must be finite and not negative, got {standard_error}")
    for name, value in (("alpha", alpha), ("power", power)):
        if not 0 < value < 1:
            raise ValueError(f"{name} must lie between 0 and 1, got {value}")
    if degrees_of_freedom is None:
        normal = NormalDist()
        return (normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(power)) * standard_error
    from scipy.stats import t as student

    return standard_error * float(student.ppf([1 - alpha / 2, power], degrees_of_freedom).sum())


def indistinguishable_groups(
    names_best_first: Sequence[str], different: ArrayLike
) -> list[tuple[str, ...]]:
    """Return the largest groups of models that do not differ significantly, each best first.

    ``different`` is symmetric, boolean, ``(n_models, n_models)``, in the order of the names.
    The groups are the letters of a compact letter display [5]_: two models share a group exactly
    where they are not different, so a model may be in several.

    >>> apart = [[False, False, True], [False, False, False], [True, False, False]]
    >>> indistinguishable_groups(["A", "B", "C"], apart)
    [('A', 'B'), ('B', 'C')]

    Raises
    ------
    ValueError
        If a name repeats, or ``different`` is not such a matrix.
    """
    names, matrix = list(names_best_first), np.asarray(different)
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"model {twice!r} is named more than once")
    if matrix.dtype != bool or matrix.shape != (len(names), len(names)):
        raise ValueError(
            f"different must be boolean of shape ({len(names)}, {len(names)}), "
            f"got {matrix.dtype} of shape {matrix.shape}"
        )
    if (matrix != matrix.T).any() or matrix.diagonal().any():
        first, second = np.argwhere(
            (matrix != matrix.T) | (matrix & np.eye(len(names), dtype=bool))
        )[0]
        raise ValueError(
            f"different must be symmetric and false on its diagonal, but is not at "
            f"{names[first]!r}, {names[second]!r}"
        )
    groups = {frozenset(range(len(names)))} if names else set()
    for first, second in np.argwhere(np.triu(matrix)):
        pair = {int(first), int(second)}
        split = {group for group in groups if pair <= group}
        parts = {group - {model} for group in split for model in pair}
        kept = groups - split
        candidates = kept | parts
        # Absorb: only a new part can lie within another group.
        groups = kept | {part for part in parts if not any(part < other for other in candidates)}
    return [tuple(names[model] for model in ranks) for ranks in sorted(map(sorted, groups))]
