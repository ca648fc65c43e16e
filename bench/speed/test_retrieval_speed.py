"""How fast ranks are counted, and in how much memory, against what cannot be done without.

Run it by name (it is no part of the tests): ``pytest bench/speed/test_retrieval_speed.py -s``.

The bare product is one full single-precision product of queries and items, in the same tiles, whose
scores are thrown away: the least that any exact way must do. The plain way is what evaluation
scripts do: the whole similarity matrix, sorted along either axis. Both ways run in turns and the
ratio of their best runs is asserted, after their results are found equal. Memory is the peak of
a process of its own, above what it held with the inputs in place.

A product of two threads waits for both: where the machine's cores are busy with others' work, the
ratio to the single-threaded sort says nothing, and that test prints its figures and skips.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from earmark.bench.metrics import retrieval
from earmark.bench.metrics.products import Products, validate
from earmark.bench.metrics.ranks import Ranks, count_ranks_both_ways

DIMENSION = 512
MOST_MEGABYTES = 250
MOST_GROWTH_MEGABYTES = 50
MOST_TIMES_THE_PRODUCT = 2.0
LEAST_TIMES_FASTER = 5.0
MOST_LOAD = 1.5

_PEAK_MEMORY = """
import sys
import numpy as np
from earmark.bench.metrics.ranks import count_ranks_both_ways

def megabytes(field):
    line = next(line for line in open("/proc/self/status") if line.startswith(field))
    return int(line.split()[1]) / 1024

rng, n = np.random.default_rng(0), int(sys.argv[1])
queries, items = (rng.standard_normal((n, 512), dtype=np.float32) for _ in range(2))
for vectors in (queries, items):
    vectors /= np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
open("/proc/self/clear_refs", "w").write("5")  # the peak starts anew
before = megabytes("VmRSS")
count_ranks_both_ways(queries, items)
print(megabytes("VmHWM") - before)
"""

Vectors = NDArray[np.float32]


def embeddings(n_queries: int, n_items: int, relevance: NDArray[Any]) -> tuple[Vectors, Vectors]:
    """Return unit vectors of which a query's is near its item's, as a trained model gives."""
    rng = np.random.default_rng(0)
    items = rng.standard_normal((n_items, DIMENSION), dtype=np.float32)
    queries = rng.standard_normal((n_queries, DIMENSION), dtype=np.float32)
    queries += np.float32(0.15) * items[relevance]
    for vectors in (queries, items):
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return queries, items


def bare_product(queries: Vectors, items: Vectors) -> None:
    n_rows, n_columns = Products(*validate(queries[:1], items[:1])).tile_shape
    for row in range(0, len(queries), n_rows):
        for column in range(0, len(items), n_columns):
            queries[row : row + n_rows] @ items[column : column + n_columns].T


def sorted_places(scores: NDArray[Any]) -> NDArray[np.intp]:
    """Return the rank, from 0, of each item for each query."""
    places = np.empty(scores.shape, np.intp)
    order = np.argsort(-scores, axis=1)
    np.put_along_axis(places, order, np.arange(scores.shape[1])[None], axis=1)
    return places


def argsort_both_ways(
    queries: NDArray[Any], items: NDArray[Any], relevance: NDArray[Any]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the places of (query, item) pairs: of the items, and of the queries."""
    scores, query = queries @ items.T, np.arange(len(queries))
    return (
        sorted_places(scores)[query, relevance],
        sorted_places(np.ascontiguousarray(scores.T))[relevance, query],
    )


def assert_same_ranks(
    both: tuple[Ranks, Ranks], queries: Vectors, items: Vectors, relevance: NDArray[Any]
) -> None:
    there, back = argsort_both_ways(queries.astype(float), items.astype(float), relevance)
    order = np.lexsort((np.arange(len(queries)), relevance))
    assert all((each.tied == 1).all() for each in both)
    np.testing.assert_array_equal(both[0].higher, there)
    np.testing.assert_array_equal(both[1].higher, back[order])


def best_in_turns(*ways: Callable[[], object], rounds: int) -> list[float]:
    taken: list[list[float]] = [[] for _ in ways]
    for _ in range(rounds):
        for seconds, way in zip(taken, ways, strict=True):
            start = time.perf_counter()
            way()
            seconds.append(time.perf_counter() - start)
    return [min(seconds) for seconds in taken]


