"""Paired non-inferiority: how often it fails what it must not, and finds what it says it would."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from earmark.bench.gate.decision import decide, measure, p_above
from earmark.bench.metrics import regression
from earmark.bench.metrics.statistics import ratio
from earmark.bench.scoring.statistic import MedianStatistic, Pair, SumStatistic

ALPHA, POWER, MARGIN = 0.05, 0.8, 0.04


def mean_of(values):
    values = np.asarray(values, float)
    return SumStatistic(np.stack([values, np.ones_like(values)], axis=1), ratio, is_mean=True)


def measured(candidate, baseline, *, units=None, replicates=500, seed=0, higher=True, **margin):
    units = np.arange(len(baseline)) if units is None else units
    pair = Pair(mean_of(candidate), mean_of(baseline), units)
    return measure(
        pair,
        pair.resample(replicates=replicates, seed=seed),
        higher_is_better=higher,
        alpha=ALPHA,
        **(margin or {"margin": MARGIN}),
    )


def judged(*measures):
    return decide(measures, alpha=ALPHA, power=POWER)


def pairs(rng, *, n, drop, correct=0.7, changed=0.2):
    """Paired right and wrong answers of which a share changed, the candidate worse by ``drop``."""
    lost, gained = (changed + drop) / 2, (changed - drop) / 2
    draw = rng.random(n)
    baseline = np.where(draw < lost, 1.0, np.where(draw < changed, 0.0, -1))
    candidate = np.where(draw < lost, 0.0, np.where(draw < lost + gained, 1.0, -1))
    same = (rng.random(n) < correct).astype(float)
    return np.where(candidate < 0, same, candidate), np.where(baseline < 0, same, baseline)


def rates(*, n, drop, runs=400, metrics=1, margin=MARGIN):
    """The share of simulated runs with any failed metric, and with all passed."""
    rng = np.random.default_rng(5)
    failed = passed = 0
    for seed in range(runs):
        found = judged(
            *(
                measured(*pairs(rng, n=n, drop=drop), seed=seed, margin=margin)
                for _ in range(metrics)
            )
        )
        failed += any(one.status == "fail" for one in found)
        passed += all(one.status == "pass" for one in found)
    return failed / runs, passed / runs


def most(level, runs):
    """What a rate of ``level`` stays below in 999 of 1000 simulations."""
    return level + norm.isf(0.001) * np.sqrt(level * (1 - level) / runs)


@pytest.mark.parametrize("n", [40, 300])
def test_a_loss_of_exactly_the_margin_is_failed_no_more_often_than_alpha(n):
    failed, passed = rates(n=n, drop=MARGIN)
    assert failed <= most(ALPHA, 400)
    assert passed <= most(ALPHA, 400)


def test_holm_holds_the_chance_of_any_false_failure_among_many_metrics():
    failed, _ = rates(n=200, drop=MARGIN, metrics=6, runs=250)
    assert failed <= most(ALPHA, 250)


def test_an_unchanged_model_is_almost_never_failed():
    failed, _ = rates(n=200, drop=0.0)
    assert failed <= 0.01


def standard_error(n, drop, changed=0.2):
    return np.sqrt((changed - drop**2) / n)


def test_the_printed_detectable_drop_is_found_with_the_stated_power():
    n = 400
    (decision,) = judged(measured(*pairs(np.random.default_rng(1), n=n, drop=0.0)))
    expected = MARGIN + (norm.isf(ALPHA) + norm.isf(1 - POWER)) * standard_error(n, 0)
    assert decision.detectable_drop == pytest.approx(expected, rel=0.2)
    failed, _ = rates(n=n, drop=expected)
    assert abs(failed - POWER) < 0.08


def test_at_the_printed_least_margin_an_unchanged_model_passes_with_the_stated_power():
    n = 400
    (decision,) = judged(measured(*pairs(np.random.default_rng(1), n=n, drop=0.0)))
    expected = (norm.isf(ALPHA) + norm.isf(1 - POWER)) * standard_error(n, 0)
    assert decision.minimum_detectable_difference == pytest.approx(expected, rel=0.2)
    _, passed = rates(n=n, drop=0.0, margin=expected)
    assert abs(passed - POWER) < 0.08


def test_nothing_seen_is_not_nothing_there():
    """Twenty equal items rule out no loss of 4 %; two hundred do."""
    few, many = (measured(np.ones(n), np.ones(n)) for n in (20, 200))
    assert few.p_not_worse == pytest.approx(0.96**20)
    assert many.p_not_worse == pytest.approx(max(0.96**200, 1 / 501))
    assert [one.status for one in judged(few, many)] == ["inconclusive", "pass"]


def test_items_of_one_unit_are_one_piece_of_evidence():
    rng = np.random.default_rng(0)
    candidate, baseline = pairs(rng, n=60, drop=0.1)
    alone = measured(candidate, baseline, replicates=4000)
    five = measured(
        np.repeat(candidate, 5), np.repeat(baseline, 5), units=np.repeat(np.arange(60), 5),
        replicates=4000,
    )  # fmt: skip
    assert five.standard_error == pytest.approx(alone.standard_error, rel=0.05)
    assert five.n_units == 60


def test_the_standard_error_is_the_textbooks():
    candidate, baseline = pairs(np.random.default_rng(0), n=300, drop=0.1)
    found = measured(candidate, baseline, replicates=20_000)
    expected = np.std(candidate - baseline, ddof=1) / np.sqrt(300)
    assert found.standard_error == pytest.approx(expected, rel=0.02)


def test_a_lower_is_better_metric_is_turned():
    rng = np.random.default_rng(0)
    worse = rng.normal(1.5, 0.1, 50)
    found = measured(worse, worse - 0.5, higher=False, margin=0.1)
    assert found.difference == pytest.approx(-0.5)
    assert judged(found)[0].status == "fail"
    assert judged(measured(worse - 0.5, worse, higher=False, margin=0.1))[0].improved


def test_a_relative_margin_is_a_share_of_the_baseline():
    baseline = np.tile([0.0, 1.0], 200)
    found = measured(baseline, baseline, relative_margin=0.1)
    assert found.margin == pytest.approx(0.05)
    with pytest.raises(ValueError, match="exactly one"):
        measured(baseline, baseline, margin=0.1, relative_margin=0.1)
    with pytest.raises(ValueError, match="at least 2 units"):
        measured(baseline, baseline, units=np.zeros(400, int), margin=0.1)


def test_a_median_is_resampled_as_a_whole():
    rng = np.random.default_rng(0)
    ranks = rng.integers(1, 40, 101).astype(float)
    pair = Pair(MedianStatistic(ranks + 30), MedianStatistic(ranks), np.arange(101))
    drawn = pair.resample(replicates=2000, seed=3)
    assert np.allclose(drawn[0] - drawn[1], 30)
    again = np.median(ranks[rng.integers(101, size=(2000, 101))], axis=1)
    assert drawn[1].std() == pytest.approx(again.std(), rel=0.1)
    made = measure(pair, drawn, higher_is_better=False, margin=5.0, alpha=ALPHA)
    assert judged(made)[0].status == "fail"


def test_replicates_without_a_value_count_against_both_sides():
    """Pearson's r of two items or of constant predictions is undefined in some resamples."""
    rated = np.array([1.0, 2.0, 3.0, 4.0])
    pair = Pair(
        *(
            SumStatistic(
                regression.moments(rated, predicted),
                lambda sums: regression.from_sums(sums, regression.PEARSON_R),
            )
            for predicted in (rated, rated[::-1])
        ),
        np.arange(4),
    )
    drawn = pair.resample(replicates=500, seed=0)
    undefined = int(np.isnan(drawn).any(axis=0).sum())
    assert undefined > 0
    made = measure(pair, drawn, higher_is_better=True, margin=0.1, alpha=ALPHA)
    assert made.undefined == undefined
    assert made.p_not_worse >= undefined / 501


