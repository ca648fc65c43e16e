"""What every metric says of itself, so that no report or gate has to guess a direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric's name, direction, bounds and chance level.

    >>> Metric("accuracy", higher_is_better=True, lower=0, upper=1, chance=0.5).better(0.8, 0.7)
    True
    """

    name: str
    """Field-standard name in snake case, e.g. ``pearson_r``."""
    higher_is_better: bool
    lower: float | None
    """Least value that it can take; None: unbounded."""
    upper: float | None
    chance: float | None
    """What an uninformed model is expected to reach; None where that depends on the data."""

    def __post_init__(self) -> None:
        low = -np.inf if self.lower is None else self.lower
        high = np.inf if self.upper is None else self.upper
        if not low < high:
            raise ValueError(f"{self.name}: expected lower < upper, got {low} and {high}")
        if self.chance is not None and not low <= self.chance <= high:
            raise ValueError(f"{self.name}: chance {self.chance} is outside [{low}, {high}]")

    def better(self, value: float, other: float) -> bool:
        """Return whether ``value`` is strictly better than ``other``; never true of NaN."""
        return value > other if self.higher_is_better else value < other


def metric_named(metric: Metric | str, known: Sequence[Metric]) -> Metric:
    """Return one of the known metrics, itself or by its name.

    Raises
    ------
    ValueError
        If it is none of them.
    """
    name = metric if isinstance(metric, str) else metric.name
    found = {one.name: one for one in known}.get(name)
    if found is None:
        names = ", ".join(one.name for one in known)
        raise ValueError(f"{name!r} is no metric of this task; known are {names}")
    return found
