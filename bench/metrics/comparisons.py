"""Which of two models is better, and how sure one may be: paired on the same items.

Conventions
-----------
Models are compared by a statistic of their column sums (``columns`` of shape
``(n_models, n_items, n_columns)``; for an accuracy: credit and whether it is scored). Resampling
and randomisation work on units (:mod:`earmark.bench.metrics.statistics`).

Functions
---------
* :func:`compare`: every pair of models: difference, interval, p-value, Holm, least difference.
* :func:`randomisation_test`: may a mean difference of this size be the luck of the signs?
* :func:`holm`: p-values corrected for their number.
* :func:`minimum_detectable_difference`: what a test of this precision would have found.
* :func:`indistinguishable_groups`: the models that a leaderboard must not separate.

References
----------
.. [1] E. W. Noreen, "Computer Intensive Methods for Testing Hypotheses", 1989, ch. 2; M. D.
       Smucker et al., "A comparison of statistical significance tests for information retrieval
       evaluation", CIKM 2007, sec. 3.
.. [2] S. Holm, "A simple sequentially rejective multiple test procedure", 1979, sec. 2.
.. [3] E. Miller, "Adding error bars to evals", arXiv:2411.00640, 2024: clustered standard
       errors, paired differences, power analysis.
.. [4] H.-P. Piepho, "An algorithm for a letter-based representation of all-pairwise
       comparisons", J. Comput. Graph. Stat. 13(2), 2004, sec. 3 (insert and absorb).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earmark.bench.metrics.base import Floats
from earmark.bench.metrics.statistics import (
    LEVEL,
    REPLICATES,
    Interval,
    percentile_intervals,
    ratio,
    resample_sums,
    rows_at_once,
    unit_sums,
)

Statistic = Callable[[Floats], Floats]
"""From column sums ``(..., n_columns)`` to scores ``(...)``, NaN where undefined."""

# The exact null distribution has one cell a lattice step; beyond this, convolving costs seconds.
_EXACT_STEPS = 2**14
# How finely the smallest difference may be divided to find the lattice: halves, thirds, ... 12ths.
_LATTICE_DIVISORS = 12


@dataclass(frozen=True, slots=True)
class RandomisationTest:
    """A two-sided p-value; ``exact`` where every pattern of signs was counted."""

    p_value: float
    exact: bool


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """Model ``first`` minus model ``second`` (indices), on the same items."""

    first: int
    second: int
    difference: float
    interval: Interval
    p_value: float
    exact: bool
    p_holm: float
    """After Holm's correction over all pairs of models compared together."""
    standard_error: float
    """Standard deviation of the bootstrapped difference, over the defined replicates."""
    minimum_detectable_difference: float
    """At a two-sided 5 % level with 80 % power."""


def compare(
    columns: ArrayLike,
    statistic: Statistic = ratio,
    *,
    units: ArrayLike | None = None,
    level: float = LEVEL,
    replicates: int = REPLICATES,
    seed: int,
) -> list[PairedComparison]:
    """Compare every pair of models by a statistic of their column sums.

    ``columns`` are ``(n_models, n_items, n_columns)``; all models are resampled together. The
    p-value is that of the randomisation test which exchanges the two models in a random half of
    the units [1]_; where the statistic is a ratio and both score the same items, this is
    :func:`randomisation_test` of the numerators, exact on a small lattice.

    Raises
    ------
    ValueError
        If there are fewer than two models, the statistic of one is undefined (leave it out), or
        as :func:`resample_sums`.
    """
    table = np.asarray(columns, dtype=np.float64)
    if table.ndim != 3 or len(table) < 2:
        raise ValueError(
            f"columns must be (n_models, n_items, n_columns) with at least 2 models, "
            f"got shape {table.shape}"
        )
    n_models, n_items, n_columns = table.shape
    wide = table.transpose(1, 0, 2).reshape(n_items, n_models * n_columns)
    sums = unit_sums(wide, units)
    scores = statistic(sums.sum(axis=0).reshape(n_models, n_columns))
    if np.isnan(scores).any():
        model = int(np.flatnonzero(np.isnan(scores))[0])
        raise ValueError(f"the statistic of model {model} is undefined: leave the model out")
    resampled = resample_sums(sums, replicates=replicates, seed=seed)
    replicated = statistic(resampled.reshape(replicates, n_models, n_columns))
    pairs = list(combinations(range(n_models), 2))
    tests = list(_paired_tests(sums, scores, statistic, pairs, replicates, seed))
    adjusted = holm([test.p_value for test in tests])
    spreads = _spreads(np.ascontiguousarray(replicated.T), pairs, level)
    comparisons = []
    for (first, second), test, p_holm, (interval, error) in zip(
        pairs, tests, adjusted, spreads, strict=True
    ):
        comparisons.append(
            PairedComparison(
                first=first,
                second=second,
                difference=float(scores[first] - scores[second]),
                interval=interval,
                p_value=test.p_value,
                exact=test.exact,
                p_holm=float(p_holm),
                standard_error=error,
                minimum_detectable_difference=minimum_detectable_difference(error),
            )
        )
    return comparisons