@given(st.integers(0, 2**31), st.integers(0, 199))
def test_an_unchanged_model_never_fails_whatever_the_seed(data, seed):
    values = (np.random.default_rng(data).random(50) < 0.6).astype(float)
    found = judged(measured(values, values, seed=seed))[0]
    assert found.status != "fail"
    assert not found.improved


@given(st.integers(0, 2**31))
def test_no_run_both_passes_and_fails_and_exchange_turns_the_difference(data):
    rng = np.random.default_rng(data)
    candidate, baseline = pairs(rng, n=80, drop=rng.uniform(-0.2, 0.2))
    one, other = measured(candidate, baseline), measured(baseline, candidate)
    assert one.difference == -other.difference
    assert one.low == pytest.approx(-other.high, abs=0.03)
    assert not (one.p_not_worse <= ALPHA and one.p_worse <= ALPHA)


def test_what_only_rounds_off_beats_no_chance():
    # Equal outcomes: 0.1 + 0.2 is above 0.3 in the last digit, in the score and every replicate.
    drawn = np.full(999, 0.1 + 0.2)
    assert p_above(drawn, 0.1 + 0.2, 0.3, 40, 1.0) == 1
    assert p_above(drawn, 0.1 + 0.2, 0.3 - 1e-6, 40, 1.0) == pytest.approx(1e-3)
    assert p_above(drawn, 0.1 + 0.2, 0.3 + 1e-6, 40, -1.0) == pytest.approx(1e-3)
