"""Ranks of relevant items from what others computed: similarity matrices and ranked lists.

Of vectors, :mod:`earmark.bench.metrics.ranks` counts them without ever holding the matrix.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from earmark.bench.metrics.ranks import Ranks, relevant_pairs


def ranks_of_similarity(similarity: ArrayLike, relevance: Any = "paired") -> Ranks:
    """Return the ranks of each row's relevant columns; higher is more similar.

    ``similarity`` is ``(n_queries, n_items)``; relevance as in :mod:`earmark.bench.metrics.ranks`.
    Equal numbers tie.

    >>> ranks_of_similarity([[0.9, 0.1], [0.5, 0.5]]).tied
    array([1, 2])

    Raises
    ------
    ValueError
        If the matrix is not two-dimensional and finite, or the relevance is refused.
    """
    table = np.asarray(similarity)
    if table.ndim != 2 or not table.size or table.dtype.kind not in "fiu":
        raise ValueError(
            f"similarity is {table.dtype} of shape {table.shape}, expected numbers of shape "
            f"(n_queries, n_items)"
        )
    bad = np.argwhere(~np.isfinite(table))
    if bad.size:
        row, column = bad[0]
        raise ValueError(
            f"similarity of query {row} and item {column} is {table[row, column]}, expected a "
            f"finite number"
        )
    query, item = relevant_pairs(relevance, n_queries=len(table), n_items=table.shape[1])
    higher, tied = np.zeros((2, len(query)), np.intp)
    order = np.sort(table, axis=1)
    for number, (row, own) in enumerate(zip(query, table[query, item], strict=True)):
        first, after = (
            np.searchsorted(order[row], own, "left"),
            np.searchsorted(order[row], own, "right"),
        )
        higher[number], tied[number] = table.shape[1] - after, after - first
    return Ranks(len(table), table.shape[1], query, item, higher, tied)


def ranks_of_lists(
    ranked: Sequence[Sequence[Hashable]],
    relevant: Sequence[Any],
    *,
    n_items: int | None = None,
) -> Ranks:
    """Return the ranks of relevant items in lists that end after the first k, best first.

    A relevant item that its list does not hold has the last rank of all: outcomes at k are exact
    for every k up to the length of the lists, and mean ranks say nothing.

    Parameters
    ----------
    ranked
        Of each query, item ids; lists may differ in length.
    relevant
        Of each query, the relevant item's id, or a set or list of ids.
    n_items
        Items that could have been found, which chance follows from; None: not known.

    Raises
    ------
    ValueError
        If there is not one entry in ``relevant`` for each list, a list names an item twice, or a
        query has no relevant item.
    """
    if len(ranked) != len(relevant) or not len(ranked):
        raise ValueError(
            f"expected the relevant items of each list, got {len(ranked)} lists and "
            f"{len(relevant)} entries"
        )
    wanted = [_ids(one) for one in relevant]
    outside = [len(set(right) - set(found)) for found, right in zip(ranked, wanted, strict=True)]
    least = max(len(found) + lacks for found, lacks in zip(ranked, outside, strict=True))
    if n_items is not None and n_items < least:
        raise ValueError(
            f"n_items is {n_items}, but a list and the relevant items that it lacks are {least}"
        )
    # Not known: enough for every item that is not in its list to come after every list.
    total = n_items or max(map(len, ranked)) + max(outside)
    places: list[tuple[int, int]] = []
    for query, (found, right) in enumerate(zip(ranked, wanted, strict=True)):
        if not right:
            raise ValueError(f"query {query} has no relevant item; leave such queries out")
        place = {name: rank for rank, name in enumerate(found)}
        if len(place) < len(found):
            twice = next(name for name in found if list(found).count(name) > 1)
            raise ValueError(f"the list of query {query} has the item {twice!r} more than once")
        inside = sorted(place[name] for name in right if name in place)
        places += [(query, rank) for rank in (*inside, *range(total - outside[query], total))]
    query, higher = np.array(places, np.intp).T
    number = np.arange(len(query)) - np.searchsorted(query, query)
    return Ranks(len(ranked), total, query, number, higher, np.ones_like(higher))


def _ids(given: Any) -> list[Hashable]:
    if isinstance(given, str) or not isinstance(given, Collection):
        return [given]
    return list(dict.fromkeys(given))
