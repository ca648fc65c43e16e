"""Intervals that hold their level on few units, for values near a bound, and for biased metrics.

Conventions
-----------
A *unit* is what was sampled (:mod:`earmark.bench.metrics.statistics`). A proportion, or any mean
of outcomes in [0, 1], gets Wilson's score interval [1]_ for the number of independent items that
its variance over units amounts to (the design effect, [2]_). Any other smooth statistic gets a
studentised interval: its value on a *scale* where its distribution is nearly normal (Fisher's z,
the logit, the logarithm), plus and minus Student's quantile times the standard error of the
delete-one-unit jackknife [3]_. On the logarithmic scale the skewness is corrected, too [4]_.
What coverage this reaches is in ``docs/statistics.md``.

Functions
---------
* :func:`leave_one_out`: a statistic of column sums without each unit.
* :func:`studentised_interval`: the interval of a smooth statistic.
* :func:`mean_interval`: the interval of a ratio of two sums whose outcomes lie in [0, 1].
* :func:`wilson_interval`: Wilson's score interval of a proportion.

References
----------
.. [1] E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
       JASA 22(158), 1927; L. D. Brown, T. T. Cai and A. DasGupta, "Interval estimation for a
       binomial proportion", Stat. Sci. 16(2), 2001, eq. 4.
.. [2] E. L. Korn and B. I. Graubard, "Confidence intervals for proportions with small expected
       number of positive counts estimated from survey data", Survey Methodology 24(2), 1998.
.. [3] B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, ch. 11 and 12.6.
.. [4] P. Hall, "On the removal of skewness by transformation", JRSS B 54(1), 1992, eq. 2.2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from earmark.bench.metrics.base import Floats

LEVEL = 0.95
FEWEST_UNITS = 4
"""Of fewer units a studentised interval would say nothing: there is none then."""

Statistic = Callable[[Floats], Floats]
"""From column sums ``(..., n_columns)`` to scores ``(...)``, NaN where undefined."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval of a score, and how it was made."""

    low: float
    high: float
    level: float
    replicates: int
    """Of the bootstrap or the permutation test that it rests on; 0 where nothing was drawn."""
    undefined: int
    """Replicates in which the statistic was undefined (NaN)."""
    method: str = "percentile bootstrap"


@dataclass(frozen=True, slots=True)
class Scale:
    """A monotone map onto a scale on which a statistic is nearly normal."""

    name: str
    forward: Callable[[Floats], Floats]
    backward: Callable[[Floats], Floats]
    derivative: Callable[[Floats], Floats]
    lower: float
    upper: float
    """The statistic's bounds, at which the scale is infinite."""
    skewed: bool = False
    """Whether the skewness that is left is corrected."""

    def slope(self, first: float, second: float) -> float:
        """Return how much the statistic changes per unit of the scale between two values."""
        if abs(first - second) > 1e-9 * max(1.0, abs(first)):
            ends = self.forward(np.array([first, second]))
            return float((first - second) / (ends[0] - ends[1]))
        return float(1 / self.derivative(np.asarray((first + second) / 2)))


IDENTITY = Scale(
    "identity",
    lambda x: x,
    lambda x: x,
    np.ones_like,
    -np.inf,
    np.inf,
)
FISHER_Z = Scale("Fisher's z", np.arctanh, np.tanh, lambda r: 1 / (1 - r**2), -1.0, 1.0)
LOGIT = Scale(
    "logit",
    lambda p: np.log(p) - np.log1p(-p),
    lambda x: 1 / (1 + np.exp(-x)),
    lambda p: 1 / (p * (1 - p)),
    0.0,
    1.0,
)
LOG = Scale("logarithm", np.log, np.exp, lambda x: 1 / x, 0.0, np.inf, skewed=True)
SQUARE = Scale("square", np.square, np.sqrt, lambda x: 2 * x, 0.0, np.inf)
LOG_BELOW_ONE = Scale(
    "logarithm of the distance to 1",
    lambda x: -np.log1p(-x),
    lambda y: -np.expm1(-y),
    lambda x: 1 / (1 - x),
    -np.inf,
    1.0,
)


def leave_one_out(sums: Floats, statistic: Statistic) -> Floats:
    """Return a statistic of column sums ``(n_units, n_columns)`` without each unit, (n_units,)."""
    return np.asarray(statistic(sums.sum(axis=0) - sums), np.float64)


def standard_error(left_out: Floats) -> float:
    """Return the jackknife standard error [3]_ of a statistic without each unit, (n_units,)."""
    n = len(left_out)
    return float(np.sqrt((n - 1) / n * np.sum((left_out - left_out.mean()) ** 2)))


@lru_cache(maxsize=1024)
def student_quantile(level: float, degrees_of_freedom: int) -> float:
    """Return the two-sided quantile of Student's distribution at a confidence level."""
    from scipy.stats import t as student

    return float(student.ppf((1 + level) / 2, degrees_of_freedom))


