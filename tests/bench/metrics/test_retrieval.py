"""Retrieval metrics: against textbook definitions over all orders of ties, and other packages."""

import math
from itertools import pairwise, permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matrix_ranks import rank_scores, rank_scores_both_ways
from sklearn.metrics import ndcg_score

from earmark.bench.metrics import retrieval
from earmark.bench.metrics.ranks import count_ranks_both_ways
from earmark.bench.metrics.statistics import resample_sums

RULES = ("best of n", "per caption")


def textbook(places, n_relevant, k, rule):
    """Every metric of one query from the ranks of its relevant items, as textbooks write it."""
    places = sorted(places)
    hits = [place for place in places if place <= k]
    best = rule == "best of n"
    return {
        f"recall_at_{k}": float(bool(hits)) if best else len(hits) / n_relevant,
        f"map_at_{k}": sum((i + 1) / place for i, place in enumerate(hits)) / n_relevant,
        f"ndcg_at_{k}": sum(1 / math.log2(place + 1) for place in hits)
        / sum(1 / math.log2(i + 2) for i in range(min(k, n_relevant))),
        "mrr": 1 / places[0] if best else sum(1 / place for place in places) / n_relevant,
        "mean_rank": places[0] if best else sum(places) / n_relevant,
    }


def over_all_orders(row, relevant, k, rule):
    """The mean of each metric over all orders that the scores allow."""
    orders = [
        order
        for order in permutations(range(len(row)))
        if all(row[a] >= row[b] for a, b in pairwise(order))
    ]
    found = [
        textbook([order.index(item) + 1 for item in relevant], len(relevant), k, rule)
        for order in orders
    ]
    return {name: math.fsum(one[name] for one in found) / len(found) for name in found[0]}


@st.composite
def tied_queries(draw):
    n_items = draw(st.integers(1, 6))
    level = st.integers(-2, draw(st.integers(-2, 2)))
    rows = draw(
        st.lists(st.lists(level, min_size=n_items, max_size=n_items), min_size=1, max_size=3)
    )
    items = st.sets(st.integers(0, n_items - 1), min_size=1)
    return np.array(rows) / 2, [draw(items) for _ in rows], draw(st.integers(1, n_items))


@given(tied_queries(), st.sampled_from(RULES))
def test_each_metric_is_its_mean_over_all_orders_of_tied_items(case, rule):
    scores, relevant, k = case
    each = [over_all_orders(row, own, k, rule) for row, own in zip(scores, relevant, strict=True)]
    found = retrieval.scores(rank_scores(scores, relevant), ks=[k], rule=rule)
    for name in each[0]:
        assert found[name] == pytest.approx(np.mean([one[name] for one in each]), abs=1e-12), name


def many_relevant(n_queries=40, n_items=60, *, seed=0, levels=None):
    rng = np.random.default_rng(seed)
    scores = rng.standard_normal((n_queries, n_items)) - 2  # most are negative
    if levels:
        scores = np.round(scores * levels) / levels
    relevant = rng.random(scores.shape) < 0.1
    relevant[np.arange(n_queries), rng.integers(n_items, size=n_queries)] = True
    return scores, relevant


@pytest.mark.parametrize("k", [1, 5, 10, 60])
@pytest.mark.parametrize("levels", [None, 1, 4])
def test_ndcg_is_that_of_scikit_learn_with_and_without_ties(k, levels):
    scores, relevant = many_relevant(levels=levels)
    found = retrieval.ndcg_at_k(rank_scores(scores, relevant), k).mean()
    assert found == pytest.approx(ndcg_score(relevant, scores, k=k), abs=1e-12)


