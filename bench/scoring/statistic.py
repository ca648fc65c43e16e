"""A score computed anew from the items of a record, alone and paired with another run's.

Every metric is one of three kinds of statistic over items: a function of column sums (means,
accuracies, correlations), a median, or a macro mean over tags of whole rankings. A metric that the
items (and arrays) do not determine is refused, never approximated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from earmark.bench.metrics import classification, pairwise, regression, tagging
from earmark.bench.metrics.base import Floats, Metric
from earmark.bench.metrics.intervals import IDENTITY, LOGIT, Scale, Statistic
from earmark.bench.metrics.pairwise import Outcome
from earmark.bench.metrics.statistics import (
    draw_counts,
    ratio,
    resample_sums,
    unit_labels,
    unit_sums,
)
from earmark.reports.record.schema import Score

if TYPE_CHECKING:
    import pandas as pd

_BLOCK = 2**20
MOST_RANKINGS = 1_000
"""Replicates of a metric that ranks all items anew for each."""

DIRECTIONS: Mapping[str, bool] = {
    metric.name: metric.higher_is_better
    for metric in (
        *classification.METRICS,
        *tagging.METRICS,
        *regression.METRICS,
        pairwise.PAIRWISE_ACCURACY,
    )
} | {"median_rank": False, "mean_rank": False, "mrr": True, "pairwise_accuracy_half_credit": True}
"""Whether higher is better, as the code has it; recalls and other means say so in the record."""

_REGRESSION = {metric.name: metric for metric in regression.METRICS}
_MEANS = {"mrr": "reciprocal_rank", "mean_rank": "rank"}
_PAIRWISE: Mapping[str, pairwise.Ties] = {
    "pairwise_accuracy": "official",
    "pairwise_accuracy_half_credit": "half",
}


class NotGateableError(ValueError):
    """A score that the record's items do not determine, or that they leave undefined."""


@dataclass(frozen=True, slots=True)
class Sums:
    """A statistic of column sums."""

    columns: Floats
    """``(n_items, n_columns)``"""
    statistic: Statistic
    is_mean: bool = False
    """Whether it is a plain mean of outcomes."""
    scale: Scale = IDENTITY
    """On which it is compared."""

    @property
    def value(self) -> float:
        return float(self.statistic(self.columns.sum(axis=0)))

    @property
    def is_scored(self) -> NDArray[np.bool_]:
        """Which items count, ``(n_items,)``: of a ratio, those with a denominator."""
        if self.statistic is ratio:
            return np.asarray(self.columns[:, 1] > 0)
        return np.ones(len(self.columns), dtype=bool)


@dataclass(frozen=True, slots=True)
class Median:
    """The median of one value an item, ``(n_items,)``."""

    values: Floats

    @property
    def value(self) -> float:
        return float(np.median(self.values))


@dataclass(frozen=True, slots=True)
class Rankings:
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

    def _macro(self, scores: Floats) -> float:
        measure = tagging.roc_auc if self.metric == tagging.ROC_AUC else tagging.average_precision
        return float(tagging.macro(measure(self.labels, scores)))


Measured = Sums | Median | Rankings


@dataclass(frozen=True, slots=True)
class Scales:
    """A model's scale of arousal and valence, and that of the ratings it is held against."""

    model: tuple[float, float] | None
    ratings: tuple[float, float] | None


