"""What every score is: a statistic of outcomes of items, alone and paired with another model's.

A statistic is a function of column sums (means, accuracies, correlations), a median, or a macro
mean over tags of whole rankings. Tasks make them of their items (``measure``); run, gate and
leaderboard ask the same task, so that a score is one number wherever it is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from earmark.bench.metrics import comparisons, tagging
from earmark.bench.metrics.base import Floats, Metric
from earmark.bench.metrics.comparisons import PairedComparison
from earmark.bench.metrics.intervals import IDENTITY, Scale
from earmark.bench.metrics.intervals import Statistic as OfSums
from earmark.bench.metrics.statistics import (
    Estimate,
    draw_counts,
    estimate_ratio,
    estimate_statistic,
    ratio,
    resample_sums,
    unit_labels,
    unit_sums,
)

_BLOCK = 2**20
MOST_RANKINGS: Final = 1_000
"""Replicates of a metric that ranks all items anew for each."""
Units = NDArray[Any]
"""Label of each item's unit, ``(n_items,)``."""


@dataclass(frozen=True, slots=True)
class SumStatistic:
    """A statistic of column sums."""

    columns: Floats
    """``(n_items, n_columns)``"""
    statistic: OfSums = ratio
    is_mean: bool = False
    """Whether it is a plain mean of outcomes."""
    scale: Scale = IDENTITY
    """On which it is compared."""

    @property
    def value(self) -> float:
        return float(self.statistic(self.columns.sum(axis=0)))

    @property
    def bounds(self) -> tuple[float, float]:
        return self.value, self.value

    @property
    def is_scored(self) -> NDArray[np.bool_]:
        """Which items count, ``(n_items,)``: of a ratio, those with a denominator."""
        if self.statistic is ratio:
            return np.asarray(self.columns[:, 1] > 0)
        return np.ones(len(self.columns), dtype=bool)

    def among(self, items: NDArray[np.bool_]) -> SumStatistic:
        """Return the statistic of some of the items alone; the others add nothing."""
        return self if items.all() else replace(self, columns=self.columns * items[:, None])

    def estimate(self, units: Units | None = None, *, scale: Scale | None = None) -> Estimate:
        """Return the value with its 95 % interval over units; on ``scale``, if it is no ratio."""
        if self.statistic is ratio:
            return estimate_ratio(self.columns, units=units)
        return estimate_statistic(
            unit_sums(self.columns, units),
            self.statistic,
            scale or self.scale,
            n=len(self.columns),
            value=self.value,
            reason="undefined on these items",
        )


@dataclass(frozen=True, slots=True)
class MedianStatistic:
    """The median of one value an item, ``(n_items,)``."""

    values: Floats

    @property
    def value(self) -> float:
        return float(np.median(self.values))

    @property
    def bounds(self) -> tuple[float, float]:
        return self.value, self.value

    @property
    def is_scored(self) -> NDArray[np.bool_]:
        return np.ones(len(self.values), dtype=bool)


@dataclass(frozen=True, slots=True)
class RankingStatistic:
    """The macro mean of a tagging metric; ``labels`` and ``scores`` are ``(n_items, n_tags)``."""

    labels: NDArray[np.uint8]
    scores: Floats
    metric: Metric

    @property
    def value(self) -> float:
        return self._macro(self.scores)

    @property
    def bounds(self) -> tuple[float, float]:
        """Least and greatest value of scores that agree with these but for their ties.

        A record keeps scores as float32, in which two that differed may have become equal.
        """
        from scipy.stats import rankdata

        dense = rankdata(self.scores, method="dense", axis=0)
        return self._macro(dense - self.labels / 4), self._macro(dense + self.labels / 4)

    @property
    def is_scored(self) -> NDArray[np.bool_]:
        return np.ones(len(self.labels), dtype=bool)

    def _macro(self, scores: Floats) -> float:
        measure = tagging.roc_auc if self.metric == tagging.ROC_AUC else tagging.average_precision
        return float(tagging.macro(measure(self.labels, scores)))


