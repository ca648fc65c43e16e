"""Pairwise agreement against a plain loop, its invariances, and MusAV's own figures."""

import json
from itertools import pairwise as successive

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.bench.metrics import comparisons
from earmark.bench.metrics.comparisons import randomisation_test
from earmark.bench.metrics.pairs import pairwise
from earmark.bench.metrics.pairs.pairwise import (
    Outcome,
    agreement,
    calibration,
    credit,
    estimate,
    evaluate,
    judge,
    swapped_axis,
)
from earmark.bench.metrics.statistics import unit_sums

# Few distinct values, so that ties are common.
values = st.integers(-4, 4).map(float)
pairs = st.lists(st.tuples(st.sampled_from(["a", "b", "ab"]), values, values), max_size=30)
some_pairs = pairs.filter(bool)
ties_rules = st.sampled_from(["official", "half"])


def compare(outcomes, *, ties="official", **options):
    return comparisons.compare(np.stack([credit(one, ties=ties) for one in outcomes]), **options)


def columns_of(items):
    truth, first, second = zip(*items, strict=True)
    return list(truth), np.array(first), np.array(second)


def looped(items, ties):
    """MusAV's rule as a loop over pairs: credit and the number of scored pairs."""
    correct, scored = 0.0, 0
    for truth, first, second in items:
        if truth == "ab" or (first == second and ties == "official"):
            continue
        scored += 1
        if first == second:
            correct += 0.5
        elif (first > second) == (truth == "a"):
            correct += 1
    return correct, scored


@given(pairs, ties_rules)
def test_agrees_with_a_plain_loop(items, ties):
    truth, first, second = columns_of(items) if items else ([], np.array([]), np.array([]))
    found = agreement(judge(truth, first, second), ties=ties)
    correct, scored = looped(items, ties)
    assert (found.correct, found.scored) == (correct, scored)
    if scored:
        assert found.accuracy == pytest.approx(correct / scored, abs=1e-12)
        assert found.reason is None
    else:
        assert np.isnan(found.accuracy)
        assert found.reason


@given(some_pairs, ties_rules)
def test_swapping_a_and_b_changes_nothing(items, ties):
    truth, first, second = columns_of(items)
    other = [{"a": "b", "b": "a", "ab": "ab"}[label] for label in truth]
    np.testing.assert_array_equal(judge(truth, first, second), judge(other, second, first))


@given(some_pairs, st.lists(st.floats(1e-3, 1e3), min_size=9, max_size=9), st.floats(-1e6, 1e6))
def test_only_the_order_of_predictions_matters(items, steps, start):
    truth, first, second = columns_of(items)
    increasing = start + np.cumsum(steps)  # an arbitrary strictly increasing function of -4 to 4
    mapped = (increasing[(column + 4).astype(int)] for column in (first, second))
    np.testing.assert_array_equal(judge(truth, first, second), judge(truth, *mapped))


@given(some_pairs, ties_rules, st.data())
def test_the_order_of_pairs_changes_nothing(items, ties, data):
    shuffled = data.draw(st.permutations(items))
    found, other = (agreement(judge(*columns_of(one)), ties=ties) for one in (items, shuffled))
    assert repr(found) == repr(other)  # a NaN does not equal itself


@given(some_pairs, values)
def test_a_constant_model_scores_half_or_nothing(items, constant):
    truth, first, _ = columns_of(items)
    outcomes = judge(truth, np.full(first.shape, constant), np.full(first.shape, constant))
    official, half = agreement(outcomes), agreement(outcomes, ties="half")
    assert official.scored == 0
    assert np.isnan(official.accuracy)
    assert half.accuracy == 0.5 or not half.pairs


@given(some_pairs)
def test_reversed_predictions_score_what_is_left(items):
    truth, first, second = columns_of(items)
    found = agreement(judge(truth, first, second), ties="half")
    reverse = agreement(judge(truth, -first, -second), ties="half")
    assert found.correct + reverse.correct == found.scored == reverse.scored


def test_the_outcomes_name_what_became_of_each_pair():
    nan = np.nan
    outcomes = judge(
        ["a", "b", "a", "b", "ab", "a", "ab"],
        [2, 2, 1, 1, 3, nan, nan],
        [1, 1, 1, 2, 1, 1, 1],
        allow_missing=True,
    )
    names = [Outcome(code).name for code in outcomes]
    assert names == ["CORRECT", "WRONG", "TIED", "CORRECT", "TRUTH_TIED", "MISSING", "TRUTH_TIED"]
    assert outcomes.dtype == np.int8


