"""Rank counting: against the whole matrix, whatever the tiles, the order and the copies."""

import warnings

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from matrix_ranks import rank_scores, rank_scores_both_ways

from earmark.bench.metrics.ranks import (
    Products,
    count_ranks,
    count_ranks_both_ways,
    dot_products,
    ranks_both_ways,
    relevant_pairs,
    validate,
)


def unit_vectors(n, dimension=16, *, seed=0, dtype=np.float32):
    vectors = np.random.default_rng(seed).standard_normal((n, dimension))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(dtype)


def exact_scores(queries, items):
    """Each score by itself, in double precision: what a product of matrices cannot give."""
    rows, columns = np.indices((len(queries), len(items)))
    found = dot_products(np.asarray(queries), np.asarray(items), rows.ravel(), columns.ravel())
    return found.reshape(rows.shape)


def whole_matrix_counts(scores, query, item):
    own = scores[query, item]
    return (
        (scores[query] > own[:, None]).sum(axis=1),
        (scores[query] == own[:, None]).sum(axis=1),
        (scores[:, item] > own).sum(axis=0),
        (scores[:, item] == own).sum(axis=0),
    )


def assert_counts(both, scores, query, item):
    forward, backward = both
    higher, tied, higher_back, tied_back = whole_matrix_counts(scores, query, item)
    order = np.lexsort((query, item))
    np.testing.assert_array_equal(forward.higher, higher)
    np.testing.assert_array_equal(forward.tied, tied)
    np.testing.assert_array_equal(backward.higher, higher_back[order])
    np.testing.assert_array_equal(backward.tied, tied_back[order])
    np.testing.assert_array_equal(backward.query, item[order])
    np.testing.assert_array_equal(backward.item, query[order])


def equal(one, other):
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("query", "item", "higher", "tied")
    )


@st.composite
def scored(draw):
    """Scores with ties and negative ones, and items relevant to each query, none left over."""
    n_queries, n_items = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    scores = rng.integers(-2, 3, (n_queries, n_items)) / 2
    relevant = rng.random((n_queries, n_items)) < draw(st.sampled_from([0.1, 0.5, 1]))
    relevant[np.arange(n_queries), rng.integers(n_items, size=n_queries)] = True
    relevant[rng.integers(n_queries, size=n_items), np.arange(n_items)] = True
    return scores, relevant


@given(scored())
def test_counts_are_those_of_the_whole_matrix(case):
    scores, relevant = case
    assert_counts(rank_scores_both_ways(scores, relevant), scores, *np.nonzero(relevant))


@given(scored())
def test_transposing_swaps_the_directions(case):
    scores, relevant = case
    forward, backward = rank_scores_both_ways(scores, relevant)
    back, there = rank_scores_both_ways(scores.T, relevant.T)
    assert equal(forward, there)
    assert equal(backward, back)
    assert equal(forward, rank_scores(scores, relevant))


@given(scored(), st.randoms(use_true_random=False))
def test_does_not_depend_on_the_order_of_queries_and_items(case, random):
    scores, relevant = case
    rows, columns = list(range(scores.shape[0])), list(range(scores.shape[1]))
    random.shuffle(rows)
    random.shuffle(columns)
    shuffled = rank_scores(scores[rows][:, columns], relevant[rows][:, columns])
    plain = rank_scores(scores, relevant)
    pairs = list(zip(plain.query, plain.item, plain.higher, plain.tied, strict=True))
    columns_of = zip(shuffled.query, shuffled.item, shuffled.higher, shuffled.tied, strict=True)
    assert sorted(pairs) == sorted((rows[q], columns[i], h, t) for q, i, h, t in columns_of)


@given(scored())
def test_does_not_depend_on_a_monotone_transform(case):
    scores, relevant = case
    assert equal(rank_scores(scores, relevant), rank_scores(np.exp(3 * scores) - 7, relevant))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(("n_queries", "n_items"), [(300, 300), (600, 2100), (1, 9), (257, 17)])
