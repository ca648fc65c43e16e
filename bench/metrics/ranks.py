"""Where the relevant items of each query rank: counted in tiles, both directions in one pass.

Conventions
-----------
The score of a query and an item is the dot product of their vectors in double precision, summed
in one fixed order, so that equal vectors tie exactly whatever their place. A matrix product
rounds differently with its shape, its library and its device; it serves to decide what is decided
by more than its rigorous error bound [1]_, and the few scores within the bound are computed anew
(:mod:`earmark.bench.metrics.ranks`). Counts therefore do not depend on the size of the tiles,
on threads or on the device, and the similarity matrix is never held.

Relevance (query -> items) is ``"paired"`` (item *i* for query *i*), an integer array with the
relevant item of each query, a list of sets of items, or a boolean matrix ``(n_queries, n_items)``,
dense or sparse.

Functions
---------
* :func:`count_ranks`, :func:`count_ranks_both_ways`: from the vectors of queries and items.
* :func:`top_hits`: the item that scores highest for each query.

References
----------
.. [1] N. J. Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed. 2002, eq. 3.5.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earmark.bench.metrics.base import Floats

Indices = NDArray[np.intp]

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
        If vectors are not as :func:`~earmark.bench.metrics.ranks.validate` expects, or the
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
        If :func:`count_ranks` refuses the input, or if an item is relevant to no query.
    """
    return ranks_both_ways(Products(*validate(queries, items)), relevance)


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


# Bytes hold the counts of a tile: at most 255 rows, and 255 words of 8 columns.
_ROWS, _WORD = 255, 8
_COLUMNS = 255 * _WORD
_DOTS_AT_ONCE = 2**20
# Products of norms in which single precision neither overflows nor loses to underflow.
_SAFE = (1e-20, 1e30)
UNIT_TOLERANCE = 1e-3
"""How far from 1 the norm of a unit vector may lie."""


class Scores(Protocol):
    """Scores of queries (rows) and items (columns), one tile at a time."""

    shape: tuple[int, int]
    tile_shape: tuple[int, int]
    precisions: int
    """1, or 2 where a second, more exact tile is to be had."""

    def tile(self, rows: slice, columns: slice, precision: int) -> Any:
        """Return scores, each within :meth:`error` of the exact one."""
        ...

    def error(self, axis: int, precision: int) -> Floats:
        """Return the error bound of each query's scores (axis 0) or each item's (axis 1)."""
        ...

    def exact(self, rows: Indices, columns: Indices) -> Floats:
        """Return the exact score of each pair of a row and a column."""
        ...

    def compare(
        self, tile: Any, axis: int, lines: Indices | None, low: Floats, high: Floats
    ) -> tuple[Indices, Indices, Indices]:
        """Hold the lines (rows: axis 0, columns: axis 1; None: all) against a band each.

        Returns how many of a line's scores are at least ``low``, and as two arrays, the number of
        the line among ``lines`` and the place in it, the scores in ``[low, high]``.
        """
        ...


def dot_products(
    first: NDArray[Any], second: NDArray[Any], rows: Indices, others: Indices
) -> Floats:
    """Return the double-precision dot product of each ``first[rows]`` with its ``second[others]``.

    Each is summed in the same order whatever the number of pairs: equal vectors, equal bits.
    """
    at_once = max(1, _DOTS_AT_ONCE // first.shape[1])
    found = np.empty(len(rows))
    for start in range(0, len(rows), at_once):
        part = slice(start, start + at_once)
        products = first[rows[part]].astype(np.float64)
        products *= second[others[part]]
        found[part] = products.sum(axis=1)
    return found


def slack(dimension: int, roundoff: float, norms: Floats, largest: float) -> Floats:
    """Return a bound [1]_ of the difference between a product and the exact score.

    ``norms`` are those of one side's vectors and ``largest`` the other's greatest.
    """
    # Both are rounded; the last factor covers the rounding of the bound itself.
    gamma = sum(dimension * unit / (1 - dimension * unit) for unit in (roundoff, 2.0**-53))
    underflow = dimension * 2.0**-125
    return np.asarray(gamma * norms * largest * (1 + 1e-9) + underflow)


def row_norms(vectors: NDArray[Any]) -> Floats:
    """Return the Euclidean norm of each row, in double precision and bounded memory."""
    rows = np.arange(len(vectors))
    with np.errstate(over="ignore"):
        return np.asarray(np.sqrt(dot_products(vectors, vectors, rows, rows)))


@dataclass(frozen=True, slots=True)
class Side:
    """The vectors of queries or of items, their norms, and what rows are the same."""

    vectors: NDArray[Any]
    norms: Floats

    def classes(self) -> Indices:
        """Return one number for all rows with the same bytes, shape ``(n_rows,)``."""
        numbers: dict[bytes, int] = {}
        rows = (numbers.setdefault(row.tobytes(), len(numbers)) for row in self.vectors)
        return np.fromiter(rows, np.intp, len(self.vectors))


def validate(queries: ArrayLike, items: ArrayLike) -> tuple[Side, Side]:
    """Return both sides as contiguous arrays of single or double precision.

    Raises
    ------
    ValueError
        If they are not ``(n_queries, dimension)`` and ``(n_items, dimension)`` with at least one
        row, dimensions differ, or a value is not finite; the message names the first such row.
    """
    first, second = np.asarray(queries), np.asarray(items)
    small = all(each.dtype in (np.float16, np.float32) for each in (first, second))
    sides = []
    for name, vectors in (("queries", first), ("items", second)):
        if vectors.ndim != 2 or not vectors.size or vectors.dtype.kind not in "fiub":
            raise ValueError(
                f"{name} must be real vectors (n_{name}, dimension) with at least one of each, "
                f"got {vectors.dtype} of shape {vectors.shape}"
            )
        vectors = np.ascontiguousarray(vectors, np.float32 if small else np.float64)
        norms = row_norms(vectors)
        if not np.isfinite(norms).all():
            row = int(np.flatnonzero(~np.isfinite(norms))[0])
            bad = vectors[row][~np.isfinite(vectors[row])]
            what = f"holds {bad[0]}" if bad.size else "is too long for double precision"
            raise ValueError(f"vector {row} of {name} {what}, expected finite numbers")
        sides.append(Side(vectors, norms))
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"queries have dimension {first.shape[1]} and items {second.shape[1]}, expected one "
            f"dimension: are they of one model?"
        )
    return sides[0], sides[1]


