"""How far each listener can be relied on: agreement with the others, and what is without them.

A listener's agreement is over the pairs on which more than half of the others (two at least) say
the same, and that this listener answered: the share on which this listener says it, too. Guessing
with the same shares of a, b and equal reaches *chance*. A listener is marked as unreliable where
the whole interval lies nearer to chance than to the median of all others: fewer judgements make an
interval wider, so that nobody is marked for having judged little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from earmark.bench.metrics.base import Floats
from earmark.bench.metrics.intervals import LEVEL
from earmark.bench.metrics.pairs.agreement import krippendorff_alpha, validate
from earmark.bench.metrics.statistics import Estimate, estimate_ratio

ANSWERS = (-1.0, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Reliability:
    """One listener held against the others."""

    annotator: str
    agreement: Estimate
    """With the majority of the others; NaN where there is no such pair."""
    chance: float
    """What guessing with the same shares of answers reaches."""
    with_each: float
    """Share of the same answers, over all other listeners of the same pairs."""
    alpha_without: float
    """Krippendorff's alpha (nominal) of all others; NaN if they share no pair."""
    unreliable: bool


def reliability(
    ratings: ArrayLike,
    *,
    annotators: Sequence[str] | None = None,
    units: ArrayLike | None = None,
    level: float = LEVEL,
) -> list[Reliability]:
    """Return each listener's reliability from ratings ``(n_raters, n_pairs)``.

    Ratings are -1 (a), 0 (equal), 1 (b) or NaN; ``units`` are the pairs' triplets.

    Raises
    ------
    ValueError
        If the ratings are none of these, or names do not match the raters.
    """
    matrix = validate(ratings)
    strange = ~np.isnan(matrix) & ~np.isin(matrix, ANSWERS)
    if strange.any():
        raise ValueError(f"a rating is {matrix[strange][0]}, expected -1 (a), 0 (ab), 1 (b) or NaN")
    names = list(annotators) if annotators is not None else [str(i) for i in range(len(matrix))]
    if len(names) != len(matrix):
        raise ValueError(f"{len(names)} annotators are named for {len(matrix)} rows of ratings")
    counts = np.stack([(matrix == answer).sum(axis=0) for answer in ANSWERS])
    found = [_one(matrix, counts, rater, units, level) for rater in range(len(matrix))]
    values = np.array([agreement.value for agreement, _, _ in found])
    rows = []
    for rater, (agreement, chance, with_each) in enumerate(found):
        others = np.delete(values, rater)
        others = others[np.isfinite(others)]
        unreliable = bool(
            agreement.interval is not None
            and others.size
            and agreement.interval.high < (chance + np.median(others)) / 2
        )
        rest = np.delete(matrix, rater, axis=0)
        alone = not (np.count_nonzero(~np.isnan(rest), axis=0) >= 2).any()
        without = np.nan if alone else krippendorff_alpha(rest)
        rows.append(
            Reliability(names[rater], agreement, chance, with_each, without, unreliable)
        )  # fmt: skip
    return rows


def _one(
    matrix: Floats, counts: Floats, rater: int, units: ArrayLike | None, level: float
) -> tuple[Estimate, float, float]:
    """Return a listener's agreement with the others' majority, chance, and the share of pairs."""
    own = matrix[rater]
    said = np.stack([own == answer for answer in ANSWERS])
    others = counts - said
    n_others = others.sum(axis=0)
    top = others.max(axis=0)
    case = ~np.isnan(own) & (n_others >= 2) & (2 * top > n_others)
    majority = others.argmax(axis=0)
    right = case & said[majority, np.arange(len(own))]
    agreement = estimate_ratio(np.stack([right, case], axis=1), units=units, level=level)
    shares = said[:, case].mean(axis=1) if case.any() else np.full(3, np.nan)
    of_others = np.bincount(majority[case], minlength=3) / max(1, case.sum())
    answered = ~np.isnan(own)
    together = float(n_others[answered].sum())
    same = float((others * said)[:, answered].sum())
    return agreement, float(shares @ of_others), same / together if together else np.nan
