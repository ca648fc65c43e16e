"""Scores with intervals that are honest about what was sampled, and the cluster bootstrap.

Conventions
-----------
A *unit* is what was drawn from the population: a triplet in MusAV, a track with several
captions, an artist. Items of one unit (pairs, clips) stand or fall together, so units are
resampled, never items. Every score here is a function of column sums over items (a ratio of
two sums, a correlation from moments), so one resampling of the sums serves all of them.

Functions
---------
* :func:`unit_sums`: column sums of each unit.
* :func:`resample_sums`: column sums of each bootstrap replicate.
* :func:`draw_counts`: how often each replicate draws a unit, for scores that are no sums.
* :func:`percentile_interval`: the interval between two quantiles of a score's replicates.
* :func:`estimate_ratio`: a ratio of two sums (an accuracy) with its interval.
* :func:`estimate_statistic`: any smooth statistic of sums with its interval.

References
----------
.. [1] B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, ch. 6 and 13.3.
.. [2] A. C. Davison and D. V. Hinkley, "Bootstrap Methods and their Application", 1997,
       sec. 3.8 (resampling of clusters).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earmark.bench.metrics.base import Floats
from earmark.bench.metrics.intervals import (
    IDENTITY,
    LEVEL,
    LOG,
    Interval,
    Scale,
    Statistic,
    check_level,
    leave_one_out,
    mean_interval,
    studentised_interval,
    too_few,
)

REPLICATES = 10_000
SEED = 2022
"""Of suites and commands, unless another is given."""

# One binomial deviate of the multinomial costs about as much as a dozen uniform unit indices.
_UNITS_PER_ROW = 12
# Counts held at once, which keeps a block in the processor's cache (0.5 MiB of int64).
_BLOCK = 2**16
# Products at once: OpenBLAS gives larger ones to threads, and on a busy machine waits for them.
_PRODUCTS = 2**18


@dataclass(frozen=True, slots=True)
class Estimate:
    """A score with its interval; ``reason`` says why it is NaN, or why there is no interval."""

    value: float
    interval: Interval | None
    n: int
    """Items that the value rests on."""
    n_units: int
    reason: str | None = None


def unit_labels(units: ArrayLike | None, n_items: int) -> NDArray[np.intp]:
    """Return the unit of each item as an index from 0, shape ``(n_items,)``; None: its own.

    >>> unit_labels(["t2", "t1", "t2"], 3)
    array([1, 0, 1])

    Raises
    ------
    ValueError
        If the units are not one label for each item, all strings or all integers.
    """
    if units is None:
        return np.arange(n_items)
    labels = np.asarray(units) if n_items else np.empty(0, np.intp)
    if labels.shape != (n_items,):
        raise ValueError(
            f"units must be one label for each of the {n_items} items, got shape {labels.shape}"
        )
    if labels.dtype == object:  # what pandas gives for a column of strings
        strange = [label for label in labels if not isinstance(label, str)]
        if strange:
            raise ValueError(
                f"units hold {strange[0]!r} among strings; expected all strings or all integers"
            )
        labels = labels.astype(str)
    if labels.dtype.kind not in "iuUST":
        raise ValueError(f"units must be strings or integers, got {labels.dtype}")
    return np.unique(labels, return_inverse=True)[1].reshape(n_items)


def unit_sums(values: ArrayLike, units: ArrayLike | None = None) -> Floats:
    """Return the column sums of each unit, shape ``(n_units, n_columns)``, in label order.

    >>> unit_sums([[1, 1], [0, 1], [1, 1]], ["t1", "t1", "t2"])
    array([[1., 2.],
           [1., 1.]])

    Raises
    ------
    ValueError
        If ``values`` is not ``(n_items, n_columns)`` with at least one item, or not finite, or
        as :func:`unit_labels`.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or not table.size:
        raise ValueError(
            f"values must be (n_items, n_columns) with at least one of each, got {table.shape}"
        )
    if not np.isfinite(table).all():
        item, column = np.argwhere(~np.isfinite(table))[0]
        raise ValueError(
            f"value of item {item}, column {column} is {table[item, column]}, "
            f"expected a finite number"
        )
    if units is None:
        return table
    labels = unit_labels(units, len(table))
    n_units = int(labels.max()) + 1
    return np.stack([np.bincount(labels, column, n_units) for column in table.T], axis=1)