Statistic = SumStatistic | MedianStatistic | RankingStatistic


def compare(
    statistics: Sequence[Statistic], units: Units, *, replicates: int, seed: int
) -> list[PairedComparison]:
    """Compare every two statistics of the same items, in the order of their pairs.

    Raises
    ------
    TypeError
        If they are not of one kind, or medians, of which there is no paired test.
    """
    options: dict[str, Any] = {"units": units, "replicates": replicates, "seed": seed}
    first = statistics[0]
    if isinstance(first, SumStatistic):
        columns = np.stack([one.columns for one in statistics if isinstance(one, SumStatistic)])
        return comparisons.compare(columns, first.statistic, scale=first.scale, **options)
    if isinstance(first, RankingStatistic):
        scores = [one.scores for one in statistics if isinstance(one, RankingStatistic)]
        return tagging.compare(first.labels, scores, metric=first.metric, **options)
    raise TypeError("there is no paired test of medians")


@dataclass(frozen=True, slots=True)
class Pair:
    """The same score of two runs on the same items, in the same order."""

    candidate: Statistic
    baseline: Statistic
    units: Units

    @property
    def n_units(self) -> int:
        return len(np.unique(self.units))

    @property
    def differences(self) -> Floats | None:
        """Mean candidate minus mean baseline of each unit, where the score is a mean."""
        first, second = self.candidate, self.baseline
        if not (isinstance(first, SumStatistic) and isinstance(second, SumStatistic)):
            return None
        if not first.is_mean:
            return None
        sums = unit_sums(np.hstack([first.columns, second.columns]), self.units)
        return np.asarray(sums[:, 0] / sums[:, 1] - sums[:, 2] / sums[:, 3])

    def resample(self, *, replicates: int, seed: int) -> Floats:
        """Return both runs' scores on the same resamples of units, ``(2, replicates)``."""
        first, second = self.candidate, self.baseline
        options: dict[str, Any] = {"units": self.units, "seed": seed}
        if isinstance(first, SumStatistic) and isinstance(second, SumStatistic):
            width = first.columns.shape[1]
            both = np.hstack([first.columns, second.columns])
            drawn = resample_sums(both, replicates=replicates, **options)
            return np.stack([first.statistic(drawn[:, :width]), second.statistic(drawn[:, width:])])
        if isinstance(first, MedianStatistic) and isinstance(second, MedianStatistic):
            values = [first.values, second.values]
            return _resample_medians(values, replicates=replicates, **options)
        if isinstance(first, RankingStatistic) and isinstance(second, RankingStatistic):
            found = tagging.resample_scores(
                first.labels,
                [first.scores, second.scores],
                replicates=min(replicates, MOST_RANKINGS),
                **options,
            )
            return tagging.macro(found[:, tagging.METRICS.index(first.metric)])
        raise TypeError("two runs of one score are of one kind")


def _resample_medians(
    values: Sequence[Floats], *, units: Units, replicates: int, seed: int
) -> Floats:
    labels = unit_labels(units, len(units))
    n_units, rng = int(labels.max()) + 1, np.random.default_rng(seed)
    orders = [np.argsort(one, kind="stable") for one in values]
    medians = np.empty((len(values), replicates))
    per_block = max(1, _BLOCK // len(units))
    for start in range(0, replicates, per_block):
        block = slice(start, min(start + per_block, replicates))
        drawn = draw_counts(n_units, replicates=block.stop - start, rng=rng)
        for model, (one, order) in enumerate(zip(values, orders, strict=True)):
            medians[model, block] = _medians(one[order], drawn[:, labels[order]])
    return medians


def _medians(ascending: Floats, times: Floats) -> Floats:
    """Return the median of values that occur so many times, a row of ``times`` each."""
    below = np.cumsum(times, axis=1)
    half = below[:, -1:] / 2
    lower, upper = (below < half).sum(axis=1), (below <= half).sum(axis=1)
    return np.asarray((ascending[lower] + ascending[upper]) / 2)