def report(benchmark: BenchmarkFixture, what: str, **figures: float) -> None:
    benchmark.extra_info |= figures
    print(f"\n{what}: " + ", ".join(f"{name} {value:.3g}" for name, value in figures.items()))


def record(benchmark: Any, run: Callable[[], object]) -> None:
    """Time ours once more for pytest-benchmark's own table (its fixture is not annotated)."""
    benchmark.pedantic(run, rounds=1)


def peak_megabytes(n: int) -> float:
    command = [sys.executable, "-c", _PEAK_MEMORY, str(n)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)


def test_20_000_pairs_take_little_more_than_their_product(benchmark: BenchmarkFixture) -> None:
    pairs = np.arange(20_000)
    queries, items = embeddings(20_000, 20_000, pairs)
    forward, backward = count_ranks_both_ways(queries, items)
    some = slice(5000, 5500)  # against all others, in double precision
    for ranks, own, others in ((forward, queries, items), (backward, items, queries)):
        scores = own[some].astype(float) @ others.T.astype(float)
        aligned = scores[np.arange(500), pairs[some]]
        np.testing.assert_array_equal(ranks.higher[some], (scores > aligned[:, None]).sum(axis=1))
        del scores
    ours, bare = best_in_turns(
        lambda: count_ranks_both_ways(queries, items),
        lambda: bare_product(queries, items),
        rounds=3,
    )
    figures = {"seconds": ours, "product_seconds": bare, "times_the_product": ours / bare}
    report(benchmark, "both directions, n = 20,000", **figures)
    record(benchmark, lambda: count_ranks_both_ways(queries, items))
    assert ours / bare <= MOST_TIMES_THE_PRODUCT


def test_5_000_pairs_are_ranked_faster_than_by_sorting(benchmark: BenchmarkFixture) -> None:
    load, pairs = os.getloadavg()[0], np.arange(5000)
    queries, items = embeddings(5000, 5000, pairs)
    assert_same_ranks(count_ranks_both_ways(queries, items), queries, items, pairs)
    ours, plain = best_in_turns(
        lambda: count_ranks_both_ways(queries, items),
        lambda: argsort_both_ways(queries, items, pairs),
        rounds=3,
    )
    figures = {"seconds": ours, "argsort_seconds": plain, "times_faster": plain / ours}
    report(benchmark, "both directions, n = 5,000", **figures, load_before=load)
    record(benchmark, lambda: count_ranks_both_ways(queries, items))
    if load > MOST_LOAD:
        pytest.skip(f"load {load:.1f} before it began: others are at work, no measurement")
    assert plain / ours >= LEAST_TIMES_FASTER


def test_706_tracks_with_1_106_captions(benchmark: BenchmarkFixture) -> None:
    track = np.sort(np.concatenate([np.arange(706), np.arange(400) % 100]))
    captions, tracks = embeddings(1106, 706, track)
    both = count_ranks_both_ways(captions, tracks, track)
    assert both[1].n_queries == 706
    assert np.bincount(both[1].query).max() == 5
    assert_same_ranks(both, captions, tracks, track)
    ours, plain = best_in_turns(
        lambda: count_ranks_both_ways(captions, tracks, track),
        lambda: argsort_both_ways(captions, tracks, track),
        rounds=10,
    )
    (intervals,) = best_in_turns(lambda: retrieval.evaluate(both[0], units=track, seed=0), rounds=1)
    figures = {"seconds": ours, "argsort_seconds": plain, "times_faster": plain / ours}
    report(benchmark, "706 tracks, 1,106 captions", **figures, seconds_of_all_intervals=intervals)
    record(benchmark, lambda: count_ranks_both_ways(captions, tracks, track))
    assert ours < plain


@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from Linux's /proc"
)
def test_memory_stays_flat(benchmark: BenchmarkFixture) -> None:
    peaks = {n: peak_megabytes(n) for n in (10_000, 20_000, 50_000)}
    named = {f"megabytes_{n}": peak for n, peak in peaks.items()}
    report(benchmark, "peak above the inputs", **named)
    record(benchmark, lambda: None)
    assert max(peaks.values()) < MOST_MEGABYTES
    assert peaks[50_000] - peaks[10_000] < MOST_GROWTH_MEGABYTES
