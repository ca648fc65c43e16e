"""Intervals over triplets *and* annotators: what another study with other listeners would find.

Estimand
--------
Agreement with a judgement of a random annotator on a random pair: the mean over judgements of a and
b of whether the model orders the pair so. Resampling triplets alone holds the annotators fixed, and
an interval over them is too narrow where annotators differ.

Method
------
The variance of the mean with two crossed ways of sampling, from influences: that over triplets plus
that over annotators less that over their cells [1]_. Its expectation is that of the pigeonhole
bootstrap, which draws triplets and annotators anew [2]_, without its draws. It holds where each
annotator judges a part of the triplets (MusAV: three in each chunk of 100) as where each judges
all. The interval is symmetric on the scale of the logit, with Student's quantile at the smaller
number of the two less 1.

References
----------
.. [1] A. C. Cameron, J. B. Gelbach, D. L. Miller, "Robust inference with multiway clustering",
       J. Bus. Econ. Stat. 29(2), 2011.
.. [2] A. B. Owen, "The pigeonhole bootstrap", Ann. Appl. Stat. 1(2), 2007.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from earmark.bench.metrics.base import Floats
from earmark.bench.metrics.intervals import LEVEL, LOGIT, Interval, check_level, student_quantile
from earmark.bench.metrics.statistics import Estimate, unit_labels

METHOD = "crossed over triplets and annotators, logit"


def crossed_mean(
    correct: ArrayLike,
    triplets: ArrayLike,
    annotators: ArrayLike,
    *,
    level: float = LEVEL,
) -> Estimate:
    """Return the mean of outcomes in [0, 1], one per judgement, with its crossed interval.

    Parameters
    ----------
    correct
        1, 0, or 0.5 where the model says equal, ``(n_judgements,)``; NaN: left out.

    Raises
    ------
    ValueError
        If lengths differ, or an outcome lies outside [0, 1].
    """
    check_level(level)
    credit = np.asarray(correct, np.float64)
    of_triplet = unit_labels(triplets, len(credit))
    of_annotator = unit_labels(annotators, len(credit))
    kept = ~np.isnan(credit)
    credit = credit[kept]
    if ((credit < 0) | (credit > 1)).any():
        raise ValueError(f"outcomes reach from {credit.min()} to {credit.max()}, expected 0 to 1")
    ways = [_numbered(labels[kept]) for labels in (of_triplet, of_annotator)]
    sizes = [int(way.max(initial=-1)) + 1 for way in ways]
    n, fewest = len(credit), min(sizes)
    if not n:
        return Estimate(np.nan, None, 0, 0, "no judgement is scored")
    value = float(credit.mean())
    if fewest < 2:
        what = "triplet" if sizes[0] < 2 else "annotator"
        return Estimate(value, None, n, fewest, f"no interval: there is one {what} only")
    variance = _variance((credit - value) / n, ways, sizes)
    if not 0 < value < 1 or variance <= 0:
        return Estimate(value, Interval(value, value, level, 0, 0, METHOD), n, fewest)
    centre = float(LOGIT.forward(np.asarray(value)))
    half = student_quantile(level, fewest - 1) * np.sqrt(variance) / (value * (1 - value))
    low, high = LOGIT.backward(np.array([centre - half, centre + half])).tolist()
    return Estimate(value, Interval(low, high, level, 0, 0, METHOD), n, fewest)


def _variance(influence: Floats, ways: list[np.ndarray], sizes: list[int]) -> float:
    """Return the variance over both ways, no less than over either alone."""
    alone = [
        size / (size - 1) * float(np.sum(np.bincount(way, influence) ** 2))
        for way, size in zip(ways, sizes, strict=True)
    ]
    cell = _numbered(ways[0] * sizes[1] + ways[1])
    n_cells = int(cell.max()) + 1
    cells = n_cells / max(1, n_cells - 1) * float(np.sum(np.bincount(cell, influence) ** 2))
    return max(sum(alone) - cells, *alone)


def _numbered(labels: np.ndarray) -> np.ndarray:
    return np.unique(labels, return_inverse=True)[1].reshape(len(labels))
