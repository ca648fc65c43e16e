"""What a task gives back: its part of the record, per-item outcomes, and what figures need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from earmark.bench.metrics import intervals
from earmark.bench.metrics.base import Metric
from earmark.bench.metrics.comparisons import PairedComparison, indistinguishable_groups
from earmark.bench.metrics.statistics import Estimate
from earmark.datasets.base import fingerprint
from earmark.models.base import ModelCard
from earmark.reports.record.schema import Comparison, Group, Interval, Score, TaskResult

if TYPE_CHECKING:
    from earmark.bench.embeddings.embeddings import Embeddings

INTERVALS = (
    "95 %: Wilson score with the design effect of units for means in [0, 1], otherwise studentised "
    "jackknife over units"
)
PAIRED_TEST = "sign flips of units' influences, Holm over the pairs of models"
"""What a protocol says of intervals and of paired tests."""

SIGNIFICANT = 0.05
"""Two models are told apart where Holm's corrected p-value is below this."""

Dimension = Literal["arousal", "valence"]


@dataclass(frozen=True, slots=True)
class TaskOutput:
    """One task's result; ``items`` are columns of equal length, one row a model and item."""

    result: TaskResult
    items: Mapping[str, list[Any]]
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Context:
    """What every task is given besides its dataset, its models and its own options."""

    task_id: str
    embeddings: Embeddings
    replicates: int
    seed: int
    strict: bool = True
    """Whether a file that the task's options name and that is nowhere is an error."""
    datasets: Mapping[str, Any] = field(default_factory=dict)
    """The datasets of the suite by name; a :class:`NotOpened` for one that is not at hand."""


@dataclass(frozen=True, slots=True)
class NotOpened:
    """A dataset or model that is not at hand, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ran:
    """A task's output and what its models cost."""

    output: TaskOutput
    seconds: Mapping[str, float]
    heard: Sequence[str] = ()
    """Models that the task listened with and that have no score of their own: embedders."""
    cards: Mapping[str, ModelCard] = field(default_factory=dict)
    """Of scored models that the suite does not list, such as heads that the task trained."""
    further: Sequence[TaskOutput] = ()
    """Parts of the task that are results of their own, on the datasets that they name."""


def item_digest(ids: Iterable[str]) -> str:
    """Return the digest of a set of item ids, whatever their order."""
    return fingerprint(sorted(ids))


def interval_of(
    found: intervals.Interval | None,
    *,
    unit: str,
    n_units: int,
) -> Interval | None:
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


def score_of(metric: Metric, estimate: Estimate, *, unit: str, **details: Any) -> Score:
    """Return a record's score from an estimate; NaN becomes None with the estimate's reason."""
    defined = bool(np.isfinite(estimate.value))
    found = estimate.interval if defined else None
    interval = interval_of(found, unit=unit, n_units=estimate.n_units)
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


def comparison_of(
    found: PairedComparison,
    models: Sequence[str],
    *,
    metric: str,
    subset: str,
    dimension: Dimension | None = None,
    unit: str,
    n_units: int,
    n: int,
) -> Comparison:
    """Return a paired comparison for the record; ``models`` are those that were compared."""
    return Comparison(
        model=models[found.first],
        other=models[found.second],
        metric=metric,
        subset=subset,
        dimension=dimension,
        difference=found.difference,
        interval=interval_of(found.interval, unit=unit, n_units=n_units),
        p_value=found.p_value,
        p_holm=found.p_holm,
        minimum_detectable_difference=found.minimum_detectable_difference,
        n=n,
    )


def groups_of(scores: Sequence[Score], comparisons: Sequence[Comparison]) -> list[Group]:
    """Return the groups of models that cannot be told apart, of one metric, subset and dimension.

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
