"""Pools and protocols: what is drawn, what a score of several draws is, and chance in them."""

import math

import numpy as np
import pytest
from captioned_sets import by_lot, captioned, knowing, one_caption_each, vectors_of
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.bench.metrics import retrieval as metrics
from earmark.bench.tasks.retrieval import task as retrieval
from earmark.bench.tasks.retrieval.pools import draw_pools, evaluated_set, rank_draws
from earmark.bench.tasks.retrieval.protocol import (
    DIRECTIONS,
    RETRIEVAL_PROTOCOLS,
    resolve_protocol,
)
from earmark.bench.tasks.vectors import uses_crop
from earmark.datasets.base import DataError

SHARED = captioned([[f"text {i // 2}", *[f"own {i}"] * (i % 3 == 0)] for i in range(24)])


def heard(dataset, models=None):
    return evaluated_set(dataset, vectors_of(dataset, models or {"m": by_lot(0)}))


@given(st.integers(2, 24), st.sampled_from(["all", "one"]), st.integers(0, 99))
@settings(max_examples=40)
def test_a_pool_has_its_clips_once_and_each_of_them_has_a_caption(pool, captions, seed):
    known = heard(SHARED)
    for draw in draw_pools(known, resolve_protocol(pool=pool, captions=captions), seed=seed):
        assert len(draw.clips) == len(set(draw.clips.tolist())) == pool
        inside = np.isin(known.pairs[:, 0], draw.captions) & np.isin(known.pairs[:, 1], draw.clips)
        assert set(known.pairs[inside, 1].tolist()) == set(draw.clips.tolist())
        assert set(known.pairs[inside, 0].tolist()) == set(draw.captions.tolist())
        if captions == "one":
            assert len(draw.captions) <= pool


def test_pools_are_those_of_their_seed():
    known, setting = heard(SHARED), resolve_protocol(pool=10)
    first, again, other = (draw_pools(known, setting, seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a.clips, b.clips) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a.clips, b.clips) for a, b in zip(first, other, strict=True))
    assert len(first) == 10
    assert not np.array_equal(first[0].clips, first[1].clips)


def test_clips_without_captions_are_in_no_pool():
    dataset = captioned([[f"{i}"] if i % 2 else [] for i in range(30)])
    for draw in draw_pools(heard(dataset), resolve_protocol(pool=12), seed=0):
        assert (draw.clips % 2 == 1).all()
    whole = draw_pools(heard(dataset), resolve_protocol(), seed=0)
    assert [len(draw.clips) for draw in whole] == [30]


@pytest.mark.parametrize("options", [{}, {"pool": 18, "draws": 4}, {"captions": "one", "draws": 2}])
@pytest.mark.parametrize("rule", ["best of n", "per caption"])
def test_models_drawn_by_lot_are_at_chance_on_average_though_clips_share_captions(options, rule):
    setting, ks = resolve_protocol(**options, rule=rule), [1, 5]
    known = heard(SHARED)
    draws = draw_pools(known, setting, seed=3)
    found = {way: [] for way in DIRECTIONS}
    for seed in range(80):
        vectors = vectors_of(SHARED, {"lot": by_lot(seed, dimension=8)})
        ranks = rank_draws(known, draws, vectors.audio["lot"], vectors.text["lot"], DIRECTIONS)
        for way, drawn in ranks.items():
            found[way].append(metrics.scores(drawn.ranks, ks=ks, rule=rule))
            chance = metrics.scores(drawn.constant, ks=ks, rule=rule)
            for name in set(chance) - {"median_rank"}:
                found[way][-1][name] -= chance[name]
    for way, each in found.items():
        for name in set(each[0]) - {"median_rank"}:
            excess = np.array([one[name] for one in each])
            error = excess.std(ddof=1) / math.sqrt(len(excess))
            assert abs(excess.mean()) < 4 * error, (way, name)


@pytest.fixture(scope="module")
def in_pools():
    dataset = one_caption_each(60, units=[f"artist {i // 2}" for i in range(60)])
    models = {"good": knowing(dataset, noise=1.5), "lot": by_lot(5)}
    vectors = vectors_of(dataset, models)
    setting = resolve_protocol("muscall-paper", pool=20, draws=6)
    output = retrieval.evaluate(dataset, vectors, setting, replicates=300, seed=4)
    return dataset, vectors, setting, output


