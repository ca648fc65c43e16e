"""Scores, comparisons, groups and references of a record, made from statistics of items."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from earmark.bench.metrics import intervals
from earmark.bench.metrics.base import Metric
from earmark.bench.metrics.comparisons import indistinguishable_groups
from earmark.bench.metrics.statistics import Estimate
from earmark.bench.scoring.items import TaskItems, UnmeasurableError
from earmark.bench.scoring.statistic import Statistic, SumStatistic, Units, compare
from earmark.reports.record.lookup import SIGNIFICANT
from earmark.reports.record.schema import Comparison, Group, Interval, Plain, Reference, Score


def resampling(unit: str, *, replicates: int, seed: int) -> dict[str, Plain]:
    """Return what a protocol says of intervals and paired tests, in tokens."""
    return {
        "unit of resampling": unit,
        "interval": "wilson-or-jackknife",
        "paired test": "sign-flips",
        "replicates": replicates,
        "seed": seed,
    }


def score_of(metric: Metric, estimate: Estimate, *, unit: str, **details: Any) -> Score:
    """Return a record's score from an estimate; NaN becomes None with the estimate's reason."""
    defined = bool(np.isfinite(estimate.value))
    found = estimate.interval if defined else None
    interval = _interval(found, unit=unit, n_units=estimate.n_units)
    reason = None if defined and interval else estimate.reason
    if not defined:
        reason = reason or "undefined"
    return Score(
        metric=metric.name,
        value=float(estimate.value) if defined else None,
        reason=reason,
        interval=interval,
        n=estimate.n,
        chance=metric.chance,
        higher_is_better=metric.higher_is_better,
        lower_bound=metric.lower,
        upper_bound=metric.upper,
        **details,
    )


def _interval(found: intervals.Interval | None, *, unit: str, n_units: int) -> Interval | None:
    """Return an interval for the record; None where there is none or an end is undefined."""
    if found is None or not (np.isfinite(found.low) and np.isfinite(found.high)):
        return None
    return Interval(
        low=found.low,
        high=found.high,
        level=found.level,
        method=found.method,
        unit=unit,
        n_units=n_units,
        replicates=found.replicates,
    )


def chance_references(
    scores: Iterable[Score], *, note: str = "", with_n: bool = False
) -> list[Reference]:
    """Return a line of chance for each metric, subset and dimension of scores that state one."""
    lines: dict[tuple[str, str, str | None], Reference] = {}
    for one in scores:
        if one.chance is not None:
            lines[one.metric, one.subset, one.dimension] = Reference(
                name="chance",
                subset=one.subset,
                dimension=one.dimension,
                metric=one.metric,
                value=float(one.chance),
                n=one.n if with_n else None,
                note=note,
            )
    return list(lines.values())


def compared(
    scores: Sequence[Score],
    statistics: Sequence[Statistic],
    units: Units,
    *,
    unit: str,
    replicates: int,
    seed: int,
) -> list[Comparison]:
    """Compare every two models' scores of one metric, subset and dimension, on the same items.

    Scores that are undefined are left out, and items that do not count for all of the others;
    nothing is compared of fewer than two models or two units.
    """
    defined = [pair for pair in zip(scores, statistics, strict=True) if pair[0].value is not None]
    if len(defined) < 2:
        return []
    common = np.logical_and.reduce([one.is_scored for _, one in defined])
    n_units = len(np.unique(np.asarray(units)[common]))
    if n_units < 2:
        return []
    first = defined[0][0]
    same = [one.among(common) if isinstance(one, SumStatistic) else one for _, one in defined]
    return [
        Comparison(
            model=defined[found.first][0].model,
            other=defined[found.second][0].model,
            metric=first.metric,
            subset=first.subset,
            dimension=first.dimension,
            difference=found.difference,
            interval=_interval(found.interval, unit=unit, n_units=n_units),
            p_value=found.p_value,
            p_holm=found.p_holm,
            minimum_detectable_difference=found.minimum_detectable_difference,
            n=int(np.count_nonzero(common)),
        )
        for found in compare(same, units, replicates=replicates, seed=seed)
    ]


def compared_items(
    items: TaskItems, scores: Sequence[Score], *, unit: str, replicates: int, seed: int
) -> list[Comparison]:
    """Compare scores of one metric, subset and dimension by their items, as :func:`compared`."""
    defined = [one for one in scores if one.value is not None]
    if len(defined) < 2:
        return []
    return compared(
        defined,
        [items.measured(one) for one in defined],
        items.units(defined[0]),
        unit=unit,
        replicates=replicates,
        seed=seed,
    )


def groups_of(scores: Sequence[Score], comparisons: Sequence[Comparison]) -> list[Group]:
    """Return the groups of models that do not differ significantly, of one metric and subset.

    Models without a comparison (undefined scores) are in no group.
    """
    if not comparisons:
        return []
    compared = {one.model for one in comparisons} | {one.other for one in comparisons}
    by_model = {score.model: score for score in scores if score.model in compared}
    names = sorted(by_model, key=lambda model: _rank_value(by_model[model]), reverse=True)
    different = np.zeros((len(names), len(names)), dtype=bool)
    for one in comparisons:
        i, j = names.index(one.model), names.index(one.other)
        different[i, j] = different[j, i] = one.p_holm < SIGNIFICANT
    first = comparisons[0]
    return [
        Group(
            subset=first.subset,
            metric=first.metric,
            dimension=first.dimension,
            models=list(group),
        )
        for group in indistinguishable_groups(names, different)
    ]


def _rank_value(score: Score) -> float:
    if score.value is None:
        return -np.inf
    return score.value if score.higher_is_better else -score.value


def differs(score: Score, statistic: Statistic) -> bool:
    """Return whether a recorded value is not that of its items, beyond rounding."""
    if score.value is None:
        return False
    slip = 1e-9 * max(1.0, abs(score.value))
    least, most = statistic.bounds
    return not least - slip <= score.value <= most + slip


def wrong_scores(items: TaskItems) -> Iterator[str]:
    """Yield which recorded values are not those of their items, where these determine them."""
    for score in items.scores:
        try:
            found = None if score.value is None else items.measured(score)
        except UnmeasurableError:
            continue
        if found is not None and differs(score, found):
            place = ", ".join(part for part in (score.subset, score.dimension) if part)
            yield (
                f"{score.model}: {score.metric} on {place} is recorded as {score.value:.10g}, its "
                f"items give {found.value:.10g}; no gate will accept it"
            )
