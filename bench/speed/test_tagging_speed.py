"""How fast intervals are: of ranking metrics over tags, and of many metrics of paired models.

The loop over scikit-learn is timed on a few replicates and scaled to 1,000, for each costs the
same. Tag scores of the same replicates are equal at 1e-12; intervals of means, for which the two
sides draw other numbers, within their Monte Carlo error.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import average_precision_score, roc_auc_score

from earmark.bench.metrics.base import Floats
from earmark.bench.metrics.comparisons import compare
from earmark.bench.metrics.intervals import Interval
from earmark.bench.metrics.tagging import draw_weights, resample_scores
from earmark.reports.page.speed import Ratio

# MagnaTagATune's test clips and tags; MusicCaps' clips.
N_CLIPS, N_TAGS, TAGGING_REPLICATES, LOOP_REPLICATES = 4_332, 50, 1_000, 8
N_ITEMS, N_METRICS, PAIRED_REPLICATES = 4_283, 12, 10_000


@pytest.mark.parametrize(("decimals", "kind"), [(2, "tied scores"), (12, "no ties")])
def test_tagging_intervals_against_scikit_learn_in_a_loop(
    ratio: Callable[..., Ratio], decimals: int, kind: str
) -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random((N_CLIPS, N_TAGS)) < np.geomspace(0.01, 0.25, N_TAGS)).astype(int)
    scores = np.round(labels + rng.normal(size=labels.shape), decimals)
    _, weights = next(draw_weights(None, N_CLIPS, replicates=LOOP_REPLICATES, seed=0))
    drawn = [np.repeat(np.arange(N_CLIPS), counts) for counts in weights.T.astype(int)]

    def ours() -> Floats:
        found = resample_scores(labels, [scores], replicates=TAGGING_REPLICATES, seed=0)
        return np.asarray(found[0])

    def loop() -> Floats:
        found = [
            [
                function(labels[clips], scores[clips], average=None)
                for function in (roc_auc_score, average_precision_score)
            ]
            for clips in drawn
        ]
        by_metric: Floats = np.stack(found, axis=1)
        return by_metric

    def same(mine: Floats, theirs: Floats) -> None:
        np.testing.assert_allclose(mine[:, :LOOP_REPLICATES], theirs, rtol=0, atol=1e-12)

    ratio(
        f"tagging intervals, {kind}",
        ours=ours,
        plain=loop,
        same=same,
        rounds=6,
        processor_time=True,
        share=LOOP_REPLICATES / TAGGING_REPLICATES,
    )


def test_paired_intervals_of_many_metrics_against_scipy_metric_by_metric(
    ratio: Callable[..., Ratio],
) -> None:
    rng = np.random.default_rng(0)
    skill = rng.normal(size=(N_ITEMS, 1))
    first, second = (skill + rng.normal(size=(N_ITEMS, N_METRICS)) for _ in range(2))
    # Half are hits (recall at k), the others have as many values as items (reciprocal ranks).
    for model in (first, second):
        model[:, ::2] = model[:, ::2] > 1
    paired = first - second  # given to both sides

    both = np.stack([first, second]).transpose(2, 0, 1)  # (n_metrics, n_models, n_items)
    columns = np.stack([both, np.ones_like(both)], axis=3)

    def ours() -> list[Interval]:
        return [
            compare(of_metric, replicates=PAIRED_REPLICATES, seed=0)[0].interval
            for of_metric in columns
        ]

    def metric_by_metric() -> list[tuple[float, float]]:
        # Kind to scipy: in batches that fit the cache it takes far less time than by default.
        return [
            scipy.stats.bootstrap(
                (column,),
                np.mean,
                n_resamples=PAIRED_REPLICATES,
                batch=100,
                method="percentile",
                rng=np.random.default_rng(0),
            ).confidence_interval
            for column in paired.T
        ]

    errors = np.std(paired, axis=0) / np.sqrt(N_ITEMS)

    def same(mine: list[Interval], theirs: list[tuple[float, float]]) -> None:
        # An end's Monte Carlo error is 0.027 standard errors of the mean; five of a difference.
        for interval, reference, error in zip(mine, theirs, errors, strict=True):
            ends = pytest.approx(tuple(reference), abs=0.19 * error)
            assert (interval.low, interval.high) == ends

    ratio(
        "paired intervals of 12 metrics",
        ours=ours,
        plain=metric_by_metric,
        same=same,
        rounds=6,
        processor_time=True,
    )