def studentised_interval(
    value: float,
    left_out: Floats,
    scale: Scale,
    *,
    level: float = LEVEL,
    n_effective: float | None = None,
) -> Interval | None:
    """Return the interval of a statistic from its values without each unit, ``(n_units,)``.

    None of too few units: fewer than four, or more than half without which it is undefined.

    Parameters
    ----------
    n_effective
        Items that a value at a bound of [0, 1] rests on, where the jackknife sees no variance;
        None: the number of units.

    Raises
    ------
    ValueError
        If ``level`` is not in (0, 1), or the value is not finite.
    """
    check_level(level)
    if not np.isfinite(value):
        raise ValueError(f"the value is {value}, of which there is no interval")
    n = len(left_out)
    known = left_out[np.isfinite(left_out)]
    if n < FEWEST_UNITS or len(known) < max(FEWEST_UNITS, n / 2):
        return None
    error = standard_error(known)
    method = f"studentised jackknife, {scale.name}"
    if scale is LOGIT and (error <= 1e-12 or not 1e-9 < value < 1 - 1e-9):
        low, high = wilson_interval(value, n if n_effective is None else n_effective, level=level)
        return Interval(low, high, level, 0, n - len(known), "Wilson score, nothing varies")
    if error <= 1e-12 * max(1.0, abs(value)) or not scale.lower < value < scale.upper:
        return Interval(value, value, level, 0, n - len(known), method)
    quantiles = np.array([1.0, -1.0]) * student_quantile(level, n - 1)
    centre = scale.forward(np.asarray(value))
    if scale.skewed:
        known = scale.forward(np.maximum(known, np.finfo(float).tiny))
        error = standard_error(known)
        quantiles = without_skewness(quantiles, known)
    else:
        error *= float(scale.derivative(np.asarray(value)))
    low, high = scale.backward(centre - quantiles * error).tolist()
    return Interval(low, high, level, 0, n - len(known), method)


def without_skewness(quantiles: Floats, left_out: Floats) -> Floats:
    """Return quantiles of a studentised statistic, corrected for its skewness [4]_."""
    influence = left_out.mean() - left_out
    skewness = float(np.sum(influence**3) / np.sum(influence**2) ** 1.5)
    if abs(skewness) < 1e-9:
        return quantiles
    return np.asarray(3 / skewness * (np.cbrt(1 + skewness * (quantiles - skewness / 6)) - 1))


def wilson_interval(
    proportion: float, n: float, *, level: float = LEVEL, quantile: float | None = None
) -> tuple[float, float]:
    """Return Wilson's score interval [1]_ of a proportion of ``n`` independent items.

    >>> low, high = wilson_interval(0.0, 10)
    >>> round(low, 4), round(high, 4)
    (0.0, 0.2775)
    """
    z = NormalDist().inv_cdf((1 + level) / 2) if quantile is None else quantile
    middle = (proportion + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(proportion * (1 - proportion) / n + z * z / (4 * n * n))
    # Rounding must not put a proportion of 0 or 1 outside.
    return float(max(0.0, min(middle - half, proportion))), float(
        min(1.0, max(middle + half, proportion))
    )


def mean_interval(sums: Floats, *, level: float = LEVEL, is_binary: bool) -> Interval | None:
    """Return the interval of a ratio of unit sums ``(n_units, 2)`` whose outcomes lie in [0, 1].

    None of a single unit of several items.

    Units of one item with outcomes of 0 and 1 (``is_binary``) get Wilson's interval as it is. For
    others the number of items is divided by the design effect: the variance of the ratio over
    units [2]_, relative to the binomial. One more unit whose items all agree is added to its
    estimate, so that a ratio that did not vary is not thought to be certain.

    Raises
    ------
    ValueError
        If ``level`` is not in (0, 1), or no item is scored.
    """
    check_level(level)
    numerator, items = sums.sum(axis=0)
    if not items > 0:
        raise ValueError("no item is scored: there is no interval")
    scored = sums[sums[:, 1] > 0]
    n_units, p = len(scored), float(numerator / items)
    sizes = scored[:, 1]
    if is_binary and (sizes == 1).all():
        low, high = wilson_interval(p, n_units, level=level)
        return Interval(low, high, level, 0, 0, "Wilson score")
    if n_units < 2:
        return None
    largest = float(np.sum(sizes**2) / items)  # all items of a unit alike
    binomial = p * (1 - p) / items
    effect = largest
    if binomial > 0:
        residuals = (scored[:, 0] - p * sizes) / items
        seen = float(n_units / (n_units - 1) * np.sum(residuals**2) / binomial)
        hits, misses = np.count_nonzero(scored[:, 0] > 0), np.count_nonzero(scored[:, 0] < sizes)
        rarer = min(hits, misses)  # what the variance is known from
        effect = (rarer * seen + largest) / (rarer + 1)
    quantile = student_quantile(level, n_units - 1)
    low, high = wilson_interval(p, items / effect, level=level, quantile=quantile)
    return Interval(low, high, level, 0, 0, "Wilson score with design effect")


def too_few(n_units: int) -> str:
    """Return why there is no interval."""
    return f"no interval: {n_units} {'unit is' if n_units == 1 else 'units are'} too few for one"


def check_level(level: float) -> None:
    """Refuse a confidence level that is not between 0 and 1."""
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, e.g. 0.95, got {level}")
