"""Random draws of one track that neither a NumPy release nor another track's draws can change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")

_BLOCK = 1024


class Draws:
    """A stream of draws for one purpose of one track.

    Everything is derived from uniform numbers in [0, 1) of PCG64, whose stream NumPy keeps fixed,
    since that of ``Generator.choice`` or ``Generator.normal`` may move with a release (NEP 19).

    Parameters
    ----------
    seed, number, stream
        Of the corpus, the track and the purpose, each at least 0. Two that differ in any of the
        three are independent.

    >>> Draws(0, 7, 1).whole(1, 6) == Draws(0, 7, 1).whole(1, 6)
    True
    """

    def __init__(self, seed: int, number: int, stream: int) -> None:
        sequence = np.random.SeedSequence([seed, number, stream])
        self._generator = np.random.Generator(np.random.PCG64(sequence))
        self._block: list[float] = []

    def uniform(self) -> float:
        """Return a number in [0, 1)."""
        if not self._block:
            self._block = self._generator.random(_BLOCK).tolist()[::-1]
        return self._block.pop()

    def between(self, low: float, high: float) -> float:
        """Return a number in [low, high)."""
        return low + (high - low) * self.uniform()

    def normal(self) -> float:
        """Return a number that is standard normal to within the sum of twelve uniform ones."""
        return sum(self.uniform() for _ in range(12)) - 6

    def whole(self, low: int, high: int) -> int:
        """Return a whole number from low to high, both included."""
        return low + int(self.uniform() * (high - low + 1))

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self.uniform() < probability

    def pick(self, options: Sequence[T]) -> T:
        """Return one of the options, all equally likely."""
        return options[int(self.uniform() * len(options))]

    def weighted(self, weights: Mapping[T, float]) -> T:
        """Return one of the keys, with probability in proportion to its weight."""
        left = self.uniform() * sum(weights.values())
        for option, weight in weights.items():
            left -= weight
            if left < 0:
                return option
        return next(reversed(list(weights)))

    def shuffled(self, options: Sequence[T]) -> list[T]:
        """Return the options in a random order."""
        order = list(options)
        for last in range(len(order) - 1, 0, -1):
            other = self.whole(0, last)
            order[last], order[other] = order[other], order[last]
        return order
