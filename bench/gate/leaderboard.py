"""How the models of several runs differ: what a leaderboard of runs says beside each run's own.

They are compared from the records' per-item outcomes, paired on the same items. The outcomes are
first held against the scores that they must give: where they do not, or a record keeps none, the
comparison rests only on the scores' intervals and says that it is unpaired.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from statistics import NormalDist
from typing import TYPE_CHECKING

from earmark.bench.metrics.comparisons import holm, minimum_detectable_difference
from earmark.bench.metrics.statistics import REPLICATES, SEED
from earmark.bench.scoring.items import Arrays, UnmeasurableError
from earmark.bench.scoring.results import compared, differs, groups_of
from earmark.bench.tasks.registry import VIEWS, items_of
from earmark.reports.page.side_by_side import Compared
from earmark.reports.record.lookup import headline, select, unique
from earmark.reports.record.schema import Comparison, Score, TaskResult
from earmark.reports.view import view_of

if TYPE_CHECKING:
    import pandas as pd


def compare_models(task: TaskResult, items: pd.DataFrame, arrays: Arrays) -> Compared:
    """Compare the models of a task on its headline metric, on every dimension and direction."""
    chosen = headline(task)
    found = Compared()
    if chosen is None:
        return found
    metric, subset = chosen
    for name in dict.fromkeys([subset, *view_of(VIEWS, task).directions(task)]):
        everyone = select(task.scores, metric=metric, subset=name)
        for side in unique(score.dimension for score in everyone):
            scores = [s for s in select(everyone, dimension=side) if s.value is not None]
            if len(scores) < 2:
                continue
            pairs = _paired(task, items, arrays, scores)
            if isinstance(pairs, str):
                how = f"unpaired, from the intervals of the scores ({pairs}), Holm"
                pairs = _unpaired(scores)
            else:
                how = f"paired on {pairs[0].n:,} items, randomisation over units, Holm"
            place = name if side is None else f"{name}, {side}"
            found.how.append(f"{metric} ({place}): {how}.")
            found.comparisons.extend(pairs)
            found.groups.extend(groups_of(scores, pairs))
    return found


def _paired(
    task: TaskResult, items: pd.DataFrame, arrays: Arrays, scores: Sequence[Score]
) -> list[Comparison] | str:
    """Return comparisons of outcomes that give the scores, or why there are none."""
    if not {"model", "item", "unit"} <= set(items.columns):
        return "the records keep no outcomes by item"
    outcomes = items_of(task, items, arrays)
    first = outcomes.rows(scores[0])
    statistics = []
    for score in scores:
        own = outcomes.rows(score)
        if own.empty:
            return f"the records keep no outcomes of {score.model} by item"
        if not first[["item", "unit"]].equals(own[["item", "unit"]]):
            return f"the outcomes of {score.model} are not on the items of {scores[0].model}"
        try:
            statistics.append(outcomes.measured(score))
        except UnmeasurableError as error:
            return error.reason
        if differs(score, statistics[-1]):
            return f"the outcomes of {score.model} do not add up to its score"
    found = compared(
        scores,
        statistics,
        outcomes.units(scores[0]),
        unit=scores[0].interval.unit if scores[0].interval else "item",
        replicates=REPLICATES,
        seed=SEED,
    )
    return found or "fewer than two units"


def _unpaired(scores: Sequence[Score]) -> list[Comparison]:
    """Compare scores by their intervals as if the items were others: cautious on the same ones."""
    known = [score for score in scores if score.interval is not None]
    pairs = list(combinations(known, 2))
    if not pairs:
        return []
    normal = NormalDist()
    errors = [math.hypot(_standard_error(one), _standard_error(other)) for one, other in pairs]
    p_values = []
    for (one, other), error in zip(pairs, errors, strict=True):
        gap = abs(_value(one) - _value(other))
        p_values.append(2 * (1 - normal.cdf(gap / error)) if error else float(gap == 0))
    return [
        Comparison(
            model=one.model,
            other=other.model,
            metric=one.metric,
            subset=one.subset,
            dimension=one.dimension,
            difference=_value(one) - _value(other),
            interval=None,
            p_value=p_value,
            p_holm=float(p_holm),
            minimum_detectable_difference=minimum_detectable_difference(error),
            n=min(one.n, other.n),
        )
        for (one, other), error, p_value, p_holm in zip(
            pairs, errors, p_values, holm(p_values), strict=True
        )
    ]


def _standard_error(score: Score) -> float:
    if score.interval is None:
        raise ValueError(f"{score.metric} of {score.model} has no interval")
    z = NormalDist().inv_cdf((1 + score.interval.level) / 2)
    return (score.interval.high - score.interval.low) / (2 * z)


def _value(score: Score) -> float:
    return 0.0 if score.value is None else score.value
