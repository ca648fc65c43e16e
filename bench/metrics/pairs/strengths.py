"""How high songs stand, from who was said to be higher: strengths of Bradley and Terry [1]_.

Conventions
-----------
The chance that a song is said to be higher than another is the logistic function of the difference
of their strengths. A judgement that two are equal is half a win for each. Songs are on one scale
only where comparisons join them: in a study of triplets each triplet is a scale of its own, and so
strengths are centred within what is joined, and values are correlated with them within it.

Where a song wins all its comparisons its strength has no maximum. Each pair that was compared gets
``prior`` judgements more, half for each side, which keeps strengths finite and draws them together.

Functions
---------
* :func:`bradley_terry`: strengths, with what songs are joined to.
* :func:`correlation`: of a model's values with strengths.

References
----------
.. [1] R. A. Bradley, M. E. Terry, "Rank analysis of incomplete block designs", Biometrika 39,
       1952; D. R. Hunter, "MM algorithms for generalized Bradley-Terry models", Ann. Stat. 32,
       2004: the iteration.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earmark.bench.metrics.base import Floats, Metric
from earmark.bench.metrics.intervals import FISHER_Z, LEVEL
from earmark.bench.metrics.statistics import Estimate, estimate_statistic, unit_sums

STRENGTH_CORRELATION = Metric(
    "strength_correlation", higher_is_better=True, lower=-1.0, upper=1.0, chance=0.0
)
PRIOR = 1.0
_STEPS, _ENOUGH = 100_000, 1e-12
SIDES = {"a": 1.0, "b": 0.0, "ab": 0.5}
"""What a judgement is worth to song a."""


@dataclass(frozen=True, slots=True)
class Strengths:
    """Strengths of songs, ``(n_songs,)``; NaN for a song that was not compared."""

    values: Floats
    """Natural logarithms, with mean 0 within each scale."""
    scales: NDArray[np.int64]
    """Which songs are joined by comparisons; -1: not compared."""

    @property
    def n_scales(self) -> int:
        """How many scales of their own there are."""
        return int(self.scales.max(initial=-1)) + 1


def bradley_terry(
    first: ArrayLike,
    second: ArrayLike,
    labels: ArrayLike,
    *,
    n_songs: int,
    votes: ArrayLike | None = None,
    prior: float = PRIOR,
) -> Strengths:
    """Return the strengths of highest likelihood from judgements ``(n_judgements,)``.

    Parameters
    ----------
    first, second
        Indices of songs a and b.
    labels
        ``a``, ``b`` or ``ab``; others are left out.
    votes
        How often each judgement was made; once by default.
    prior
        Judgements that are added to each pair, half for each side; 0 only where every song of a
        scale both wins and loses: strengths of others have no maximum, and mean nothing then.

    Raises
    ------
    ValueError
        If lengths differ, an index is none of a song, or the prior is negative.
    """
    a, b = np.asarray(first, np.int64), np.asarray(second, np.int64)
    said = np.asarray(labels).astype(str)
    weight = np.ones(len(a)) if votes is None else np.asarray(votes, np.float64)
    if not len(a) == len(b) == len(said) == len(weight):
        raise ValueError(f"{len(a)}, {len(b)}, {len(said)} and {len(weight)} of one judgement each")
    if prior < 0:
        raise ValueError(f"prior is {prior}, expected 0 or more")
    both = np.concatenate([a, b])
    if both.size and not (both.min() >= 0 and both.max() < n_songs):
        raise ValueError(
            f"songs are 0 to {n_songs - 1}, a judgement is of {both.min()} or {both.max()}"
        )
    worth = np.array([SIDES.get(one, np.nan) for one in said])
    known = ~np.isnan(worth)
    a, b, worth, weight = a[known], b[known], worth[known], weight[known]
    scales = _joined(a, b, n_songs)
    values = np.full(n_songs, np.nan)
    order = np.argsort(scales[a], kind="stable")
    starts = np.flatnonzero(np.diff(scales[a][order], prepend=-1))
    for rows in np.split(order, starts[1:]) if len(order) else ():
        songs, local = np.unique([a[rows], b[rows]], return_inverse=True)
        first_, second_ = local.reshape(2, -1)
        wins = np.zeros((len(songs), len(songs)))
        np.add.at(wins, (first_, second_), worth[rows] * weight[rows])
        np.add.at(wins, (second_, first_), (1 - worth[rows]) * weight[rows])
        values[songs] = _of_scale(wins + np.where(wins + wins.T > 0, prior / 2, 0.0))
    return Strengths(values, scales)


def correlation(
    values: ArrayLike, strengths: Strengths, *, units: ArrayLike | None = None, level: float = LEVEL
) -> Estimate:
    """Return Pearson's r of values ``(n_songs,)`` and strengths, both centred within each scale.

    Parameters
    ----------
    values
        A model's; NaN: the song is left out.
    units
        What is resampled; by default each scale, or where there is one only, each song.
    """
    given = np.asarray(values, np.float64)
    kept = np.isfinite(given) & np.isfinite(strengths.values)
    scale = strengths.scales[kept]
    x, y = _centred(given[kept], scale), _centred(strengths.values[kept], scale)
    of = np.asarray(units)[kept] if units is not None else scale if strengths.n_scales > 1 else None
    if not len(x):
        return Estimate(np.nan, None, 0, 0, "no song has both a value and a strength")
    sums = unit_sums(np.stack([x * x, y * y, x * y], axis=1), of)
    return estimate_statistic(
        sums, _cosine, FISHER_Z, n=len(x), level=level, reason="a value does not vary within scales"
    )


def _cosine(sums: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(sums[..., 2] / np.sqrt(sums[..., 0] * sums[..., 1]))


def _centred(values: Floats, scale: NDArray[np.int64]) -> Floats:
    count = np.maximum(np.bincount(scale), 1)
    return np.asarray(values - (np.bincount(scale, values) / count)[scale])


def _joined(a: NDArray[np.int64], b: NDArray[np.int64], n_songs: int) -> NDArray[np.int64]:
    """Return the scale of each song, numbered in the order of the songs; -1: not compared."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = coo_array((np.ones(len(a)), (a, b)), shape=(n_songs, n_songs))
    _, part = connected_components(edges, directed=False)
    compared = np.unique(np.concatenate([a, b]))
    found = np.full(n_songs, -1, np.int64)
    found[compared] = np.unique(part[compared], return_inverse=True)[1]
    return found


def _of_scale(wins: Floats) -> Floats:
    """Return log strengths with mean 0, by Hunter's iteration."""
    games, won = wins + wins.T, wins.sum(axis=1)
    strength = np.ones(len(wins))
    for _ in range(_STEPS):
        new = won / (games / (strength[:, None] + strength[None, :])).sum(axis=1)
        if not (new > 0).all():  # a song without a win, and no prior
            return np.asarray(np.where(won > 0, np.inf, -np.inf))
        new /= np.exp(np.log(new).mean())
        if np.abs(np.log(new / strength)).max() < _ENOUGH:
            strength = new
            break
        strength = new
    return np.asarray(np.log(strength))
