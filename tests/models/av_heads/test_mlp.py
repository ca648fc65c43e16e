"""The perceptron: scikit-learn's steps, early stopping, what is held out, seeds."""

import numpy as np
import pytest
import torch
from av_worlds import rated_world
from sklearn.neural_network import MLPRegressor

from earmark.models.av_heads.folds import cross_validate
from earmark.models.av_heads.rated import MLPConfig, fit_mlp, new_network, train_network
from earmark.models.base import ModelError

QUICK = MLPConfig(hidden_units=10, most_epochs=30, learning_rate=1e-2)


def test_takes_the_steps_that_scikit_learn_takes_from_the_same_weights():
    """Whole batches, no decay: the order of rows, which both draw otherwise, plays no part.

    The two put Adam's epsilon in different places, which shows in the fifth decimal.
    """
    features, targets = rated_world(40, 6)
    z = (features - features.mean(axis=0)) / features.std(axis=0)
    steps = 30
    options = {
        "hidden_layer_sizes": (7,), "alpha": 0.0, "batch_size": len(z), "random_state": 3,
        "n_iter_no_change": 10**6, "tol": 0.0,
    }  # fmt: skip
    with pytest.warns(Warning, match="iterations"):
        untouched = MLPRegressor(**options, max_iter=1, learning_rate_init=1e-200).fit(z, targets)
        theirs = MLPRegressor(**options, max_iter=steps, learning_rate_init=1e-2).fit(z, targets)
    network = new_network(6, 7, generator=torch.Generator())
    with torch.no_grad():
        for layer, weights, bias in zip(
            (0, 2), untouched.coefs_, untouched.intercepts_, strict=True
        ):
            network[layer].weight.copy_(torch.from_numpy(weights.T))
            network[layer].bias.copy_(torch.from_numpy(bias))
    data = (torch.from_numpy(z), torch.from_numpy(targets))
    config = MLPConfig(
        hidden_units=7, learning_rate=1e-2, weight_decay=0.0, batch_size=40, most_epochs=steps,
        halve_after=steps, patience=steps,
    )  # fmt: skip
    train_network(network, data, data, config=config, generator=torch.Generator())
    found = network(data[0]).detach().numpy()
    np.testing.assert_allclose(found, theirs.predict(z), rtol=0, atol=1e-4)


def test_starts_from_glorots_uniform_weights_and_no_bias():
    network = new_network(300, 100, generator=torch.Generator().manual_seed(0))
    weights = network[0].weight.detach().numpy()
    limit = np.sqrt(6 / 400)
    assert np.abs(weights).max() <= limit
    assert weights.std() == pytest.approx(limit / np.sqrt(3), rel=0.02)
    assert not network[0].bias.any()


def test_learns_what_no_line_can():
    rng = np.random.default_rng(0)
    features = rng.uniform(-2, 2, size=(400, 2))
    targets = np.stack([np.abs(features[:, 0]), features[:, 1] ** 2], axis=1) + 5
    config = MLPConfig(hidden_units=50, most_epochs=150, learning_rate=5e-3)
    found = fit_mlp(features, targets, seed=0, config=config).head(features)
    assert (((found - targets) ** 2).mean(axis=0) < 0.05 * targets.var(axis=0)).all()


def test_the_head_says_what_the_network_says_on_the_ratings_own_scale():
    features, targets = rated_world(80, 4, noise=0.1)
    head = fit_mlp(features, targets * 3 - 7, seed=1, config=QUICK).head
    assert head.hidden is not None
    assert not head.affine
    assert head.hidden.weights.shape == (4, 10)
    spread = (targets * 3).std(axis=0)
    assert (np.abs(head(features).mean(axis=0) - (targets * 3 - 7).mean(axis=0)) < spread).all()


def test_equal_seeds_give_equal_heads_and_others_do_not():
    features, targets = rated_world(60, 4)
    one, same, other = (
        fit_mlp(features, targets, seed=seed, config=QUICK).head for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one(features), same(features))
    assert not np.allclose(one(features), other(features))


def test_the_epoch_of_the_least_validation_error_is_kept():
    """Ratings without any relation to the features: the longer it learns, the worse."""
    rng = np.random.default_rng(0)
    features, targets = rng.normal(size=(60, 30)), rng.normal(size=(60, 2))
    long = MLPConfig(most_epochs=100, learning_rate=1e-2, patience=100)
    kept = fit_mlp(features, targets, seed=0, config=long).facts["epoch_kept"]
    assert 1 <= kept < 50
    short = MLPConfig(most_epochs=int(kept), learning_rate=1e-2, patience=100)
    one, other = (fit_mlp(features, targets, seed=0, config=each).head for each in (long, short))
    np.testing.assert_array_equal(one(features), other(features))


def test_standardises_on_the_rows_that_are_fitted_and_not_on_those_that_stop_it():
    features, targets = rated_world(60, 3)
    groups = np.repeat(np.arange(12), 5)
    fitted = fit_mlp(features, targets, groups=groups, seed=0, config=QUICK)
    assert fitted.facts["rows_held_out"] % 5 == 0
    means = [
        features[~np.isin(groups, [one, other])].mean(axis=0)
        for one in range(12)
        for other in range(one)
    ]
    assert any(np.allclose(fitted.head.mean, mean, atol=1e-12) for mean in means)


def test_is_cross_validated_like_any_fit():
    def fit(features, targets, *, groups, seed):
        return fit_mlp(features, targets, groups=groups, seed=seed, config=QUICK)

    features, targets = rated_world(80, 4, noise=0.1)
    found = cross_validate(features, targets, fit, folds=4, seed=0).predictions[0]
    assert np.corrcoef(found[:, 0], targets[:, 0])[0, 1] > 0.9


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("hidden_units", 0),
        ("learning_rate", -1.0),
        ("patience", 0),
        ("batch_size", 2.5),
        ("weight_decay", -1e-9),
    ],
)
def test_an_option_that_cannot_be_meant_is_refused_by_name(option, value):
    with pytest.raises(ModelError, match=f"{option} is {value}"):
        MLPConfig(**{option: value})


def test_one_group_leaves_nothing_to_stop_by():
    with pytest.raises(ModelError, match="20 rows of 1 group: no share"):
        fit_mlp(*rated_world(20, 3), groups=["a"] * 20, seed=0)
