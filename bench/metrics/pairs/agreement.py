"""How well annotators agree with each other: the ceiling that a model's agreement has.

Conventions
-----------
Judgements are a float matrix ``(n_raters, n_units)`` with NaN where a rater gave none. A pair
of clips is one column: a = -1, ab (equal) = 0, b = 1 (:func:`rating_matrix`). In Krippendorff's
terms the columns are his *units*; what is resampled for an interval (triplets) is passed as
``units``, one label a column.

Metrics
-------
* :func:`krippendorff_alpha`: agreement beyond chance of any number of raters, 1 at best.
* :func:`observed_agreement`: the share of pairs of judgements that are the same.
* :func:`human_reference`: one annotator held against the other two, as a model is.

References
----------
.. [1] K. Krippendorff, "Computing Krippendorff's alpha-reliability", 2011, sec. D and E.
.. [2] D. Bogdanov et al., "MusAV", ISMIR 2022: three annotators a pair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earmark.bench.metrics.base import Floats, Metric
from earmark.bench.metrics.intervals import LEVEL, LOG_BELOW_ONE
from earmark.bench.metrics.statistics import (
    Estimate,
    estimate_ratio,
    estimate_statistic,
    unit_sums,
)

KRIPPENDORFF_ALPHA = Metric(
    "krippendorff_alpha", higher_is_better=True, lower=-1.0, upper=1.0, chance=0.0
)
OBSERVED_AGREEMENT = Metric(
    "observed_agreement", higher_is_better=True, lower=0.0, upper=1.0, chance=None
)
HUMAN_REFERENCE = Metric("human_reference", higher_is_better=True, lower=0.0, upper=1.0, chance=0.5)

MeasurementLevel = Literal["nominal", "ordinal", "interval"]

_ORDINAL_VALUES = 50

LABELS: Mapping[str, float] = {"a": -1.0, "ab": 0.0, "b": 1.0, "not_selected": np.nan}
"""The numbers that stand for MusAV's judgements."""


def validate(ratings: ArrayLike) -> Floats:
    """Return ratings as a float matrix ``(n_raters, n_units)``.

    Raises
    ------
    ValueError
        If it is no matrix, a rating is infinite, or no unit was rated by two raters.
    """
    matrix = np.asarray(ratings, dtype=np.float64)
    if matrix.ndim != 2:
        raise ValueError(f"ratings must be (n_raters, n_units), got shape {matrix.shape}")
    if np.isinf(matrix).any():
        rater, unit = np.argwhere(np.isinf(matrix))[0]
        raise ValueError(
            f"rating of unit {unit} by rater {rater} is infinite; NaN stands for a missing one"
        )
    if not (np.count_nonzero(~np.isnan(matrix), axis=0) >= 2).any():
        raise ValueError(
            f"no unit was rated by two raters ({matrix.shape[0]} raters, {matrix.shape[1]} "
            f"units): agreement is undefined; see that raters are rows"
        )
    return matrix


def rating_matrix(
    raters: Sequence[str], items: Sequence[str], labels: Sequence[str]
) -> tuple[Floats, list[str], list[str]]:
    """Return judgements, one a row of a table, as ``(n_raters, n_items)`` with sorted names.

    ``labels`` are a, b, ab or not_selected, which is a missing judgement. Returned beside the
    matrix are the raters and the items, in its order.

    >>> rating_matrix(["r1", "r2", "r2"], ["p", "p", "q"], ["a", "ab", "b"])
    (array([[-1., nan],
           [ 0.,  1.]]), ['r1', 'r2'], ['p', 'q'])

    Raises
    ------
    ValueError
        If lengths differ, a label is unknown, or a rater judges an item twice.
    """
    if not len(raters) == len(items) == len(labels):
        raise ValueError(
            f"{len(raters)} raters, {len(items)} items and {len(labels)} labels: expected one "
            f"of each a judgement"
        )
    rows = {name: row for row, name in enumerate(sorted(set(raters)))}
    columns = {name: column for column, name in enumerate(sorted(set(items)))}
    matrix = np.full((len(rows), len(columns)), np.nan)
    seen = set()
    for rater, item, label in zip(raters, items, labels, strict=True):
        if label not in LABELS:
            raise ValueError(
                f"judgement of {item} by {rater} is {label!r}, expected one of {', '.join(LABELS)}"
            )
        if (rater, item) in seen:
            raise ValueError(f"{rater} judges {item} twice; keep one judgement")
        seen.add((rater, item))
        matrix[rows[rater], columns[item]] = LABELS[label]
    return matrix, list(rows), list(columns)


