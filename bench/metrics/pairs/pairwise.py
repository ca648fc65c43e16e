"""How often a model orders two clips as listeners do: MusAV's pairwise agreement.

Conventions
-----------
A pair has a truth, ``a`` or ``b`` (the clip with the higher arousal or valence) or ``ab``
(equal), and a model one number for each clip. The number's scale does not matter, only which
is higher; equal means exactly equal. Pairs that listeners hold equal are left out, as MusAV's
own script does. A model that is certain of nothing lands at the chance level, 0.5.

Metrics
-------
* :func:`judge`: the outcome of each pair.
* :func:`agreement`: pairwise accuracy, with what it was computed from.
* :func:`evaluate`: the same from predictions, with its interval.
* :func:`calibration`: accuracy where the model sees a small difference, and where a large one.
* :func:`swapped_axis`: have arousal and valence changed places in the predictions?

References
----------
.. [1] D. Bogdanov, X. Lizarraga-Seijas, P. Alonso-Jiménez and X. Serra, "MusAV: a dataset of
       relative arousal-valence annotations for validation of audio models", ISMIR 2022.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earmark.bench.metrics.base import Floats, Metric
from earmark.bench.metrics.intervals import (
    IDENTITY,
    LEVEL,
    Interval,
    leave_one_out,
    studentised_interval,
)
from earmark.bench.metrics.statistics import (
    Estimate,
    estimate_ratio,
    ratio,
    unit_labels,
    unit_sums,
)

PAIRWISE_ACCURACY = Metric(
    "pairwise_accuracy", higher_is_better=True, lower=0.0, upper=1.0, chance=0.5
)

Ties = Literal["official", "half"]
"""A pair to which the model gives equal values: dropped, as in MusAV's script, or half a point."""


class Outcome(IntEnum):
    """What became of one pair."""

    WRONG = -1
    TIED = 0
    """The model gives both clips the same value."""
    CORRECT = 1
    MISSING = 2
    """The model has no value for one of the clips."""
    TRUTH_TIED = 3
    """Listeners hold the clips equal: the pair is left out."""


Outcomes = NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class PairwiseAgreement:
    """Pairwise accuracy and the counts behind it."""

    accuracy: float
    """``correct / scored``; NaN where nothing is scored, for the ``reason`` given."""
    correct: float
    """Pairs ordered as listeners do; with half credit, a predicted tie adds 0.5."""
    scored: int
    tied: int
    """Predicted ties."""
    missing: int
    pairs: int
    """Pairs with a decided truth: ``scored + missing``, and the ties if these are not scored."""
    truth_tied: int
    """Pairs left out because listeners hold the clips equal."""
    coverage: float
    """``scored / pairs``; NaN without pairs."""
    reason: str | None = None


def validate(
    truth: ArrayLike, predicted_a: ArrayLike, predicted_b: ArrayLike, *, allow_missing: bool = False
) -> tuple[NDArray[np.str_], Floats, Floats]:
    """Return truths and the values predicted for a and b, each of shape ``(n_pairs,)``.

    Raises
    ------
    ValueError
        If the lengths differ, a truth is none of a, b and ab, or a prediction is not finite (NaN
        stands for a missing one where ``allow_missing``); the message names the first such pair.
    """
    labels = np.asarray(truth, dtype=np.str_)
    first, second = np.asarray(predicted_a, np.float64), np.asarray(predicted_b, np.float64)
    if labels.ndim != 1 or not labels.shape == first.shape == second.shape:
        raise ValueError(
            f"truth and the predictions for a and b must be three arrays of one length, got "
            f"shapes {labels.shape}, {first.shape} and {second.shape}"
        )
    strange = np.flatnonzero(~np.isin(labels, ["a", "b", "ab"]))
    if strange.size:
        raise ValueError(
            f"truth of pair {strange[0]} is {str(labels[strange[0]])!r}, expected 'a', 'b' or "
            f"'ab'; leave pairs without a ground truth out"
        )
    for name, values in (("a", first), ("b", second)):
        bad = np.isinf(values) if allow_missing else ~np.isfinite(values)
        if bad.any():
            pair = int(np.flatnonzero(bad)[0])
            hint = "" if allow_missing else " (allow_missing=True leaves NaN unscored)"
            raise ValueError(
                f"prediction for clip {name} of pair {pair} is {values[pair]}, "
                f"expected a finite number{hint}"
            )
    return labels, first, second


def judge(
    truth: ArrayLike, predicted_a: ArrayLike, predicted_b: ArrayLike, *, allow_missing: bool = False
) -> Outcomes:
    """Return the :class:`Outcome` of each pair, int8 of shape ``(n_pairs,)``.

    >>> judge(["a", "b", "a", "ab"], [2, 2, 2, 2], [1, 1, 2, 1])
    array([ 1, -1,  0,  3], dtype=int8)
    """
    labels, first, second = validate(truth, predicted_a, predicted_b, allow_missing=allow_missing)
    higher = (first > second).astype(np.int8) - (first < second).astype(np.int8)
    outcomes = np.where(labels == "b", -higher, higher)
    outcomes[np.isnan(first) | np.isnan(second)] = Outcome.MISSING
    outcomes[labels == "ab"] = Outcome.TRUTH_TIED
    return outcomes.astype(np.int8)