def measured(
    score: Score,
    rows: pd.DataFrame,
    arrays: Mapping[str, NDArray[Any]],
    *,
    headline_subset: str | None,
    scales: Scales,
    prompts: Sequence[pd.DataFrame] = (),
) -> Measured:
    """Return what a score is the value of, from the items it rests on.

    ``prompts`` are the items of each prompt, where it is the mean of a metric over prompts.

    Raises
    ------
    NotGateableError
        If the items do not determine it, or an outcome is not finite.
    """
    if rows.empty:
        raise NotGateableError("not gateable: no per-item outcomes of this model and subset")
    name = score.metric
    column = _MEANS.get(name, name)
    if column in rows.columns:
        # An item that several draws hold weighs as often, as it does in the score.
        values, times = _finite(rows, column), _draws(rows)
        return Sums(np.stack([times * values, times], axis=1), ratio, is_mean=True)
    if name == "median_rank" and "rank" in rows.columns:
        if (_draws(rows) != 1).any():
            raise NotGateableError(
                "not gateable: the items hold each query's mean rank over the draws, and not the "
                "ranks that the median is of; gate the mean rank"
            )
        return Median(_finite(rows, "rank"))
    if name in _PAIRWISE and {"truth", "outcome"} <= set(rows.columns):
        columns = pairwise.credit(_pair_codes(rows), ties=_PAIRWISE[name])
        return Sums(columns, ratio)
    if name in _REGRESSION and {"rated", "predicted"} <= set(rows.columns):
        return _regression(_REGRESSION[name], rows, scales)
    if name in ("balanced_accuracy", "macro_f1") and {"label", "predicted"} <= set(rows.columns):
        return _mean_of_classes(name, prompts, arrays) if prompts else _classes(name, rows, arrays)
    if name in ("roc_auc", "average_precision"):
        return _rankings(score, rows, arrays, headline_subset)
    raise NotGateableError(
        f"not gateable: no per-item outcomes of {name} in the record; gate another metric of "
        f"this task"
    )


def _finite(rows: pd.DataFrame, column: str) -> Floats:
    values = rows[column].to_numpy(dtype=np.float64, na_value=np.nan)
    bad = ~np.isfinite(values)
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        raise NotGateableError(
            f"NaN or infinity: {column} of {int(bad.sum())} of {len(values)} items is not "
            f"finite, first {rows['item'].iloc[first]!r} ({values[first]})"
        )
    return values


def _draws(rows: pd.DataFrame) -> Floats:
    return _finite(rows, "draws") if "draws" in rows.columns else np.ones(len(rows))


def _pair_codes(rows: pd.DataFrame) -> NDArray[np.int8]:
    codes = rows["outcome"].to_numpy(dtype=np.float64, na_value=np.nan)
    tied = (rows["truth"] == "ab").to_numpy()
    missing = np.isnan(codes)
    strange = ~missing & ~np.isin(codes, [-1, 0, 1])
    if strange.any():
        raise NotGateableError(f"NaN or infinity: an outcome of a pair is {codes[strange][0]}")
    codes = np.where(missing, Outcome.MISSING, codes)
    return np.where(tied, Outcome.TRUTH_TIED, codes).astype(np.int8)


def _regression(metric: Metric, rows: pd.DataFrame, scales: Scales) -> Sums:
    rated, predicted = _finite(rows, "rated"), _finite(rows, "predicted")
    if np.ptp(rated) == 0:
        raise NotGateableError(
            f"not gateable: all {len(rated)} ratings are {rated[0]:g}: agreement is undefined"
        )
    if metric != regression.PEARSON_R:
        if scales.model is None or scales.ratings is None:
            raise NotGateableError(
                f"not gateable: {metric.name} needs the model's scale and that of the ratings, "
                f"and the record does not have both"
            )
        share = (predicted - scales.model[0]) / (scales.model[1] - scales.model[0])
        predicted = scales.ratings[0] + share * (scales.ratings[1] - scales.ratings[0])
    columns = regression.moments(rated, predicted)
    statistic = partial(regression.from_sums, metric=metric)
    return Sums(columns, statistic, scale=regression.PAIRED_SCALES[metric.name])


def _classes(name: str, rows: pd.DataFrame, arrays: Mapping[str, NDArray[Any]]) -> Sums:
    if "classes" not in arrays:
        raise NotGateableError(f"not gateable: {name} needs the array of classes")
    classes = [str(one) for one in arrays["classes"]]
    assigned = np.zeros((len(rows), len(classes)))
    for row, text in enumerate(rows["predicted"]):
        assigned[row, _named(str(text), classes)] = 1
    truth = classification.encode(list(rows["label"]), classes)
    metric = next(one for one in classification.METRICS if one.name == name)
    columns = classification.counts(truth, assigned)
    return Sums(columns, partial(classification.from_sums, metric=metric), scale=LOGIT)