def _spreads(
    replicated: Floats, pairs: Sequence[tuple[int, int]], level: float
) -> Iterator[tuple[Interval, float]]:
    """Yield interval and standard error of each pair's difference, of ``(n_models, n)``."""
    at_once = max(1, 2**20 // replicated.shape[1])  # bounds the memory
    for start in range(0, len(pairs), at_once):
        firsts, seconds = np.array(pairs[start : start + at_once]).T
        differences = replicated[firsts] - replicated[seconds]
        intervals = percentile_intervals(differences, level=level)
        for row, interval in zip(differences, intervals, strict=True):
            yield interval, float(np.std(row[~np.isnan(row)] if interval.undefined else row))


def _paired_tests(
    sums: Floats,
    scores: Floats,
    statistic: Statistic,
    pairs: Sequence[tuple[int, int]],
    replicates: int,
    seed: int,
) -> Iterator[RandomisationTest]:
    """Yield the randomisation test of each pair; the drawn exchanges are shared by all."""
    by_model = sums.reshape(len(sums), len(scores), -1)
    total = by_model.sum(axis=0)
    swapped: Floats | None = None
    for first, second in pairs:
        one, other = by_model[:, first], by_model[:, second]
        if statistic is ratio and np.array_equal(one[:, 1], other[:, 1]):
            yield randomisation_test(one[:, 0] - other[:, 0], replicates=replicates, seed=seed)
            continue
        if swapped is None:
            drawn = _swapped_sums(sums, replicates, np.random.default_rng(seed))
            swapped = drawn.reshape(replicates, *total.shape)
        moved = swapped[:, second] - swapped[:, first]
        null = statistic(total[first] + moved) - statistic(total[second] - moved)
        observed = float(abs(scores[first] - scores[second]))
        magnitude = float(abs(scores[first]) + abs(scores[second]))
        yield RandomisationTest(_p_value(null, observed, magnitude), exact=False)


def randomisation_test(
    differences: ArrayLike, *, replicates: int = REPLICATES, seed: int
) -> RandomisationTest:
    """Test whether paired differences, one a unit ``(n_units,)``, could as well be reversed.

    Under the null hypothesis the two models are exchangeable in every unit, so each difference
    might have had the other sign [1]_; the statistic is the absolute sum. Differences on a small
    lattice (all multiples of 0.5, say) have a null distribution that is counted exactly by
    convolution. Otherwise ``replicates`` patterns of signs are drawn, and
    ``p = (1 + hits) / (1 + replicates)``. Without any difference p is 1.

    >>> randomisation_test([1, 1, 1, 1, 1], seed=0)
    RandomisationTest(p_value=0.0625, exact=True)

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
    if replicates < 1:
        raise ValueError(f"replicates must be at least 1, got {replicates}")
    values = values[values != 0]
    if not values.size:
        return RandomisationTest(1.0, exact=True)
    steps = _lattice_steps(values)
    if steps is not None:
        return RandomisationTest(_exact_p_value(steps), exact=True)
    flipped = _swapped_sums(values[:, None], replicates, np.random.default_rng(seed))[:, 0]
    null = values.sum() - 2 * flipped
    return RandomisationTest(_p_value(null, abs(values.sum()), np.abs(values).sum()), exact=False)


def _lattice_steps(values: Floats) -> NDArray[np.int64] | None:
    """Return non-zero differences in steps of their lattice, or None where it is not small."""
    multiples = values / np.abs(values).min()
    for divisor in range(1, _LATTICE_DIVISORS + 1):
        steps = multiples * divisor
        if not np.abs(steps).sum() <= _EXACT_STEPS:
            return None
        whole: NDArray[np.int64] = np.rint(steps).astype(np.int64)
        if np.abs(steps - whole).max() < 1e-9:
            return whole
    return None


def _exact_p_value(steps: NDArray[np.int64]) -> float:
    # The sum of m * (+-1) is 2 * (sum of m * coin) - total; coins of equal m are a binomial.
    chances = np.ones(1)
    for size, count in zip(*np.unique(np.abs(steps), return_counts=True), strict=True):
        spread = np.zeros(size * count + 1)
        spread[::size] = _fair_coins(int(count))
        chances = np.convolve(chances, spread)
    total = len(chances) - 1
    sums = 2 * np.arange(total + 1) - total
    p_value = float(chances[np.abs(sums) >= abs(int(steps.sum()))].sum())
    return min(1.0, max(p_value, sys.float_info.min))


@lru_cache(maxsize=256)
def _fair_coins(count: int) -> tuple[float, ...]:
    """Return the chances of 0 to ``count`` heads, from whole numbers: no rounding adds up."""
    ways, chances = 1, []
    for heads in range(count // 2 + 1):
        chances.append(ways / 2**count)
        ways = ways * (count - heads) // (heads + 1)
    return (*chances, *chances[: count - count // 2][::-1])


def _swapped_sums(sums: Floats, replicates: int, rng: np.random.Generator) -> Floats:
    """Return column sums over a random half of the units, ``(replicates, n_columns)``."""
    n_units = len(sums)
    per_block = rows_at_once(sums)
    result = np.empty((replicates, sums.shape[1]))
    for start in range(0, replicates, per_block):
        block = result[start : start + per_block]
        bits = rng.integers(256, size=(len(block), (n_units + 7) // 8), dtype=np.uint8)
        block[:] = np.unpackbits(bits, axis=1, count=n_units).astype(np.float64) @ sums
    return result


def _p_value(null: Floats, observed: float, magnitude: float) -> float:
    # Sums that are equal on paper differ in the last digits; an undefined (NaN) one is a hit.
    hits = int(np.count_nonzero(~(np.abs(null) < observed - 1e-10 * magnitude)))
    return (1 + hits) / (1 + len(null))


def holm(p_values: ArrayLike) -> Floats:
    """Return p-values corrected by Holm's step-down procedure [2]_, in the order given.

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
    standard_error: float, *, alpha: float = 0.05, power: float = 0.8
) -> float:
    """Return the least true difference that a two-sided test would find with this power [3]_.

    Normal approximation: ``(z(1 - alpha / 2) + z(power)) * standard_error``.

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
    normal = NormalDist()
    return (normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(power)) * standard_error


def ratio_difference_standard_error(
    first: ArrayLike, second: ArrayLike, *, units: ArrayLike | None = None
) -> float:
    """Return the clustered standard error of the difference of two ratios on the same items.

    ``first`` and ``second`` are ``(n_items, 2)``: what each item adds to numerator and
    denominator. Each ratio is linearised about its value, and the difference summed over units
    (as [3]_ does for means), times n / (n - 1) for the variance.

    Raises
    ------
    ValueError
        If shapes differ, there are fewer than two units, or a ratio has no denominator.
    """
    influences = []
    for name, columns in (("first", first), ("second", second)):
        sums = unit_sums(columns, units)
        numerator, denominator = sums.sum(axis=0) if sums.shape[1] == 2 else (0, 0)
        if sums.shape[1] != 2 or denominator <= 0:
            raise ValueError(
                f"{name} must be (n_items, 2) with a positive sum of denominators, "
                f"got {sums.shape[1]} columns with sums {sums.sum(axis=0)}"
            )
        influences.append((sums[:, 0] - numerator / denominator * sums[:, 1]) / denominator)
    if len(influences[0]) != len(influences[1]) or len(influences[0]) < 2:
        raise ValueError(
            f"both must cover the same units, at least 2, got {len(influences[0])} "
            f"and {len(influences[1])}"
        )
    n_units = len(influences[0])
    variance = n_units / (n_units - 1) * np.sum((influences[0] - influences[1]) ** 2)
    return float(np.sqrt(variance))


def indistinguishable_groups(
    names_best_first: Sequence[str], different: ArrayLike
) -> list[tuple[str, ...]]:
    """Return the largest groups of models of which no two are told apart, each best first.

    ``different`` is symmetric, boolean, ``(n_models, n_models)``, in the order of the names.
    The groups are the letters of a compact letter display [4]_: two models share a group exactly
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
