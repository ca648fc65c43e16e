"""Ranks from a matrix of scores: what the counting of vectors is held against."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from earmark.bench.metrics.base import Floats
from earmark.bench.metrics.ranks import (
    _COLUMNS,
    _ROWS,
    Indices,
    Ranks,
    compare_tile,
    ranks_both_ways,
    ranks_of,
)


def rank_scores(scores: ArrayLike, relevance: Any = "paired") -> Ranks:
    """Ranks of each query's relevant items from scores ``(n_queries, n_items)``."""
    return ranks_of(Matrix(scores), relevance)


def rank_scores_both_ways(scores: ArrayLike, relevance: Any = "paired") -> tuple[Ranks, Ranks]:
    """Ranks of rows' relevant columns and of columns' relevant rows, in one pass."""
    return ranks_both_ways(Matrix(scores), relevance)


class Matrix:
    """Scores that are given as a matrix, and are compared as they are."""

    precisions = 1
    tile_shape = (_ROWS, _COLUMNS)

    def __init__(self, scores: ArrayLike) -> None:
        self.scores = np.asarray(scores)
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
