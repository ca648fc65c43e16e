"""How fast ranks are counted, and in how much memory, against what cannot be done without.

The bare product is one full single-precision product of queries and items, in the same tiles, whose
scores are thrown away: the least that any exact way must do. The plain way is what evaluation
scripts do: the whole similarity matrix, sorted along either axis. Both sides have one thread, and
processor time is compared: a product of two threads waits for both, and on a busy machine that says
nothing. Memory is the peak of a process of its own, above what it held with the inputs in place.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from earmark.bench.metrics.ranks import Products, Ranks, count_ranks_both_ways, validate
from earmark.reports.page.speed import Ratio

DIMENSION = 512
MOST_MEGABYTES = 250
MOST_GROWTH_MEGABYTES = 50

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


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


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
    both: tuple[Ranks, Ranks],
    places: tuple[NDArray[np.intp], NDArray[np.intp]],
    relevance: NDArray[Any],
) -> None:
    order = np.lexsort((np.arange(len(relevance)), relevance))
    assert all((each.tied == 1).all() for each in both)
    np.testing.assert_array_equal(both[0].higher, places[0])
    np.testing.assert_array_equal(both[1].higher, places[1][order])


def peak_megabytes(n: int) -> float:
    command = [sys.executable, "-c", _PEAK_MEMORY, str(n)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)


def test_20_000_pairs_take_little_more_than_their_product(ratio: Callable[..., Ratio]) -> None:
    pairs = np.arange(20_000)
    queries, items = embeddings(20_000, 20_000, pairs)

    def same(both: tuple[Ranks, Ranks], nothing: None) -> None:
        some = slice(5000, 5500)  # against all others, in double precision
        for ranks, own, others in ((both[0], queries, items), (both[1], items, queries)):
            scores = own[some].astype(float) @ others.T.astype(float)
            higher = (scores > scores[np.arange(500), pairs[some]][:, None]).sum(axis=1)
            np.testing.assert_array_equal(ranks.higher[some], higher)

    ratio(
        "ranks of 20,000 pairs, both directions",
        ours=lambda: count_ranks_both_ways(queries, items),
        plain=lambda: bare_product(queries, items),
        same=same,
        rounds=6,
        processor_time=True,
    )


def test_5_000_pairs_are_ranked_faster_than_by_sorting(ratio: Callable[..., Ratio]) -> None:
    pairs = np.arange(5000)
    queries, items = embeddings(5000, 5000, pairs)
    ratio(
        "ranks of 5,000 pairs, both directions",
        ours=lambda: count_ranks_both_ways(queries, items),
        plain=lambda: argsort_both_ways(queries, items, pairs),
        # In double precision: of the plain way's own, neighbours may be exchanged by rounding.
        same=lambda both, _: assert_same_ranks(
            both, argsort_both_ways(queries.astype(float), items.astype(float), pairs), pairs
        ),
        rounds=6,
        processor_time=True,
    )


def test_706_tracks_with_1_106_captions(ratio: Callable[..., Ratio]) -> None:
    track = np.sort(np.concatenate([np.arange(706), np.arange(400) % 100]))
    captions, tracks = embeddings(1106, 706, track)

    def same(both: tuple[Ranks, Ranks], places: object) -> None:
        assert both[1].n_queries == 706
        assert np.bincount(both[1].query).max() == 5
        exact = argsort_both_ways(captions.astype(float), tracks.astype(float), track)
        assert_same_ranks(both, exact, track)

    ratio(
        "ranks of 1,106 captions of 706 tracks",
        ours=lambda: count_ranks_both_ways(captions, tracks, track),
        plain=lambda: argsort_both_ways(captions, tracks, track),
        same=same,
        rounds=15,
        processor_time=True,
    )


@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from Linux's /proc"
)
def test_memory_stays_flat(benchmark: BenchmarkFixture) -> None:
    peaks = {n: peak_megabytes(n) for n in (10_000, 20_000, 50_000)}
    benchmark.extra_info |= {f"megabytes_{n}": peak for n, peak in peaks.items()}
    pedantic: Any = benchmark.pedantic
    pedantic(lambda: None, rounds=1)  # a memory is no time, but the file keeps it
    assert max(peaks.values()) < MOST_MEGABYTES
    assert peaks[50_000] - peaks[10_000] < MOST_GROWTH_MEGABYTES