def test_every_count_is_there():
    codes = [Outcome.CORRECT] * 5 + [Outcome.WRONG] * 2 + [Outcome.TIED] * 3
    codes += [Outcome.MISSING] * 4 + [Outcome.TRUTH_TIED] * 6
    official, half = agreement(codes), agreement(codes, ties="half")
    assert (official.correct, official.scored, official.accuracy) == (5, 7, 5 / 7)
    assert (half.correct, half.scored, half.accuracy) == (6.5, 10, 0.65)
    for found in (official, half):
        assert (found.tied, found.missing, found.pairs, found.truth_tied) == (3, 4, 14, 6)
        assert found.coverage == found.scored / 14


@pytest.mark.parametrize(
    ("codes", "reason"),
    [
        ([], "no pair has a decided truth"),
        ([3, 3], "no pair has a decided truth"),
        ([0, 0, 3], "all 2 pairs are predicted ties"),
        ([2, 2, 3], "all 2 pairs miss a prediction"),
        ([2, 0, 0], "all 3 pairs, but for 1 that miss a prediction, are predicted ties"),
    ],
)
def test_nothing_scored_is_nan_with_its_reason(codes, reason):
    found = agreement(codes)
    assert np.isnan(found.accuracy)
    assert found.reason == reason
    estimated = estimate(codes)
    assert np.isnan(estimated.value)
    assert estimated.interval is None
    assert estimated.reason == reason


def test_the_estimate_is_the_agreement_with_an_interval_over_triplets():
    rng = np.random.default_rng(0)
    truth, units = rng.choice(["a", "b", "ab"], 300), np.repeat(np.arange(100), 3)
    first, second = rng.integers(0, 5, (2, 300)) + np.stack([truth == "a", truth == "b"])
    for ties in ("official", "half"):
        found, estimated = evaluate(truth, first, second, units=units, ties=ties)
        assert found == agreement(judge(truth, first, second), ties=ties)
        assert estimated.value == pytest.approx(found.accuracy, abs=1e-12)
        scored = credit(judge(truth, first, second), ties=ties)[:, 1] > 0
        assert (estimated.n, estimated.n_units) == (found.scored, len(set(units[scored])))
        assert estimated.interval.low < found.accuracy < estimated.interval.high


def test_pairs_that_share_a_triplet_widen_the_interval():
    outcomes = np.repeat(np.random.default_rng(0).choice([-1, 1], 100), 3)
    widths = []
    for units in (None, np.repeat(np.arange(100), 3)):
        interval = estimate(outcomes, units=units).interval
        widths.append(interval.high - interval.low)
    assert widths[1] / widths[0] == pytest.approx(np.sqrt(3), rel=0.1)


def test_models_are_compared_on_the_same_pairs_by_triplets():
    rng = np.random.default_rng(0)
    good, poor = rng.choice([-1, 1], (2, 90), p=[0.2, 0.8]), rng.choice([-1, 1], 90)
    units = np.repeat(np.arange(30), 3)
    found = compare([*good, poor], units=units, replicates=500, seed=0)
    assert len(found) == 3
    difference = unit_sums((credit(good[0]) - credit(poor))[:, :1], units)[:, 0]
    assert found[1].p_value == randomisation_test(difference, seed=0).p_value
    assert found[1].difference == pytest.approx((good[0] == 1).mean() - (poor == 1).mean())


def test_a_pair_tied_by_one_model_alone_is_still_compared():
    (found,) = compare([[1, 1, -1, 1], [1, 0, -1, -1]], replicates=50, seed=0)
    assert found.difference == pytest.approx(3 / 4 - 1 / 3)
    (half,) = compare([[1, 1, -1, 1], [1, 0, -1, -1]], ties="half", replicates=50, seed=0)
    assert half.difference == pytest.approx(3 / 4 - 1.5 / 4)
    assert half.exact


def test_larger_predicted_differences_are_their_own_bins():
    outcomes = [-1, 1, 1, 1, 0, Outcome.TRUTH_TIED, Outcome.MISSING]
    bins = calibration(outcomes, [0.1, -0.2, 0.3, -0.4, 0, 9, np.nan], bins=2)
    assert [(one.low, one.high) for one in bins] == [(0.0, 0.2), (0.3, 0.4)]
    assert [one.agreement.accuracy for one in bins] == [0.5, 1.0]
    assert [one.agreement.pairs for one in bins] == [3, 2]
    half = calibration(outcomes, [0.1, -0.2, 0.3, -0.4, 0, 9, np.nan], bins=2, ties="half")
    assert half[0].agreement.accuracy == 0.5