def resample_sums(
    values: ArrayLike,
    *,
    units: ArrayLike | None = None,
    replicates: int = REPLICATES,
    seed: int,
) -> Floats:
    """Return the column sums of bootstrap samples of units, ``(replicates, n_columns)``.

    Each replicate draws as many units as there are, with replacement, and sums the columns of
    ``values`` (n_items, n_columns) over them [2]_. Columns of several models side by side are
    resampled together, which keeps their comparison paired.

    Units with the same sums are exchangeable: where there are few distinct rows, their counts
    are drawn as one multinomial, and otherwise each unit's own. The choice depends on the data
    alone. Both have exactly the distribution of drawing unit by unit, but from the same seed
    they draw different numbers.

    >>> resample_sums([[1, 1], [1, 1], [1, 1]], replicates=2, seed=0)
    array([[3., 3.],
           [3., 3.]])

    Raises
    ------
    ValueError
        If :func:`unit_sums` refuses the input, or if ``replicates`` is less than 1.
    """
    if replicates < 1:
        raise ValueError(f"replicates must be at least 1, got {replicates}")
    sums = unit_sums(values, units)
    rows, sizes = np.unique(sums, axis=0, return_counts=True)
    rng = np.random.default_rng(seed)
    if len(rows) * _UNITS_PER_ROW < len(sums):
        return _sums_over_distinct_rows(rows, sizes, replicates, rng)
    return _sums_over_units(sums, replicates, rng)


def _sums_over_distinct_rows(
    rows: Floats, sizes: NDArray[np.intp], replicates: int, rng: np.random.Generator
) -> Floats:
    n_units = int(sizes.sum())
    counts = rng.multinomial(n_units, sizes / n_units, size=replicates)
    return np.asarray(counts @ rows)


def _sums_over_units(sums: Floats, replicates: int, rng: np.random.Generator) -> Floats:
    per_block = rows_at_once(sums)
    result = np.empty((replicates, sums.shape[1]))
    for start in range(0, replicates, per_block):
        block = result[start : start + per_block]
        block[:] = draw_counts(len(sums), replicates=len(block), rng=rng) @ sums
    return result


def draw_counts(n_units: int, *, replicates: int, rng: np.random.Generator) -> Floats:
    """Return how often each unit is drawn in a replicate, shape ``(replicates, n_units)``.

    Every row sums to ``n_units``. For scores that are no function of column sums (a ranking's).

    >>> draw_counts(3, replicates=2, rng=np.random.default_rng(0)).sum(axis=1)
    array([3., 3.])
    """
    # Narrow indices are drawn faster; the bound is exclusive, so 2**16 units still fit.
    width = np.uint16 if n_units <= 2**16 else np.uint32 if n_units <= 2**32 else np.uint64
    drawn = rng.integers(n_units, size=(replicates, n_units), dtype=width)
    cells = drawn + np.arange(replicates)[:, None] * n_units
    counts = np.bincount(cells.ravel(), minlength=replicates * n_units)
    return counts.reshape(replicates, n_units).astype(np.float64)


