"""An interval of a median from the order of a few values, without resampling.

Goal
----
Say how sure the median of a handful of repeated measurements is: seven ratios of run times, say.

Conventions
-----------
Values are independent, of one distribution with any shape. The k-th lowest and the k-th highest
value enclose the population's median unless fewer than k values lie on one side of it, each with
probability 1/2: the coverage is exactly ``1 - 2 P(B < k)``, B binomial with n trials.

Functions
---------
* :func:`median_interval`: the narrowest such interval of at least the level.
* :func:`fewest_values`: how many values a level needs.

References
----------
.. [1] H. A. David and H. N. Nagaraja, "Order Statistics", 3rd ed., 2003, sec. 7.1.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

LEVEL = 0.95


def median_interval(values: ArrayLike, *, level: float = LEVEL) -> tuple[float, float, float]:
    """Return the lower and upper end of the median's interval, and its exact coverage.

    >>> median_interval([1.2, 1.0, 1.1, 1.4, 1.3, 1.6, 1.5])
    (1.0, 1.6, 0.984375)

    Parameters
    ----------
    values
        Shape ``(n,)``, finite.
    level
        In (0, 1).

    Raises
    ------
    ValueError
        If values are not finite or no axis, or too few for the level.
    """
    ordered = np.sort(np.asarray(values, dtype=float))
    if ordered.ndim != 1 or not np.isfinite(ordered).all():
        raise ValueError(f"expected finite values of shape (n,), got shape {ordered.shape}")
    if len(ordered) < (fewest := fewest_values(level)):
        raise ValueError(
            f"an interval of a median at {level:g} needs {fewest} values, got {len(ordered)}"
        )
    place, below = 0, 0.0  # values outside on either side, and the probability of so few
    while 2 * (below + _probability(len(ordered), place)) <= 1 - level:
        below += _probability(len(ordered), place)
        place += 1
    return float(ordered[place - 1]), float(ordered[len(ordered) - place]), 1 - 2 * below


def fewest_values(level: float = LEVEL) -> int:
    """Return how many values the range of all of them needs to cover the median at a level.

    >>> fewest_values(0.95)
    6

    Raises
    ------
    ValueError
        If the level is not in (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level}, expected a number in (0, 1)")
    n = 1
    while 2 * _probability(n, 0) > 1 - level:
        n += 1
    return n


def _probability(n: int, k: int) -> float:
    """Return the probability that k of n values lie below their median."""
    return math.comb(n, k) * 0.5**n
