"""Whether a probability that clip a is higher means what it says.

Conventions
-----------
Of each pair a probability that a is higher, in [0, 1], and a truth: 1 (a), 0 (b) or 0.5 (listeners
hold them equal), which counts as half of each. Which song of a pair is called a means nothing:
every number here is the same if a and b change places.

Metrics
-------
* :func:`logistic_link`: probabilities from a model's differences, fitted out of fold.
* :func:`log_loss` and :func:`brier_score`: proper scores; 0.693 and 0.25 of one that always says
  one half.
* :func:`calibration_error`: how far certainty and accuracy lie apart, in bins of equal numbers of
  pairs [1]_, beside what a perfectly calibrated model would get on as many pairs.
* :func:`selective_accuracy`: accuracy over the share of pairs that the model is most certain of
  [2]_.

References
----------
.. [1] R. Roelofs, N. Cain, J. Shlens, M. C. Mozer, "Mitigating bias in calibration error
       estimation", AISTATS 2022: bins of equal mass, and the bias of few pairs in a bin.
.. [2] Y. Geifman, R. El-Yaniv, "Selective classification for deep neural networks", NeurIPS 2017.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from earmark.bench.metrics.base import Floats, Metric
from earmark.bench.metrics.intervals import LEVEL, Interval
from earmark.bench.metrics.statistics import (
    Estimate,
    draw_counts,
    estimate_ratio,
    percentile_interval,
    unit_labels,
    unit_sums,
)

LOG_LOSS = Metric("log_loss", higher_is_better=False, lower=0.0, upper=None, chance=None)
BRIER_SCORE = Metric("brier_score", higher_is_better=False, lower=0.0, upper=1.0, chance=None)
CALIBRATION_ERROR = Metric(
    "expected_calibration_error", higher_is_better=False, lower=0.0, upper=1.0, chance=None
)

BINS = 10
FOLDS = 10
STEEPEST = 30.0
"""Of the link, per root mean square difference: where all pairs of a fold are ordered rightly, the
likelihood has no maximum."""
SHARES = tuple(round(0.1 * tenth, 1) for tenth in range(1, 11))
_LEAST = float(np.finfo(np.float64).eps)


def logistic_link(
    differences: ArrayLike,
    truth: ArrayLike,
    *,
    units: ArrayLike | None = None,
    folds: int = FOLDS,
    seed: int = 0,
) -> Floats:
    """Return the probability that a is higher from a model's differences a - b, ``(n_pairs,)``.

    It is ``1 / (1 + exp(-steepness * difference))``, without a constant: a and b may change places.
    The steepness is that of highest likelihood on the other folds, at least 0, since a link must
    not turn a model round. Pairs of one unit (triplet) are in one fold. A pair whose difference is
    NaN has the probability NaN.

    Raises
    ------
    ValueError
        If shapes differ, a truth is none of 0, 0.5 and 1, or there are fewer than two units.
    """
    gaps = np.asarray(differences, np.float64)
    known = np.isfinite(gaps)
    labels = _truths(truth, gaps.shape)
    of_unit = unit_labels(units, len(gaps))
    n_units = int(of_unit.max(initial=-1)) + 1
    if n_units < 2:
        raise ValueError(f"a link out of fold needs two units at least, got {n_units}")
    order = np.random.default_rng(seed).permutation(n_units)
    fold = (order % min(folds, n_units))[of_unit]
    size = np.sqrt(np.mean(gaps[known] ** 2)) if known.any() else 0.0
    scaled = gaps / size if size > 0 else np.where(known, 0.0, np.nan)
    found = np.full(len(gaps), np.nan)
    for number in np.unique(fold):
        rest = known & (fold != number)
        here = known & (fold == number)
        found[here] = _logistic(_steepness(scaled[rest], labels[rest]) * scaled[here])
    return found


def log_loss(
    probabilities: ArrayLike,
    truth: ArrayLike,
    *,
    units: ArrayLike | None = None,
    level: float = LEVEL,
) -> Estimate:
    """Return the mean of ``-log`` of what was said of the truth, with its interval, in nats.

    Probabilities of 0 and 1 are taken as 2.2e-16 from them. Pairs with NaN are left out.
    """
    p, y, of = _paired(probabilities, truth, units)
    p = p.clip(_LEAST, 1 - _LEAST)
    return _mean(-(y * np.log(p) + (1 - y) * np.log1p(-p)), of, level)


def brier_score(
    probabilities: ArrayLike,
    truth: ArrayLike,
    *,
    units: ArrayLike | None = None,
    level: float = LEVEL,
) -> Estimate:
    """Return the mean squared distance of probability and truth, with its interval."""
    p, y, of = _paired(probabilities, truth, units)
    return _mean(y * (1 - p) ** 2 + (1 - y) * p**2, of, level)


@dataclass(frozen=True, slots=True)
class CalibrationError:
    """Expected calibration error, and what to hold it against."""

    value: float
    interval: Interval | None
    """Percentile bootstrap over units, less its bias."""
    if_calibrated: float
    """What a perfectly calibrated model with these probabilities gets on so many pairs."""
    if_calibrated_high: float
    """What such a model exceeds once in 20 times."""
    n: int
    n_units: int


def calibration_error(
    probabilities: ArrayLike,
    truth: ArrayLike,
    *,
    units: ArrayLike | None = None,
    bins: int = BINS,
    level: float = LEVEL,
    replicates: int = 2_000,
    seed: int = 0,
) -> CalibrationError:
    """Return the expected calibration error [1]_: mean of ``|certainty - accuracy|`` over bins.

    Certainty is the probability of the side that was said to be higher; bins hold equal numbers of
    pairs. Few pairs in a bin alone make it positive: ``if_calibrated`` is what is to be expected.
    """
    p, y, of = _paired(probabilities, truth, units)
    certainty = np.maximum(p, 1 - p)
    right = np.where(p > 0.5, y, np.where(p < 0.5, 1 - y, 0.5))
    n, n_units = len(p), int(of.max(initial=-1)) + 1
    if not n:
        return CalibrationError(np.nan, None, np.nan, np.nan, 0, 0)
    place = np.empty(n, np.int64)
    place[np.argsort(certainty, kind="stable")] = np.arange(n) * min(bins, n) // n
    place = np.searchsorted(np.unique(place), place)
    in_bin = np.eye(place.max() + 1)[place]
    rng = np.random.default_rng(seed)

    def error(gaps: Floats) -> Floats:
        return np.asarray(np.abs(gaps).sum(axis=-1))

    value = float(error((certainty - right) @ in_bin) / n)
    # Of a calibrated model as many pairs of a bin are held equal, and of a pair the mean is its
    # certainty: right with the certainty less half of the chance that it is held equal.
    share = (y == 0.5) @ in_bin / in_bin.sum(axis=0)
    equal = np.minimum(share[place], 2 * (1 - certainty))
    luck = rng.random((replicates, n))
    drawn = np.where(luck < equal, 0.5, luck < certainty + equal / 2)
    ideal = error((certainty - drawn) @ in_bin) / n
    interval = None
    if n_units > 1:
        sums = unit_sums(
            np.concatenate([(certainty - right)[:, None] * in_bin, np.ones((n, 1))], 1), of
        )
        resampled = draw_counts(n_units, replicates=replicates, rng=rng) @ sums
        found = error(resampled[:, :-1]) / resampled[:, -1]
        interval = percentile_interval((found - (found.mean() - value)).clip(0, 1), level=level)
    return CalibrationError(
        value, interval, float(ideal.mean()), float(np.quantile(ideal, 0.95)), n, n_units
    )


@dataclass(frozen=True, slots=True)
class SelectiveAccuracy:
    """Accuracy over the pairs that a model is most certain of."""

    shares: tuple[float, ...]
    """Of the pairs, in (0, 1]."""
    accuracy: tuple[Estimate, ...]
    """Of each share, over the pairs that listeners do not hold equal."""
    area: float
    """Mean of the accuracy over all shares; that of a model whose certainty says nothing is its
    accuracy."""


def selective_accuracy(
    certainty: ArrayLike,
    correct: ArrayLike,
    *,
    units: ArrayLike | None = None,
    shares: tuple[float, ...] = SHARES,
    level: float = LEVEL,
) -> SelectiveAccuracy:
    """Return accuracy by share of most certain pairs [2]_, from ``(n_pairs,)`` each.

    Parameters
    ----------
    certainty
        Any number that grows with it, e.g. the absolute difference; only the order counts. Equal
        ones share their accuracy.
    correct
        1, 0, or 0.5 where the model says that both are equal; NaN: left out.

    Raises
    ------
    ValueError
        If shapes differ or no pair is left.
    """
    size, credit = np.asarray(certainty, np.float64), np.asarray(correct, np.float64)
    if size.shape != credit.shape or size.ndim != 1:
        raise ValueError(f"{size.shape} certainties do not match {credit.shape} outcomes")
    kept = np.isfinite(size) & np.isfinite(credit)
    if not kept.any():
        raise ValueError("no pair has a certainty and an outcome")
    of = unit_labels(units, len(size))[kept]
    size, credit = size[kept], credit[kept]
    _, block = np.unique(-size, return_inverse=True)
    shared = (np.bincount(block, credit) / np.bincount(block))[block]
    order = np.argsort(block, kind="stable")
    n = len(order)
    points = []
    for share in shares:
        first = order[: max(1, round(share * n))]
        points.append(estimate_ratio(np.stack([shared[first], np.ones(len(first))], 1),
                                     units=of[first], level=level))  # fmt: skip
    area = float(np.mean(np.cumsum(shared[order]) / np.arange(1, n + 1)))
    return SelectiveAccuracy(tuple(shares), tuple(points), area)


def _truths(truth: ArrayLike, shape: tuple[int, ...]) -> Floats:
    labels = np.asarray(truth, np.float64)
    if labels.shape != shape or labels.ndim != 1:
        raise ValueError(f"{shape} predictions do not match {labels.shape} truths")
    if not np.isin(labels, (0.0, 0.5, 1.0)).all():
        strange = labels[~np.isin(labels, (0.0, 0.5, 1.0))][0]
        raise ValueError(f"a truth is {strange}, expected 1 (a), 0 (b) or 0.5 (equal)")
    return labels


def _paired(
    probabilities: ArrayLike, truth: ArrayLike, units: ArrayLike | None
) -> tuple[Floats, Floats, np.ndarray]:
    """Return probabilities, truths and units of the pairs that have a probability."""
    p = np.asarray(probabilities, np.float64)
    y = _truths(truth, p.shape)
    kept = ~np.isnan(p)
    if not ((p[kept] >= 0) & (p[kept] <= 1)).all():
        strange = p[kept][(p[kept] < 0) | (p[kept] > 1)][0]
        raise ValueError(f"a probability is {strange}, expected 0 to 1")
    of = unit_labels(units, len(p))[kept]
    return p[kept], y[kept], np.unique(of, return_inverse=True)[1]


def _mean(values: Floats, units: np.ndarray, level: float) -> Estimate:
    return estimate_ratio(np.stack([values, np.ones(len(values))], 1), units=units, level=level)


def _logistic(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-x)))


def _steepness(differences: Floats, truth: Floats) -> float:
    """Return the steepness of highest likelihood, from 0 to :data:`STEEPEST`: it is concave."""

    def slope(steepness: float) -> float:
        return float(np.sum((truth - _logistic(steepness * differences)) * differences))

    low, high = 0.0, STEEPEST
    if slope(low) <= 0:
        return low
    if slope(high) >= 0:
        return high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return (low + high) / 2
