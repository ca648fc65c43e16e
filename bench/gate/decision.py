"""Is the candidate no worse than the baseline by more than the margin? Yes, no, or undecided.

Conventions
-----------
Differences are candidate minus baseline, turned so that positive is better. With a margin m, the
*slack* is the difference plus m: positive is tolerable. Units (tracks, triplets, artists) are
resampled, both runs together.

* *Pass*: that the slack is 0 or less is rejected at ``alpha`` (one-sided non-inferiority [1]_).
* *Fail*: that the slack is 0 or more is rejected at ``alpha`` after Holm's correction [2]_ over all
  gated metrics, so that the chance of failing a run in which none is worse by more than its margin
  is at most ``alpha``.
* *Inconclusive*: neither.

A run passes if every metric does. That needs no correction: all the hypotheses must be rejected
(an intersection-union test [3]_), so the run's chance of passing wrongly is at most ``alpha``.

A p-value is the larger of the bootstrap's and Student's with the bootstrap's standard error: the
percentile bootstrap alone is too sure on few units. Where a mean of outcomes in [0, 1] has no unit
that got worse, the bootstrap cannot know of units that might have; if the true loss were the
margin m or more, n units without a loss would have a chance of at most (1 - m)^n, which is then a
lower limit of the p-value.

References
----------
.. [1] G. Piaggio et al., "Reporting of noninferiority and equivalence randomized trials", JAMA
       308(24), 2012.
.. [2] S. Holm, "A simple sequentially rejective multiple test procedure", 1979, sec. 2.
.. [3] R. L. Berger, "Multiparameter hypothesis testing and acceptance sampling", Technometrics
       24(4), 1982.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from earmark.bench.metrics.base import Floats
from earmark.bench.metrics.comparisons import holm
from earmark.bench.scoring.statistic import Pair

Status = Literal["pass", "fail", "inconclusive"]


@dataclass(frozen=True, slots=True)
class Measure:
    """A paired difference before it is judged beside the others."""

    candidate: float
    baseline: float
    difference: float
    """Positive is better, whatever the metric's direction."""
    low: float
    high: float
    """Of the difference; each end is exceeded with the chance alpha."""
    margin: float
    """In the metric's unit."""
    standard_error: float
    p_not_worse: float
    """Of the slack being 0 or less; small: within the margin."""
    p_worse: float
    """Of the slack being 0 or more; small: worse than the margin."""
    p_better: float
    """Of the difference being 0 or less."""
    n_units: int
    undefined: int
    """Replicates in which a score was undefined."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A judged difference."""

    status: Status
    improved: bool
    p_worse_holm: float
    minimum_detectable_difference: float
    """The least margin at which an unchanged model would pass with the stated power."""
    detectable_drop: float
    """The least true drop that this gate fails with the stated power, among its metrics."""


def measure(
    pair: Pair,
    drawn: Floats,
    *,
    higher_is_better: bool,
    margin: float | None = None,
    relative_margin: float | None = None,
    alpha: float,
) -> Measure:
    """Return the difference of two runs with its interval and p-values.

    ``drawn`` are both runs' scores on the same resamples, ``(2, replicates)``.

    Raises
    ------
    ValueError
        If not exactly one margin is given, or there are fewer than two units.
    """
    if (margin is None) == (relative_margin is None):
        raise ValueError("exactly one of margin and relative_margin must be given")
    if pair.n_units < 2:
        raise ValueError(f"a bootstrap needs at least 2 units, got {pair.n_units}")
    sign = 1.0 if higher_is_better else -1.0
    candidate, baseline = pair.candidate.value, pair.baseline.value
    differences = sign * (drawn[0] - drawn[1])
    share = relative_margin or 0.0
    tolerated = (margin or 0.0) + share * np.abs(drawn[1])
    here = (margin or 0.0) + share * abs(baseline)
    difference = sign * (candidate - baseline) + 0.0  # never a negative zero
    defined = ~np.isnan(differences)
    low, high = (_end(differences, level) for level in (alpha, 1 - alpha))
    slack = differences + tolerated
    not_worse = _p_value(slack, difference + here, pair.n_units)
    by_unit = pair.differences
    if by_unit is not None and not (sign * by_unit < 0).any() and here < 1:
        not_worse = max(not_worse, (1 - here) ** pair.n_units)
    return Measure(
        candidate=candidate,
        baseline=baseline,
        difference=difference,
        low=low,
        high=high,
        margin=here,
        standard_error=_error(differences[defined], pair.n_units),
        p_not_worse=not_worse,
        p_worse=_p_value(-slack, -difference - here, pair.n_units),
        p_better=_p_value(differences, difference, pair.n_units),
        n_units=pair.n_units,
        undefined=int((~defined).sum()),
    )


def _error(values: Floats, n_units: int) -> float:
    """Return the standard deviation of replicates, as of n - 1 degrees of freedom."""
    if values.size < 2:
        return float("nan")
    return float(np.std(values) * np.sqrt(n_units / (n_units - 1)))


def _end(values: Floats, level: float) -> float:
    """Return a quantile; an undefined replicate might have lain anywhere."""
    outside = -np.inf if level < 0.5 else np.inf
    with np.errstate(invalid="ignore"):
        return float(np.quantile(np.where(np.isnan(values), outside, values), level))


def _p_value(values: Floats, observed: float, n_units: int) -> float:
    """Return the one-sided p-value of ``values`` being 0 or less; undefined ones count as such."""
    # What is equal may differ in the last digits: a score from chance, replicates from each other.
    rounding = 1e-12 * max(1.0, abs(observed))
    share = (1 + np.count_nonzero(~(values > rounding))) / (1 + values.size)
    error = _error(values[~np.isnan(values)], n_units)
    if np.isnan(error):
        return 1.0
    if error <= rounding:
        return float(share) if observed > rounding else 1.0
    from scipy.stats import t as student

    return float(max(share, student.sf(observed / error, n_units - 1)))


def p_above(values: Floats, observed: float, level: float, n_units: int, sign: float) -> float:
    """Return the one-sided p-value of one run's score being no better than ``level``."""
    return _p_value(sign * (values - level), sign * (observed - level), n_units)


def decide(measures: Sequence[Measure], *, alpha: float, power: float) -> list[Decision]:
    """Judge differences together: all metrics that are gated in one run."""
    worse = holm([one.p_worse for one in measures])
    better = holm([one.p_better for one in measures])
    normal, family = NormalDist(), max(len(measures), 1)
    decisions = []
    for one, p_worse, p_better in zip(measures, worse, better, strict=True):
        status: Status = "inconclusive"
        if one.p_not_worse <= alpha:
            status = "pass"
        elif p_worse <= alpha:
            status = "fail"
        by_power = normal.inv_cdf(power)
        decisions.append(
            Decision(
                status=status,
                improved=bool(p_better <= alpha),
                p_worse_holm=float(p_worse),
                minimum_detectable_difference=(normal.inv_cdf(1 - alpha) + by_power)
                * one.standard_error,
                detectable_drop=one.margin
                + (normal.inv_cdf(1 - alpha / family) + by_power) * one.standard_error,
            )
        )
    return decisions
