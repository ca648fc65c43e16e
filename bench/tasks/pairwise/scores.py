"""Scores and comparisons on all ground-truth sets of one dimension.

Units are triplets. A set is a part of ``gt`` and holds no pair of some triplets. Models are
compared with half credit for predicted ties, on the pairs that none of them misses.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from earmark.bench.metrics.base import Metric
from earmark.bench.metrics.pairs import pairwise
from earmark.bench.metrics.pairs.pairwise import PAIRWISE_ACCURACY, Outcome, Outcomes, Ties
from earmark.bench.scoring.items import (
    About,
    Arrays,
    DerivedSubsets,
    UnmeasurableError,
    undetermined,
)
from earmark.bench.scoring.results import score_of
from earmark.bench.scoring.statistic import SumStatistic
from earmark.bench.tasks.pairwise.truth import BREAKDOWNS, Truth
from earmark.bench.tasks.task import item_digest
from earmark.datasets.judgements.rules import SUBSETS
from earmark.reports.record import lookup as scores
from earmark.reports.record.schema import Score

if TYPE_CHECKING:
    import pandas as pd


HALF_CREDIT = Metric(scores.HALF_CREDIT, higher_is_better=True, lower=0.0, upper=1.0, chance=0.5)
RULES: tuple[tuple[Metric, Ties], ...] = ((HALF_CREDIT, "half"), (PAIRWISE_ACCURACY, "official"))
TRUTH = frozenset({"unit", "truth", "triplet_type", *SUBSETS})
OUTCOMES = frozenset({"difference", "outcome"})


def score_dimension(truth: Truth, outcomes: Mapping[str, Outcomes]) -> list[Score]:
    """Score models by their outcomes on the pairs of ``gt``, on each ground-truth set."""
    digests = {subset: item_digest(truth.ids[member]) for subset, member in truth.members.items()}
    return [
        _score(truth, subset, model, codes, metric, ties, digests[subset])
        for subset in truth.members
        for model, codes in outcomes.items()
        for metric, ties in RULES
    ]


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


def measure(score: Score, rows: pd.DataFrame, arrays: Arrays, about: About) -> SumStatistic:
    """Return the statistic of judged pairs that a score is of."""
    ties = {metric.name: rule for metric, rule in RULES}.get(score.metric)
    if ties is None or not {"truth", "outcome"} <= set(rows.columns):
        raise undetermined(score.metric)
    codes = rows["outcome"].to_numpy(dtype=np.float64, na_value=np.nan)
    missing = np.isnan(codes)
    strange = ~missing & ~np.isin(codes, [-1, 0, 1])
    if strange.any():
        raise UnmeasurableError(
            f"an outcome of a pair is {codes[strange][0]}", cause="NaN or infinity"
        )
    codes = np.where(missing, Outcome.MISSING, codes)
    codes = np.where((rows["truth"] == "ab").to_numpy(), Outcome.TRUTH_TIED, codes)
    return SumStatistic(pairwise.credit(codes.astype(np.int8), ties=ties))


def _triplets(items: pd.DataFrame, *, of_any: bool) -> NDArray[np.bool_]:
    return np.asarray(
        ((items["triplet_type"] == "global_triplet") == of_any).to_numpy()
        & items["gt"].to_numpy(bool)
    )


DERIVED_SUBSETS: DerivedSubsets = {
    BREAKDOWNS[0]: partial(_triplets, of_any=False),
    BREAKDOWNS[1]: partial(_triplets, of_any=True),
}
