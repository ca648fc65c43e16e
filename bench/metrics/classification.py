"""How often a model names a clip's one class: genre, instrument, emotion quadrant.

Conventions
-----------
Truth is one class a clip, as an index into the vocabulary (:func:`encode`); a model gives scores
``(n_items, n_classes)`` of any scale. Classes with exactly equal scores are ordered by chance,
and an item's outcome is the expectation over that: a constant scorer has an accuracy of exactly
1 / n_classes. A prediction without scores is a matrix of ones and zeros (:func:`one_hot`).

A class without items has no recall. Balanced accuracy and macro F1 are means over the *present*
classes, so that models are averaged over the
same classes whatever they predict. All metrics are functions of sums over items
(:func:`counts`), so that each is known without any unit, which gives its interval. With ties,
precision and F1 are those of the expected counts.

Metrics
-------
* :func:`validate`, :func:`assign`, :func:`top_k_credit`: the per-item outcomes.
* :func:`confusion_matrix`: items by class and predicted class.
* :func:`from_sums`: accuracy, balanced accuracy and macro F1; :func:`per_class`: precision,
  recall and F1 of each class.
* :func:`evaluate`: all of them with intervals and chance.

References
----------
.. [1] K. H. Brodersen et al., "The balanced accuracy and its posterior distribution", ICPR 2010.
.. [2] J. Opitz and S. Burst, "Macro F1 and macro F1", arXiv:1911.03347, 2019: the mean of the
       classes' F1, not the F1 of the means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earmark.bench.metrics.base import Floats, Metric
from earmark.bench.metrics.intervals import LEVEL, LOGIT
from earmark.bench.metrics.statistics import (
    Estimate,
    estimate_ratio,
    estimate_statistic,
    unit_sums,
)

ACCURACY = Metric("accuracy", higher_is_better=True, lower=0.0, upper=1.0, chance=None)
BALANCED_ACCURACY = Metric(
    "balanced_accuracy", higher_is_better=True, lower=0.0, upper=1.0, chance=None
)
MACRO_F1 = Metric("macro_f1", higher_is_better=True, lower=0.0, upper=1.0, chance=None)
METRICS = (ACCURACY, BALANCED_ACCURACY, MACRO_F1)


def encode(labels: Sequence[str], classes: Sequence[str]) -> NDArray[np.intp]:
    """Return each label as its index in the vocabulary, shape ``(n_items,)``.

    >>> encode(["rock", "jazz"], ["jazz", "rock"])
    array([1, 0])

    Raises
    ------
    ValueError
        If a label is outside the vocabulary, or a class is in it twice; the message names them.
    """
    place = {name: index for index, name in enumerate(classes)}
    if len(place) != len(classes):
        twice = next(name for name in classes if list(classes).count(name) > 1)
        raise ValueError(f"class {twice!r} is in the vocabulary more than once")
    strange = sorted({str(label) for label in labels if label not in place})
    if strange:
        known = ", ".join(repr(name) for name in list(classes)[:20])
        raise ValueError(
            f"{len(strange)} labels are outside the vocabulary: "
            f"{', '.join(repr(label) for label in strange[:10])}; expected one of {known}"
            + (f" and {len(classes) - 20} more" if len(classes) > 20 else "")
        )
    return np.array([place[label] for label in labels], dtype=np.intp)


def validate(truth: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.intp], Floats]:
    """Return truth ``(n_items,)`` and scores ``(n_items, n_classes)``.

    Raises
    ------
    ValueError
        If shapes differ, there is no item or fewer than two classes, a truth is no index of a
        class, or a score is not finite; the message names the first such item.
    """
    given, guess = np.asarray(truth), np.asarray(scores, np.float64)
    if given.ndim != 1 or guess.ndim != 2 or len(given) != len(guess):
        raise ValueError(
            f"expected truth (n_items,) and scores (n_items, n_classes), got shapes "
            f"{given.shape} and {guess.shape}"
        )
    if not len(given) or guess.shape[1] < 2:
        raise ValueError(
            f"classification needs at least 1 item and 2 classes, got {guess.shape[0]} and "
            f"{guess.shape[1]}"
        )
    if given.dtype.kind not in "iu":
        raise ValueError(f"truth must be indices of classes (see encode), got {given.dtype}")
    strange = (given < 0) | (given >= guess.shape[1])
    if strange.any():
        item = int(np.flatnonzero(strange)[0])
        raise ValueError(
            f"truth of item {item} is {given[item]}, expected 0 to {guess.shape[1] - 1}"
        )
    if not np.isfinite(guess).all():
        item, class_ = np.argwhere(~np.isfinite(guess))[0]
        raise ValueError(
            f"score of item {item}, class {class_} is {guess[item, class_]}, "
            f"expected a finite number"
        )
    return given.astype(np.intp), guess


def one_hot(predicted: ArrayLike, n_classes: int) -> Floats:
    """Return predicted classes ``(n_items,)`` as scores ``(n_items, n_classes)``.

    Raises
    ------
    ValueError
        If a prediction is not an index from 0 to ``n_classes - 1``.
    """
    indices = np.asarray(predicted)
    inside = indices.dtype.kind in "iu" and ((indices >= 0) & (indices < n_classes)).all()
    if indices.ndim != 1 or not inside:
        raise ValueError(
            f"predictions must be indices (n_items,) from 0 to {n_classes - 1}, got "
            f"{indices.dtype} of shape {indices.shape}"
        )
    return np.asarray(np.eye(n_classes)[indices])


def assign(scores: ArrayLike) -> Floats:
    """Return the share of each item that goes to each class, shape ``(n_items, n_classes)``.

    All to the class with the highest score; equally to the classes that tie for it.

    >>> assign([[1, 3, 2], [2, 0, 2]])
    array([[0. , 1. , 0. ],
           [0.5, 0. , 0.5]])
    """
    guess = np.asarray(scores, np.float64)
    best = guess == guess.max(axis=1, keepdims=True)
    return np.asarray(best / best.sum(axis=1, keepdims=True))


def top_k_credit(truth: ArrayLike, scores: ArrayLike, *, k: int) -> Floats:
    """Return the chance that each item's class is among the k best, shape ``(n_items,)``.

    >>> top_k_credit([0, 0, 0], [[3, 2, 1], [1, 1, 2], [0, 0, 0]], k=2)
    array([1.        , 0.5       , 0.66666667])

    Raises
    ------
    ValueError
        If :func:`validate` refuses the input, or if k is not from 1 to the number of classes.
    """
    given, guess = validate(truth, scores)
    if not 1 <= k <= guess.shape[1]:
        raise ValueError(f"k is {k}, expected 1 to {guess.shape[1]}, the number of classes")
    own = guess[np.arange(len(given)), given][:, None]
    higher, tied = (guess > own).sum(axis=1), (guess == own).sum(axis=1)
    return np.asarray(np.clip((k - higher) / tied, 0, 1))


def counts(truth: ArrayLike, scores: ArrayLike) -> Floats:
    """Return the columns whose sums give all metrics, ``(n_items, 3 * n_classes)``.

    For each class: is the item rightly assigned to it; is it of that class; is it assigned to it.
    """
    given, guess = validate(truth, scores)
    assigned, actual = assign(guess), one_hot(given, guess.shape[1])
    return np.hstack([assigned * actual, actual, assigned])


def confusion_matrix(truth: ArrayLike, scores: ArrayLike) -> Floats:
    """Return how many items of each class (rows) are assigned to each class (columns)."""
    given, guess = validate(truth, scores)
    return np.asarray(one_hot(given, guess.shape[1]).T @ assign(guess))


def per_class(sums: Floats) -> Floats:
    """Return precision, recall and F1 of summed :func:`counts`, ``(..., n_classes, 3)``.

    NaN is the precision of a class that is never assigned, the recall of one without items, and
    the F1 of one with neither.
    """
    right, actual, assigned = np.split(sums, 3, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = [right / assigned, right / actual, 2 * right / (actual + assigned)]
    return np.stack(found, axis=-1)


def from_sums(sums: Floats, metric: Metric) -> Floats:
    """Return a metric of summed :func:`counts` ``(..., 3 * n_classes)``.

    Balanced accuracy [1]_ and macro F1 [2]_ are means over the classes with items.

    Raises
    ------
    ValueError
        If the metric is none of :data:`METRICS`.
    """
    right, actual, _ = np.split(sums, 3, axis=-1)
    if metric == ACCURACY:
        return np.asarray(right.sum(axis=-1) / actual.sum(axis=-1))
    if metric not in METRICS:
        known = ", ".join(one.name for one in METRICS)
        raise ValueError(f"{metric.name!r} is no classification metric; known are {known}")
    of_class = per_class(sums)[..., 1 if metric == BALANCED_ACCURACY else 2]
    present = actual > 0
    return np.asarray(np.sum(np.where(present, of_class, 0), axis=-1) / present.sum(axis=-1))


@dataclass(frozen=True, slots=True)
class ClassScore:
    """How well one class is told from the others."""

    support: int
    """Items of the class."""
    precision: Estimate
    recall: Estimate
    f1: Estimate


@dataclass(frozen=True, slots=True)
class Classification:
    """All metrics with their intervals, beside what chance would reach."""

    metrics: dict[str, Estimate]
    """By name: those of :data:`METRICS`, and ``top_<k>_accuracy``."""
    chance: dict[str, float]
    """What a constant scorer reaches; for macro F1 this depends on the classes' supports."""
    per_class: dict[str, ClassScore]
    absent: tuple[str, ...]
    """Classes without items, over which balanced accuracy and macro F1 are not averaged."""
    majority_class: str
    majority_share: float
    """The accuracy of always naming the most frequent class: a reference, not chance."""
    confusion: Floats
    """Items by class and assigned class, ``(n_classes, n_classes)``."""