def _mean_of_classes(
    name: str, prompts: Sequence[pd.DataFrame], arrays: Mapping[str, NDArray[Any]]
) -> Sums:
    parts = [_classes(name, rows, arrays) for rows in prompts]
    width = parts[0].columns.shape[1]

    def mean(sums: Floats) -> Floats:
        values = [
            part.statistic(sums[..., k * width : (k + 1) * width]) for k, part in enumerate(parts)
        ]
        return np.asarray(np.mean(values, axis=0))

    return Sums(np.hstack([part.columns for part in parts]), mean, scale=LOGIT)


def _named(text: str, classes: Sequence[str]) -> list[int]:
    """Return the classes that a prediction names: one, or several that tie."""
    if text in classes:
        return [classes.index(text)]
    parts = text.split(" or ") if text else []
    if not parts or not set(parts) <= set(classes):
        raise NotGateableError(
            f"not gateable: the items name no class for an item (predicted {text!r}), as for "
            f"means over prompts; gate the accuracy, or another subset"
        )
    return [classes.index(part) for part in parts]


def _rankings(
    score: Score,
    rows: pd.DataFrame,
    arrays: Mapping[str, NDArray[Any]],
    headline_subset: str | None,
) -> Rankings:
    own = f"scores.{score.model}"
    if score.subset != headline_subset or not {own, "labels", "items"} <= arrays.keys():
        raise NotGateableError(
            f"not gateable: no per-item scores of {score.subset!r}; those of the headline subset "
            f"{headline_subset!r} are kept"
        )
    place = {str(item): index for index, item in enumerate(arrays["items"])}
    if set(place) != set(rows["item"]):
        raise NotGateableError("item sets differ: items and array 'items' name other items")
    order = [place[item] for item in rows["item"]]
    scores = np.asarray(arrays[own], np.float64)[order]
    if not np.isfinite(scores).all():
        raise NotGateableError(
            f"NaN or infinity: {int((~np.isfinite(scores)).sum())} scores of tags are not finite"
        )
    metric = next(one for one in tagging.METRICS if one.name == score.metric)
    return Rankings(np.asarray(arrays["labels"], np.uint8)[order], scores, metric)


@dataclass(frozen=True, slots=True)
class Pair:
    """The same score of two runs on the same items, in the same order."""

    candidate: Measured
    baseline: Measured
    units: NDArray[Any]
    """Label of each item's unit, ``(n_items,)``."""

    @property
    def n_units(self) -> int:
        return len(np.unique(self.units))

    @property
    def differences(self) -> Floats | None:
        """Mean candidate minus mean baseline of each unit, where the score is a mean."""
        if not (isinstance(self.candidate, Sums) and isinstance(self.baseline, Sums)):
            return None
        if not self.candidate.is_mean:
            return None
        both = np.hstack([self.candidate.columns, self.baseline.columns])
        sums = unit_sums(both, self.units)
        return np.asarray(sums[:, 0] / sums[:, 1] - sums[:, 2] / sums[:, 3])

    def resample(self, *, replicates: int, seed: int) -> Floats:
        """Return both runs' scores on the same resamples of units, ``(2, replicates)``."""
        first, second = self.candidate, self.baseline
        if isinstance(first, Sums) and isinstance(second, Sums):
            width = first.columns.shape[1]
            drawn = resample_sums(
                np.hstack([first.columns, second.columns]),
                units=self.units,
                replicates=replicates,
                seed=seed,
            )
            return np.stack([first.statistic(drawn[:, :width]), second.statistic(drawn[:, width:])])
        if isinstance(first, Median) and isinstance(second, Median):
            return _resample_medians(
                [first.values, second.values], self.units, replicates=replicates, seed=seed
            )
        if isinstance(first, Rankings) and isinstance(second, Rankings):
            found = tagging.resample_scores(
                first.labels,
                [first.scores, second.scores],
                units=self.units,
                replicates=min(replicates, MOST_RANKINGS),
                seed=seed,
            )
            return tagging.macro(found[:, tagging.METRICS.index(first.metric)])
        raise TypeError("two runs of one score are of one kind")


def _resample_medians(
    values: Sequence[Floats], units: NDArray[Any], *, replicates: int, seed: int
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
