"""How well predicted ratings agree with human ratings on one scale.

Conventions
-----------
Ratings and predictions are float arrays of shape ``(n_items,)`` in the units of the rated set
(emoMusic: 1 to 9); nothing is rescaled. Variances are population variances (over n). All five
metrics are functions of sums over items (:func:`moments`), so that each is known without any
unit, which gives its interval. Constant ratings are an error: there is nothing to predict.

Metrics
-------
* :func:`errors`: the per-item outcome.
* :func:`pearson_r`: linear association; blind to shift and scale.
* :func:`r2`: variance explained; 0 for predicting the mean rating, and unbounded below.
* :func:`rmse`, :func:`mae`: error in the units of the rating.
* :func:`ccc`: Lin's concordance correlation, which punishes a shifted or stretched scale.
* :func:`evaluate`: all of them with intervals.
* :func:`legacy_essentia`: what the published figures of the Essentia models are.

References
----------
.. [1] L. I-K. Lin, "A concordance correlation coefficient to evaluate reproducibility",
       Biometrics 45(1), 1989, eq. 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from earmark.bench.metrics.base import Floats, Metric
from earmark.bench.metrics.intervals import FISHER_Z, IDENTITY, LEVEL, LOG, LOG_BELOW_ONE, SQUARE
from earmark.bench.metrics.statistics import Estimate, estimate_statistic, unit_sums

PEARSON_R = Metric("pearson_r", higher_is_better=True, lower=-1.0, upper=1.0, chance=0.0)
R2 = Metric("r2", higher_is_better=True, lower=None, upper=1.0, chance=0.0)
RMSE = Metric("rmse", higher_is_better=False, lower=0.0, upper=None, chance=None)
MAE = Metric("mae", higher_is_better=False, lower=0.0, upper=None, chance=None)
CCC = Metric("ccc", higher_is_better=True, lower=-1.0, upper=1.0, chance=0.0)
METRICS = (PEARSON_R, R2, RMSE, MAE, CCC)
SCALES = {
    PEARSON_R.name: FISHER_Z,
    R2.name: LOG_BELOW_ONE,
    RMSE.name: LOG,
    MAE.name: LOG,
    CCC.name: FISHER_Z,
}
"""On which each metric is nearly normal."""
PAIRED_SCALES = {
    PEARSON_R.name: FISHER_Z,
    R2.name: IDENTITY,
    RMSE.name: SQUARE,
    MAE.name: IDENTITY,
    CCC.name: FISHER_Z,
}
"""On which a difference is that of means of the items' errors, or nearly normal."""


def validate(rated: ArrayLike, predicted: ArrayLike) -> tuple[Floats, Floats]:
    """Return both as float arrays of shape ``(n_items,)``.

    Raises
    ------
    ValueError
        If shapes differ, fewer than two items are given, a value is not finite, or all ratings
        are the same; the message names the first offending item.
    """
    truth, guess = np.asarray(rated, np.float64), np.asarray(predicted, np.float64)
    if truth.ndim != 1 or truth.shape != guess.shape:
        raise ValueError(
            f"ratings and predictions must be two arrays of one length, got shapes "
            f"{truth.shape} and {guess.shape}"
        )
    if truth.size < 2:
        raise ValueError(f"agreement needs at least 2 items, got {truth.size}")
    for name, values in (("rating", truth), ("prediction", guess)):
        if not np.isfinite(values).all():
            item = int(np.flatnonzero(~np.isfinite(values))[0])
            raise ValueError(f"{name} of item {item} is {values[item]}, expected a finite number")
    if np.ptp(truth) == 0:
        raise ValueError(
            f"all {truth.size} ratings are {truth[0]}: agreement with them is undefined"
        )
    return truth, guess


def errors(rated: ArrayLike, predicted: ArrayLike) -> Floats:
    """Return ``predicted - rated`` of each item, shape ``(n_items,)``."""
    truth, guess = validate(rated, predicted)
    return guess - truth


def moments(rated: ArrayLike, predicted: ArrayLike) -> Floats:
    """Return the columns whose sums give all metrics, shape ``(n_items, 9)``.

    Count; rating and prediction, each less its mean; their squares and their product; error,
    absolute and squared error. Without their means the variances do not cancel.
    """
    truth, guess = validate(rated, predicted)
    error = guess - truth
    x, y = truth - truth.mean(), guess - guess.mean()
    # A constant prediction is exactly 0 here; its mean may differ from it in the last digit.
    y = np.zeros_like(y) if np.ptp(guess) == 0 else y
    columns = [np.ones_like(x), x, y, x * x, y * y, x * y, error, np.abs(error), error**2]
    return np.stack(columns, axis=1)


def from_sums(sums: Floats, metric: Metric) -> Floats:
    """Return a metric of summed :func:`moments` ``(..., 9)``; NaN where it is undefined.

    Undefined are r, R2 and CCC of constant ratings, as a small resample may hold, and r of
    constant predictions.

    Raises
    ------
    ValueError
        If the metric is none of :data:`METRICS`.
    """
    n, x, y, xx, yy, xy, error, absolute, squared = np.moveaxis(sums, -1, 0)
    if metric == RMSE:
        return np.asarray(np.sqrt(squared / n))
    if metric == MAE:
        return np.asarray(absolute / n)
    spread, predicted_spread = _squares(n, x, xx), _squares(n, y, yy)
    product = xy - x * y / n
    with np.errstate(divide="ignore", invalid="ignore"):
        if metric == R2:
            value = 1 - squared / spread
        elif metric == PEARSON_R:
            value = product / np.sqrt(spread * predicted_spread)
            value = np.where(predicted_spread > 0, np.clip(value, -1, 1), np.nan)
        elif metric == CCC:
            product = np.where(predicted_spread > 0, product, 0)
            value = 2 * product / (spread + predicted_spread + error**2 / n)
        else:
            known = ", ".join(one.name for one in METRICS)
            raise ValueError(f"{metric.name!r} is no regression metric; known are {known}")
    return np.asarray(np.where(spread > 0, value, np.nan))