def rows_at_once(sums: Floats) -> int:
    """Return how many rows of weights to multiply with ``sums`` (n_units, n_columns) at once."""
    return max(1, min(_BLOCK // len(sums), _PRODUCTS // sums.size))


def percentile_interval(replicates: ArrayLike, *, level: float = LEVEL) -> Interval:
    """Return the percentile interval [1]_ of a score's replicates, shape ``(n_replicates,)``.

    A replicate in which the score was undefined (NaN) might have lain anywhere: it counts as
    below the low end and as above the high end, which can only widen the interval. An end that
    falls among the undefined ones is NaN.

    >>> percentile_interval([1, 2, 3, 4, 5], level=0.5)
    Interval(low=2.0, high=4.0, level=0.5, replicates=5, undefined=0, method='percentile bootstrap')

    Raises
    ------
    ValueError
        If there are no replicates, ``level`` is not in (0, 1), or a replicate is infinite.
    """
    check_level(level)
    scores = np.asarray(replicates, dtype=np.float64)
    if scores.ndim != 1 or not scores.size:
        raise ValueError(f"replicates must be a filled array (n_replicates,), got {scores.shape}")
    if np.isinf(scores).any():
        raise ValueError(
            f"replicate {int(np.flatnonzero(np.isinf(scores))[0])} is infinite; "
            f"give NaN where the score is undefined"
        )
    undefined = np.isnan(scores)
    quantiles = ((1 - level) / 2, (1 + level) / 2)
    with np.errstate(invalid="ignore"):  # between two infinities
        low, high = (
            float(np.quantile(np.where(undefined, outside, scores), quantile))
            for quantile, outside in zip(quantiles, (-np.inf, np.inf), strict=True)
        )
    low, high = (end if np.isfinite(end) else float("nan") for end in (low, high))
    return Interval(low, high, level, len(scores), int(undefined.sum()))


def estimate_ratio(
    columns: ArrayLike, *, units: ArrayLike | None = None, level: float = LEVEL
) -> Estimate:
    """Return the ratio of two column sums with its interval, for ``columns`` (n_items, 2).

    The columns are what each item adds to the numerator and to the denominator: credit and
    whether it is scored. ``n`` counts the items with a denominator, ``n_units`` their units. The
    interval is Wilson's score interval where credit is a share of the denominator
    (:func:`~earmark.bench.metrics.intervals.mean_interval`), otherwise a studentised one.

    >>> estimate_ratio([[1, 1], [0, 1], [0, 0]]).value
    0.5

    Raises
    ------
    ValueError
        If :func:`unit_sums` refuses the input, or if there are not two columns or a denominator is
        negative.
    """
    table = np.asarray(columns, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != 2 or (table[:, 1] < 0).any():
        raise ValueError(
            f"a ratio needs columns (n_items, 2): numerator and a denominator of 0 or more; "
            f"got shape {table.shape}"
        )
    sums = unit_sums(table, units)
    n = int(np.count_nonzero(table[:, 1]))
    n_units = int(np.count_nonzero(sums[:, 1]))
    if not n:
        return Estimate(np.nan, None, 0, len(sums), "no item is scored")
    is_share = bool(((table[:, 0] >= 0) & (table[:, 0] <= table[:, 1])).all())
    if not is_share:
        return estimate_statistic(sums, ratio, scale_of_mean(table), n=n, level=level)
    is_binary = bool(np.isin(table[table[:, 1] > 0], [0, 1]).all())
    interval = mean_interval(sums, level=level, is_binary=is_binary)
    reason = too_few(n_units) if interval is None else None
    return Estimate(float(ratio(table.sum(axis=0))), interval, n, n_units, reason)


def scale_of_mean(columns: Floats) -> Scale:
    """Return the scale for a mean of ``columns`` (n_items, 2): the logarithm of positive ones."""
    scored = columns[:, 1] > 0
    return LOG if (columns[scored, 0] > 0).all() else IDENTITY


def estimate_statistic(
    sums: Floats,
    statistic: Statistic,
    scale: Scale,
    *,
    n: int,
    level: float = LEVEL,
    value: float | None = None,
    n_effective: float | None = None,
    reason: str | None = None,
) -> Estimate:
    """Return a smooth statistic of unit sums ``(n_units, n_columns)`` with its interval.

    ``value`` is the statistic where it is known to the last digit; ``reason`` is why it is
    undefined, if it is; ``n_effective`` is as in
    :func:`~earmark.bench.metrics.intervals.studentised_interval`.
    """
    value = float(statistic(sums.sum(axis=0))) if value is None else value
    if not np.isfinite(value):
        return Estimate(np.nan, None, n, len(sums), reason)
    left_out = leave_one_out(sums, statistic)
    interval = studentised_interval(value, left_out, scale, level=level, n_effective=n_effective)
    return Estimate(value, interval, n, len(sums), None if interval else too_few(len(sums)))


def ratio(sums: Floats) -> Floats:
    """Return numerator over denominator of sums ``(..., 2)``; NaN where the latter is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(sums[..., 1] > 0, sums[..., 0] / sums[..., 1], np.nan))
