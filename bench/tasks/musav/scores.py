"""Scores and comparisons on all ground-truth sets of one dimension.

Units are triplets. A set is a part of ``gt`` and holds no pair of some triplets. Models are
compared with half credit for predicted ties, on the pairs that none of them misses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.bench.metrics import pairwise
from earmark.bench.metrics.base import Metric
from earmark.bench.metrics.pairwise import PAIRWISE_ACCURACY, Outcome, Outcomes, Ties
from earmark.bench.tasks.musav.truth import Truth
from earmark.bench.tasks.task import comparison_of, item_digest, score_of
from earmark.reports.record import lookup as scores
from earmark.reports.record.schema import Comparison, Score

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
    digests = {subset: item_digest(truth.ids[member]) for subset, member in truth.members.items()}
    return DimensionScores(
        {
            subset: [
                _score(truth, subset, model, codes, metric, ties, digests[subset])
                for model, codes in outcomes.items()
                for metric, ties in RULES
            ]
            for subset in truth.members
        },
        {
            subset: _comparisons(truth, subset, outcomes, replicates=replicates, seed=seed)
            for subset in truth.members
        },
    )


def _score(
    truth: Truth,
    subset: str,
    model: str,
    codes: Outcomes,
    metric: Metric,
    ties: Ties,
    digest: str,
) -> Score:
    member = truth.members[subset]
    counts = pairwise.agreement(codes[member], ties=ties)
    estimate = pairwise.estimate(codes[member], units=truth.triplets[member], ties=ties)
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
    truth: Truth, subset: str, outcomes: Mapping[str, Outcomes], *, replicates: int, seed: int
) -> list[Comparison]:
    compared = _compared(outcomes, truth.members[subset])
    models = list(compared)
    if len(models) < 2:
        return []
    common = compared[models[0]]
    judged = pairwise.credit(outcomes[models[0]][common], ties="half")[:, 1] > 0
    n_triplets = len(np.unique(truth.triplets[common][judged]))
    if n_triplets < 2:
        return []
    found = pairwise.compare(
        [outcomes[model][common] for model in models],
        units=truth.triplets[common],
        ties="half",
        replicates=replicates,
        seed=seed,
    )
    return [
        comparison_of(
            one,
            models,
            metric=HALF_CREDIT.name,
            subset=subset,
            dimension=truth.dimension,
            unit="triplet",
            n_units=n_triplets,
            n=int(judged.sum()),
        )
        for one in found
    ]