def test_metrics_are_those_of_trec_eval_where_nothing_ties():
    ir_measures = pytest.importorskip("ir_measures", reason="the reference is not installed")
    scores, relevant = many_relevant()
    # trec_eval keeps scores in single precision: give it whole numbers in the same order.
    ordered = scores.argsort(axis=None).argsort().reshape(scores.shape).astype(float) - 1e6
    qrels = [
        ir_measures.Qrel(str(q), f"d{i}", int(relevant[q, i]))
        for q, i in product(*map(range, scores.shape))
    ]
    run = [
        ir_measures.ScoredDoc(str(q), f"d{i}", float(ordered[q, i]))
        for q, i in product(*map(range, scores.shape))
    ]
    names = {"RR": "mrr"}
    for k in (1, 5, 10):
        names |= {f"R@{k}": f"recall_at_{k}", f"Success@{k}": f"recall_at_{k}"}
        names |= {f"AP@{k}": f"map_at_{k}", f"nDCG@{k}": f"ndcg_at_{k}"}
    measures = [ir_measures.parse_measure(name) for name in names]
    theirs = ir_measures.pytrec_eval.calc_aggregate(measures, qrels, run)
    ranks = rank_scores(scores, relevant)
    ours = {rule: retrieval.scores(ranks, rule=rule) for rule in RULES}
    for measure, name in zip(measures, names.values(), strict=True):
        rule = "per caption" if str(measure).startswith("R@") else "best of n"
        assert ours[rule][name] == pytest.approx(theirs[measure], abs=1e-12), str(measure)


def test_average_precision_is_that_of_scikit_learn_where_nothing_ties():
    from sklearn.metrics import label_ranking_average_precision_score

    scores, relevant = many_relevant()
    found = retrieval.average_precision_at_k(rank_scores(scores, relevant), 60).mean()
    assert found == pytest.approx(
        label_ranking_average_precision_score(relevant, scores), abs=1e-12
    )


def test_closed_forms_keep_their_digits_in_large_pools():
    n_items, higher, tied, n_relevant = 20_000, 15_000, 4_000, 3
    scores = np.zeros((1, n_items))
    scores[0, :higher], scores[0, higher : higher + tied] = 2, 1
    ranks = rank_scores(scores, [set(range(higher, higher + n_relevant))])
    places = [higher + i for i in range(1, tied + 1)]
    share = n_relevant / tied
    before = [(i * (n_relevant - 1) / (tied - 1) + 1) / place for i, place in enumerate(places)]
    found = retrieval.average_precision_at_k(ranks, n_items)[0]
    assert found == pytest.approx(share * math.fsum(before) / n_relevant, abs=1e-12)
    first = [
        math.comb(tied - i, n_relevant - 1) / math.comb(tied, n_relevant) / (higher + i)
        for i in range(1, tied - n_relevant + 2)
    ]
    assert retrieval.reciprocal_rank(ranks)[0] == pytest.approx(math.fsum(first), rel=1e-12)


@given(st.integers(1, 60), st.data(), st.sampled_from(RULES))
def test_a_constant_scorer_lands_at_chance(n_items, data, rule):
    n_relevant, k = data.draw(st.integers(1, n_items)), data.draw(st.integers(1, n_items))
    ranks = rank_scores(np.full((2, n_items), -0.3), [set(range(n_relevant))] * 2)
    found = retrieval.scores(ranks, ks=[k], rule=rule)
    assert found == retrieval.chance(ranks, ks=[k], rule=rule)
    level = 1 - math.comb(n_items - n_relevant, k) / math.comb(n_items, k)
    level = k / n_items if rule == "per caption" else level
    assert found[f"recall_at_{k}"] == pytest.approx(level, abs=1e-12)
    best = (n_items + 1) / (n_relevant + 1)
    rank = best if rule == "best of n" else (n_items + 1) / 2
    assert found["mean_rank"] == pytest.approx(rank, abs=1e-12)
    assert found["median_rank"] == pytest.approx(rank, abs=1e-12)


