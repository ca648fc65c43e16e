"""How well texts find their music and music its texts: cross-modal retrieval.

Conventions
-----------
Outcomes are :class:`~earmark.bench.metrics.ranks.Ranks`: of each query and each relevant item, how
many items score higher and how many tie. Every metric is its *expectation over all orders of tied
items* [1]_, in closed form: an item tied with others has their average rank, and a constant scorer
lands exactly at the chance level of an order drawn at random. Metrics are means over queries.

With several relevant items (captions) a query, ``rule`` says what is meant:

* ``"best of n"``: the relevant item that ranks first decides; R@k is whether one is among the
  first k (MusCALL, LP-MusicCaps).
* ``"per caption"``: each of a query's n relevant items counts 1/n, the others being wrong answers
  for it; R@k is the share of them among the first k (MTEB's recall).

mAP@k and nDCG@k look at all relevant items under either rule. Relevance is binary. As in
trec_eval, mAP@k divides by the number of relevant items even where this is more than k.

Metrics
-------
* :func:`recall_at_k`, :func:`reciprocal_rank`, :func:`rank`, :func:`average_precision_at_k`,
  :func:`ndcg_at_k`: the per-query outcomes.
* :func:`median_rank`: the (weighted) median of ranks.
* :func:`scores`: all of them; :func:`chance`: the same for a constant scorer.
* :func:`evaluate`: all of them with intervals over tracks.

References
----------
.. [1] F. McSherry and M. Najork, "Computing information retrieval performance measures
       efficiently in the presence of tied scores", ECIR 2008, sec. 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earmark.bench.metrics.base import Floats, Metric
from earmark.bench.metrics.intervals import LEVEL
from earmark.bench.metrics.ranks import Ranks
from earmark.bench.metrics.statistics import (
    REPLICATES,
    Estimate,
    estimate_ratio,
    percentile_interval,
    unit_labels,
)

Rule = Literal["best of n", "per caption"]
KS = (1, 5, 10)

# Draws held at once in the bootstrap of the median.
_DRAWS = 2**18


def _check_k(k: int, n_items: int) -> None:
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 1 <= k <= n_items:
        raise ValueError(f"k is {k!r}, expected a whole number from 1 to the {n_items} items")


def _check_rule(rule: str) -> None:
    if rule not in ("best of n", "per caption"):
        raise ValueError(f"rule is {rule!r}, expected 'best of n' or 'per caption'")


def recall_at_k(ranks: Ranks, k: int, *, rule: Rule = "best of n") -> Floats:
    """Return R@k of each query, shape ``(n_queries,)``, in [0, 1].

    >>> from earmark.bench.metrics.ranks import count_ranks
    >>> recall_at_k(count_ranks([[1, 0]], [[0.6, 0.8], [0.6, 0.8], [0, 1]], [1]), 1)
    array([0.5])

    Raises
    ------
    ValueError
        If ``k`` is not a whole number from 1 to ``n_items``, or ``rule`` is unknown.
    """
    _check_k(k, ranks.n_items)
    _check_rule(rule)
    ties = tie_groups(ranks)
    if rule == "best of n":
        first = ties.first
        return chance_of_one(ties.higher[first], ties.tied[first], ties.relevant[first], k)
    inside = np.clip(k - ties.higher, 0, ties.tied)
    return mean_of_query(ties, ties.relevant * (inside / ties.tied))


def reciprocal_rank(ranks: Ranks, *, rule: Rule = "best of n") -> Floats:
    """Return 1/rank of each query, shape ``(n_queries,)``, in (0, 1].

    Raises
    ------
    ValueError
        If ``rule`` is unknown.
    """
    _check_rule(rule)
    ties, sums = tie_groups(ranks), harmonic_numbers(ranks.n_items)
    mean = np.asarray((sums[ties.higher + ties.tied] - sums[ties.higher]) / ties.tied, np.float64)
    if rule == "per caption":
        return mean_of_query(ties, ties.relevant * mean)
    groups = np.stack([ties.higher, ties.tied, ties.relevant], axis=1)[ties.first]
    distinct, back = np.unique(groups, axis=0, return_inverse=True)
    values = [first_reciprocal_rank(*(int(part) for part in group)) for group in distinct]
    return np.where(groups[:, 2] == 1, mean[ties.first], np.asarray(values)[back.reshape(-1)])


def rank(ranks: Ranks, *, rule: Rule = "best of n") -> Floats:
    """Return the rank of each query, from 1, shape ``(n_queries,)``; ties give halves and so on.

    The rank of the first relevant item, or under ``"per caption"`` the mean of their ranks.

    Raises
    ------
    ValueError
        If ``rule`` is unknown.
    """
    _check_rule(rule)
    ties = tie_groups(ranks)
    if rule == "best of n":
        first = ties.first
        return np.asarray(ties.higher[first] + (ties.tied[first] + 1) / (ties.relevant[first] + 1))
    return mean_of_query(ties, ties.relevant * (ties.higher + (ties.tied + 1) / 2))


def average_precision_at_k(ranks: Ranks, k: int) -> Floats:
    """Return the average precision of each query's first k, shape ``(n_queries,)``, in [0, 1]."""
    _check_k(k, ranks.n_items)
    ties, sums = tie_groups(ranks), harmonic_numbers(ranks.n_items)
    inside = np.clip(k - ties.higher, 0, ties.tied)
    # At place i of a group, (i - 1) * slope relevant items of the group are expected before one.
    slope = (ties.relevant - 1) / np.maximum(ties.tied - 1, 1).astype(np.longdouble)
    reciprocals = sums[ties.higher + inside] - sums[ties.higher]
    start = ties.relevant_higher + 1 - slope * (ties.higher + 1)
    precision = (slope * inside + start * reciprocals) * (ties.relevant / ties.tied)
    return mean_of_query(ties, np.asarray(precision, np.float64))


