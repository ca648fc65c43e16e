"""Where the relevant items of each query rank: counted in tiles, both directions in one pass.

Conventions
-----------
The score of a query and an item is the dot product of their vectors in double precision, summed
in one fixed order, so that equal vectors tie exactly whatever their place. A matrix product
rounds differently with its shape, its library and its device; it serves to decide what is decided
by more than its rigorous error bound [1]_, and the few scores within the bound are computed anew
(:mod:`earmark.bench.metrics.products`). Counts therefore do not depend on the size of the tiles,
on threads or on the device, and the similarity matrix is never held.

Relevance (query -> items) is ``"paired"`` (item *i* for query *i*), an integer array with the
relevant item of each query, a list of sets of items, or a boolean matrix ``(n_queries, n_items)``,
dense or sparse.

Functions
---------
* :func:`count_ranks`, :func:`count_ranks_both_ways`: from the vectors of queries and items.
* :func:`rank_scores`, :func:`rank_scores_both_ways`: from a matrix of scores.

References
----------
.. [1] N. J. Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed. 2002, eq. 3.5.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from earmark.bench.metrics.base import Floats
from earmark.bench.metrics.products import Matrix, Products, Scores, validate
from earmark.bench.metrics.relevance import (
    Indices,
    backward_queries_have_items,
    relevant_pairs,
)

# Above this share of undecided scores, a product in double precision is the faster judge.
_UNDECIDED = 1 / 64


@dataclass(frozen=True, slots=True)
class Ranks:
    """How many items outrank each relevant item, and how many tie with it.

    One entry for each pair of a query and an item relevant to it, sorted by query, then item.
    """

    n_queries: int
    n_items: int
    query: Indices
    """Shape ``(n_pairs,)``, as the others; each query occurs."""
    item: Indices
    higher: Indices
    """Items that score strictly higher for the query."""
    tied: Indices
    """Items that score the same, the relevant item itself among them."""


@dataclass(slots=True)
class _Direction:
    """The pairs of one direction, and their counts as they grow."""

    axis: int
    lines: Indices
    """Row (axis 0) or column (axis 1) of each pair, ascending."""
    scores: Floats
    starts: Indices
    """First pair of each line, and the number of pairs."""
    higher: Indices
    tied: Indices

    def layers(self, span: slice) -> Iterator[tuple[Indices | None, Indices]]:
        """Yield lines within a span, and a pair of each: first pairs, then second ones, ..."""
        first, end = self.starts[span], self.starts[span.start + 1 : span.stop + 1]
        for depth in range(int((end - first).max())):
            lines = np.flatnonzero(end - first > depth)
            yield None if len(lines) == len(first) else lines, first[lines] + depth


def _direction(scores: Scores, axis: int, rows: Indices, columns: Indices) -> _Direction:
    lines = rows if axis == 0 else columns
    starts = np.searchsorted(lines, np.arange(scores.shape[axis] + 1))
    none, exact = np.zeros(len(lines), np.intp), scores.exact(rows, columns)
    return _Direction(axis, lines, exact, starts, none, none.copy())


_Judged = tuple[_Direction, Indices, Indices, Indices, Indices]


def _judge_tile(
    scores: Scores, directions: list[_Direction], spans: tuple[slice, slice], precision: int
) -> list[_Judged] | None:
    """Return each layer's comparison; None where too much is undecided at this precision."""
    tile = scores.tile(*spans, precision)
    n_rows, n_columns = (span.stop - span.start for span in spans)
    judged: list[_Judged] = []
    for way in directions:
        error = scores.error(way.axis, precision)
        for lines, pairs in way.layers(spans[way.axis]):
            margin = error[way.lines[pairs]]
            exact = way.scores[pairs]
            at_least, line, place = scores.compare(
                tile, way.axis, lines, exact - margin, exact + margin
            )
            if precision + 1 < scores.precisions:
                compared = len(pairs) * (n_columns if way.axis == 0 else n_rows)
                if len(line) > len(pairs) + _UNDECIDED * compared:
                    return None
            judged.append((way, pairs, at_least, pairs[line], place))
    return judged