def test_chance_does_not_depend_on_the_scores():
    scores, relevant = many_relevant()
    level = retrieval.chance(rank_scores(scores, relevant))
    assert level == retrieval.chance(rank_scores(-scores, relevant))
    assert {
        name: one.chance for name, one in retrieval.metrics(rank_scores(scores, relevant)).items()
    } == level


@pytest.mark.parametrize("rule", RULES)
def test_orders_drawn_at_random_reach_chance(rule):
    relevant = np.zeros((20_000, 12), bool)
    relevant[:, :3] = True
    drawn = rank_scores(np.random.default_rng(0).random(relevant.shape), relevant)
    found, level = (of(drawn, ks=[1, 5], rule=rule) for of in (retrieval.scores, retrieval.chance))
    for name in found:
        if name != "median_rank":
            assert found[name] == pytest.approx(level[name], rel=0.03), name


def test_the_rules_differ_where_a_query_has_several_captions():
    # Two captions of one track, at ranks 1 and 4.
    ranks = rank_scores([[0.9, 0.8, 0.7, 0.1]], [{0, 3}])
    best, each = (retrieval.scores(ranks, ks=[1], rule=rule) for rule in RULES)
    assert (best["recall_at_1"], each["recall_at_1"]) == (1, 0.5)
    assert (best["mrr"], each["mrr"]) == (1, (1 + 1 / 4) / 2)
    assert (best["mean_rank"], each["mean_rank"]) == (1, 2.5)
    assert (best["median_rank"], each["median_rank"]) == (1, 2.5)
    assert best["map_at_1"] == each["map_at_1"] == 0.5


@given(tied_queries())
def test_the_rules_agree_where_one_item_is_relevant(case):
    scores, relevant, k = case
    ranks = rank_scores(scores, [min(own) for own in relevant])
    best, each = (retrieval.scores(ranks, ks=[k], rule=rule) for rule in RULES)
    assert best == pytest.approx(each, abs=1e-12)


