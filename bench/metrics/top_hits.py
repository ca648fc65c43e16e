"""What a model puts first for each query, in bounded memory, by the scores that ranks are from.

Ties are broken against the model: of items that share the highest score, the first that is *not*
relevant is the top hit. So a constant scorer has a wrong top hit for every query that has one, and
a right top hit means that nothing else scores as high.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earmark.bench.metrics.products import Products, validate
from earmark.bench.metrics.relevance import Indices, relevant_pairs

_ROWS = 64
# Near-ties of a query, on average, above which a product in double precision is the faster judge.
_CROWD = 16


def top_hits(queries: ArrayLike, items: ArrayLike, relevance: Any = "paired") -> Indices:
    """Return the item that scores highest for each query, shape ``(n_queries,)``.

    ``queries`` is ``(n_queries, dimension)``, ``items`` ``(n_items, dimension)`` and the relevance
    as :mod:`earmark.bench.metrics.ranks` has it; scores are exact, as there.

    >>> top_hits([[1.0, 0.0], [0.0, 1.0]], [[0.6, 0.8], [0.6, 0.8]])
    array([1, 0])

    Raises
    ------
    ValueError
        As :func:`~earmark.bench.metrics.ranks.count_ranks`.
    """
    first, second = validate(queries, items)
    products = Products(first, second)
    query, item = relevant_pairs(relevance, n_queries=products.shape[0], n_items=products.shape[1])
    starts = np.searchsorted(query, np.arange(products.shape[0] + 1))
    hits = np.empty(products.shape[0], np.intp)
    for start in range(0, len(hits), _ROWS):
        rows = slice(start, min(start + _ROWS, len(hits)))
        line, candidate = _near_the_top(products, rows)
        scores = products.exact(line + start, candidate)
        best = np.full(rows.stop - start, -np.inf)
        np.maximum.at(best, line, scores)
        at_top = scores == best[line]
        line, candidate = line[at_top], candidate[at_top]
        own = slice(starts[start], starts[rows.stop])
        keys = (query[own] - start) * products.shape[1] + item[own]
        right = np.isin(line * products.shape[1] + candidate, keys)
        order = np.lexsort((candidate, right, line))
        _, firsts = np.unique(line[order], return_index=True)
        hits[rows] = candidate[order][firsts]
    return hits


def _near_the_top(products: Products, rows: slice) -> tuple[Indices, Indices]:
    """Return rows (from 0) and items whose score may be the highest, given rounding."""
    for precision in range(products.precisions):
        tile: NDArray[Any] = products.tile(rows, slice(0, products.shape[1]), precision)
        margin = 2 * products.error(0, precision)[rows]
        lowest = np.asarray(tile.max(axis=1), np.float64) - margin
        # Compared in double precision, where the difference is not rounded away.
        line, candidate = np.nonzero(tile >= lowest[:, None])
        if len(line) <= _CROWD * len(tile):
            break
    return line, candidate
