"""What a task gives back: its part of the record, per-item outcomes, and what figures need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.bench.metrics.base import Metric
from earmark.bench.metrics.statistics import Estimate
from earmark.datasets.base import fingerprint
from earmark.reports.record import Interval, Score, TaskResult


@dataclass(frozen=True, slots=True)
class TaskOutput:
    """One task's result; ``items`` are columns of equal length, one row a model and item."""

    result: TaskResult
    items: Mapping[str, list[Any]]
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def item_digest(ids: Iterable[str]) -> str:
    """Return the digest of a set of item ids, whatever their order."""
    return fingerprint(sorted(ids))


def interval_of(estimate: Estimate, *, unit: str) -> Interval | None:
    """Return an estimate's interval for the record; None where it has none or an end is open."""
    found = estimate.interval
    if found is None or not (np.isfinite(found.low) and np.isfinite(found.high)):
        return None
    return Interval(
        low=found.low,
        high=found.high,
        level=found.level,
        method="percentile bootstrap",
        unit=unit,
        n_units=estimate.n_units,
        replicates=found.replicates,
    )


def score_of(metric: Metric, estimate: Estimate, *, unit: str, **details: Any) -> Score:
    """Return a record's score from an estimate; NaN becomes None with the estimate's reason."""
    defined = bool(np.isfinite(estimate.value))
    return Score(
        metric=metric.name,
        value=float(estimate.value) if defined else None,
        reason=None if defined else estimate.reason or "undefined",
        interval=interval_of(estimate, unit=unit) if defined else None,
        n=estimate.n,
        chance=metric.chance,
        higher_is_better=metric.higher_is_better,
        lower_bound=metric.lower,
        upper_bound=metric.upper,
        **details,
    )
