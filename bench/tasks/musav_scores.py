"""Scores and comparisons on all ground-truth sets of one dimension, from one resampling.

The triplets of ``gt`` are resampled once; every set's and every model's sums come from the same
draws. A set is a part of ``gt`` and holds no pair of some triplets, so its size varies with the
draw, as it would in another sample of triplets. All differences are paired.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from earmark.bench.metrics import pairwise
from earmark.bench.metrics.base import Floats, Metric
from earmark.bench.metrics.comparisons import (
    PairedComparison,
    holm,
    minimum_detectable_difference,
    randomisation_test,
)
from earmark.bench.metrics.pairwise import PAIRWISE_ACCURACY, Outcome, Outcomes, Ties
from earmark.bench.metrics.statistics import (
    Estimate,
    percentile_interval,
    ratio,
    resample_sums,
    unit_sums,
)
from earmark.bench.tasks.base import comparison_of, item_digest, score_of
from earmark.bench.tasks.musav_truth import Truth
from earmark.reports import scores
from earmark.reports.record import Comparison, Score

HALF_CREDIT = Metric(scores.HALF_CREDIT, higher_is_better=True, lower=0.0, upper=1.0, chance=0.5)
Mask = NDArray[np.bool_]
RULES: tuple[tuple[Metric, Ties], ...] = ((HALF_CREDIT, "half"), (PAIRWISE_ACCURACY, "official"))


@dataclass(frozen=True)
class DimensionScores:
    """What :func:`score_dimension` finds, by ground-truth set."""

    scores: Mapping[str, list[Score]]
    comparisons: Mapping[str, list[Comparison]]


def score_dimension(
    truth: Truth, outcomes: Mapping[str, Outcomes], *, replicates: int, seed: int
) -> DimensionScores:
    """Score and compare models by their outcomes on the pairs of ``gt``."""
    columns = _Columns(truth)
    for subset, member in truth.members.items():
        for model, codes in outcomes.items():
            for metric, ties in RULES:
                columns.add((subset, model, metric.name), codes, member, ties)
        for model, common in _compared(outcomes, member).items():
            columns.add((subset, model, "common"), outcomes[model], common, "half")
    columns.resample(replicates=replicates, seed=seed)
    digests = {subset: item_digest(truth.ids[member]) for subset, member in truth.members.items()}
    return DimensionScores(
        {
            subset: [
                _score(truth, subset, model, codes, columns, metric, ties, digests[subset])
                for model, codes in outcomes.items()
                for metric, ties in RULES
            ]
            for subset in truth.members
        },
        {
            subset: _comparisons(truth, subset, outcomes, columns, seed=seed)
            for subset in truth.members
        },
    )


class _Columns:
    """Numerators and denominators by name, summed over triplets and resampled together."""

    def __init__(self, truth: Truth) -> None:
        self._triplets = truth.triplets
        self._names: list[tuple[str, str, str]] = []
        self._added: list[Floats] = []
        self._found: dict[tuple[str, str, str], tuple[Floats, Floats]] = {}

    def add(self, name: tuple[str, str, str], codes: Outcomes, member: Mask, ties: Ties) -> None:
        self._names.append(name)
        self._added.append(pairwise.credit(codes, ties=ties) * member[:, None])

    def resample(self, *, replicates: int, seed: int) -> None:
        # Without predicted ties or gaps most columns are the same: models share denominators.
        distinct, place = np.unique(np.hstack(self._added), axis=1, return_inverse=True)
        sums = unit_sums(distinct, self._triplets)
        replicated = resample_sums(sums, replicates=replicates, seed=seed)
        for name, columns in zip(self._names, place.reshape(-1, 2), strict=True):
            self._found[name] = sums[:, columns], replicated[:, columns]

    def of(self, name: tuple[str, str, str]) -> tuple[Floats, Floats]:
        """Return numerator and denominator by triplet, and by replicate."""
        return self._found[name]


def _score(
    truth: Truth,
    subset: str,
    model: str,
    codes: Outcomes,
    columns: _Columns,
    metric: Metric,
    ties: Ties,
    digest: str,
) -> Score:
    member = truth.members[subset]
    counts = pairwise.agreement(codes[member], ties=ties)
    by_triplet, replicated = columns.of((subset, model, metric.name))
    interval = percentile_interval(ratio(replicated)) if counts.scored else None
    n_triplets = int(np.count_nonzero(by_triplet[:, 1]))
    estimate = Estimate(counts.accuracy, interval, counts.scored, n_triplets, counts.reason)
    return score_of(
        metric,
        estimate,
        unit="triplet",
        model=model,
        subset=subset,
        dimension=truth.dimension,
        n_items=counts.pairs,
        correct=counts.correct,
        ties=counts.tied,
        item_digest=digest,
    )


def _compared(outcomes: Mapping[str, Outcomes], member: Mask) -> dict[str, Mask]:
    """Return the models with any prediction in a set, each with the pairs that none misses."""
    judged = {model: codes != Outcome.MISSING for model, codes in outcomes.items()}
    models = [model for model, seen in judged.items() if np.any(seen & member)]
    common: Mask = np.logical_and.reduce([member, *(judged[model] for model in models)])
    return dict.fromkeys(models, common)


def _comparisons(
    truth: Truth, subset: str, outcomes: Mapping[str, Outcomes], columns: _Columns, *, seed: int
) -> list[Comparison]:
    models = list(_compared(outcomes, truth.members[subset]))
    pairs = list(combinations(range(len(models)), 2))
    found = [columns.of((subset, model, "common")) for model in models]
    if not pairs or not found[0][0][:, 1].any():
        return []
    tests = [randomisation_test(found[i][0][:, 0] - found[j][0][:, 0], seed=seed) for i, j in pairs]
    adjusted = holm([test.p_value for test in tests])
    n = int(found[0][0][:, 1].sum())
    comparisons = []
    for (i, j), test, p_holm in zip(pairs, tests, adjusted, strict=True):
        (first, first_replicated), (second, second_replicated) = found[i], found[j]
        replicated = ratio(first_replicated) - ratio(second_replicated)
        error = float(np.nanstd(replicated))
        compared = PairedComparison(
            first=i,
            second=j,
            difference=float((first[:, 0] - second[:, 0]).sum() / n),
            interval=percentile_interval(replicated),
            p_value=test.p_value,
            exact=test.exact,
            p_holm=float(p_holm),
            standard_error=error,
            minimum_detectable_difference=minimum_detectable_difference(error),
        )
        comparisons.append(
            comparison_of(
                compared,
                models,
                metric=HALF_CREDIT.name,
                subset=subset,
                dimension=truth.dimension,
                unit="triplet",
                n_units=int(np.count_nonzero(first[:, 1])),
                n=n,
            )
        )
    return comparisons
