"""What a model puts first for each query, in bounded memory, by the scores that ranks are from.

Ties are broken against the model: of items that share the highest score, the first that is *not*
relevant is the top hit. So a constant scorer has a wrong top hit for every query that has one, and
a right top hit means that nothing else scores as high.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earmark.bench.metrics.products import Products, Side, validate
from earmark.bench.metrics.relevance import Indices, relevant_pairs

# Scores at once: all of a tile are near-ties where a model says the same of everything.
_CELLS = 2**21
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
    shape = len(first.vectors), len(second.vectors)
    query, item = relevant_pairs(relevance, n_queries=shape[0], n_items=shape[1])
    starts = np.searchsorted(query, np.arange(shape[0] + 1))
    copies = _Copies(second.classes())
    originals = Side(second.vectors[copies.first], second.norms[copies.first])
    products = Products(first, originals)
    hits = np.empty(shape[0], np.intp)
    at_once = max(1, _CELLS // products.shape[1])
    for start in range(0, len(hits), at_once):
        rows = slice(start, min(start + at_once, len(hits)))
        line, original = _near_the_top(products, rows)
        scores = products.exact(line + start, original)
        best = np.full(rows.stop - start, -np.inf)
        np.maximum.at(best, line, scores)
        at_top = scores == best[line]
        n_relevant = np.diff(starts[start : rows.stop + 1])
        line, candidate = copies.expand(line[at_top], original[at_top], n_relevant + 1)
        own = slice(starts[start], starts[rows.stop])
        keys = (query[own] - start) * shape[1] + item[own]
        right = np.isin(line * shape[1] + candidate, keys)
        order = np.lexsort((candidate, right, line))
        _, firsts = np.unique(line[order], return_index=True)
        hits[rows] = candidate[order][firsts]
    return hits


class _Copies:
    """Items with the same vector, so that a product is computed once for all of them."""

    def __init__(self, classes: Indices) -> None:
        self._members = np.argsort(classes, kind="stable")
        self._starts = np.searchsorted(classes[self._members], np.arange(classes.max() + 2))
        self.first = self._members[self._starts[:-1]]
        """The first item of each class."""

    def expand(self, line: Indices, original: Indices, enough: Indices) -> tuple[Indices, Indices]:
        """Return the first items of each class, at most as many as are ``enough`` for its line.

        One more than a query has relevant items holds one that is not relevant, if there is any.
        """
        sizes = np.minimum(np.diff(self._starts)[original], enough[line])
        within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        places = np.repeat(self._starts[original], sizes) + within
        return np.repeat(line, sizes), self._members[places]


def _near_the_top(products: Products, rows: slice) -> tuple[Indices, Indices]:
    """Return rows (from 0) and items whose score may be the highest, given rounding."""
    for precision in range(products.precisions):
        tile: NDArray[Any] = products.tile(rows, slice(0, products.shape[1]), precision)
        margin = 2 * products.error(0, precision)[rows]
        lowest = np.asarray(tile.max(axis=1), np.float64) - margin
        if tile.dtype == np.float32:  # compared as it is, with a bound that is no higher
            lowest = np.nextafter(lowest.astype(np.float32), np.float32(-np.inf))
        line, candidate = np.divmod(np.flatnonzero(tile >= lowest[:, None]), tile.shape[1])
        if len(line) <= _CROWD * len(tile):
            break
    return line, candidate
