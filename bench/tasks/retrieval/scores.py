"""Scores of retrieval: with intervals over units and chance, paired comparisons, items, draws.

Of several draws, a score is the mean over the queries of all draws (the median rank: the median of
their ranks) and its interval resamples units, each with all its queries in all draws [1]_. Chance
is what a model that scores everything the same gets in these very draws, exactly.

References
----------
.. [1] A. C. Davison and D. V. Hinkley, "Bootstrap Methods and their Application", 1997,
       sec. 3.8 (resampling of clusters).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from earmark.bench.metrics import retrieval
from earmark.bench.metrics.base import Floats, Metric
from earmark.bench.metrics.intervals import too_few
from earmark.bench.metrics.statistics import Estimate
from earmark.bench.scoring.items import (
    About,
    Arrays,
    UnmeasurableError,
    finite,
    mean_of,
    undetermined,
)
from earmark.bench.scoring.results import score_of
from earmark.bench.scoring.statistic import MedianStatistic, SumStatistic
from earmark.bench.tasks.retrieval.failures import TopHits
from earmark.bench.tasks.retrieval.pools import (
    EvaluatedSet,
    Outcomes,
    Pool,
    PooledRanks,
    ids_of,
    units_of,
)
from earmark.bench.tasks.retrieval.protocol import Direction, RetrievalProtocol
from earmark.bench.tasks.task import item_digest
from earmark.datasets.base import Captioned
from earmark.reports.record.schema import Plain, Score, Table

if TYPE_CHECKING:
    import pandas as pd

HEADLINE = "recall_at_10"
HEADLINE_K = 10
TRUTH = frozenset({"unit", "n_relevant", "draws"})
OUTCOMES = frozenset({"rank", "top_item", "reciprocal_rank"})
_COLUMNS = {"mrr": "reciprocal_rank", "mean_rank": "rank"}
_OF_A_RANKING = {
    "map_at_10": retrieval.average_precision_at_k,
    "ndcg_at_10": retrieval.ndcg_at_k,
}


def unit_name(heard: EvaluatedSet) -> str:
    """Return what is resampled, for the record."""
    return "clip" if all(clip.unit is None for clip in heard.clips) else "unit"


def usable_ks(drawn: PooledRanks) -> list[int]:
    """Return the k that every draw has items enough for."""
    fewest = min(ranks.n_items for ranks in drawn.by_draw)
    return [k for k in retrieval.KS if k <= fewest]


def score_models(
    dataset: Captioned,
    heard: EvaluatedSet,
    outcomes: Outcomes,
    way: Direction,
    setting: RetrievalProtocol,
    *,
    replicates: int,
    seed: int,
) -> list[Score]:
    """Return every model's scores of one direction, in the order of the protocol's metrics."""
    ids = ids_of(heard, way)
    scores = []
    for model, ways in outcomes.items():
        drawn = ways[way]
        ks, queries = usable_ks(drawn), np.unique(drawn.query)
        estimates = retrieval.evaluate(
            drawn.ranks,
            ks=ks,
            rule=setting.rule,
            units=units_of(heard, way, drawn.query),
            replicates=replicates,
            seed=seed,
        )
        known = _metrics(drawn, ks, setting)
        for name in setting.metrics:
            # One query drawn ten times is one item.
            estimate = replace(estimates.get(name, _undefined(name, drawn)), n=len(queries))
            if estimate.n_units < 2:
                alone = estimate.reason or too_few(estimate.n_units)
                estimate = replace(estimate, interval=None, reason=alone)
            score = score_of(
                known.get(name) or Metric(name, True, 0.0, 1.0, None),
                estimate,
                unit=unit_name(heard),
                model=model,
                subset=way,
                n_items=_n_queries(dataset, way),
                item_digest=item_digest(ids[query] for query in queries),
            )
            scores.append(score)
    return scores


def _n_queries(dataset: Captioned, way: Direction) -> int:
    return len(set(dataset.captions)) if way == "text-to-audio" else len(np.unique(dataset.clip_of))


def _undefined(name: str, drawn: PooledRanks) -> Estimate:
    fewest = min(ranks.n_items for ranks in drawn.by_draw)
    reason = f"only {fewest} items to choose from: {name} would be 1 whatever the model"
    return Estimate(np.nan, None, 0, 0, reason)


def _metrics(
    drawn: PooledRanks, ks: Sequence[int], setting: RetrievalProtocol
) -> dict[str, Metric]:
    """Return what each metric says of itself, with chance over all draws."""
    chance = retrieval.scores(drawn.constant, ks=ks, rule=setting.rule)
    described = retrieval.metrics(drawn.ranks, ks=ks, rule=setting.rule)
    return {
        name: replace(metric, chance=min(chance[name], float(metric.upper or 1.0)))
        for name, metric in described.items()
    }


def measure(
    score: Score, rows: pd.DataFrame, arrays: Arrays, about: About
) -> SumStatistic | MedianStatistic:
    """Return the statistic of queries that a score is of, each as often as it was drawn."""
    times = finite(rows, "draws") if "draws" in rows.columns else np.ones(len(rows))
    if score.metric == "median_rank" and "rank" in rows.columns:
        if (times != 1).any():
            raise UnmeasurableError(
                "the items hold each query's mean rank over the draws, and not the ranks that the "
                "median is of",
                instead="the mean rank",
            )
        return MedianStatistic(finite(rows, "rank"))
    column = _COLUMNS.get(score.metric, score.metric)
    if column not in rows.columns:
        raise undetermined(score.metric)
    return mean_of(rows, column, times=times)


@dataclass(frozen=True, slots=True)
class Items:
    """Columns of per-query outcomes, one row a model, direction and query."""

    columns: dict[str, list[Any]] = field(default_factory=dict)

    def add(self, **rows: Sequence[Any]) -> None:
        for name, values in rows.items():
            self.columns.setdefault(name, []).extend(values)


def item_rows(
    items: Items,
    heard: EvaluatedSet,
    model: str,
    way: Direction,
    drawn: PooledRanks,
    hits: TopHits,
    setting: RetrievalProtocol,
) -> None:
    """Add a model's queries of one direction: outcomes are means over a query's draws."""
    ids, items_ids = ids_of(heard, way), ids_of(heard, _other(way))
    names = [ids[query] for query in hits.query]
    ks, undefined = usable_ks(drawn), [float("nan")] * len(names)
    recalls = {
        f"recall_at_{k}": _by_query(drawn, retrieval.recall_at_k(drawn.ranks, k, rule=setting.rule))
        if k in ks
        else undefined
        for k in retrieval.KS
    }
    # The other direction may have items enough, and its column needs a row per query of both.
    ranked = {
        name: _by_query(drawn, outcome(drawn.ranks, HEADLINE_K)) if HEADLINE_K in ks else undefined
        for name, outcome in _OF_A_RANKING.items()
        if name in setting.metrics
    }
    relevant = np.bincount(drawn.ranks.query, minlength=drawn.ranks.n_queries)
    items.add(
        model=[model] * len(names),
        item=names,
        unit=units_of(heard, way, hits.query).tolist(),
        subset=[way] * len(names),
        query=[heard.captions[query] for query in hits.query] if way == "text-to-audio" else names,
        rank=_by_query(drawn, retrieval.rank(drawn.ranks)),
        n_relevant=_by_query(drawn, relevant.astype(np.float64)),
        top_item=[items_ids[item] for item in hits.item],
        **recalls,
        **ranked,
        draws=np.unique(drawn.query, return_counts=True)[1].tolist(),
        reciprocal_rank=_by_query(drawn, retrieval.reciprocal_rank(drawn.ranks, rule=setting.rule)),
        caption_similarity=hits.similarity.tolist(),
    )


def _other(way: Direction) -> Direction:
    return "audio-to-text" if way == "text-to-audio" else "text-to-audio"


def _by_query(drawn: PooledRanks, values: Floats) -> list[float]:
    """Return the mean of each query over the draws that it was in, queries ascending."""
    queries, place = np.unique(drawn.query, return_inverse=True)
    summed = np.bincount(place.reshape(-1), values, len(queries))
    means: list[float] = (summed / np.bincount(place.reshape(-1))).tolist()
    return means


def draws_table(
    outcomes: Outcomes, draws: Sequence[Pool], setting: RetrievalProtocol
) -> list[Table]:
    """Return the table of each draw's scores, or nothing where nothing was drawn."""
    if len(draws) < 2:
        return []
    rows: list[list[Plain]] = []
    for way in setting.directions:
        for model, ways in outcomes.items():
            ks = usable_ks(ways[way])
            each = [retrieval.scores(r, ks=ks, rule=setting.rule) for r in ways[way].by_draw]
            for name in (name for name in setting.metrics if name in each[0]):
                values = np.array([one[name] for one in each])
                spread = float(values.std(ddof=1))
                ends = float(values.min()), float(values.max())
                rows.append([model, way, name, float(values.mean()), spread, *ends, len(draws)])
    return [
        Table(
            title="Draws of the pool",
            columns=[
                "model",
                "direction",
                "metric",
                "mean",
                "standard deviation",
                "lowest",
                "highest",
                "draws",
            ],
            rows=rows,
            note="Each draw scored by itself. The scores above are means over the queries of all "
            "draws, which is this mean where every draw has as many queries; their median rank is "
            "the median of all ranks, not the mean of medians.",
        )
    ]