def krippendorff_alpha(ratings: ArrayLike, *, level: MeasurementLevel = "nominal") -> float:
    """Return Krippendorff's alpha [1]_ of ratings ``(n_raters, n_units)``, in [-1, 1].

    Units with fewer than two ratings say nothing of agreement and are left out.

    >>> krippendorff_alpha([[1, 2, 3], [1, 2, 3]])
    1.0

    Raises
    ------
    ValueError
        If :func:`validate` refuses the input, if ``level`` is unknown, or if all pairable ratings
        are the same: with nothing to tell apart, agreement beyond chance is undefined.
    """
    matrix = validate(ratings)
    _check_level(level)
    if level == "nominal":
        sums = _nominal_columns(matrix).sum(axis=0)
        alpha = float(_nominal_alpha(sums))
    else:
        scale = _mid_ranks(matrix) if level == "ordinal" else matrix
        alpha = float(_interval_alpha(_interval_columns(scale).sum(axis=0)))
    if np.isnan(alpha):
        raise ValueError("all pairable ratings are the same: Krippendorff's alpha is undefined")
    return alpha


def evaluate_alpha(
    ratings: ArrayLike,
    *,
    level: MeasurementLevel = "nominal",
    units: ArrayLike | None = None,
    confidence: float = LEVEL,
) -> Estimate:
    """Return alpha with its interval over ``units``, one label a column.

    ``n`` counts the columns with two ratings or more. Ordinal distances follow the ranks of
    what is left without each unit, which takes a table of all pairs of distinct values: at most 50.

    Raises
    ------
    ValueError
        If :func:`krippendorff_alpha` refuses the input, or if ordinal ratings have too many
        distinct values.
    """
    matrix = validate(ratings)
    krippendorff_alpha(matrix, level=level)  # refuses ratings that are all the same
    columns, alpha_of = {
        "nominal": (_nominal_columns, _nominal_alpha),
        "ordinal": (_ordinal_columns, _ordinal_alpha),
        "interval": (_interval_columns, _interval_alpha),
    }[level]
    sums = unit_sums(columns(matrix), units)
    n = int(np.count_nonzero(_pairable(matrix).any(axis=0)))
    return estimate_statistic(sums, alpha_of, LOG_BELOW_ONE, n=n, level=confidence)


def _check_level(level: str) -> None:
    if level not in get_args(MeasurementLevel):
        raise ValueError(f"level is {level!r}, expected nominal, ordinal or interval")


# Alpha is 1 - (n - 1) * observed / expected, of n pairable ratings in all; both disagreements are
# functions of sums over units with m ratings each, so that alpha is known without any of them.


def _pairable(ratings: Floats) -> NDArray[np.bool_]:
    present = ~np.isnan(ratings)
    rated_twice = np.count_nonzero(present, axis=0) >= 2
    return np.asarray(present & rated_twice, dtype=np.bool_)


def _value_counts(ratings: Floats) -> Floats:
    """Return how many pairable ratings of a unit have each value, ``(n_values, n_units)``."""
    pairable = _pairable(ratings)
    values, place = np.unique(ratings[pairable], return_inverse=True)
    counts = np.zeros((len(values), ratings.shape[1]))
    np.add.at(counts, (place, np.nonzero(pairable)[1]), 1)
    return counts