@given(tied_queries(), st.sampled_from(RULES))
def test_the_median_is_that_of_numpy(case, rule):
    scores, relevant, _ = case
    ranks = rank_scores(scores, relevant)
    if rule == "best of n":
        expected = np.median(retrieval.rank(ranks))
    else:  # each relevant item as often as makes its query weigh 60
        places = ranks.higher + (ranks.tied + 1) / 2
        expected = np.median(np.repeat(places, 60 // np.bincount(ranks.query)[ranks.query]))
    assert retrieval.median_rank(ranks, rule=rule) == expected


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("grouped", [False, True])
def test_the_median_of_a_bootstrap_sample_is_that_of_the_queries_drawn(rule, grouped):
    scores, relevant = many_relevant(30, 12, levels=1)
    ranks = rank_scores(scores, relevant)
    units = [f"track {q // 3}" for q in range(30)] if grouped else None
    found = retrieval.resample_median_rank(ranks, rule=rule, units=units, replicates=50, seed=4)
    n_units = 10 if grouped else 30
    label = np.unique(units, return_inverse=True)[1] if grouped else np.arange(30)
    drawn = np.random.default_rng(4).integers(n_units, size=(50, n_units))
    places = retrieval.rank(ranks) if rule == "best of n" else ranks.higher + (ranks.tied + 1) / 2
    query = np.arange(30) if rule == "best of n" else ranks.query
    share = 27720 // np.bincount(query)[query]  # divisible by all numbers up to 12
    for sample, median in zip(drawn, found, strict=True):
        times = np.bincount(sample, minlength=n_units)[label[query]] * share
        order = np.argsort(places)
        below = np.cumsum(times[order])
        middle = [
            np.searchsorted(below, below[-1] / 2),
            np.searchsorted(below, below[-1] / 2, "right"),
        ]
        assert median == np.mean(places[order][middle])


def test_evaluate_gives_each_score_with_an_interval_over_tracks():
    scores, relevant = many_relevant()
    ranks = rank_scores(scores, relevant)
    tracks = np.arange(40) // 2
    found = retrieval.evaluate(ranks, units=tracks, replicates=500, seed=1)
    assert {name: one.value for name, one in found.items()} == retrieval.scores(ranks)
    assert found.keys() == retrieval.metrics(ranks).keys()
    for name, one in found.items():
        assert (one.n, one.n_units) == (40, 20)
        assert one.interval.low <= one.value <= one.interval.high, name
    hits = np.stack([retrieval.recall_at_k(ranks, 5), np.ones(40)], axis=1)
    sums = resample_sums(hits, units=tracks, replicates=5000, seed=2)
    low, high = np.quantile(sums[:, 0] / sums[:, 1], [0.025, 0.975])
    interval = found["recall_at_5"].interval
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.06)


def test_copies_within_a_track_do_not_narrow_the_interval():
    scores, relevant = many_relevant()
    thrice = rank_scores(np.repeat(scores, 3, axis=0), np.repeat(relevant, 3, axis=0))
    once = retrieval.evaluate(rank_scores(scores, relevant), replicates=300, seed=3)
    copied = retrieval.evaluate(thrice, units=np.repeat(np.arange(40), 3), replicates=300, seed=3)
    for name, one in once.items():
        assert copied[name].value == pytest.approx(one.value)
        width, copied_width = (
            found.interval.high - found.interval.low for found in (one, copied[name])
        )
        assert 1 <= copied_width / width + 1e-9 < 1.2, name


def test_captions_find_tracks_and_tracks_captions():
    """Three tracks with two captions each; the second caption of track 1 sounds like track 2."""
    tracks = np.eye(3)
    captions = np.repeat(tracks, 2, axis=0)
    captions[3] = [0, 0.1, 0.9]
    to_tracks, to_captions = count_ranks_both_ways(captions, tracks, [0, 0, 1, 1, 2, 2])
    assert retrieval.recall_at_k(to_tracks, 1).tolist() == [1, 1, 1, 0, 1, 1]
    assert retrieval.recall_at_k(to_captions, 1).tolist() == [1, 1, 1]
    shares = retrieval.recall_at_k(to_captions, 2, rule="per caption")
    assert shares == pytest.approx([1, 1, 1], abs=1e-12)
    assert retrieval.rank(to_tracks).tolist() == [1, 1, 1, 2, 1, 1]


@given(tied_queries())
def test_transposed_scores_give_the_other_direction(case):
    scores, _, _ = case
    relevant = np.ones(scores.shape, bool)
    forward, backward = rank_scores_both_ways(scores, relevant)
    assert retrieval.scores(backward, ks=[1]) == retrieval.scores(
        rank_scores(scores.T, relevant.T), ks=[1]
    )
    assert forward.n_items == backward.n_queries


@pytest.mark.parametrize("k", [0, -1, 5, 1.0, True, "1"])
def test_a_bad_k_is_named(k):
    ranks = rank_scores(np.eye(4))
    for metric in (retrieval.recall_at_k, retrieval.average_precision_at_k, retrieval.ndcg_at_k):
        with pytest.raises(ValueError, match=f"k is {k!r}, expected .* 1 to the 4 items"):
            metric(ranks, k)


def test_bad_arguments_are_named():
    ranks = rank_scores(np.eye(4))
    for metric in (retrieval.reciprocal_rank, retrieval.rank, retrieval.median_rank):
        with pytest.raises(ValueError, match="rule is 'first', expected 'best of n'"):
            metric(ranks, rule="first")
    with pytest.raises(ValueError, match="rule is 'first'"):
        retrieval.recall_at_k(ranks, 1, rule="first")
    with pytest.raises(ValueError, match="replicates must be at least 1, got 0"):
        retrieval.resample_median_rank(ranks, replicates=0, seed=0)
    with pytest.raises(ValueError, match="one label for each of the 4 items"):
        retrieval.evaluate(ranks, ks=[1], units=["a"], seed=0)
