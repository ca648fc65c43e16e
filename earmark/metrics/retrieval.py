"""Retrieval: R@k, mAP@k, nDCG@k, MRR and ranks, of vectors, similarities or ranked lists.

``relevant`` says which items belong to each query: ``"paired"`` (item *i* to query *i*), an integer
array with each query's item, a list of sets of items, or a boolean matrix ``(n_queries, n_items)``.
Ties count as the mean over all orders of what ties (McSherry and Najork, ECIR 2008).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from numpy.typing import ArrayLike

from earmark.bench.metrics import lists, ranks
from earmark.bench.metrics import retrieval as metrics
from earmark.bench.metrics.ranks import Ranks
from earmark.bench.metrics.retrieval import KS, Rule
from earmark.bench.metrics.statistics import REPLICATES, SEED, Estimate
from earmark.metrics.arrays import taking_tensors

__all__ = ["evaluate", "similarity", "top_k"]


@taking_tensors
def evaluate(
    queries: ArrayLike,
    items: ArrayLike,
    *,
    relevant: Any = "paired",
    ks: Sequence[int] = KS,
    rule: Rule = "best of n",
    units: ArrayLike | None = None,
    replicates: int = REPLICATES,
    seed: int = SEED,
) -> dict[str, Estimate]:
    """Return every metric by name, of the dot products of vectors, in bounded memory.

    ``queries`` is ``(n_queries, dimension)``, ``items`` ``(n_items, dimension)``; give unit
    vectors for cosines. The rule decides for queries with several relevant items: the best of them
    counts, or each.

    >>> evaluate([[1, 0], [0, 1]], [[0.6, 0.8], [0, 1]], ks=[1])["recall_at_1"].value
    1.0
    """
    counted = ranks.count_ranks(queries, items, relevant)
    return _estimates(counted, ks, rule, units, replicates, seed)


@taking_tensors
def similarity(
    matrix: ArrayLike,
    *,
    relevant: Any = "paired",
    ks: Sequence[int] = KS,
    rule: Rule = "best of n",
    units: ArrayLike | None = None,
    replicates: int = REPLICATES,
    seed: int = SEED,
) -> dict[str, Estimate]:
    """Return every metric by name, of a matrix ``(n_queries, n_items)``; higher is more similar."""
    counted = lists.ranks_of_similarity(matrix, relevant)
    return _estimates(counted, ks, rule, units, replicates, seed)


@taking_tensors
def top_k(
    ranked: Sequence[Sequence[Hashable]],
    relevant: Sequence[Any],
    *,
    n_items: int | None = None,
    ks: Sequence[int] | None = None,
    rule: Rule = "best of n",
    units: ArrayLike | None = None,
    replicates: int = REPLICATES,
    seed: int = SEED,
) -> dict[str, Estimate]:
    """Return R@k, mAP@k and nDCG@k of lists that end after the first k, best first.

    ``relevant`` holds each query's right item id, or a set of ids. Metrics that need the whole
    ranking (MRR, ranks) are left out. ``ks`` is by default those of 1, 5 and 10 that the longest
    list reaches.

    >>> top_k([["b", "a"], ["c", "a"]], ["a", "c"], ks=[1, 2])["recall_at_1"].value
    0.5

    Raises
    ------
    ValueError
        If a k is above the length of the longest list, or lists and relevant items do not fit.
    """
    counted = lists.ranks_of_lists(ranked, relevant, n_items=n_items)
    longest = max(len(one) for one in ranked)
    wanted = [k for k in KS if k <= longest] if ks is None else list(ks)
    if beyond := [k for k in wanted if k > longest]:
        raise ValueError(f"k is {beyond[0]}, but the longest list ends after {longest} items")
    found = _estimates(counted, wanted, rule, units, replicates, seed)
    return {name: one for name, one in found.items() if "_at_" in name}


def _estimates(
    counted: Ranks,
    ks: Sequence[int],
    rule: Rule,
    units: ArrayLike | None,
    replicates: int,
    seed: int,
) -> dict[str, Estimate]:
    return metrics.evaluate(
        counted,
        ks=[k for k in ks if k <= counted.n_items],
        rule=rule,
        units=units,
        replicates=replicates,
        seed=seed,
    )