def test_products_are_ranked_as_their_exact_scores(dtype, n_queries, n_items):
    queries, items = (
        unit_vectors(n_queries, dtype=dtype),
        unit_vectors(n_items, seed=1, dtype=dtype),
    )
    relevant = np.zeros((n_queries, n_items), bool)
    relevant[np.arange(n_queries), np.arange(n_queries) * 7 % n_items] = True
    relevant[np.arange(n_items) * 3 % n_queries, np.arange(n_items)] = True
    both = count_ranks_both_ways(queries, items, relevant)
    assert_counts(both, exact_scores(queries, items), *np.nonzero(relevant))


@given(st.integers(7, 255), st.integers(7, 2040), st.integers(0, 3))
def test_the_size_of_the_tiles_changes_nothing(n_rows, n_columns, seed):
    sides = validate(unit_vectors(90, seed=seed), unit_vectors(90, seed=seed + 9))
    whole = ranks_both_ways(Products(*sides), "paired")
    tiled = ranks_both_ways(Products(*sides, tile_shape=(n_rows, n_columns)), "paired")
    assert equal(whole[0], tiled[0])
    assert equal(whole[1], tiled[1])


def test_what_single_precision_cannot_tell_apart_is_still_ranked():
    # Scores of 1, each a few parts in 10^9 above the last: all round to one float32.
    items = np.zeros((40, 512), np.float32)
    items[:, 0] = 1
    items[:, 1] = np.arange(40)
    queries = np.zeros((40, 512), np.float32)
    queries[:, 0], queries[:, 1] = 1, 3e-9
    assert len(np.unique(queries @ items.T)) < 40
    np.testing.assert_array_equal(count_ranks(queries, items).higher, np.arange(40)[::-1])


def test_equal_vectors_tie_wherever_they_stand_although_products_of_matrices_differ():
    vector = unit_vectors(1, 509)
    queries = np.vstack([unit_vectors(700, 509, seed=5), vector])
    items = np.vstack([unit_vectors(2500, 509, seed=6)] + [vector] * 3)
    items[[0, 3, 254, 1111, 2039, 2040]] = vector
    copies = [0, 3, 254, 1111, 2039, 2040, 2500, 2501, 2502]
    relevance = [{i, copies[i % 9]} for i in range(700)] + [set(copies)]
    found = count_ranks(queries, items, relevance)
    last = found.query == 700
    assert (found.tied[last] == 9).all()
    assert (found.higher[last] == 0).all()
    for query in range(700):  # other queries score the copies alike, and not as any other item
        own = found.tied[(found.query == query) & np.isin(found.item, copies)]
        assert (own == 9).all()


@pytest.mark.parametrize("both", [True, False])
def test_vectors_that_are_all_the_same_tie_all(both):
    constant = np.repeat(unit_vectors(1, 64), 600, axis=0)
    items = constant if both else unit_vectors(600, 64)
    forward, backward = count_ranks_both_ways(constant, items)
    assert (backward.tied == 600).all()
    assert (backward.higher == 0).all()
    assert (forward.tied == (600 if both else 1)).all()


def test_a_collapsed_space_is_ranked_as_its_exact_scores():
    centre = unit_vectors(1, 64)
    queries = centre + np.float32(1e-6) * unit_vectors(400, 64, seed=1)
    items = centre + np.float32(1e-6) * unit_vectors(400, 64, seed=2)
    assert_counts(
        count_ranks_both_ways(queries, items), exact_scores(queries, items), *[np.arange(400)] * 2
    )


@pytest.mark.parametrize("scale", [1e-30, 1e18])
def test_very_short_and_very_long_vectors_rank_as_others(scale):
    queries, items = unit_vectors(50), unit_vectors(50, seed=1)
    scaled = (queries * np.float32(scale), items * np.float32(scale))
    assert_counts(count_ranks_both_ways(*scaled), exact_scores(*scaled), *[np.arange(50)] * 2)


