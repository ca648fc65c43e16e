"""What a study can show: the simulation against MusAV itself, the metrics and the tests."""

import itertools
import json

import numpy as np
import pytest
from scipy.stats import binom
from tiny_study import make_plan
from typer.testing import CliRunner

from earmark.bench.cli import app
from earmark.bench.judge import power
from earmark.bench.judge.make import hours_of
from earmark.bench.metrics.comparisons import compare
from earmark.bench.metrics.pairs.agreement import human_reference, krippendorff_alpha
from earmark.datasets.judgements import rules

SIDES = {"a": 1, "ab": 0, "b": -1, "not_selected": 1}


@pytest.fixture(scope="module")
def musav_sized():
    return power.estimate(["arousal", "valence"], n_triplets=699, points=[2, 10])


def simulated(dimension, n_triplets, seed=1):
    rng = np.random.default_rng(seed)
    return power.simulate(n_triplets, power.NOISE[dimension], annotators=3, rng=rng)


# Counts of the released 2,085 pairs: full agreement 975 and 810, majority 473 and 531, a or b in
# the ground truth 1257 and 1134; alphas by the authors' own script.
def test_simulated_listeners_agree_as_those_of_musav(musav_sized):
    shares = {one.dimension: (one.full, one.majority, one.decided) for one in musav_sized.agreement}
    released = {"arousal": (975, 473, 1257), "valence": (810, 531, 1134)}
    for dimension, counts in released.items():
        assert shares[dimension] == pytest.approx(np.array(counts) / 2085, abs=0.035)


@pytest.mark.parametrize(
    ("dimension", "nominal", "ordinal"),
    [("arousal", 0.391, 0.476), ("valence", 0.315, 0.390)],
)
def test_alpha_of_the_simulated_is_near_that_of_musav(dimension, nominal, ordinal):
    _, said, answered = simulated(dimension, 20_000)
    ratings = np.where(answered, said, np.nan).reshape(-1, 3).T
    assert krippendorff_alpha(ratings) == pytest.approx(nominal, abs=0.045)
    assert krippendorff_alpha(ratings, level="ordinal") == pytest.approx(ordinal, abs=0.02)


# The detectable differences that the paired test states of emomusic-msd-musicnn-1 and -2 on gt, and
# 2.8 / 1.96 of the half-width of the interval of a model against one annotator.
def test_the_reach_is_what_the_tests_state_on_musav_itself(musav_sized):
    found = {(one.dimension, one.between): one.points for one in musav_sized.reaches}
    assert found["arousal", power.MODELS] == pytest.approx(3.26, rel=0.15)
    assert found["valence", power.MODELS] == pytest.approx(3.79, rel=0.15)
    assert found["arousal", power.LISTENER] == pytest.approx(3.44, rel=0.15)
    assert found["valence", power.LISTENER] == pytest.approx(4.27, rel=0.15)


@pytest.mark.parametrize("annotators", [1, 2, 3, 4, 5])
def test_ground_truth_is_by_the_rules_of_the_data(annotators):
    labels = list(itertools.product(SIDES, repeat=annotators))
    said = np.array([[SIDES[label] for label in one] for one in labels], np.int8)
    answered = np.array([[label != "not_selected" for label in one] for one in labels])
    outcome, full, agreed = power.ground_truth(said, answered)
    for at, one in enumerate(labels):
        level = rules.agreement(one, per_pair=annotators)
        assert full[at] == (level == "full-agreement"), one
        assert agreed[at] == (level in ("full-agreement", "majority-agreement")), one
        if agreed[at]:
            assert outcome[at] == SIDES[rules.higher_value(one, per_pair=annotators)], one


def test_cases_of_one_listener_are_those_of_the_human_reference():
    _, said, answered = simulated("valence", 400)
    for_a, for_b, right = power._cases(said, answered)
    expected = human_reference(np.where(answered, -said.astype(float), np.nan).reshape(-1, 3).T)
    assert for_a.sum() + for_b.sum() == expected.estimate.n
    assert right.sum() / expected.estimate.n == pytest.approx(expected.estimate.value, abs=1e-12)


def test_power_of_a_sign_is_the_binomial():
    differences = np.repeat([1, -1], [62, 38])
    for n in (40, 100, 250):
        # The sum of n signs exceeds 1.96 times the root of their squares' sum.
        least = np.floor((n + power._CRITICAL * np.sqrt(n)) / 2)
        assert power.power(differences, n) == pytest.approx(binom.sf(least, n, 0.62), abs=0.025)


def test_a_simulated_study_is_decided_as_by_the_paired_test():
    world = power._World("arousal", 3, seed=0)
    models = next(world.comparisons())
    pool = models.differences(1.0)
    rng, found, expected = np.random.default_rng(5), [], []
    for _ in range(60):
        drawn = rng.choice(len(pool), 60)
        own = np.asarray(models.right[drawn])
        better = own.sum(axis=1)
        n = (models.for_a | models.for_b)[drawn].sum(axis=1)
        columns = np.stack([np.stack([better, n], 1), np.stack([better - pool[drawn], n], 1)])
        (test,) = compare(columns.astype(float), replicates=2_000, seed=1)
        expected.append(test.p_value < 0.05 and test.difference > 0)
        sums = pool[drawn]
        found.append(sums.sum() > power._CRITICAL * np.sqrt((sums**2).sum()))
    assert 5 < sum(expected) < 55
    assert np.mean(np.equal(found, expected)) >= 0.95


def test_small_differences_and_disagreeing_listeners_need_more(musav_sized):
    need = {(one.dimension, one.between, one.points): one for one in musav_sized.needs}
    for between in (power.MODELS, power.LISTENER):
        small, large = need["arousal", between, 2], need["arousal", between, 10]
        assert small.triplets > 10 * large.triplets
        assert small.triplets < need["valence", between, 2].triplets
        hours = power.hours(large.triplets, seconds=20, n_dimensions=2, annotators=3)
        assert large.hours == hours


def test_fewer_than_three_judgements_per_pair_have_no_listener_to_compare():
    found = power.estimate(["preference"], annotators=2, n_triplets=2, points=[10, 60])
    assert {one.between for one in found.needs} == {power.MODELS}
    assert found.needs[1].triplets is None  # 60 points below 76 % is worse than chance
    assert found.reaches[0].points is None
    assert len(found.notes) == 2 and found.notes[0].startswith("preference: listeners and models")


def test_hours_are_those_of_a_plan():
    plan = make_plan(5)
    expected = power.hours(5, seconds=plan.songs[0].seconds, n_dimensions=2, annotators=3)
    assert hours_of(plan.triplets, plan) == pytest.approx(expected, abs=1e-12)


def test_the_command_writes_nothing(tmp_path):
    songs = tmp_path / "songs"
    songs.mkdir()
    for n in range(90):
        (songs / f"{n}.wav").touch()  # counted, not decoded
    words = [
        "judge",
        "plan",
        str(songs),
        str(tmp_path / "study"),
        "--power",
        "--dimensions",
        "arousal",
    ]
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 0 and "30 triplets, arousal, two models: from" in shown.output
    plain = json.loads(CliRunner().invoke(app, [*words, "--json"]).output)
    assert plain["recordings"] == 90 and len(plain["needs"]) == 6
    assert [path.name for path in tmp_path.iterdir()] == ["songs"]
    (tmp_path / "empty").mkdir()
    refused = CliRunner().invoke(app, ["judge", "plan", str(tmp_path / "empty"), "x", "--power"])
    assert "holds no audio file: give the folder" in str(refused.exception)
