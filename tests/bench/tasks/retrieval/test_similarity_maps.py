"""Diagnostics of a joint space: against direct sums, scikit-learn, and their definitions."""

import numpy as np
import pytest
from captioned_sets import by_lot, captioned, constant, knowing, one_caption_each, vectors_of
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from earmark.bench.tasks.retrieval import task as retrieval
from earmark.bench.tasks.retrieval.maps import (
    cosines,
    draw_map,
    map_points,
    modality_gap,
    rank_edges,
    rank_histogram,
    sample_pairs,
    share_above,
)
from earmark.bench.tasks.retrieval.pools import evaluated_set
from earmark.bench.tasks.retrieval.protocol import resolve_protocol

SHARED = captioned([[f"text {i // 2}", *[f"own {i}"] * (i % 3 == 0)] for i in range(24)])


def opened(dataset, model):
    vectors = vectors_of(dataset, {"m": model})
    return evaluated_set(dataset, vectors), vectors.audio["m"], vectors.text["m"]


@given(st.integers(1, 900), st.integers(0, 99))
@settings(max_examples=40)
def test_random_pairs_never_belong_together_and_none_is_there_twice(limit, seed):
    known, _, _ = opened(SHARED, by_lot(0))
    pairs = sample_pairs(known, seed=seed, limit=limit)
    together = set(map(tuple, known.pairs.tolist()))
    apart = list(map(tuple, pairs.random.tolist()))
    n_apart = len(known.captions) * 24 - len(together)
    assert len(set(apart)) == len(apart) == min(limit, n_apart)
    assert not together & set(apart)
    assert set(map(tuple, pairs.aligned.tolist())) <= together
    assert len(pairs.aligned) == min(limit, len(together))


def test_random_pairs_are_drawn_evenly():
    known, _, _ = opened(one_caption_each(12), by_lot(0))
    counts = np.zeros((12, 12))
    for seed in range(400):
        drawn = sample_pairs(known, seed=seed, limit=20).random
        counts[drawn[:, 0], drawn[:, 1]] += 1
    expected = 400 * 20 / 132
    apart = counts[~np.eye(12, dtype=bool)]
    assert ((apart - expected) ** 2 / expected).sum() < 200  # chi-square, 131 degrees: 1 in 10,000
    assert not counts[np.eye(12, dtype=bool)].any()


def test_similarities_are_the_cosines_of_the_pairs():
    known, audio, text = opened(SHARED, knowing(SHARED, noise=1.0))
    pairs = sample_pairs(known, seed=0)
    every = text[known.text_row].astype(float) @ audio.astype(float).T
    for some in (pairs.aligned, pairs.random):
        found = cosines(known, audio, text, some)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, every[some[:, 0], some[:, 1]], atol=1e-7)


def test_aligned_above_random_is_the_roc_auc_of_scikit_learn():
    rng = np.random.default_rng(0)
    aligned, random = rng.integers(0, 9, 40) / 8, rng.integers(-3, 6, 300) / 8
    truth = np.repeat([1, 0], [40, 300])
    expected = roc_auc_score(truth, np.concatenate([aligned, random]))
    assert share_above(aligned, random) == pytest.approx(expected, abs=1e-12)
    assert share_above([0.5, 0.5], [0.5]) == 0.5
    assert share_above([0.5], []) is None


def test_the_gap_and_the_share_are_those_of_sums_over_all_vectors():
    rng = np.random.default_rng(1)
    audio, text = rng.normal(size=(30, 5)) + 0.7, rng.normal(size=(50, 5))
    gap, share = modality_gap(audio, text)
    assert gap == pytest.approx(np.linalg.norm(audio.mean(axis=0) - text.mean(axis=0)), abs=1e-12)
    every = np.concatenate([audio, text])
    total = ((every - every.mean(axis=0)) ** 2).sum()
    between = sum(
        len(side) * ((side.mean(axis=0) - every.mean(axis=0)) ** 2).sum() for side in (audio, text)
    )
    assert share == pytest.approx(between / total, abs=1e-12)


