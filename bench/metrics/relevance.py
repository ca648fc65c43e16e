"""Which items are relevant to which queries, in the forms that data sets have."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.intp]

_FORMS = (
    "'paired', an integer array with each query's item, a list of sets of items, or a boolean "
    "matrix (n_queries, n_items)"
)


def relevant_pairs(relevance: Any, *, n_queries: int, n_items: int) -> tuple[Indices, Indices]:
    """Return queries and their relevant items, two arrays ``(n_pairs,)`` sorted by query, item.

    >>> relevant_pairs([{0, 2}, {1}], n_queries=2, n_items=3)
    (array([0, 0, 1]), array([0, 2, 1]))

    Raises
    ------
    ValueError
        If the relevance has none of the known forms or another size, names an item that is not
        there, or leaves a query without a relevant item.
    """
    query, item = _pairs(relevance, n_queries, n_items)
    outside = np.flatnonzero((item < 0) | (item >= n_items))
    if outside.size:
        raise ValueError(
            f"relevance of query {query[outside[0]]} names item {item[outside[0]]}, expected 0 to "
            f"{n_items - 1}"
        )
    without = np.flatnonzero(np.bincount(query, minlength=n_queries) == 0)
    if without.size:
        raise ValueError(f"query {without[0]} has no relevant item; leave such queries out")
    keys = np.unique(query * n_items + item)
    query, item = np.divmod(keys, n_items)
    return query.astype(np.intp), item.astype(np.intp)


def backward_queries_have_items(item: Indices, n_items: int) -> None:
    """Refuse items that no query is relevant to, for they cannot be queries of the way back.

    Raises
    ------
    ValueError
        If there is such an item; the message names the first.
    """
    without = np.flatnonzero(np.bincount(item, minlength=n_items) == 0)
    if without.size:
        raise ValueError(
            f"item {without[0]} is relevant to no query, so it has no relevant item in the other "
            f"direction; leave it out, or count one direction only"
        )


def _pairs(relevance: Any, n_queries: int, n_items: int) -> tuple[Indices, Indices]:
    if isinstance(relevance, str):
        if relevance != "paired":
            raise ValueError(f"relevance is {relevance!r}, expected {_FORMS}")
        if n_queries != n_items:
            raise ValueError(
                f"paired relevance needs as many items as queries, got {n_queries} queries and "
                f"{n_items} items"
            )
        return np.arange(n_queries), np.arange(n_items)
    if hasattr(relevance, "tocoo"):
        _of_size(relevance.shape, (n_queries, n_items))
        entries = relevance.tocoo()
        kept = entries.data != 0
        return entries.row[kept].astype(np.intp), entries.col[kept].astype(np.intp)
    if isinstance(relevance, Sequence) and any(isinstance(each, Collection) for each in relevance):
        return _from_sets(relevance, n_queries)
    given = np.asarray(relevance)
    if given.dtype == np.bool_ and given.ndim == 2:
        _of_size(given.shape, (n_queries, n_items))
        query, item = np.nonzero(given)
        return query, item
    if given.ndim != 1 or given.dtype.kind not in "iu":
        raise ValueError(
            f"relevance is an array of {given.dtype} of shape {given.shape}, expected {_FORMS}"
        )
    _of_size(given.shape, (n_queries,))
    return np.arange(n_queries), given.astype(np.intp)


def _from_sets(sets: Sequence[Any], n_queries: int) -> tuple[Indices, Indices]:
    _of_size((len(sets),), (n_queries,))
    query: list[int] = []
    item: list[int] = []
    for number, each in enumerate(sets):
        known = isinstance(each, Collection) and not isinstance(each, str)
        strange = [one for one in each if not _is_index(one)] if known else [each]
        if strange:
            raise ValueError(
                f"relevance of query {number} holds {strange[0]!r}, expected a set of items' "
                f"indices"
            )
        query += [number] * len(each)
        item += [int(one) for one in each]
    return np.asarray(query, np.intp), np.asarray(item, np.intp)


def _is_index(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _of_size(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if tuple(shape) != expected:
        raise ValueError(f"relevance has shape {tuple(shape)}, expected {expected}")