def credit(outcomes: ArrayLike, *, ties: Ties = "official") -> Floats:
    """Return what each pair adds to numerator and denominator of the accuracy, ``(n_pairs, 2)``.

    >>> credit([Outcome.CORRECT, Outcome.TIED, Outcome.WRONG], ties="half")
    array([[1. , 1. ],
           [0.5, 1. ],
           [0. , 1. ]])

    Raises
    ------
    ValueError
        If an outcome is no :class:`Outcome`, or ``ties`` is neither ``official`` nor ``half``.
    """
    if ties not in ("official", "half"):
        raise ValueError(f"ties is {ties!r}, expected 'official' or 'half'")
    codes = np.asarray(outcomes)
    strange = ~np.isin(codes, list(Outcome))
    if codes.ndim != 1 or strange.any():
        raise ValueError(
            f"outcomes must be an array (n_pairs,) of Outcome values, got shape {codes.shape}"
            + (f" with {codes[strange][0]}" if strange.any() else "")
        )
    tied = codes == Outcome.TIED
    decided = (codes == Outcome.CORRECT) | (codes == Outcome.WRONG)
    correct = (codes == Outcome.CORRECT).astype(np.float64)
    if ties == "half":
        return np.stack([correct + 0.5 * tied, decided | tied], axis=1)
    return np.stack([correct, decided], axis=1)


def agreement(outcomes: ArrayLike, *, ties: Ties = "official") -> PairwiseAgreement:
    """Return the pairwise accuracy of outcomes ``(n_pairs,)``, in [0, 1].

    ``official`` is the definition of MusAV's evaluation script: a pair to which the model gives
    equal values is dropped, so that two models may be scored on different pairs. ``half`` gives
    such a pair half a point, so that a constant model scores 0.5.

    >>> agreement([1, 1, 0, -1]).accuracy, agreement([1, 1, 0, -1], ties="half").accuracy
    (0.6666666666666666, 0.625)
    >>> agreement([0, 0]).reason
    'all 2 pairs are predicted ties'
    """
    columns = credit(outcomes, ties=ties)
    codes = np.asarray(outcomes)
    tied = int(np.count_nonzero(codes == Outcome.TIED))
    missing = int(np.count_nonzero(codes == Outcome.MISSING))
    truth_tied = int(np.count_nonzero(codes == Outcome.TRUTH_TIED))
    pairs = codes.size - truth_tied
    correct, scored = float(columns[:, 0].sum()), int(columns[:, 1].sum())
    reason = None
    if not pairs:
        reason = "no pair has a decided truth"
    elif missing == pairs:
        reason = f"all {pairs} pairs miss a prediction"
    elif not scored:
        of = "" if not missing else f", but for {missing} that miss a prediction,"
        reason = f"all {pairs} pairs{of} are predicted ties"
    return PairwiseAgreement(
        accuracy=correct / scored if scored else np.nan,
        correct=correct,
        scored=scored,
        tied=tied,
        missing=missing,
        pairs=pairs,
        truth_tied=truth_tied,
        coverage=scored / pairs if pairs else np.nan,
        reason=reason,
    )


def estimate(
    outcomes: ArrayLike,
    *,
    units: ArrayLike | None = None,
    ties: Ties = "official",
    level: float = LEVEL,
) -> Estimate:
    """Return the accuracy of outcomes with its interval over ``units``: the pairs' triplets."""
    found = agreement(outcomes, ties=ties)
    columns = credit(outcomes, ties=ties)
    if not found.scored:
        n_units = len(np.unique(unit_labels(units, len(columns))))
        return Estimate(np.nan, None, 0, n_units, found.reason)
    return estimate_ratio(columns, units=units, level=level)


