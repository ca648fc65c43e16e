"""How fast intervals are: of ranking metrics over tags, and of many metrics of paired models.

Run it by name (it is no part of the tests): ``pytest bench/speed/test_tagging_speed.py -s``.

Both sides run in turns in one process, and the ratio of their best runs is asserted. The loop over
scikit-learn is timed on a few replicates and scaled to 1,000, for each costs the same. Results are
compared before anything is timed: tag scores of the same replicates at 1e-12; intervals of means,
for which the two sides draw other numbers, within their Monte Carlo error.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
from pytest_benchmark.fixture import BenchmarkFixture
from sklearn.metrics import average_precision_score, roc_auc_score

from earmark.bench.metrics.base import Floats
from earmark.bench.metrics.presorted import draw_weights
from earmark.bench.metrics.statistics import Interval, percentile_interval, resample_sums
from earmark.bench.metrics.tagging import resample_scores

ROUNDS = 3
TAGGING_TARGET, PAIRED_TARGET = 30, 8
# MagnaTagATune's test clips and tags; MusicCaps' clips.
N_CLIPS, N_TAGS, TAGGING_REPLICATES, LOOP_REPLICATES = 4_332, 50, 1_000, 8
N_ITEMS, N_METRICS, PAIRED_REPLICATES = 4_283, 12, 10_000


def best_of_turns(*runs: Callable[[], object]) -> list[float]:
    """Return the least wall-clock seconds of each run, which take turns."""
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(ROUNDS):
        for run, taken in zip(runs, seconds, strict=True):
            start = time.perf_counter()
            run()
            taken.append(time.perf_counter() - start)
    return [min(taken) for taken in seconds]


def report(benchmark: BenchmarkFixture, ours: float, theirs: float, name: str) -> float:
    ratio = theirs / ours
    benchmark.extra_info.update({"seconds": ours, f"{name}_seconds": theirs, "ratio": ratio})
    print(f"\n{ours:.2f} s, {name} {theirs:.2f} s: {ratio:.1f} times faster")
    return ratio


@pytest.mark.parametrize("decimals", [2, 12], ids=["ties", "no ties"])
def test_tagging_intervals_against_scikit_learn_in_a_loop(
    benchmark: BenchmarkFixture, decimals: int
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

    np.testing.assert_allclose(ours()[:, :LOOP_REPLICATES], loop(), rtol=0, atol=1e-12)
    seconds, few = best_of_turns(ours, loop)
    benchmark.pedantic(ours, rounds=1)  # type: ignore[no-untyped-call]
    scaled = few * TAGGING_REPLICATES / LOOP_REPLICATES
    assert report(benchmark, seconds, scaled, "scikit-learn") >= TAGGING_TARGET


def test_paired_intervals_of_many_metrics_against_scipy_metric_by_metric(
    benchmark: BenchmarkFixture,
) -> None:
    rng = np.random.default_rng(0)
    skill = rng.normal(size=(N_ITEMS, 1))
    first, second = (skill + rng.normal(size=(N_ITEMS, N_METRICS)) for _ in range(2))
    # Half are hits (recall at k), the others have as many values as items (reciprocal ranks).
    for model in (first, second):
        model[:, ::2] = model[:, ::2] > 1
    paired = first - second  # given to both sides

    def ours() -> list[Interval]:
        means = resample_sums(paired, replicates=PAIRED_REPLICATES, seed=0) / N_ITEMS
        return [percentile_interval(column) for column in means.T]

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
    # An end's Monte Carlo error is 0.027 standard errors of the mean; five of their difference.
    for interval, reference, error in zip(ours(), metric_by_metric(), errors, strict=True):
        assert (interval.low, interval.high) == pytest.approx(tuple(reference), abs=0.19 * error)
    seconds, reference_seconds = best_of_turns(ours, metric_by_metric)
    benchmark.pedantic(ours, rounds=1)  # type: ignore[no-untyped-call]
    assert report(benchmark, seconds, reference_seconds, "scipy") >= PAIRED_TARGET
