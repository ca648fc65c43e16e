"""The likelihood against worked values, another optimiser, and a simulation of known making."""

import numpy as np
import pytest
from av_worlds import judged_world
from scipy.optimize import approx_fprime, minimize
from sklearn.linear_model import LogisticRegression

from earmark.models.av_heads.pairwise import Davidson, fit_davidson, log_likelihood
from earmark.models.base import ModelError

_CLOSE = {"xatol": 1e-9, "fatol": 1e-12, "maxiter": 20_000, "maxfev": 20_000}


def parts(compared, features):
    return features[compared.first] - features[compared.second], compared.votes


def test_probabilities_are_those_of_the_model_worked_by_hand():
    # Strengths 4 and 1, nu = 1: 4, sqrt(4 * 1) = 2 and 1 of 7.
    model = Davidson(np.array([np.log(4.0)]), 0.0, np.eye(2))
    found = np.exp(model.log_probabilities(np.array([[1.0], [-1.0], [0.0]])))
    expected = [[4 / 7, 2 / 7, 1 / 7], [1 / 7, 2 / 7, 4 / 7], [1 / 3, 1 / 3, 1 / 3]]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_without_ties_they_are_bradley_and_terrys():
    model = Davidson(np.array([1.0]), -np.inf, np.eye(1))
    found = np.exp(model.log_probabilities(np.array([[0.7]])))[0]
    np.testing.assert_allclose(found, [1 / (1 + np.exp(-0.7)), 0, 1 / (1 + np.exp(0.7))])


def test_without_ties_the_fit_is_a_logistic_regression_without_intercept():
    features, _, world = judged_world(60, 4)
    differences, votes = parts(world["arousal"], features)
    votes = votes * [1, 0, 1]
    kept = votes.sum(axis=1) > 0
    found = fit_davidson(differences[kept], votes[kept], penalty=2.0)
    rows = np.concatenate([differences[kept]] * 2)
    sides = np.repeat([1, 0], kept.sum())
    weights = np.concatenate([votes[kept, 0], votes[kept, 2]])
    theirs = LogisticRegression(C=0.5, fit_intercept=False, tol=1e-12, max_iter=10_000)
    theirs.fit(rows, sides, sample_weight=weights)
    np.testing.assert_allclose(found.weights, theirs.coef_[0], atol=1e-6)
    assert found.log_nu == -np.inf


def test_finds_the_maximum_that_another_optimiser_finds_and_its_curvature():
    features, _, world = judged_world(50, 4)
    differences, votes = parts(world["valence"], features)

    def objective(at):
        model = Davidson(at[:4], at[4], np.eye(5))
        likelihood = log_likelihood(votes, model.log_probabilities(differences))
        return 1.5 * at[:4] @ at[:4] - likelihood

    theirs = minimize(objective, np.zeros(5), method="Nelder-Mead", options=_CLOSE).x
    found = fit_davidson(differences, votes, penalty=3.0)
    at = np.append(found.weights, found.log_nu)
    np.testing.assert_allclose(at, theirs, atol=1e-5)
    np.testing.assert_allclose(approx_fprime(at, objective, 1e-7), 0, atol=1e-3)
    steps = 1e-4 * np.eye(5)
    curvature = [
        [
            (
                objective(at + one + other) - objective(at + one - other)
                - objective(at - one + other) + objective(at - one - other)
            ) / 4e-8
            for other in steps
        ]
        for one in steps
    ]  # fmt: skip
    np.testing.assert_allclose(found.covariance, np.linalg.inv(curvature), rtol=2e-3, atol=1e-6)


def test_recovers_the_parameters_of_a_simulation_within_their_standard_errors():
    z_scores = []
    for seed in range(6):
        features, weights, world = judged_world(300, 5, log_nu=-0.5, seed=seed)
        for column, name in enumerate(("arousal", "valence")):
            found = fit_davidson(*parts(world[name], features), penalty=1e-6)
            errors = np.append(found.weights - weights[:, column], found.log_nu + 0.5)
            z_scores.append(errors / np.sqrt(np.diag(found.covariance)))
    pooled = np.concatenate(z_scores)  # 72 of them
    assert np.abs(pooled).max() < 4
    assert abs(pooled.mean()) < 0.4
    assert 0.75 < pooled.std() < 1.25
    assert np.mean(np.abs(pooled) < 1.96) > 0.85


def test_votes_weigh_as_so_many_comparisons():
    features, _, world = judged_world(40, 3)
    differences, votes = parts(world["arousal"], features)
    one = fit_davidson(differences, votes, penalty=1.0)
    rows = np.repeat(np.arange(len(votes)), 3)
    single = np.zeros((len(rows), 3))
    answers = np.concatenate([np.repeat([0, 1, 2], v.astype(int)) for v in votes])
    single[np.arange(len(rows)), answers] = 1
    other = fit_davidson(differences[rows], single, penalty=1.0)
    np.testing.assert_allclose(one.weights, other.weights, atol=1e-9)
    assert one.log_nu == pytest.approx(other.log_nu, abs=1e-9)


def test_exchanging_first_and_second_changes_nothing():
    features, _, world = judged_world(40, 3)
    differences, votes = parts(world["arousal"], features)
    one = fit_davidson(differences, votes, penalty=1.0)
    other = fit_davidson(-differences, votes[:, ::-1], penalty=1.0)
    np.testing.assert_allclose(one.weights, other.weights, atol=1e-9)