def evaluate(
    truth: ArrayLike,
    predicted_a: ArrayLike,
    predicted_b: ArrayLike,
    *,
    units: ArrayLike | None = None,
    ties: Ties = "official",
    allow_missing: bool = False,
    level: float = LEVEL,
) -> tuple[PairwiseAgreement, Estimate]:
    """Return the agreement of predictions with the truth, and its interval over triplets.

    >>> found, estimated = evaluate(["a", "b"], [3, 1], [1, 3])
    >>> found.accuracy, round(estimated.interval.low, 2)
    (1.0, 0.34)
    """
    outcomes = judge(truth, predicted_a, predicted_b, allow_missing=allow_missing)
    estimated = estimate(outcomes, units=units, ties=ties, level=level)
    return agreement(outcomes, ties=ties), estimated


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Agreement on the pairs whose predicted difference is from ``low`` to ``high``."""

    low: float
    high: float
    agreement: PairwiseAgreement


def calibration(
    outcomes: ArrayLike, differences: ArrayLike, *, bins: int = 10, ties: Ties = "official"
) -> list[CalibrationBin]:
    """Return the agreement by the size of the predicted difference, least first.

    ``differences`` (n_pairs,) are the predictions for a less those for b. The bins are quantiles
    (deciles) over the pairs that have a decided truth and a prediction; equal differences share
    a bin, so there may be fewer bins than asked for.

    Raises
    ------
    ValueError
        If shapes differ, ``bins`` is less than 1, a difference is not finite where its pair has
        a prediction, or as :func:`credit`.
    """
    codes, sizes = np.asarray(outcomes), np.abs(np.asarray(differences, np.float64))
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    if codes.shape != sizes.shape:
        raise ValueError(f"{codes.shape} outcomes do not match {sizes.shape} differences")
    columns = credit(codes, ties="half")  # its denominator marks the pairs that were judged
    judged = columns[:, 1] > 0
    codes, sizes = codes[judged], sizes[judged]
    if not np.isfinite(sizes).all():
        pair = int(np.flatnonzero(judged)[~np.isfinite(sizes)][0])
        raise ValueError(f"difference of pair {pair} is not finite, yet the pair was judged")
    if not sizes.size:
        return []
    edges = np.quantile(sizes, np.linspace(0, 1, bins + 1)[1:-1])
    place = np.searchsorted(edges, sizes, side="left")
    return [
        CalibrationBin(
            float(sizes[place == bin_].min()),
            float(sizes[place == bin_].max()),
            agreement(codes[place == bin_], ties=ties),
        )
        for bin_ in np.unique(place)
    ]


@dataclass(frozen=True, slots=True)
class SwappedAxis:
    """Sum of both accuracies with the axes exchanged, minus the sum as they are."""

    difference: float
    """In [-2, 2]; positive where the exchanged reading fits listeners better."""
    interval: Interval | None
    swapped: bool
    """Whether the whole interval lies above 0: the columns are probably exchanged."""


def swapped_axis(
    *,
    arousal_on_arousal: ArrayLike,
    valence_on_arousal: ArrayLike,
    valence_on_valence: ArrayLike,
    arousal_on_valence: ArrayLike,
    arousal_units: ArrayLike,
    valence_units: ArrayLike,
    ties: Ties = "half",
    level: float = LEVEL,
) -> SwappedAxis:
    """Return whether predictions fit better with arousal and valence exchanged.

    ``valence_on_arousal`` are the outcomes of the valence predictions on the pairs with an
    arousal truth, and so on; units are the triplets of those pairs, and triplets present in both
    count as one. Models often emit (valence, arousal), and a column taken for the other
    goes unnoticed, for both correlate.

    Raises
    ------
    ValueError
        If two outcomes on the same truth differ in length, nothing is scored in one of the four
        readings, or as :func:`credit`.
    """
    readings = {
        "arousal_on_arousal": arousal_on_arousal,
        "valence_on_arousal": valence_on_arousal,
        "valence_on_valence": valence_on_valence,
        "arousal_on_valence": arousal_on_valence,
    }
    columns = {name: credit(outcomes, ties=ties) for name, outcomes in readings.items()}
    for name, table in columns.items():
        if not table[:, 1].any():
            raise ValueError(f"{name}: {agreement(readings[name], ties=ties).reason}")
    blocks, units = [], []
    for truth, labels in (("arousal", arousal_units), ("valence", valence_units)):
        straight = columns[f"{truth}_on_{truth}"]
        crossed = columns[f"{'valence' if truth == 'arousal' else 'arousal'}_on_{truth}"]
        if not len(straight) == len(crossed) == len(np.asarray(labels)):
            raise ValueError(
                f"on the {truth} truth: {len(straight)} and {len(crossed)} outcomes for "
                f"{len(np.asarray(labels))} units, expected one number"
            )
        own, none = np.hstack([straight, crossed]), np.zeros((len(straight), 4))
        blocks.append(np.hstack([own, none] if truth == "arousal" else [none, own]))
        units.append(np.asarray(labels))
    table, labels = np.vstack(blocks), np.concatenate(units)

    def gain(sums: Floats) -> Floats:
        scores = ratio(sums.reshape(*sums.shape[:-1], 4, 2))
        return np.asarray(scores[..., 1] + scores[..., 3] - scores[..., 0] - scores[..., 2])

    sums = unit_sums(table, labels)
    value = float(gain(sums.sum(axis=0)))
    interval = studentised_interval(value, leave_one_out(sums, gain), IDENTITY, level=level)
    return SwappedAxis(value, interval, interval is not None and interval.low > 0)