@given(st.lists(st.tuples(st.sampled_from([-1, 1]), values), max_size=60), st.integers(1, 12))
def test_bins_hold_every_pair_once_and_keep_equal_differences_together(items, bins):
    outcomes, differences = [one for one, _ in items], [size for _, size in items]
    outcomes = [one if size else 0 for one, size in items]
    found = calibration(outcomes, differences, bins=bins)
    assert sum(one.agreement.pairs for one in found) == len(items)
    assert len(found) <= bins
    for lower, upper in successive(found):
        assert lower.low <= lower.high < upper.low <= upper.high


def test_deciles_of_distinct_differences_are_equal_in_size():
    rng = np.random.default_rng(0)
    found = calibration(rng.choice([-1, 1], 1000), rng.normal(size=1000))
    assert [one.agreement.pairs for one in found] == [100] * 10


def both_axes(n_triplets, seed):
    """Truths of two correlated axes, and predictions that follow them with noise."""
    rng = np.random.default_rng(seed)
    truth = rng.multivariate_normal([0, 0], [[1, 0.3], [0.3, 1]], 3 * n_triplets)
    predicted = truth + 0.5 * rng.normal(size=truth.shape)
    labels = np.where(truth > 0, "a", "b")
    return labels, predicted, [f"triplet {one}" for one in np.repeat(np.arange(n_triplets), 3)]


def readings(labels, predicted, units, **options):
    arousal, valence = predicted.T
    zero = np.zeros(len(arousal))
    return swapped_axis(
        arousal_on_arousal=judge(labels[:, 0], arousal, zero),
        valence_on_arousal=judge(labels[:, 0], valence, zero),
        valence_on_valence=judge(labels[10:, 1], valence[10:], zero[10:]),
        arousal_on_valence=judge(labels[10:, 1], arousal[10:], zero[10:]),
        arousal_units=units,
        valence_units=units[10:],
        **options,
    )


def test_a_swapped_axis_is_found_and_a_straight_one_is_left_alone():
    labels, predicted, units = both_axes(60, seed=0)
    straight = readings(labels, predicted, units)
    crossed = readings(labels, predicted[:, ::-1], units)
    right = (labels[:, 0] == "a") == (predicted[:, 0] > 0)
    right_other = (labels[10:, 1] == "a") == (predicted[10:, 1] > 0)
    wrong = (labels[:, 0] == "a") == (predicted[:, 1] > 0)
    wrong_other = (labels[10:, 1] == "a") == (predicted[10:, 0] > 0)
    expected = wrong.mean() + wrong_other.mean() - right.mean() - right_other.mean()
    assert straight.difference == pytest.approx(expected, abs=1e-12)
    assert not straight.swapped
    assert crossed.swapped
    assert crossed.difference == pytest.approx(-straight.difference, abs=1e-12)
    assert crossed.interval.low == pytest.approx(-straight.interval.high, abs=1e-12)


def test_equal_axes_are_no_sign_of_a_swap():
    labels, predicted, units = both_axes(60, seed=1)
    found = readings(labels, predicted[:, [0, 0]], units)
    assert (found.difference, found.swapped) == (0, False)


def test_noise_is_rarely_taken_for_a_swap():
    flagged = 0
    for seed in range(60):
        labels, _, units = both_axes(40, seed)
        noise = np.random.default_rng(1000 + seed).normal(size=(120, 2))
        flagged += readings(labels, noise, units).swapped
    assert flagged <= 6  # expected 1.5 (the upper 2.5 %); more than 6 has a chance of 0.1 %


def test_a_swap_is_not_judged_where_a_reading_scores_nothing():
    some, none = [1, -1], [Outcome.MISSING, Outcome.MISSING]
    with pytest.raises(ValueError, match="arousal_on_valence: all 2 pairs miss a prediction"):
        swapped_axis(
            arousal_on_arousal=some,
            valence_on_arousal=some,
            valence_on_valence=some,
            arousal_on_valence=none,
            arousal_units=["t", "u"],
            valence_units=["t", "u"],
        )


def test_a_swap_is_not_judged_from_readings_of_other_lengths():
    with pytest.raises(ValueError, match="on the valence truth: 2 and 1 outcomes for 2 units"):
        swapped_axis(
            arousal_on_arousal=[1, -1],
            valence_on_arousal=[1, -1],
            valence_on_valence=[1, -1],
            arousal_on_valence=[1],
            arousal_units=["t", "u"],
            valence_units=["t", "u"],
        )


