"""Scores of queries and items by tile: exact where it matters, fast everywhere else.

:mod:`earmark.bench.metrics.ranks` says how and why.

References
----------
.. [1] N. J. Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed. 2002, eq. 3.5.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earmark.bench.metrics.base import Floats
from earmark.bench.metrics.relevance import Indices

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


class Matrix:
    """Scores that are given as a matrix, and are compared as they are."""

    precisions = 1
    tile_shape = (_ROWS, _COLUMNS)

    def __init__(self, scores: ArrayLike) -> None:
        self.scores = np.asarray(scores)
        if self.scores.ndim != 2 or not self.scores.size or self.scores.dtype.kind not in "fiub":
            raise ValueError(
                f"scores must be real numbers (n_queries, n_items) with at least one of each, got "
                f"{self.scores.dtype} of shape {self.scores.shape}"
            )
        for row, line in enumerate(self.scores):
            if np.isnan(line).any():
                item = int(np.flatnonzero(np.isnan(line))[0])
                raise ValueError(f"score of query {row} and item {item} is nan, expected a number")
        self.shape = (self.scores.shape[0], self.scores.shape[1])
        self._mask = np.zeros((_ROWS, _COLUMNS), np.bool_)

    def tile(self, rows: slice, columns: slice, precision: int) -> Any:
        return self.scores[rows, columns]

    def error(self, axis: int, precision: int) -> Floats:
        return np.zeros(self.shape[axis])

    def exact(self, rows: Indices, columns: Indices) -> Floats:
        return np.asarray(self.scores[rows, columns], np.float64)

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