def evaluate(
    truth: ArrayLike,
    scores: ArrayLike,
    *,
    classes: Sequence[str],
    top_k: Sequence[int] = (),
    units: ArrayLike | None = None,
    level: float = LEVEL,
) -> Classification:
    """Return all metrics of scores ``(n_items, n_classes)``, with intervals over ``units``.

    Units are what was sampled together (artists, files), one label an item; None: the items.

    >>> found = evaluate([0, 1], [[2, 1], [2, 1]], classes=["jazz", "rock"])
    >>> found.metrics["accuracy"].value, found.chance["accuracy"]
    (0.5, 0.5)
    """
    given, guess = validate(truth, scores)
    n_items, n_classes = guess.shape
    encode([], classes)  # refuses a class named twice
    if len(classes) != n_classes:
        raise ValueError(f"expected {n_classes} classes, one a column, got {len(classes)}")
    table = counts(given, guess)
    sums = unit_sums(table, units)
    total = sums.sum(axis=0)
    support = total[n_classes : 2 * n_classes]
    constant = _constant_scorer(support)
    accuracy = _accuracy(top_k_credit(given, guess, k=1), units, level)
    metrics = {ACCURACY.name: replace(accuracy, value=float(from_sums(total, ACCURACY)))}
    for metric in METRICS[1:]:
        statistic = partial(from_sums, metric=metric)
        metrics[metric.name] = estimate_statistic(
            sums, statistic, LOGIT, n=n_items, level=level, n_effective=_n_effective(support)
        )
    chance = {metric.name: float(from_sums(constant, metric)) for metric in METRICS}
    for k in top_k:
        metrics[f"top_{k}_accuracy"] = _accuracy(top_k_credit(given, guess, k=k), units, level)
        chance[f"top_{k}_accuracy"] = k / n_classes
    by_class = {
        name: _class_score(name, table[:, place::n_classes], units, level)
        for place, name in enumerate(classes)
    }
    return Classification(
        metrics=metrics,
        chance=chance,
        per_class=by_class,
        absent=tuple(name for name, n in zip(classes, support, strict=True) if not n),
        majority_class=classes[int(support.argmax())],
        majority_share=float(support.max() / n_items),
        confusion=confusion_matrix(given, guess),
    )


