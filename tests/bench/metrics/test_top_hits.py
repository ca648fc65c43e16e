"""Top hits: the highest exact score, ties against the model, whatever the size of the set."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.bench.metrics.ranks import count_ranks, top_hits


def unit(rng, shape, dtype=np.float32):
    rows = rng.normal(size=shape)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_is_the_argmax_where_nothing_ties(dtype):
    rng = np.random.default_rng(0)
    queries, items = unit(rng, (150, 16), dtype), unit(rng, (170, 16), dtype)
    relevance = rng.integers(170, size=150)
    expected = (queries.astype(float) @ items.astype(float).T).argmax(axis=1)
    assert np.array_equal(top_hits(queries, items, relevance), expected)


@given(st.integers(0, 2**32 - 1), st.integers(1, 90), st.integers(1, 12))
def test_breaks_ties_against_the_model(seed, n_queries, n_items):
    rng = np.random.default_rng(seed)
    queries = rng.integers(-1, 2, size=(n_queries, 2)).astype(float)
    items = rng.integers(-1, 2, size=(n_items, 2)).astype(float)
    relevance = [
        set(rng.choice(n_items, size=rng.integers(1, n_items + 1), replace=False).tolist())
        for _ in range(n_queries)
    ]
    for row, hit in enumerate(top_hits(queries, items, relevance)):
        scores = (items @ queries[row]).tolist()
        tied = [item for item, score in enumerate(scores) if score == max(scores)]
        wrong = [item for item in tied if item not in relevance[row]]
        assert hit == (wrong or tied)[0]


def test_a_constant_model_is_never_right():
    rows = np.full((300, 64), 0.125, np.float32)
    assert not (top_hits(rows, rows) == np.arange(300)).any()


def test_vectors_that_single_precision_cannot_tell_apart_are_told_apart():
    rng = np.random.default_rng(1)
    centre = unit(rng, (1, 64))
    items = (centre + 1e-6 * rng.normal(size=(200, 64))).astype(np.float32)
    queries = unit(rng, (80, 64))
    expected = [
        (items.astype(float) * query.astype(float)).sum(axis=1).argmax() for query in queries
    ]
    assert top_hits(queries, items, np.zeros(80, int)).tolist() == expected


def test_an_item_with_a_twin_is_never_a_right_top_hit():
    rng = np.random.default_rng(2)
    items = unit(rng, (40, 4)).repeat(2, axis=0)
    queries = unit(rng, (80, 4))
    ranks = count_ranks(queries, items)
    alone = (ranks.higher == 0) & (ranks.tied == 1)
    assert not alone.any()  # each item has a twin
    assert not (top_hits(queries, items) == np.arange(80)).any()


def test_refuses_what_ranks_refuse():
    with pytest.raises(ValueError, match="dimension 2 and items 3"):
        top_hits(np.ones((2, 2)), np.ones((2, 3)))
    with pytest.raises(ValueError, match="vector 1 of items holds nan"):
        top_hits(np.ones((2, 2)), [[1.0, 0.0], [np.nan, 0.0]])