def test_the_gap_of_one_point_and_of_two():
    point, other = np.tile([0.6, 0.8], (4, 1)), np.tile([-0.6, -0.8], (3, 1))
    assert modality_gap(point, other) == (pytest.approx(2.0), pytest.approx(1.0))
    assert modality_gap(point, point[:2]) == (0.0, None)


def test_the_map_is_the_same_each_time_and_keeps_near_what_is_near():
    dataset = captioned([[f"{i}"] for i in range(40)], labels=["blues", "rock"] * 20)
    groups = np.random.default_rng(0).normal(size=(2, 16))

    def listen(name):
        index = int(name[1:])
        return groups[index % 2] + 0.2 * np.random.default_rng(index).normal(size=16)

    known, audio, text = opened(dataset, (listen, lambda text: listen(f"c{text}")))
    points = map_points(known, seed=0)
    first = draw_map(known, audio, text, points, seed=3)
    assert first.shape == (80, 2)
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, draw_map(known, audio, text, points, seed=3))
    told = points.arrays(known)
    assert told["map.modality"].tolist() == [0] * 40 + [1] * 40
    assert told["map.item"].tolist()[:2] == ["c0", "c1"]
    assert told["map.item"].tolist()[40:42] == ["c0#1", "c1#1"]
    distance = np.linalg.norm(first[:, None] - first[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    same = told["map.label"] == told["map.label"][distance.argmin(axis=1)]
    assert same.mean() > 0.95


def test_a_map_has_at_most_its_limit_and_each_clip_with_its_own_caption():
    known, _, _ = opened(SHARED, by_lot(0))
    points = map_points(known, seed=0, limit=7)
    assert len(points.clips) == 7
    together = set(map(tuple, known.pairs.tolist()))
    assert set(zip(points.captions.tolist(), points.clips.tolist(), strict=True)) <= together


def test_there_is_no_map_of_few_clips_or_of_one_point():
    few = opened(one_caption_each(4), by_lot(0))
    assert draw_map(*few, map_points(few[0], seed=0), seed=0).startswith("4 clips with captions")
    flat = opened(one_caption_each(20), constant())
    assert "the same" in draw_map(*flat, map_points(flat[0], seed=0), seed=0)


@given(st.integers(1, 3000), st.integers(0, 99))
def test_every_rank_is_in_one_bin(n_items, seed):
    edges = rank_edges(n_items)
    ranks = np.random.default_rng(seed).integers(2, 2 * n_items + 1, size=50) / 2
    assert (np.diff(edges) >= 1).all()
    assert (edges[0], edges[-1]) == (1, n_items + 1)
    assert rank_histogram(ranks, edges).sum() == 50


def test_the_record_has_the_arrays_that_figures_need():
    models = {"lot": by_lot(0), "flat": constant()}
    vectors = vectors_of(SHARED, models)
    output = retrieval.evaluate(SHARED, vectors, resolve_protocol(), replicates=50, seed=0)
    arrays = output.arrays
    assert sorted(output.result.arrays) == sorted(arrays)
    n_points = len(arrays["map.item"])
    assert arrays["map.lot"].shape == (n_points, 2)
    assert "map.flat" not in arrays
    assert any("no map of flat: all its vectors are the same" in w for w in output.result.warnings)
    assert len(arrays["map.label"]) == len(arrays["map.modality"]) == n_points == 48
    for model in models:
        assert arrays[f"aligned.{model}"].dtype == arrays[f"random.{model}"].dtype == np.float32
        for subset, n_queries in (("text-to-audio", 20), ("audio-to-text", 24)):
            counts = arrays[f"rank_histogram.{subset}.{model}"]
            assert counts.dtype == np.int64
            assert len(counts) == len(arrays["rank_edges"]) - 1
            assert counts.sum() == n_queries
    (table,) = (t for t in output.result.tables if t.title == "Modality gap")
    flat = dict(zip(table.columns, table.rows[1], strict=True))
    assert flat["gap"] == pytest.approx(0, abs=1e-6)
    assert flat["between-modality share of variance"] is None
    assert flat["aligned above random (ROC-AUC)"] == 0.5
    assert (flat["audio vectors"], flat["texts"]) == (24, 20)