def test_relevance_has_several_forms():
    matrix = np.array([[True, False, True], [False, True, False]])
    for form in (matrix, scipy.sparse.csr_array(matrix), [{2, 0}, {1}], [[0, 2], [1]]):
        query, item = relevant_pairs(form, n_queries=2, n_items=3)
        assert (query.tolist(), item.tolist()) == ([0, 0, 1], [0, 2, 1])
    query, item = relevant_pairs([2, 0], n_queries=2, n_items=3)
    assert (query.tolist(), item.tolist()) == ([0, 1], [2, 0])


@pytest.mark.parametrize(
    ("relevance", "message"),
    [
        ("diagonal", "relevance is 'diagonal', expected 'paired'"),
        ("paired", "as many items as queries, got 2 queries and 3 items"),
        ([0, 3], "relevance of query 1 names item 3, expected 0 to 2"),
        ([0, -1], "relevance of query 1 names item -1"),
        ([0], r"relevance has shape \(1,\), expected \(2,\)"),
        ([{0}, set()], "query 1 has no relevant item"),
        ([{0}, {"x"}], "relevance of query 1 holds 'x'"),
        ([{0}, 1], "relevance of query 1 holds 1, expected a set"),
        ([[True, False], [True]], "relevance of query 0 holds True"),
        ([0.0, 1.0], "array of float64"),
        (np.eye(2, dtype=bool), r"relevance has shape \(2, 2\), expected \(2, 3\)"),
        (np.array([[1, 0, 0], [0, 0, 0]], bool), "query 1 has no relevant item"),
        (scipy.sparse.csr_array((2, 3), dtype=bool), "query 0 has no relevant item"),
    ],
)
def test_bad_relevance_is_named(relevance, message):
    with pytest.raises(ValueError, match=message):
        rank_scores(np.zeros((2, 3)), relevance)


def test_an_item_that_no_query_is_relevant_to_is_no_query_of_the_way_back():
    assert rank_scores(np.zeros((2, 3)), [0, 1]).n_items == 3
    with pytest.raises(ValueError, match="item 2 is relevant to no query"):
        rank_scores_both_ways(np.zeros((2, 3)), [0, 1])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_vector_that_is_not_finite_is_named(bad):
    items = unit_vectors(300)
    items[271, 3] = bad
    with pytest.raises(ValueError, match=f"vector 271 of items holds {bad}"):
        count_ranks_both_ways(unit_vectors(300), items)


def test_vectors_too_long_for_double_precision_are_refused():
    with pytest.raises(ValueError, match="vector 0 of queries is too long"):
        count_ranks(np.full((1, 2), 1e200), np.ones((1, 2)))


@pytest.mark.parametrize(
    ("queries", "items", "message"),
    [
        (np.ones((2, 3)), np.ones((2, 4)), "queries have dimension 3 and items 4"),
        (np.ones((0, 3)), np.ones((2, 3)), r"queries must be .* got float64 of shape \(0, 3\)"),
        (np.ones((2, 3)), np.ones(3), r"items must be .* got float64 of shape \(3,\)"),
        (np.ones((2, 3)), np.ones((2, 3), complex), "items must be real vectors .* complex128"),
        ([["a"]], [["b"]], "queries must be real vectors .* <U1"),
    ],
)
def test_bad_vectors_are_named(queries, items, message):
    with pytest.raises(ValueError, match=message):
        count_ranks(queries, items)


def test_vectors_without_unit_norm_are_ranked_by_dot_products_with_a_word():
    items = 3 * unit_vectors(5)
    with pytest.warns(UserWarning) as told:
        count_ranks(unit_vectors(5), items)
    assert [str(one.message).partition(":")[0] for one in told] == [
        "5 of 5 vectors of items have no unit norm (vector 0"
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        count_ranks_both_ways(unit_vectors(5), unit_vectors(5, seed=1, dtype=np.float16))