def ndcg_at_k(ranks: Ranks, k: int) -> Floats:
    """Return the normalised discounted cumulative gain of each query's first k, in [0, 1].

    Gains are 0 and 1, the discount is ``log2(1 + rank)``; shape ``(n_queries,)``.
    """
    _check_k(k, ranks.n_items)
    ties = tie_groups(ranks)
    sums = first_sums(1 / np.log2(np.arange(2, ranks.n_items + 2, dtype=np.longdouble)))
    end = ties.higher + np.clip(k - ties.higher, 0, ties.tied)
    gains = np.asarray((sums[end] - sums[ties.higher]) * ties.relevant / ties.tied, np.float64)
    ideal = sums[np.minimum(ties.of_query, k).astype(np.intp)].astype(np.float64)
    return np.asarray(np.bincount(ties.query, gains, len(ideal)) / ideal)


def _ranks_to_halve(ranks: Ranks, rule: Rule) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """Return ranks, ascending, with their weights and queries: what the median is of."""
    _check_rule(rule)
    if rule == "best of n":
        values = rank(ranks, rule=rule)
        weights, query = np.ones(len(values)), np.arange(len(values))
    else:
        values = ranks.higher + (ranks.tied + 1) / 2
        weights, query = 1 / np.bincount(ranks.query)[ranks.query], ranks.query
    order = np.argsort(values, kind="stable")
    return values[order], weights[order], query[order]


def _weighted_medians(values: Floats, weights: Floats) -> Floats:
    """Return the median of ascending values for each row of weights; the middle of two halves."""
    below = np.cumsum(weights, axis=1)
    half = below[:, -1:] / 2
    # Weights of 1/3 do not add up to 1 in binary: what differs by rounding only is equal.
    lower = np.count_nonzero(below < half * (1 - 1e-12), axis=1)
    upper = np.count_nonzero(below <= half * (1 + 1e-12), axis=1)
    return np.asarray((values[lower] + values[upper]) / 2)


def median_rank(ranks: Ranks, *, rule: Rule = "best of n") -> float:
    """Return the median rank, from 1 to ``n_items``.

    Of one rank a query (its first relevant item), or under ``"per caption"`` of the ranks of all
    relevant items, where each of a query's n weighs 1/n. The torch.median of MusCALL's own
    evaluation is the lower of two middle values instead of their mean.

    Raises
    ------
    ValueError
        If ``rule`` is unknown.
    """
    values, weights, _ = _ranks_to_halve(ranks, rule)
    return float(_weighted_medians(values, weights[None])[0])