def _one_minus(number: Floats, observed: Floats, expected: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        alpha = 1 - (number - 1) * observed / expected
    return np.asarray(np.where(expected > 0, alpha, np.nan))


def _nominal_columns(ratings: Floats) -> Floats:
    """Return pairs of unlike ratings over m - 1, and the count of each value, a unit."""
    counts = _value_counts(ratings)
    number = counts.sum(axis=0)
    unlike = (number**2 - (counts**2).sum(axis=0)) / np.maximum(number - 1, 1)
    return np.vstack([unlike, counts]).T


def _nominal_alpha(sums: Floats) -> Floats:
    number = sums[..., 1:].sum(axis=-1)
    return _one_minus(number, sums[..., 0], number**2 - (sums[..., 1:] ** 2).sum(axis=-1))


def _interval_columns(ratings: Floats) -> Floats:
    """Return weighted squares within the unit, m, and first and second moment, a unit."""
    pairable = _pairable(ratings)
    number = np.count_nonzero(pairable, axis=0)
    # Centred, lest the squares in all be the small difference of large numbers.
    centred = np.where(pairable, ratings - ratings[pairable].mean(), 0)
    within = np.where(pairable, centred - centred.sum(axis=0) / np.maximum(number, 1), 0)
    squares = number / np.maximum(number - 1, 1) * (within**2).sum(axis=0)
    return np.stack([squares, number, centred.sum(axis=0), (centred**2).sum(axis=0)], axis=1)


def _interval_alpha(sums: Floats) -> Floats:
    observed, number, total, squares = np.moveaxis(sums, -1, 0)
    expected = number * squares - total**2
    # What rounding leaves of zero spread is not spread.
    expected = np.where(expected > 1e-12 * number * squares, expected, 0)
    return _one_minus(number, observed, expected)


def _mid_ranks(ratings: Floats) -> Floats:
    """Return ratings as mid-ranks, between which ordinal distances are interval distances."""
    pairable = _pairable(ratings)
    _, place, counts = np.unique(ratings[pairable], return_inverse=True, return_counts=True)
    ranks = np.full(ratings.shape, np.nan)
    ranks[pairable] = (np.cumsum(counts) - counts / 2)[place]
    return ranks


def _ordinal_columns(ratings: Floats) -> Floats:
    """Return coincidences of each pair of values over m - 1, and value counts, a unit."""
    counts = _value_counts(ratings)
    if len(counts) > _ORDINAL_VALUES:
        raise ValueError(
            f"{len(counts)} distinct ordinal values, expected at most {_ORDINAL_VALUES}: bin the "
            f"ratings, or take level='interval'"
        )
    lower, upper = np.triu_indices(len(counts), k=1)
    coincidences = counts[lower] * counts[upper] / np.maximum(counts.sum(axis=0) - 1, 1)
    return np.vstack([coincidences, counts]).T


def _ordinal_alpha(sums: Floats) -> Floats:
    # v values have v * (v - 1) / 2 pairs and v counts, v * (v + 1) / 2 columns together.
    n_values = int((np.sqrt(8 * sums.shape[-1] + 1) - 1) / 2)
    lower, upper = np.triu_indices(n_values, k=1)
    coincidences, counts = sums[..., :-n_values], sums[..., -n_values:]
    ranks = np.cumsum(counts, axis=-1) - counts / 2
    distances = (ranks[..., upper] - ranks[..., lower]) ** 2
    observed = (coincidences * distances).sum(axis=-1)
    expected = (counts[..., lower] * counts[..., upper] * distances).sum(axis=-1)
    return _one_minus(counts.sum(axis=-1), observed, expected)


@dataclass(frozen=True, slots=True)
class ObservedAgreement:
    """The share of pairs of judgements on the same item that are the same."""

    value: float
    agreeing: int
    pairs: int


def observed_agreement(ratings: ArrayLike) -> ObservedAgreement:
    """Return how many pairs of judgements on one item agree, of ratings ``(n_raters, n_units)``.

    Set judgements to NaN to leave them out: ``np.where(ratings == 0, np.nan, ratings)`` is the
    strict reading, over the pairs of judgements that are both a or b.

    >>> observed_agreement([[-1, 1], [-1, 0], [1, 0]])
    ObservedAgreement(value=0.3333333333333333, agreeing=2, pairs=6)
    """
    matrix = validate(ratings)
    number = np.count_nonzero(~np.isnan(matrix), axis=0)
    pairs = int((number * (number - 1) // 2).sum())
    values = np.unique(matrix[~np.isnan(matrix)])
    counts = np.stack([np.count_nonzero(matrix == value, axis=0) for value in values])
    agreeing = int((counts * (counts - 1) // 2).sum())
    return ObservedAgreement(agreeing / pairs, agreeing, pairs)


@dataclass(frozen=True, slots=True)
class AnnotatorAgreement:
    """One annotator against the others; NaN where there was nothing to hold against."""

    annotator: str
    accuracy: float
    correct: int
    n: int


@dataclass(frozen=True, slots=True)
class HumanReference:
    """How often one annotator orders a pair as the others do who agree."""

    estimate: Estimate
    annotators: tuple[AnnotatorAgreement, ...]


def human_reference(
    ratings: ArrayLike,
    *,
    annotators: Sequence[str] | None = None,
    units: ArrayLike | None = None,
    level: float = LEVEL,
) -> HumanReference:
    """Return one annotator's accuracy against the others, from ratings ``(n_raters, n_pairs)``.

    A case is an annotator who chose a or b on a pair where at least two others judged it and
    all of these agree on a or on b; so each annotator is scored as a model would be on a ground
    truth of full agreement. With MusAV's three annotators a pair [2]_, the others are two.
    Ratings are -1 (a), 0 (ab), 1 (b) or NaN; ``units`` are the pairs' triplets.

    >>> human_reference([[-1, 1], [-1, 1], [-1, -1]]).estimate.value
    0.75

    Raises
    ------
    ValueError
        If :func:`validate` refuses the input, if a rating is none of these, names do not match the
        raters, or no case is found.
    """
    matrix = validate(ratings)
    strange = ~np.isnan(matrix) & ~np.isin(matrix, [-1, 0, 1])
    if strange.any():
        rater, pair = np.argwhere(strange)[0]
        raise ValueError(
            f"rating of pair {pair} by rater {rater} is {matrix[rater, pair]}, expected -1 (a), "
            f"0 (ab), 1 (b) or NaN"
        )
    names = list(annotators) if annotators is not None else [str(i) for i in range(len(matrix))]
    if len(names) != len(matrix):
        raise ValueError(f"{len(names)} annotators are named for {len(matrix)} rows of ratings")
    chosen = np.isin(matrix, [-1, 1])
    others = np.count_nonzero(~np.isnan(matrix), axis=0) - chosen
    correct, case = np.zeros(matrix.shape, bool), np.zeros(matrix.shape, bool)
    for side in (-1, 1):
        agreeing = np.count_nonzero(matrix == side, axis=0) - (matrix == side)
        unanimous = chosen & (others >= 2) & (agreeing == others)
        case |= unanimous
        correct |= unanimous & (matrix == side)
    if not case.any():
        raise ValueError(
            "no annotator chose a or b where at least two others agree on one of them: there is "
            "no human reference"
        )
    columns = np.stack([correct.sum(axis=0), case.sum(axis=0)], axis=1)
    found = estimate_ratio(columns, units=units, level=level)
    rows = zip(names, correct.sum(axis=1).tolist(), case.sum(axis=1).tolist(), strict=True)
    return HumanReference(
        Estimate(found.value, found.interval, int(case.sum()), found.n_units),
        tuple(AnnotatorAgreement(name, c / n if n else np.nan, c, n) for name, c, n in rows),
    )