@pytest.mark.parametrize("with_ties", [0, 1])
def test_the_maximum_is_the_same_from_any_start(with_ties):
    features, _, world = judged_world(40, 3)
    differences, votes = parts(world["arousal"], features)
    votes = votes * [1, with_ties, 1]
    kept = votes.sum(axis=1) > 0
    given = differences[kept], votes[kept]
    start = fit_davidson(*given, penalty=1000.0)
    one, other = fit_davidson(*given, penalty=1.0), fit_davidson(*given, penalty=1.0, start=start)
    np.testing.assert_allclose(one.weights, other.weights, atol=1e-9)
    np.testing.assert_allclose(one.log_nu, other.log_nu, atol=1e-9)


def test_a_larger_penalty_gives_smaller_weights():
    features, _, world = judged_world(40, 3)
    lengths = [
        np.linalg.norm(fit_davidson(*parts(world["arousal"], features), penalty=p).weights)
        for p in (0.1, 10.0, 1000.0)
    ]
    assert lengths[0] > lengths[1] > lengths[2] > 0


def test_answers_that_nobody_gave_count_nothing_where_they_are_impossible():
    assert log_likelihood(np.array([[1.0, 0.0, 0.0]]), np.array([[-1.0, -np.inf, -2.0]])) == -1


def test_separable_comparisons_have_a_maximum_with_any_penalty_above_zero():
    differences, votes = np.array([[1.0], [2.0]]), np.array([[1.0, 0, 0]] * 2)
    found = fit_davidson(differences, votes, penalty=1e-3)
    lost = 1 - np.exp(found.log_probabilities(differences)[:, 0])
    assert 1e-3 * found.weights[0] == pytest.approx(lost @ differences[:, 0], rel=1e-6)


@pytest.mark.parametrize("penalty", [0.0, -1.0, np.nan, np.inf])
def test_a_penalty_that_is_none_is_refused(penalty):
    with pytest.raises(ModelError, match="expected a number above 0"):
        fit_davidson(np.array([[1.0]]), np.array([[1.0, 0, 0]]), penalty=penalty)


def test_ties_alone_are_refused():
    with pytest.raises(ModelError, match="1 comparisons hold no track higher"):
        fit_davidson(np.array([[1.0]]), np.array([[0, 1.0, 0]]), penalty=1.0)


def told_apart(n=4000, *, sensitivities, offsets, seed=0):
    """Return differences, single votes and annotators of unlike sensitivity and ties."""
    rng = np.random.default_rng(seed)
    weights = np.array([1.0, -0.7, 0.4])
    differences = rng.normal(size=(n, 3))
    who = rng.integers(0, len(sensitivities), n)
    lead = differences @ weights * sensitivities[who]
    logits = np.stack([lead / 2, -0.5 + offsets[who], -lead / 2], axis=1)
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    votes = np.array([rng.multinomial(1, chance) for chance in chances], float)
    return differences, votes, who, weights


def test_recovers_the_sensitivity_and_the_ties_of_each_annotator():
    sensitivities, offsets = np.array([0.5, 1.0, 2.0]), np.array([0.6, -0.6, 0.0])
    differences, votes, who, weights = told_apart(sensitivities=sensitivities, offsets=offsets)
    found = fit_davidson(differences, votes, penalty=1e-3, annotators=who)
    assert found.log_sensitivity.mean() == pytest.approx(0, abs=1e-3)
    np.testing.assert_allclose(found.log_sensitivity, np.log(sensitivities), atol=0.25)
    np.testing.assert_allclose(found.weights, weights, atol=0.15)
    np.testing.assert_allclose(found.log_nu + found.log_nu_offsets, -0.5 + offsets, atol=0.25)
    assert found.covariance.shape == (3 + 1 + 3 + 3, 3 + 1 + 3 + 3)


def test_with_annotators_the_maximum_is_one_of_the_objective():
    differences, votes, who, _ = told_apart(
        400, sensitivities=np.array([0.5, 2.0]), offsets=np.array([0.5, -0.5])
    )
    found = fit_davidson(differences, votes, penalty=2.0, annotators=who)

    def objective(at):
        weights, log_nu, sensitivity, offsets = at[:3], at[3], at[4:6], at[6:8]
        half = differences @ weights * np.exp(sensitivity[who]) / 2
        logits = np.stack([half, log_nu + offsets[who], -half], axis=1)
        logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        prior = 2.0 * weights @ weights + 4.0 * sensitivity @ sensitivity + 2.0 * offsets @ offsets
        prior += 1e5 * sensitivity.mean() ** 2
        return prior / 2 - (votes * logs).sum()

    at = np.concatenate(
        [found.weights, [found.log_nu], found.log_sensitivity, found.log_nu_offsets]
    )
    slopes = [(objective(at + step) - objective(at - step)) / 2e-5 for step in 1e-5 * np.eye(8)]
    np.testing.assert_allclose(slopes, 0, atol=1e-3)
    nearby = at + 0.05 * np.random.default_rng(0).normal(size=(50, 8))
    assert min(objective(one) for one in nearby) > objective(at)


def test_annotators_that_are_alike_change_the_weights_little():
    differences, votes, who, _ = told_apart(sensitivities=np.ones(3), offsets=np.zeros(3))
    pooled = fit_davidson(differences, votes, penalty=1.0)
    apart = fit_davidson(differences, votes, penalty=1.0, annotators=who)
    np.testing.assert_allclose(apart.weights, pooled.weights, atol=0.05)
    assert not pooled.log_sensitivity.size


def test_annotators_can_be_told_apart_without_ties():
    differences, votes, who, _ = told_apart(
        800, sensitivities=np.array([0.4, 2.0]), offsets=np.zeros(2)
    )
    kept = votes[:, 1] == 0
    found = fit_davidson(differences[kept], votes[kept], penalty=1.0, annotators=who[kept])
    assert found.log_nu == -np.inf
    assert not found.log_nu_offsets.size
    assert found.log_sensitivity[0] < found.log_sensitivity[1]
