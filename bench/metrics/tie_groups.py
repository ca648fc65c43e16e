"""Expectations over the orders of tied items, in closed form: what retrieval metrics rest on.

References
----------
.. [1] F. McSherry and M. Najork, "Computing information retrieval performance measures
       efficiently in the presence of tied scores", ECIR 2008, sec. 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earmark.bench.metrics.base import Floats
from earmark.bench.metrics.ranks import Ranks


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
