"""How the figures of many models or sets are spread over pages, and what they are drawn from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]
"""The arrays of one task, by the names that it gave them."""
TALLEST = 7.6
"""Inches of a figure that still fits on a page with its caption."""


def even_parts(names: Sequence[str], *, at_most: int) -> list[list[str]]:
    """Return the names in as few runs as may be, of about one length.

    >>> even_parts(["a", "b", "c", "d", "e"], at_most=4)
    [['a', 'b', 'c'], ['d', 'e']]
    """
    n_parts = math.ceil(len(names) / at_most)
    return [[str(name) for name in part] for part in np.array_split(names, n_parts or 1)]


def part_of(number: int, parts: Sequence[object]) -> str:
    """Return what the title of one figure of several ends with; nothing where there is one.

    >>> part_of(2, ["a", "b"]), part_of(1, ["a"])
    (' (2 of 2)', '')
    """
    return f" ({number} of {len(parts)})" if len(parts) > 1 else ""