def count(scores: Scores, directions: list[_Direction]) -> None:
    """Add up the counts of all directions in one pass over the scores."""
    for row in range(0, scores.shape[0], scores.tile_shape[0]):
        rows = slice(row, min(row + scores.tile_shape[0], scores.shape[0]))
        for column in range(0, scores.shape[1], scores.tile_shape[1]):
            spans = rows, slice(column, min(column + scores.tile_shape[1], scores.shape[1]))
            precision, judged = 0, _judge_tile(scores, directions, spans, 0)
            while judged is None:
                precision += 1
                judged = _judge_tile(scores, directions, spans, precision)
            for way, pairs, at_least, near, place in judged:
                way.higher[pairs] += at_least
                others = place + spans[1 - way.axis].start
                at = (way.lines[near], others) if way.axis == 0 else (others, way.lines[near])
                found = scores.exact(*at)
                tied, below = found == way.scores[near], found < way.scores[near]
                np.subtract.at(way.higher, near[tied | below], 1)
                np.add.at(way.tied, near[tied], 1)


def ranks_of(scores: Scores, relevance: Any) -> Ranks:
    """Return the ranks of rows' relevant columns; ``relevance`` as in the module's conventions."""
    n_queries, n_items = scores.shape
    query, item = relevant_pairs(relevance, n_queries=n_queries, n_items=n_items)
    way = _direction(scores, 0, query, item)
    count(scores, [way])
    return Ranks(n_queries, n_items, query, item, way.higher, way.tied)


def ranks_both_ways(scores: Scores, relevance: Any) -> tuple[Ranks, Ranks]:
    """Return the ranks of rows' relevant columns, and of columns' relevant rows."""
    n_queries, n_items = scores.shape
    query, item = relevant_pairs(relevance, n_queries=n_queries, n_items=n_items)
    backward_queries_have_items(item, n_items)
    order = np.lexsort((query, item))
    forward = _direction(scores, 0, query, item)
    backward = _direction(scores, 1, query[order], item[order])
    count(scores, [forward, backward])
    return (
        Ranks(n_queries, n_items, query, item, forward.higher, forward.tied),
        Ranks(n_items, n_queries, item[order], query[order], backward.higher, backward.tied),
    )


def count_ranks(queries: ArrayLike, items: ArrayLike, relevance: Any = "paired") -> Ranks:
    """Return the ranks of each query's relevant items by dot product, in bounded memory.

    ``queries`` is ``(n_queries, dimension)`` and ``items`` ``(n_items, dimension)``; for cosines,
    give unit vectors. Others are ranked by their dot products, with a warning.

    >>> count_ranks([[1.0, 0.0], [0.0, 1.0]], [[0.6, 0.8], [0.0, 1.0]]).higher
    array([0, 0])

    Raises
    ------
    ValueError
        If vectors are not as :func:`~earmark.bench.metrics.products.validate` expects, or the
        relevance is none of the module's conventions, names an item that is not there or leaves a
        query without a relevant item.
    """
    return ranks_of(Products(*validate(queries, items)), relevance)


def count_ranks_both_ways(
    queries: ArrayLike, items: ArrayLike, relevance: Any = "paired"
) -> tuple[Ranks, Ranks]:
    """Return the ranks of queries' items and of items' queries, from one product of matrices.

    >>> there, back = count_ranks_both_ways([[1.0, 0.0], [0.0, 1.0]], [[0.6, 0.8], [0.0, 1.0]])
    >>> there.higher, back.higher
    (array([0, 0]), array([1, 0]))

    Raises
    ------
    ValueError
        As :func:`count_ranks`, and if an item is relevant to no query.
    """
    return ranks_both_ways(Products(*validate(queries, items)), relevance)


def rank_scores(scores: ArrayLike, relevance: Any = "paired") -> Ranks:
    """Return the ranks of each query's relevant items from scores ``(n_queries, n_items)``.

    >>> rank_scores([[0.2, 0.2, 0.9]], [1])
    Ranks(n_queries=1, n_items=3, query=array([0]), item=array([1]), higher=array([1]), \
tied=array([2]))

    Raises
    ------
    ValueError
        If the scores are no such matrix or hold NaN, or as :func:`count_ranks`.
    """
    return ranks_of(Matrix(scores), relevance)


def rank_scores_both_ways(scores: ArrayLike, relevance: Any = "paired") -> tuple[Ranks, Ranks]:
    """Return the ranks of rows' relevant columns and of columns' relevant rows, in one pass.

    Raises
    ------
    ValueError
        As :func:`rank_scores`, and if an item is relevant to no query.
    """
    return ranks_both_ways(Matrix(scores), relevance)
