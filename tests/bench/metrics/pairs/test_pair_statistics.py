"""Calibration, selective accuracy, crossed intervals, strengths and reliability of judged pairs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss
from sklearn.metrics import log_loss as sklearn_log_loss

from earmark.bench.metrics.pairs import calibration, crossed, reliability, strengths
from earmark.bench.metrics.pairs.agreement import krippendorff_alpha

RNG = np.random.default_rng(0)


def simulated(n, seed=0, steepness=1.5):
    """Differences, and what listeners say with just the probability that follows from them."""
    rng = np.random.default_rng(seed)
    gaps = rng.normal(size=n)
    p = 1 / (1 + np.exp(-steepness * gaps))
    return gaps, p, (rng.random(n) < p).astype(float)


# Calibration


def test_proper_scores_are_those_of_scikit_learn():
    _, p, y = simulated(300)
    assert calibration.log_loss(p, y).value == pytest.approx(sklearn_log_loss(y, p), abs=1e-12)
    assert calibration.brier_score(p, y).value == pytest.approx(brier_score_loss(y, p), abs=1e-12)
    half = calibration.log_loss([0.5, 0.5], [1, 0.5])
    assert half.value == pytest.approx(np.log(2))
    both = calibration.brier_score([0.8], [0.5]).value
    assert both == pytest.approx((0.2**2 + 0.8**2) / 2)


@given(st.integers(0, 10_000), st.integers(20, 60))
def test_nothing_changes_if_a_and_b_change_places(seed, n):
    gaps, p, y = simulated(n, seed)
    y = np.where(np.random.default_rng(seed).random(n) < 0.2, 0.5, y)
    units = np.arange(n) // 3
    for score in (calibration.log_loss, calibration.brier_score):
        one, other = score(p, y, units=units), score(1 - p, 1 - y, units=units)
        assert one.value == pytest.approx(other.value, abs=1e-9)
    link = calibration.logistic_link(gaps, y, units=units)
    turned = calibration.logistic_link(-gaps, 1 - y, units=units)
    np.testing.assert_allclose(link, 1 - turned, atol=1e-9)
    errors = [calibration.calibration_error(*of, replicates=100) for of in ((p, y), (1 - p, 1 - y))]
    assert errors[0].value == pytest.approx(errors[1].value, abs=1e-9)


@given(st.integers(0, 1000), st.floats(0.01, 100))
def test_the_link_knows_no_unit_of_the_differences(seed, scale):
    gaps, _, y = simulated(60, seed)
    expected = calibration.logistic_link(gaps, y, units=np.arange(60) // 3)
    found = calibration.logistic_link(scale * gaps, y, units=np.arange(60) // 3)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_the_link_is_logistic_regression_without_a_constant_on_the_other_folds():
    gaps, _, y = simulated(400, 3)
    units = np.arange(400) // 4
    found = calibration.logistic_link(gaps, y, units=units, folds=2, seed=5)
    fold = (np.random.default_rng(5).permutation(100) % 2)[units]
    for number in (0, 1):
        rest = fold != number
        reference = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10)
        reference.fit(gaps[rest, None], y[rest])
        expected = reference.predict_proba(gaps[~rest, None])[:, 1]
        np.testing.assert_allclose(found[~rest], expected, atol=1e-6)


def test_the_link_turns_no_model_round_and_skips_what_is_missing():
    gaps, _, y = simulated(200, 4)
    against = calibration.logistic_link(-gaps, y, units=np.arange(200))
    np.testing.assert_allclose(against, 0.5)
    gaps[3] = np.nan
    assert np.isnan(calibration.logistic_link(gaps, y)).sum() == 1
    perfect = calibration.logistic_link(gaps, np.where(gaps > 0, 1.0, 0.0))
    assert np.nanmin(perfect) >= 0 and np.nanmax(perfect) <= 1
    with pytest.raises(ValueError, match="two units at least, got 1"):
        calibration.logistic_link([1.0, 2.0], [1, 0], units=["t", "t"])


def test_a_calibrated_model_has_the_expected_error_and_log_loss():
    """Means over 60 simulated sets: within four standard errors of what theory says."""
    errors, expected, losses, entropies = [], [], [], []
    for seed in range(60):
        _, p, y = simulated(600, seed)
        found = calibration.calibration_error(p, y, replicates=200, seed=seed)
        errors.append(found.value)
        expected.append(found.if_calibrated)
        losses.append(calibration.log_loss(p, y).value)
        entropies.append(np.mean(-p * np.log(p) - (1 - p) * np.log(1 - p)))
    for one, other in ((errors, expected), (losses, entropies)):
        gap = np.array(one) - np.array(other)
        assert abs(gap.mean()) < 4 * gap.std(ddof=1) / np.sqrt(60)
    assert np.mean(errors) < 0.06  # ten bins of 60 pairs


@pytest.mark.parametrize("ties", [0.0, 0.15, 0.3])
def test_what_a_calibrated_model_gets_is_right_with_pairs_held_equal(ties):
    """Some pairs are held equal and the others keep the mean: 60 sets, four standard errors."""
    gaps = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        p = rng.uniform(0.2, 0.8, 600)
        luck = rng.random(600)
        y = np.where(luck < ties, 0.5, (luck < p + ties / 2).astype(float))
        found = calibration.calibration_error(p, y, replicates=200, seed=seed)
        gaps.append(found.value - found.if_calibrated)
    assert abs(np.mean(gaps)) < 4 * np.std(gaps, ddof=1) / np.sqrt(60)


def test_too_much_certainty_shows():
    gaps, _, y = simulated(2000)
    surer = 1 / (1 + np.exp(-4.5 * gaps))
    found = calibration.calibration_error(surer, y, units=np.arange(2000) // 3)
    assert found.value > 2 * found.if_calibrated_high
    assert found.interval.low < found.value < found.interval.high
    certainty, right = np.maximum(surer, 1 - surer), (surer > 0.5) == (y > 0.5)
    bins = np.array_split(np.argsort(certainty), 10)
    by_hand = sum(abs(certainty[one].sum() - right[one].sum()) for one in bins) / 2000
    assert found.value == pytest.approx(by_hand, abs=1e-12)


def test_accuracy_of_the_surest_pairs():
    found = calibration.selective_accuracy(
        [4, 3, 2, 1], [1, 1, 0, 0], shares=(0.25, 0.5, 1.0), units=list("wxyz")
    )
    assert [one.value for one in found.accuracy] == [1, 1, 0.5]
    assert found.area == pytest.approx(np.mean([1, 1, 2 / 3, 1 / 2]))
    flat = calibration.selective_accuracy([1, 1, 1, 1], [1, 1, 0, 0], shares=(0.25, 1.0))
    assert [one.value for one in flat.accuracy] == [0.5, 0.5] and flat.area == 0.5
    monotone = calibration.selective_accuracy(np.exp([4, 3, 2, 1]), [1, 1, 0, 0])
    assert monotone.area == found.area
    with pytest.raises(ValueError, match="no pair has a certainty"):
        calibration.selective_accuracy([np.nan], [1])


@pytest.mark.parametrize(
    ("p", "y", "message"),
    [
        ([1.5], [1], "a probability is 1.5"),
        ([0.5], [2], "a truth is 2.0, expected 1"),
        ([0.5, 0.5], [1], "do not match"),
    ],
)
def test_what_is_no_probability_or_truth_is_refused(p, y, message):
    with pytest.raises(ValueError, match=message):
        calibration.log_loss(p, y)


# Strengths


def judged(n_songs, n, seed, ties=0.2):
    rng = np.random.default_rng(seed)
    a = rng.integers(0, n_songs, n)
    b = (a + rng.integers(1, n_songs, n)) % n_songs
    true = np.linspace(-1, 1, n_songs)
    said = np.where(rng.random(n) < 1 / (1 + np.exp(true[b] - true[a])), "a", "b")
    return a, b, np.where(rng.random(n) < ties, "ab", said)


def test_strengths_are_those_of_evalica():
    evalica = pytest.importorskip("evalica")
    a, b, said = judged(6, 400, 1)
    winner = {"a": evalica.Winner.X, "b": evalica.Winner.Y, "ab": evalica.Winner.Draw}
    theirs = evalica.bradley_terry(
        [f"s{i}" for i in a], [f"s{i}" for i in b], [winner[one] for one in said],
        tie_weight=0.5, tolerance=1e-12, limit=100_000,
    )  # fmt: skip
    expected = np.log([theirs.scores[f"s{i}"] for i in range(6)])
    found = strengths.bradley_terry(a, b, said, n_songs=6, prior=0)
    np.testing.assert_allclose(found.values, expected - expected.mean(), atol=1e-6)
    assert found.n_scales == 1


def test_krippendorffs_alpha_is_that_of_evalica():
    evalica = pytest.importorskip("evalica")
    import pandas as pd

    ratings = RNG.choice([-1.0, 0.0, 1.0, np.nan], (4, 60), p=[0.4, 0.15, 0.4, 0.05])
    for level in ("nominal", "ordinal", "interval"):
        theirs = evalica.alpha(pd.DataFrame(ratings), distance=level)
        assert krippendorff_alpha(ratings, level=level) == pytest.approx(theirs.alpha, abs=1e-6)


@given(st.integers(0, 1000))
def test_strengths_of_songs_that_change_places_change_sign(seed):
    a, b, said = judged(5, 30, seed)
    turned = np.array([{"a": "b", "b": "a", "ab": "ab"}[one] for one in said])
    one = strengths.bradley_terry(a, b, said, n_songs=5)
    other = strengths.bradley_terry(b, a, turned, n_songs=5)
    np.testing.assert_allclose(one.values, other.values, atol=1e-8)
    negative = strengths.bradley_terry(a, b, turned, n_songs=5)
    np.testing.assert_allclose(negative.values, -one.values, atol=1e-6)


def test_each_triplet_is_a_scale_of_its_own():
    pairs = [(0, 1), (0, 2), (1, 2), (3, 4), (3, 5), (4, 5)]
    a, b = np.array(pairs * 3).T
    found = strengths.bradley_terry(a, b, ["a"] * 18, n_songs=7)
    assert found.scales.tolist() == [0, 0, 0, 1, 1, 1, -1] and np.isnan(found.values[6])
    np.testing.assert_allclose(found.values[:3], found.values[3:6])
    assert found.values[:3].sum() == pytest.approx(0, abs=1e-12)
    # The level of a triplet means nothing, and a model that orders it is right.
    same = strengths.correlation([2.0, 1, 0, 102, 101, 100, 0], found)
    assert same.value > 0.99 and (same.n, same.n_units) == (6, 2)
    shifted = found.values + np.array([5, 5, 5, -5, -5, -5, 0])
    assert strengths.correlation(shifted, found).value == pytest.approx(1)
    without = strengths.correlation(np.full(7, np.nan), found)
    assert np.isnan(without.value) and without.reason


def test_votes_are_repeated_judgements_and_what_is_wrong_is_refused():
    once = strengths.bradley_terry([0, 0, 0, 1], [1, 1, 1, 0], list("aaaa"), n_songs=2)
    votes = strengths.bradley_terry([0, 1], [1, 0], list("aa"), n_songs=2, votes=[3, 1])
    np.testing.assert_allclose(once.values, votes.values)
    with pytest.raises(ValueError, match="songs are 0 to 1, a judgement is of 0 or 2"):
        strengths.bradley_terry([0], [2], ["a"], n_songs=2)


# Reliability


def listeners(n_pairs, noise, seed):
    rng = np.random.default_rng(seed)
    truth = rng.choice([-1.0, 1.0], n_pairs)
    return np.stack([np.where(rng.random(n_pairs) < one, -truth, truth) for one in noise])


def test_who_guesses_is_marked_and_who_errs_like_others_is_not():
    ratings = listeners(300, [0.1, 0.1, 0.1, 0.15, 0.5], 2)
    found = reliability.reliability(ratings, annotators=list("abcde"), units=np.arange(300) // 3)
    assert [one.annotator for one in found if one.unreliable] == ["e"]
    assert found[4].agreement.value == pytest.approx(found[4].chance, abs=0.1)
    assert found[4].alpha_without > max(one.alpha_without for one in found[:4])


def test_agreement_is_counted_as_by_hand():
    ratings = np.array([[1, 1, 0, np.nan], [1, -1, 0, 1], [1, -1, 1, 1], [1, -1, 0, -1.0]])
    first, *_ = reliability.reliability(ratings)
    # The others say 1, -1, 0 (two of three) and, unanswered, 1.
    assert (first.agreement.value, first.agreement.n) == (pytest.approx(2 / 3), 3)
    assert first.with_each == pytest.approx((3 + 0 + 2) / 9)
    assert first.chance == pytest.approx(2 / 3 * 1 / 3 + 0 + 1 / 3 * 1 / 3)


@given(st.integers(0, 1000))
def test_reliability_does_not_depend_on_sides(seed):
    ratings = np.random.default_rng(seed).choice([-1.0, 0, 1, np.nan], (4, 24))
    one, other = reliability.reliability(ratings), reliability.reliability(-ratings)
    for left, right in zip(one, other, strict=True):
        assert left.agreement.value == pytest.approx(right.agreement.value, nan_ok=True)
        assert left.chance == pytest.approx(right.chance, nan_ok=True)


# Crossed intervals


def study(n_triplets, n_people, seed, *, nested):
    """Judgements of which a triplet and an annotator each make all easier or harder."""
    rng = np.random.default_rng(seed)
    easy, good = 0.5 * rng.normal(size=n_triplets), 0.5 * rng.normal(size=n_people)
    rows = []
    for one in range(n_triplets):
        chunk = 3 * (one * n_people // 3 // n_triplets)
        people = range(chunk, chunk + 3) if nested else range(n_people)
        rows += [(one, person) for person in people for _ in range(3)]
    triplet, person = np.array(rows).T
    chance = 1 / (1 + np.exp(-(1.0 + easy[triplet] + good[person])))
    return (rng.random(len(rows)) < chance).astype(float), triplet, person


@pytest.mark.parametrize("nested", [False, True])
def test_crossed_intervals_hold_their_level(nested):
    """300 studies: 95 %, within about four standard errors of simulation."""
    people = 12 if not nested else 21
    draws = np.random.default_rng(1).normal(size=(200_000, 2)) * 0.5
    truth = np.mean(1 / (1 + np.exp(-(1.0 + draws.sum(axis=1)))))
    hits = 0
    for seed in range(300):
        found = crossed.crossed_mean(*study(63, people, seed, nested=nested))
        hits += found.interval.low <= truth <= found.interval.high
    assert 0.90 <= hits / 300 <= 0.99


def test_the_variance_is_that_of_the_pigeonhole_bootstrap():
    correct, triplet, person = study(40, 12, 7, nested=False)
    found = crossed.crossed_mean(correct, triplet, person)
    rng, means = np.random.default_rng(0), []
    for _ in range(1500):
        of_triplet = np.bincount(rng.integers(0, 40, 40), minlength=40)
        of_person = np.bincount(rng.integers(0, 12, 12), minlength=12)
        weight = of_triplet[triplet] * of_person[person]
        means.append(weight @ correct / weight.sum())
    value = found.value
    logits = np.log(np.array([found.interval.low, found.interval.high]) / (
        1 - np.array([found.interval.low, found.interval.high])))  # fmt: skip
    from scipy.stats import t

    error = np.diff(logits)[0] / 2 / t.ppf(0.975, 11) * value * (1 - value)
    assert error == pytest.approx(np.std(means), rel=0.2)


def test_annotators_who_differ_widen_the_interval_and_too_few_have_none():
    correct, triplet, person = study(60, 6, 3, nested=False)
    found = crossed.crossed_mean(correct, triplet, person)
    swapped = crossed.crossed_mean(correct, person, triplet)
    assert found.interval == swapped.interval
    one = crossed.crossed_mean([1, 0, 1], ["t", "u", "v"], ["x", "x", "x"])
    assert one.interval is None and "one annotator only" in one.reason
    nothing = crossed.crossed_mean([np.nan], ["t"], ["x"])
    assert np.isnan(nothing.value)
    with pytest.raises(ValueError, match="expected 0 to 1"):
        crossed.crossed_mean([2.0, 0.0], ["t", "u"], ["x", "y"])


def test_judgements_in_any_order_have_one_interval():
    correct, triplet, person = study(20, 5, 9, nested=False)
    order = RNG.permutation(len(correct))
    one = crossed.crossed_mean(correct, triplet, person)
    other = crossed.crossed_mean(correct[order], triplet[order], person[order])
    assert one.value == pytest.approx(other.value)
    for side in ("low", "high"):
        assert getattr(one.interval, side) == pytest.approx(getattr(other.interval, side))
    assert list(itertools.chain([one.n, one.n_units])) == [300, 5]


def test_the_front_door_has_them_for_lists_too():
    import earmark

    door = earmark.metrics.pairwise
    assert door.log_loss([0.5, 0.5], [1, 0]).value == pytest.approx(np.log(2))
    assert door.crossed_mean([1, 0, 1, 0], list("ttuu"), list("xyxy")).value == 0.5
    found = door.bradley_terry([0, 0, 1], [1, 1, 0], ["a", "a", "a"], n_songs=2)
    assert door.strength_correlation([2.0, 1.0], found).value == pytest.approx(1)
    assert all(callable(getattr(door, name)) for name in door.__all__)
