"""Tables on how sure a model is: the probability that a song is higher, and the surest pairs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from earmark.bench.metrics.base import Floats
from earmark.bench.metrics.intervals import Interval
from earmark.bench.metrics.pairs import calibration, pairwise
from earmark.bench.tasks.pairwise.tables import Rows, Values
from earmark.bench.tasks.pairwise.truth import Truth
from earmark.bench.tasks.pairwise.view import PROBABILITY, SELECTIVE
from earmark.reports.record.schema import Plain, Table

FEWEST = 10
"""Pairs in a share, below which its accuracy says nothing."""
_TRUTH = {"a": 1.0, "b": 0.0, "ab": 0.5}


def bounds(interval: Interval | None) -> list[Plain]:
    """Return the ends of an interval, None twice where there is none."""
    return [None, None] if interval is None else [interval.low, interval.high]


def probability_table(truths: Sequence[Truth], values: Values, *, seed: int) -> Table:
    """Return how good a logistic link on each model's differences is as a probability.

    It is fitted out of fold by triplet, to pairs of gt, those that listeners hold equal as half.
    """
    rows: Rows = []
    for truth in truths:
        labels = np.array([_TRUTH[label] for label in truth.labels])
        units = truth.triplets
        for model, column in values[truth.dimension].items():
            gaps = column[truth.song_a] - column[truth.song_b]
            here = np.isfinite(gaps)
            if len(np.unique(units[here])) < 2:
                continue
            given = labels[here], units[here]
            p = calibration.logistic_link(gaps[here], given[0], units=given[1], seed=seed)
            loss = calibration.log_loss(p, given[0], units=given[1])
            brier = calibration.brier_score(p, given[0], units=given[1])
            error = calibration.calibration_error(p, given[0], units=given[1], seed=seed)
            rows.append(
                [
                    *(truth.dimension, model, loss.value, *bounds(loss.interval)),
                    *(brier.value, *bounds(brier.interval), error.value, *bounds(error.interval)),
                    *(error.if_calibrated, error.n),
                ]
            )
    ends = [
        f"{name}{end}" for name in ("log loss", "Brier", "ECE") for end in ("", " low", " high")
    ]
    return Table(
        title=PROBABILITY,
        columns=["dimension", "model", *ends, "ECE if calibrated", "n"],
        rows=rows,
        note="On gt; pairs that the listeners hold equal count as half. The probability is a "
        "logistic link on the difference of the model’s values, fitted to the pairs of the other "
        "triplets (10 folds). Log loss (nats) of one who always says one half: 0.693; Brier "
        "score: 0.25 less half the share of equal pairs. ECE: expected calibration error in ten "
        "bins of equal numbers of pairs; few pairs alone make it positive, by “if calibrated”. "
        "Intervals over triplets.",
    )


def selective_table(truths: Sequence[Truth], values: Values) -> Table:
    """Return accuracy on the pairs of gt that a model puts farthest apart, by their share."""
    rows: Rows = []
    for truth in truths:
        for model, column in values[truth.dimension].items():
            right, scored = pairwise.credit(truth.judge(column), ties="half").T
            if scored.sum() < FEWEST:
                continue
            found = calibration.selective_accuracy(
                np.abs(column[truth.song_a] - column[truth.song_b]),
                _where(right, scored > 0),
                units=truth.triplets,
            )
            for share, one in zip(found.shares, found.accuracy, strict=True):
                if one.n >= FEWEST:
                    ends = bounds(one.interval)
                    rows.append([truth.dimension, model, share, one.value, *ends, one.n])
    return Table(
        title=SELECTIVE,
        columns=["dimension", "model", "share", "accuracy", "low", "high", "n"],
        rows=rows,
        note="On gt, predicted ties half. A share of the pairs: those that the model puts farthest "
        "apart. Intervals over triplets.",
    )


def _where(values: Floats, kept: np.ndarray) -> Floats:
    return np.asarray(np.where(kept, values, np.nan))