def _accuracy(credit: Floats, units: ArrayLike | None, level: float) -> Estimate:
    columns = np.stack([credit, np.ones_like(credit)], axis=1)
    return estimate_ratio(columns, units=units, level=level)


def _n_effective(support: Floats) -> float:
    """Return what a mean over classes rests on where no item varies: its share of each class."""
    present = support[support > 0]
    return float(len(present) ** 2 / np.sum(1 / present))


def _class_score(name: str, columns: Floats, units: ArrayLike | None, level: float) -> ClassScore:
    """Return the scores of a class from its three columns of :func:`counts`."""
    right, actual, assigned = columns.T
    found = []
    for below, reason in (
        (assigned, "never predicted"),
        (actual, "no items"),
        ((actual + assigned) / 2, "no items, never predicted"),
    ):
        if below.any():
            one = estimate_ratio(np.stack([right, below], axis=1), units=units, level=level)
        else:
            one = Estimate(np.nan, None, 0, len(columns), f"class {name!r}: {reason}")
        found.append(one)
    return ClassScore(int(actual.sum()), *found)


def _constant_scorer(support: Floats) -> Floats:
    """Return the summed :func:`counts` of a model that gives all classes the same score."""
    share = 1 / len(support)
    assigned = np.full(len(support), support.sum() * share)
    return np.concatenate([support * share, support, assigned])