def warn_of_lengths(queries: Side, items: Side) -> None:
    """Warn where vectors are not of unit norm: by dot products, the longer ones rank higher."""
    for name, side in (("queries", queries), ("items", items)):
        far = np.flatnonzero(np.abs(side.norms - 1) > UNIT_TOLERANCE)
        if far.size:
            warnings.warn(
                f"{far.size:,} of {len(side.norms):,} vectors of {name} have no unit norm (vector "
                f"{far[0]}: {side.norms[far[0]]:.4g}): dot products are ranked, not cosines; "
                f"divide each vector by its norm where cosines are meant",
                stacklevel=4,
            )


class Products:
    """Dot products of queries and items with NumPy, single precision first where that will do."""

    def __init__(
        self, queries: Side, items: Side, *, tile_shape: tuple[int, int] = (_ROWS, _COLUMNS)
    ) -> None:
        self.queries, self.items = queries, items
        warn_of_lengths(queries, items)
        self.shape = (len(queries.vectors), len(items.vectors))
        self.tile_shape = (min(tile_shape[0], _ROWS), min(tile_shape[1], _COLUMNS))
        largest = float(queries.norms.max() * items.norms.max())
        single = queries.vectors.dtype == np.float32 and _SAFE[0] < largest < _SAFE[1]
        self.roundoffs = [2.0**-24, 2.0**-53] if single else [2.0**-53]
        self.precisions = len(self.roundoffs)
        self._classes: tuple[Indices, Indices] | None = None
        self._mask = np.zeros((_ROWS, _COLUMNS), np.bool_)

    def tile(self, rows: slice, columns: slice, precision: int) -> Any:
        first, second = self.queries.vectors[rows], self.items.vectors[columns]
        if self.roundoffs[precision] == 2.0**-53:
            first, second = first.astype(np.float64), second.astype(np.float64)
        return first @ second.T

    def error(self, axis: int, precision: int) -> Floats:
        own, other = (self.queries, self.items) if axis == 0 else (self.items, self.queries)
        dimension = own.vectors.shape[1]
        return slack(dimension, self.roundoffs[precision], own.norms, float(other.norms.max()))

    def exact(self, rows: Indices, columns: Indices) -> Floats:
        first, second = self.queries.vectors, self.items.vectors
        if len(rows) * _WORD < _ROWS * _COLUMNS:
            return dot_products(first, second, rows, columns)
        # So many can only be copies of few vectors: each product of them is computed once.
        if self._classes is None:
            self._classes = self.queries.classes(), self.items.classes()
        keys = self._classes[0][rows] * self.shape[1] + self._classes[1][columns]
        _, place, back = np.unique(keys, return_index=True, return_inverse=True)
        return dot_products(first, second, rows[place], columns[place])[back]

    def compare(
        self, tile: Any, axis: int, lines: Indices | None, low: Floats, high: Floats
    ) -> tuple[Indices, Indices, Indices]:
        return compare_tile(self._mask, tile, axis, lines, low, high)


def compare_tile(
    mask: NDArray[np.bool_],
    tile: NDArray[Any],
    axis: int,
    lines: Indices | None,
    low: Floats,
    high: Floats,
) -> tuple[Indices, Indices, Indices]:
    """Do :meth:`Scores.compare` in NumPy; ``mask`` is the memory to work in."""
    if lines is not None:
        tile = tile[lines] if axis == 0 else tile[:, lines]
    band = outward(low, high) if tile.dtype == np.float32 else (low, high)
    least, most = (end[:, None] if axis == 0 else end for end in band)
    n_rows, n_columns = tile.shape
    words = -(-n_columns // _WORD)
    within = mask[:n_rows, : words * _WORD]
    within[:, n_columns:] = False
    cells = within[:, :n_columns]
    np.greater_equal(tile, least, out=cells)
    if axis == 0:
        # Eight columns are added at once, a byte each: 255 words at most, so no byte overflows.
        lanes = np.ascontiguousarray(within).view(np.uint64).sum(axis=1, dtype=np.uint64)
        at_least = lanes.view(np.uint8).reshape(n_rows, _WORD).sum(axis=1, dtype=np.intp)
    else:
        at_least = np.add.reduce(cells.view(np.uint8), axis=0, dtype=np.uint8).astype(np.intp)
    np.logical_xor(cells, tile > most, out=cells)
    rows, columns = np.divmod(np.flatnonzero(cells), n_columns)
    return (at_least, rows, columns) if axis == 0 else (at_least, columns, rows)


def outward(low: Floats, high: Floats) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a band in single precision that is no narrower."""
    lower, upper = low.astype(np.float32), high.astype(np.float32)
    return (
        np.where(lower > low, np.nextafter(lower, np.float32(-np.inf)), lower),
        np.where(upper < high, np.nextafter(upper, np.float32(np.inf)), upper),
    )


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