@pytest.mark.parametrize(
    ("truth", "first", "second", "message"),
    [
        (["a"], [1.0, 2.0], [1.0], r"got shapes \(1,\), \(2,\) and \(1,\)"),
        ("a", 1.0, 2.0, "three arrays of one length"),
        (["a", "undefined"], [1, 2], [1, 2], "truth of pair 1 is 'undefined', expected 'a', 'b'"),
        (["a", "b"], [1, np.nan], [1, 2], "clip a of pair 1 is nan.*allow_missing=True"),
        (["a", "b"], [1, 2], [np.inf, 2], "clip b of pair 0 is inf"),
    ],
)
def test_refuses_what_it_cannot_judge(truth, first, second, message):
    with pytest.raises(ValueError, match=message):
        judge(truth, first, second)


def test_infinity_is_no_missing_value():
    with pytest.raises(ValueError, match=r"clip a of pair 0 is -inf, expected a finite number$"):
        judge(["a"], [-np.inf], [1], allow_missing=True)


@pytest.mark.parametrize("codes", [[0.5], [np.nan], [4], [[1]]])
def test_refuses_what_is_no_outcome(codes):
    with pytest.raises(ValueError, match=r"outcomes must be an array \(n_pairs,\) of Outcome"):
        agreement(codes)


def test_refuses_an_unknown_rule_for_ties():
    with pytest.raises(ValueError, match="ties is 'drop', expected 'official' or 'half'"):
        agreement([1], ties="drop")


@pytest.mark.parametrize(
    ("outcomes", "differences", "bins", "message"),
    [
        ([1], [0.5], 0, "bins must be at least 1, got 0"),
        ([1, 1], [0.5], 2, r"\(2,\) outcomes do not match \(1,\) differences"),
        ([3, 1], [0.5, np.nan], 2, "difference of pair 1 is not finite, yet the pair was judged"),
    ],
)
def test_refuses_what_it_cannot_bin(outcomes, differences, bins, message):
    with pytest.raises(ValueError, match=message):
        calibration(outcomes, differences, bins=bins)


def test_no_judged_pair_makes_no_bin():
    assert calibration([Outcome.MISSING], [np.nan]) == []


def read_musav(shared_data, dimension):
    """Truths, triplets and clip ids of the ground truth that the paper's results rest on."""
    folder = shared_data / "musav" / "data" / "annotations" / "ismir2022"
    lines = (folder / f"annotations.{dimension}.all.agreement.gt").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    clips = [row["pairid"].split("-") for row in rows]
    return [row["higher_value"] for row in rows], [row["tripletid"] for row in rows], clips


def test_musav_scores_of_a_published_model_and_of_its_axes_exchanged(shared_data):
    path = shared_data / "musav_predictions" / "emomusic-msd-musicnn-2.jsonl"
    predicted = {row["songid"]: row for row in map(json.loads, path.read_text().splitlines())}
    outcomes, units = {}, {}
    for dimension in ("arousal", "valence"):
        truth, units[dimension], clips = read_musav(shared_data, dimension)
        for axis in ("arousal", "valence"):
            first, second = ([predicted[c[i]][f"{axis}_mean"] for c in clips] for i in (0, 1))
            outcomes[f"{axis}_on_{dimension}"] = judge(truth, first, second)
    scores = {name: agreement(codes) for name, codes in outcomes.items()}
    percent = {name: 100 * found.accuracy for name, found in scores.items()}
    known = {
        "arousal_on_arousal": 83.5,
        "valence_on_arousal": 64.4,
        "valence_on_valence": 75.5,
        "arousal_on_valence": 59.2,
    }
    assert percent == pytest.approx(known, abs=0.06)
    assert (scores["arousal_on_arousal"].pairs, scores["valence_on_valence"].pairs) == (1223, 1104)
    kinds = {f"{dimension}_units": labels for dimension, labels in units.items()}
    straight = swapped_axis(**outcomes, **kinds)
    exchanged = {
        f"{axis}_on_{truth}": outcomes[f"{other}_on_{truth}"]
        for axis, other in (("arousal", "valence"), ("valence", "arousal"))
        for truth in ("arousal", "valence")
    }
    crossed = swapped_axis(**exchanged, **kinds)
    assert not straight.swapped
    assert crossed.swapped
    found = estimate(outcomes["arousal_on_arousal"], units=units["arousal"])
    assert found.n_units == 612  # triplets with a pair that is scored
    assert 0.80 < found.interval.low < 0.835 < found.interval.high < 0.87


def test_the_metric_says_that_chance_is_a_half():
    assert pairwise.PAIRWISE_ACCURACY.chance == 0.5