def test_a_score_of_several_draws_is_the_mean_of_scores_by_sorting_each_pool(in_pools):
    dataset, vectors, setting, output = in_pools
    draws = draw_pools(evaluated_set(dataset, vectors), setting, seed=4)
    for model in vectors.audio:
        text, audio = (side[model].astype(float) for side in (vectors.text, vectors.audio))
        for way in DIRECTIONS:
            places = []
            for draw in draws:
                scores = text[draw.captions] @ audio[draw.clips].T
                scores = scores if way == "text-to-audio" else scores.T
                places.append((scores > np.diag(scores)[:, None]).sum(axis=1) + 1)
            places = np.array(places)
            found = {
                s.metric: s for s in output.result.scores if (s.model, s.subset) == (model, way)
            }
            assert found["recall_at_5"].value == pytest.approx(np.mean(places <= 5), abs=1e-12)
            shown = (places <= 10) / places
            assert found["map_at_10"].value == pytest.approx(shown.mean(), abs=1e-12)
            assert found["median_rank"].value == np.median(places)
            assert found["recall_at_5"].chance == pytest.approx(5 / 20, abs=1e-12)
            (table,) = (t for t in output.result.tables if t.title == "Draws of the pool")
            rows = {tuple(row[:3]): row[3:] for row in table.rows}
            each = (places <= 5).mean(axis=1)
            assert rows[model, way, "recall_at_5"] == pytest.approx(
                [each.mean(), each.std(ddof=1), each.min(), each.max(), 6]
            )
            medians = np.median(places, axis=1)
            assert rows[model, way, "median_rank"][0] == pytest.approx(medians.mean())


def test_a_query_of_several_draws_is_one_item_with_its_mean(in_pools):
    _, _, _, output = in_pools
    columns = output.items
    names = [
        (columns["model"][i], columns["subset"][i], columns["item"][i])
        for i in range(len(columns["item"]))
    ]
    assert len(names) == len(set(names))
    score = output.result.scores[0]
    n_queries = sum(name[:2] == ("good", "text-to-audio") for name in names)
    assert score.n == n_queries <= score.n_items == 60
    assert score.interval.n_units <= 30
    assert all(0 <= value <= 1 for value in columns["recall_at_5"])


def test_all_clips_in_every_draw_give_the_scores_of_the_whole_set():
    dataset = captioned([[f"{i} {j}" for j in range(3)] for i in range(15)])
    vectors = vectors_of(dataset, {"m": knowing(dataset, noise=1.0)})
    known = evaluated_set(dataset, vectors)
    (whole,) = draw_pools(known, resolve_protocol(), seed=0)
    (pool,) = draw_pools(known, resolve_protocol(pool=15), seed=0)
    assert np.array_equal(whole.captions, pool.captions)
    assert np.array_equal(whole.clips, pool.clips)


def test_refuses_pools_and_draws_that_cannot_be():
    known = heard(SHARED)
    with pytest.raises(DataError, match=r"1000 clips cannot be drawn from 24 .* pool = 'all'"):
        draw_pools(known, resolve_protocol("muscall-paper"), seed=0)
    with pytest.raises(DataError, match="draws is 5, but nothing is drawn"):
        draw_pools(known, resolve_protocol(draws=5), seed=0)


def test_a_protocol_says_what_was_changed():
    assert resolve_protocol().protocol == "earmark"
    assert resolve_protocol("muscall-paper", pool=1000, draws=3).protocol == "muscall-paper"
    changed = resolve_protocol("muscall-paper", pool="all", directions=["text-to-audio"])
    assert (changed.protocol, changed.changed) == ("muscall-paper", ("pool", "directions"))
    assert (changed.pool, changed.captions) == ("all", "one")
    assert RETRIEVAL_PROTOCOLS["muscall-paper"]["pool"] == 1000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "muscall"}, "Did you mean 'muscall-paper'"),
        ({"protocol": "zzz"}, "Known: earmark, muscall-paper"),
        ({"pool": 1}, "pool is 1, expected"),
        ({"pool": True}, "pool is True"),
        ({"pool": "whole"}, "pool is 'whole'"),
        ({"draws": 0}, "draws is 0"),
        ({"captions": "first"}, "captions is 'first', expected 'all' or 'one'"),
        ({"rule": "best"}, "rule is 'best', expected 'best of n' or 'per caption'"),
        ({"directions": "text-to-audio"}, "expected a list"),
        ({"directions": []}, "expected a list"),
        ({"directions": ["text"]}, "one or both of text-to-audio, audio-to-text"),
    ],
)
def test_refuses_options_that_there_are_not(options, message):
    with pytest.raises(DataError, match=message):
        resolve_protocol(**options)


def test_a_crop_is_known_whatever_it_does_to_short_clips():
    assert uses_crop("centre(20 s), short clips repeated", "centre(20 s)")
    assert not uses_crop("first(20 s), short clips repeated", "centre(20 s)")
    assert not uses_crop("windows(10 s, 5 s) mean", "centre(20 s)")
