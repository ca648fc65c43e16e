"""What is different between two runs: which items flipped, how sure it is, how large it is.

This asks whether a difference is real; whether it is tolerable is the gate's question.

Effect sizes
------------
* ``d_z``: the mean of units' differences over their standard deviation [1]_, of means.
* ``cohen_h``: the difference of two proportions on the arcsine scale [1]_, of scores in [0, 1].
* ``cohen_q``: the difference of two correlations on Fisher's z scale [1]_.
* ``odds``: items gained over items lost, the matched odds ratio of McNemar's table [2]_.

References
----------
.. [1] J. Cohen, "Statistical Power Analysis for the Behavioral Sciences", 2nd ed., 1988, sec. 2.3,
       4.2 and 6.2.
.. [2] Q. McNemar, "Note on the sampling error of the difference between correlated proportions or
       percentages", Psychometrika 12(2), 1947.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from earmark.bench.gate import checks
from earmark.bench.gate.baseline import completed
from earmark.bench.gate.checks import Mismatch, name_of
from earmark.bench.gate.evidence import Evidence
from earmark.bench.metrics import comparisons
from earmark.bench.metrics.base import Floats
from earmark.bench.metrics.comparisons import PairedComparison
from earmark.bench.scoring.items import UnmeasurableError
from earmark.bench.scoring.statistic import (
    MedianStatistic,
    Pair,
    Statistic,
    SumStatistic,
    compare,
)
from earmark.reports.record.lookup import headline
from earmark.reports.record.schema import Score, TaskResult


@dataclass(frozen=True, slots=True)
class Flip:
    """An item whose outcome is not the same."""

    item: str
    first: float
    second: float


@dataclass(frozen=True, slots=True)
class Difference:
    """The second run minus the first, in one score; positive is better."""

    task: str
    metric: str
    model: str
    subset: str
    dimension: str | None
    first: float
    second: float
    difference: float
    low: float | None
    high: float | None
    """A 95 % interval."""
    p_value: float | None
    """Of the paired randomisation test; None where the score is a median."""
    exact: bool
    p_holm: float | None
    effects: dict[str, float | None]
    n_items: int
    n_units: int
    gained: list[Flip] | None
    """Items that became better, most first; None where items have no outcome of their own."""
    lost: list[Flip] | None


@dataclass(frozen=True, slots=True)
class Compared:
    """What two runs have in common, and what of it could not be compared."""

    differences: list[Difference]
    holes: list[Mismatch]


def compare_runs(
    first: Evidence,
    second: Evidence,
    *,
    task: str | None = None,
    metric: str | None = None,
    replicates: int,
    seed: int,
) -> Compared:
    """Compare two runs on the headline metric of each task that both have, or on another."""
    shared = [
        one
        for one in first.record.tasks
        if second.task(one.id) and task in (None, one.id) and one.scores
    ]
    holes = [hole for one in shared for hole in checks.check_task(second, first, one.id)]
    bad = {hole.where for hole in holes}
    if not shared:
        cause = "the runs have no task in common" if task is None else f"no task {task!r} in both"
        holes.append(Mismatch("runs", cause))
    first = completed(first, second)
    found = []
    for one in shared:
        for score in _chosen(one, metric) if one.id not in bad else ():
            try:
                found.append(
                    _difference(first, second, one, score, replicates=replicates, seed=seed)
                )
            except UnmeasurableError as error:
                holes.append(Mismatch(f"{one.id} / {name_of(score)}", str(error)))
        if metric is not None and not any(_chosen(one, metric)):
            holes.append(Mismatch(one.id, f"it has no metric {metric!r}"))
    return Compared(_corrected(found), holes)


def _chosen(task: TaskResult, metric: str | None) -> Iterator[Score]:
    chosen = headline(task)
    if chosen is None:
        return
    name, subset = metric or chosen[0], chosen[1]
    passive = checks.references(task)
    for score in task.scores:
        if score.metric == name and score.subset == subset and score.model not in passive:
            yield score


def _corrected(found: Sequence[Difference]) -> list[Difference]:
    tested = [one for one in found if one.p_value is not None]
    adjusted = iter(comparisons.holm([one.p_value or 0.0 for one in tested]))
    return [
        one if one.p_value is None else replace(one, p_holm=float(next(adjusted))) for one in found
    ]


def _difference(
    first: Evidence,
    second: Evidence,
    task: TaskResult,
    score: Score,
    *,
    replicates: int,
    seed: int,
) -> Difference:
    pair = Pair(
        _measured(second, task, score),
        _measured(first, task, score),
        second.items_of(task).units(score),
    )
    sign = 1.0 if score.higher_is_better else -1.0
    new, old = pair.candidate.value, pair.baseline.value
    found = _tested(pair, replicates=replicates, seed=seed)
    ends = sorted(sign * end for end in (found.interval.low, found.interval.high)) if found else ()
    gained, lost = _flips(pair, second.items_of(task).rows(score)["item"].tolist(), sign)
    return Difference(
        task=task.id,
        metric=score.metric,
        model=score.model,
        subset=score.subset,
        dimension=score.dimension,
        first=old,
        second=new,
        difference=sign * (new - old) + 0.0,
        low=ends[0] if ends else None,
        high=ends[1] if ends else None,
        p_value=found.p_value if found else None,
        exact=bool(found and found.exact),
        p_holm=None,
        effects=_effects(pair, score, sign, gained, lost),
        n_items=len(pair.units),
        n_units=pair.n_units,
        gained=gained,
        lost=lost,
    )


def _measured(run: Evidence, task: TaskResult, score: Score) -> Statistic:
    found = run.items_of(task).measured(score)
    if isinstance(found, MedianStatistic):
        raise UnmeasurableError(
            f"{score.metric} is a median, of which there is no paired test: compare the mean rank"
        )
    return found


def _tested(pair: Pair, *, replicates: int, seed: int) -> PairedComparison | None:
    """Return the paired comparison of candidate and baseline; None of fewer than two units."""
    if pair.n_units < 2:
        return None
    both = [pair.candidate, pair.baseline]
    return compare(both, pair.units, replicates=replicates, seed=seed)[0]


def _flips(
    pair: Pair, items: Sequence[str], sign: float
) -> tuple[list[Flip] | None, list[Flip] | None]:
    """Return the items that became better and worse, by how much."""
    new, old = pair.candidate, pair.baseline
    if not (isinstance(new, SumStatistic) and isinstance(old, SumStatistic)):
        return None, None
    if new.columns.shape[1] != 2:
        return None, None
    change = sign * (new.columns[:, 0] - old.columns[:, 0])
    order = np.argsort(-np.abs(change), kind="stable")
    flips = {
        side: [
            Flip(items[i], float(old.columns[i, 0]), float(new.columns[i, 0]))
            for i in order
            if side * change[i] > 0
        ]
        for side in (1, -1)
    }
    return flips[1], flips[-1]


def _effects(
    pair: Pair,
    score: Score,
    sign: float,
    gained: Sequence[Flip] | None,
    lost: Sequence[Flip] | None,
) -> dict[str, float | None]:
    new, old = pair.candidate.value, pair.baseline.value
    effects: dict[str, float | None] = {}
    by_unit = pair.differences
    if by_unit is not None:
        effects["d_z"] = _ratio(sign * float(by_unit.mean()), _deviation(by_unit))
    if (score.lower_bound, score.upper_bound) == (0.0, 1.0):
        angle = [2 * np.arcsin(np.sqrt(np.clip(value, 0, 1))) for value in (new, old)]
        effects["cohen_h"] = float(angle[0] - angle[1])
    if score.metric in ("pearson_r", "ccc") and max(abs(new), abs(old)) < 1:
        effects["cohen_q"] = float(np.arctanh(new) - np.arctanh(old))
    if gained is not None and lost is not None:
        effects["odds"] = _ratio(float(len(gained)), float(len(lost)))
    return effects


def _deviation(values: Floats) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _ratio(above: float, below: float) -> float | None:
    """Return a ratio, or None where nothing stands below."""
    return above / below if below > 0 else None