def resample_median_rank(
    ranks: Ranks,
    *,
    rule: Rule = "best of n",
    units: ArrayLike | None = None,
    replicates: int = REPLICATES,
    seed: int,
) -> Floats:
    """Return the median rank of bootstrap samples of units, shape ``(replicates,)``.

    The whole statistic is computed anew for each sample, from how often each unit was drawn.

    Raises
    ------
    ValueError
        If ``rule`` is unknown, ``replicates`` is less than 1, or as
        :func:`~earmark.bench.metrics.statistics.unit_labels`.
    """
    if replicates < 1:
        raise ValueError(f"replicates must be at least 1, got {replicates}")
    values, weights, query = _ranks_to_halve(ranks, rule)
    labels = unit_labels(units, ranks.n_queries)
    n_units, unit = int(labels.max()) + 1, labels[query]
    # Equal values of one unit stand or fall together, and need one place between them.
    keys, place = np.unique(
        np.stack([np.searchsorted(values, values), unit], axis=1), axis=0, return_inverse=True
    )
    summed = np.bincount(place.reshape(-1), weights, len(keys))
    distinct, unit = values[keys[:, 0]], keys[:, 1]
    rng = np.random.default_rng(seed)
    per_block = max(1, _DRAWS // max(n_units, len(keys)))
    medians = np.empty(replicates)
    for start in range(0, replicates, per_block):
        block = medians[start : start + per_block]
        drawn = rng.integers(n_units, size=(len(block), n_units))
        cells = drawn + np.arange(len(block))[:, None] * n_units
        counts = np.bincount(cells.ravel(), minlength=len(block) * n_units)
        times = counts.reshape(len(block), n_units)[:, unit]
        block[:] = _weighted_medians(distinct, np.asarray(times * summed, np.float64))
    return medians


def _columns(ranks: Ranks, ks: Sequence[int], rule: Rule) -> dict[str, Floats]:
    values = {f"recall_at_{k}": recall_at_k(ranks, k, rule=rule) for k in ks}
    values |= {f"map_at_{k}": average_precision_at_k(ranks, k) for k in ks}
    values |= {f"ndcg_at_{k}": ndcg_at_k(ranks, k) for k in ks}
    return values | {
        "mrr": reciprocal_rank(ranks, rule=rule),
        "mean_rank": rank(ranks, rule=rule),
    }


def scores(ranks: Ranks, *, ks: Sequence[int] = KS, rule: Rule = "best of n") -> dict[str, float]:
    """Return R@k, mAP@k and nDCG@k for each k, MRR, mean and median rank, by name."""
    values = {name: float(each.mean()) for name, each in _columns(ranks, ks, rule).items()}
    return values | {"median_rank": median_rank(ranks, rule=rule)}


def chance(ranks: Ranks, *, ks: Sequence[int] = KS, rule: Rule = "best of n") -> dict[str, float]:
    """Return what a constant scorer gets on the same queries, exactly: the level of chance.

    Means are also those expected of an order drawn at random. The median is that of the queries'
    expected ranks; the median of ranks drawn at random is about it where one item is relevant,
    and below it under ``"best of n"`` with several, for the first of them is skewed.
    """
    none, all_items = np.zeros_like(ranks.higher), np.full_like(ranks.tied, ranks.n_items)
    return scores(replace(ranks, higher=none, tied=all_items), ks=ks, rule=rule)


def metrics(ranks: Ranks, *, ks: Sequence[int] = KS, rule: Rule = "best of n") -> dict[str, Metric]:
    """Return what each metric says of itself, with the chance level on these queries."""
    levels = chance(ranks, ks=ks, rule=rule)
    last = float(ranks.n_items)
    return {
        name: Metric(name, higher_is_better=False, lower=1.0, upper=max(last, 2.0), chance=level)
        if name.endswith("_rank")
        else Metric(name, higher_is_better=True, lower=0.0, upper=1.0, chance=min(level, 1.0))
        for name, level in levels.items()
    }


def evaluate(
    ranks: Ranks,
    *,
    ks: Sequence[int] = KS,
    rule: Rule = "best of n",
    units: ArrayLike | None = None,
    level: float = LEVEL,
    replicates: int = REPLICATES,
    seed: int,
) -> dict[str, Estimate]:
    """Return each of :func:`scores` with its interval over ``units``: each query's track.

    >>> from earmark.bench.metrics.ranks import count_ranks
    >>> ranks = count_ranks([[1, 0], [1, 0]], [[0.6, 0.8], [0, 1]])
    >>> evaluate(ranks, ks=[1], seed=0)["recall_at_1"].value
    0.5
    """
    ones = np.ones(ranks.n_queries)
    values = scores(ranks, ks=ks, rule=rule)
    found = {
        name: replace(
            estimate_ratio(np.stack([each, ones], axis=1), units=units, level=level),
            value=values[name],
        )
        for name, each in _columns(ranks, ks, rule).items()
    }
    replicated = resample_median_rank(
        ranks, rule=rule, units=units, replicates=replicates, seed=seed
    )
    found["median_rank"] = replace(
        found["mean_rank"],
        value=values["median_rank"],
        interval=percentile_interval(replicated, level=level),
    )
    return found


@dataclass(frozen=True, slots=True)
class TieGroups:
    """Groups of tied items that hold a relevant one, by query and from the highest score."""

    query: NDArray[np.intp]
    higher: NDArray[np.intp]
    tied: NDArray[np.intp]
    relevant: NDArray[np.intp]
    relevant_higher: NDArray[np.intp]
    first: NDArray[np.intp]
    """The first group of each query."""
    of_query: Floats
    """Relevant items of each query."""


def tie_groups(ranks: Ranks) -> TieGroups:
    order = np.lexsort((ranks.higher, ranks.query))
    query, higher = ranks.query[order], ranks.higher[order]
    new = np.ones(len(order), np.bool_)
    new[1:] = (query[1:] != query[:-1]) | (higher[1:] != higher[:-1])
    place = np.flatnonzero(new)
    relevant = np.diff(place, append=len(order))
    groups = query[place]
    first = np.searchsorted(groups, np.arange(ranks.n_queries))
    before = place - place[first][groups]
    of_query = np.bincount(query, minlength=ranks.n_queries).astype(np.float64)
    tied = ranks.tied[order][place]
    return TieGroups(groups, higher[place], tied, relevant, before, first, of_query)


def mean_of_query(ties: TieGroups, of_group: Floats) -> Floats:
    """Return each query's sum over its groups, divided by its number of relevant items."""
    return np.asarray(np.bincount(ties.query, of_group, len(ties.of_query)) / ties.of_query)


def first_sums(values: NDArray[Any]) -> NDArray[np.longdouble]:
    """Return sums of the first 0, 1, 2, ... values; differences of them must keep their digits."""
    return np.concatenate([[0], np.cumsum(values, dtype=np.longdouble)])


def harmonic_numbers(n_items: int) -> NDArray[np.longdouble]:
    return first_sums(1 / np.arange(1, n_items + 1, dtype=np.longdouble))


def chance_of_one(higher: ArrayLike, tied: ArrayLike, relevant: ArrayLike, k: int) -> Floats:
    """Return how likely the first k hold one of the relevant of a group: hypergeometric."""
    group, among = np.asarray(tied, np.float64), np.asarray(relevant)
    inside = np.clip(k - np.asarray(higher), 0, group)
    none = np.ones(np.broadcast(group, among, inside).shape)
    for drawn in range(int(among.max())):
        left = np.maximum(group - inside - drawn, 0) / np.maximum(group - drawn, 1)
        none = np.where(drawn < among, none * left, none)
    return np.asarray(1 - none)


def first_reciprocal_rank(higher: int, tied: int, relevant: int) -> float:
    """Return the expected 1/rank of the first of the relevant items of a group."""
    places = np.arange(1, tied - relevant + 2)
    # How likely the first is at place i: i - 1 others went before it, one by one.
    others = tied - relevant - places[:-1] + 1
    missed = np.concatenate([[1.0], np.cumprod(others / (tied - places[:-1] + 1))])
    return float(np.sum(missed * relevant / (tied - places + 1) / (higher + places)))