def _squares(n: Floats, total: Floats, squares: Floats) -> Floats:
    """Return the sum of squares about the mean; what rounding leaves of zero spread is 0."""
    about_mean = squares - total**2 / n
    return np.asarray(np.where(about_mean > 1e-12 * squares, about_mean, 0))


def _score(rated: ArrayLike, predicted: ArrayLike, metric: Metric) -> float:
    return float(from_sums(moments(rated, predicted).sum(axis=0), metric))


def pearson_r(rated: ArrayLike, predicted: ArrayLike) -> float:
    """Return Pearson's correlation, in [-1, 1]; NaN for a constant prediction.

    >>> round(pearson_r([1, 2, 3], [2, 3, 4]), 6)
    1.0
    """
    return _score(rated, predicted, PEARSON_R)


def r2(rated: ArrayLike, predicted: ArrayLike) -> float:
    """Return the coefficient of determination, at most 1: ``1 - squared error / variance``.

    >>> r2([1, 2, 3], [2, 2, 2]), r2([1, 2, 3], [2, 3, 4])
    (0.0, -0.5)
    """
    return _score(rated, predicted, R2)


def rmse(rated: ArrayLike, predicted: ArrayLike) -> float:
    """Return the root of the mean squared error, in the units of the rating.

    >>> rmse([1, 2], [4, 5])
    3.0
    """
    return _score(rated, predicted, RMSE)


def mae(rated: ArrayLike, predicted: ArrayLike) -> float:
    """Return the mean absolute error, in the units of the rating.

    >>> mae([1, 2], [4, 3])
    2.0
    """
    return _score(rated, predicted, MAE)


def ccc(rated: ArrayLike, predicted: ArrayLike) -> float:
    """Return Lin's concordance correlation [1]_, in [-1, 1]; a constant prediction gives 0.

    >>> round(ccc([1, 2, 3], [2, 3, 4]), 3)  # perfectly correlated, but shifted
    0.571
    """
    return _score(rated, predicted, CCC)


def evaluate(
    rated: ArrayLike,
    predicted: ArrayLike,
    *,
    units: ArrayLike | None = None,
    level: float = LEVEL,
) -> dict[str, Estimate]:
    """Return each metric of :data:`METRICS` by name, with its interval over ``units``.

    Units are what was sampled together (artists, files), one label an item; None: the items.

    >>> round(evaluate([1, 2, 3], [2, 3, 4])["mae"].value, 6)
    1.0
    """
    columns = moments(rated, predicted)
    sums = unit_sums(columns, units)
    return {
        metric.name: estimate_statistic(
            sums,
            partial(from_sums, metric=metric),
            SCALES[metric.name],
            n=len(columns),
            level=level,
            value=float(from_sums(columns.sum(axis=0), metric)),
            reason=f"all {len(columns)} predictions are the same",
        )
        for metric in METRICS
    }


@dataclass(frozen=True, slots=True)
class LegacyScores:
    """Figures as the Essentia models' metadata states them; each pair in column order."""

    pearson_r: tuple[float, float]
    r2_about_grand_mean: tuple[float, float]
    ccc_of_pooled_covariance: tuple[float, float]
    mse_published_as_rmse: tuple[float, float]


def legacy_essentia(rated: ArrayLike, predicted: ArrayLike) -> LegacyScores:
    """Return the published definitions, faults included, for arrays ``(n_items, 2)``.

    For holding figures against the metadata of the Essentia arousal/valence models only. In the
    code that made these, "RMSE" is the mean squared error, the covariance of CCC is averaged over
    both dimensions (so that one CCC exceeds r, which it cannot), and R2 takes the variance
    about the mean of both dimensions together.

    Raises
    ------
    ValueError
        If the arrays are not of one shape ``(n_items, 2)``, or as :func:`validate` for a column.
    """
    truth, guess = np.asarray(rated, np.float64), np.asarray(predicted, np.float64)
    if truth.ndim != 2 or truth.shape[1] != 2 or truth.shape != guess.shape:
        raise ValueError(
            f"ratings and predictions must both be (n_items, 2), got {truth.shape} and "
            f"{guess.shape}"
        )
    correlations = [pearson_r(truth[:, axis], guess[:, axis]) for axis in (0, 1)]
    squared = (truth - guess) ** 2
    r2_grand = 1 - squared.sum(axis=0) / ((truth - truth.mean()) ** 2).sum(axis=0)
    shift = truth.mean(axis=0) - guess.mean(axis=0)
    pooled = np.mean((truth - truth.mean(axis=0)) * (guess - guess.mean(axis=0)))
    concordance = 2 * pooled / (truth.var(axis=0) + guess.var(axis=0) + shift**2)
    columns = (correlations, r2_grand, concordance, squared.mean(axis=0))
    return LegacyScores(*((float(first), float(second)) for first, second in columns))
