"""Rank counting where the vectors are: NumPy arrays on the CPU, torch tensors on their device.

The counts are the same to the last item: a device decides only what its products decide beyond
their error bound, and the rest is settled as in :mod:`earmark.bench.metrics.ranks`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from earmark.bench.metrics import ranks
from earmark.bench.metrics.base import Floats
from earmark.bench.metrics.ranks import Indices, Products, Ranks, Side, outward, slack, validate

if TYPE_CHECKING:
    import torch

TILE = (4096, 8192)
"""Queries and items of one product on a device: 128 MiB of single precision."""


def count_ranks_both_ways(
    queries: Any, items: Any, relevance: Any = "paired"
) -> tuple[Ranks, Ranks]:
    """Return the ranks of queries' items and of items' queries, from one product of matrices.

    As :func:`earmark.bench.metrics.ranks.count_ranks_both_ways`; torch tensors, both on one
    device, are multiplied there.
    """
    if not _any_tensor(queries, items):
        return ranks.count_ranks_both_ways(queries, items, relevance)
    return ranks.ranks_both_ways(TensorProducts(queries, items), relevance)


def count_ranks(queries: Any, items: Any, relevance: Any = "paired") -> Ranks:
    """Return the ranks of each query's relevant items, multiplied where the vectors are."""
    if not _any_tensor(queries, items):
        return ranks.count_ranks(queries, items, relevance)
    return ranks.ranks_of(TensorProducts(queries, items), relevance)


def _any_tensor(*given: Any) -> bool:
    torch = sys.modules.get("torch")  # whoever has a tensor has imported it
    return torch is not None and any(isinstance(each, torch.Tensor) for each in given)


def _side(vectors: torch.Tensor) -> Any:
    import torch

    given = vectors.detach()
    # NumPy has no bfloat16; single precision holds all its values.
    return (given.to(torch.float32) if given.dtype == torch.bfloat16 else given).cpu().numpy()


class TensorProducts(Products):
    """Dot products on a device; what they leave undecided is settled in NumPy."""

    def __init__(
        self, queries: torch.Tensor, items: torch.Tensor, *, tile_shape: tuple[int, int] = TILE
    ) -> None:
        import torch

        for name, vectors in (("queries", queries), ("items", items)):
            if not isinstance(vectors, torch.Tensor):
                raise ValueError(
                    f"{name} are {type(vectors).__name__}, the others a tensor; give two of a kind"
                )
        if queries.device != items.device:
            raise ValueError(
                f"queries are on {queries.device} and items on {items.device}, expected one device"
            )
        first, second = validate(_side(queries), _side(items))
        super().__init__(first, second)
        self.tile_shape = tile_shape
        self._given = [_placed(first, queries), _placed(second, items)]

    def tile(self, rows: slice, columns: slice, precision: int) -> Any:
        first, second = self._given[0][rows], self._given[1][columns]
        if self.roundoffs[precision] == 2.0**-53:
            first, second = first.double(), second.double()
        return first @ second.T

    def error(self, axis: int, precision: int) -> Floats:
        import torch

        single = self.roundoffs[precision] == 2.0**-24
        if not single or torch.get_float32_matmul_precision() == "highest":
            return super().error(axis, precision)
        own, other = (self.queries, self.items) if axis == 0 else (self.items, self.queries)
        # TensorFloat-32 or bfloat16 factors, as torch was told it may use: each is rounded first.
        rounded = 3 * 2.0**-8 * own.norms * float(other.norms.max())
        return rounded + slack(own.vectors.shape[1], 2.0**-23, own.norms, float(other.norms.max()))

    def compare(
        self, tile: Any, axis: int, lines: Indices | None, low: Floats, high: Floats
    ) -> tuple[Indices, Indices, Indices]:
        import torch

        if lines is not None:
            tile = tile.index_select(axis, torch.from_numpy(lines).to(tile.device))
        least, most = (torch.from_numpy(end).to(tile.device) for end in _band(tile, low, high))
        if axis == 0:
            least, most = least[:, None], most[:, None]
        within = tile >= least
        at_least = within.sum(dim=1 - axis)
        near = (within & (tile <= most)).nonzero()
        rows, columns = near.T.cpu().numpy().astype(np.intp)
        counts = at_least.cpu().numpy().astype(np.intp)
        return (counts, rows, columns) if axis == 0 else (counts, columns, rows)


def _placed(side: Side, like: torch.Tensor) -> torch.Tensor:
    """Return the given vectors, on their device, in the precision of the checked ones."""
    import torch

    given = like.detach()
    precision = torch.float32 if side.vectors.dtype == np.float32 else torch.float64
    return given.to(precision)


def _band(tile: torch.Tensor, low: Floats, high: Floats) -> tuple[Any, Any]:
    import torch

    return outward(low, high) if tile.dtype == torch.float32 else (low, high)
