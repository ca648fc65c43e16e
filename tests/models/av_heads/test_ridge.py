"""Ridge: scikit-learn's weights and choice, standardisation of training rows alone, bad input."""

from functools import partial

import numpy as np
import pytest
from av_worlds import rated_world
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from earmark.models.av_heads.folds import cross_validate, grouped_folds
from earmark.models.av_heads.rated import fit_ridge
from earmark.models.base import ModelError

GRID = (0.1, 1.0, 10.0, 100.0, 1000.0)


@pytest.mark.parametrize("alpha", [1e-3, 1.0, 250.0])
@pytest.mark.parametrize("shape", [(120, 8), (20, 50)])
def test_predicts_as_scikit_learn_does(alpha, shape):
    features, targets = rated_world(*shape)
    new = rated_world(*shape, seed=1)[0]
    theirs = make_pipeline(StandardScaler(), Ridge(alpha=alpha)).fit(features, targets)
    ours = fit_ridge(features, targets, alphas=[alpha], seed=0).head
    np.testing.assert_allclose(ours(new), theirs.predict(new), rtol=0, atol=1e-10)


@pytest.mark.parametrize("noise", [0.1, 3.0, 30.0])
def test_chooses_as_grid_search_does_on_the_same_folds(noise):
    features, targets = rated_world(90, 30, noise=noise)
    groups = np.repeat(np.arange(30), 3)
    fitted = fit_ridge(features, targets, groups=groups, seed=4, alphas=GRID, inner_folds=5)
    folds = [(fold.train, fold.test) for fold in grouped_folds(groups, folds=5, seed=4)]
    for column, name in enumerate(("arousal", "valence")):
        search = GridSearchCV(
            make_pipeline(StandardScaler(), Ridge()),
            {"ridge__alpha": GRID},
            scoring="neg_mean_squared_error",
            cv=folds,
        ).fit(features, targets[:, column])
        assert fitted.facts[f"alpha_{name}"] == search.best_params_["ridge__alpha"]


def test_leaving_one_out_chooses_as_ridgecv_does_on_standardised_features():
    # RidgeCV standardises nothing: on features whose every fold has nearly the same moments both
    # must agree on a grid as coarse as this.
    features, targets = rated_world(200, 6, noise=4.0)
    z = (features - features.mean(axis=0)) / features.std(axis=0)
    fitted = fit_ridge(z, targets, seed=0, alphas=GRID, inner_folds=200)
    for column, name in enumerate(("arousal", "valence")):
        theirs = RidgeCV(alphas=GRID).fit(z, targets[:, column])
        assert fitted.facts[f"alpha_{name}"] == theirs.alpha_


@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-100, 100))
def test_units_of_the_features_do_not_matter(scale, shift):
    features, targets = rated_world(40, 4)
    one = fit_ridge(features, targets, seed=0, alphas=GRID)
    other = fit_ridge(features * scale + shift, targets, seed=0, alphas=GRID)
    np.testing.assert_allclose(
        other.head(features * scale + shift), one.head(features), rtol=0, atol=1e-6
    )


def test_is_affine_so_that_a_mean_of_embeddings_has_the_mean_of_values():
    features, targets = rated_world()
    head = fit_ridge(features, targets, seed=0).head
    assert head.affine
    np.testing.assert_allclose(
        head(features.mean(axis=0, keepdims=True))[0], head(features).mean(axis=0), atol=1e-12
    )


def test_a_constant_feature_has_no_weight():
    features, targets = rated_world()
    head = fit_ridge(np.hstack([features, np.full((len(features), 1), 0.1)]), targets, seed=0).head
    assert np.abs(head.linear[-1]).max() < 1e-10
    assert head.scale[-1] == 1


def test_out_of_fold_predictions_are_those_of_a_pipeline_that_has_never_seen_the_fold():
    features, targets = rated_world(60, 5)
    groups = np.arange(60) // 2
    found = cross_validate(
        features, targets, partial(fit_ridge, alphas=[3.0]), groups=groups, folds=6, seed=2
    )
    for fold in grouped_folds(groups, folds=6, seed=2):
        theirs = make_pipeline(StandardScaler(), Ridge(alpha=3.0))
        theirs.fit(features[fold.train], targets[fold.train])
        expected = theirs.predict(features[fold.test])
        np.testing.assert_allclose(found.predictions[0, fold.test], expected, atol=1e-10)


def test_held_out_rows_change_no_head_that_is_tested_on_them():
    """Leakage: whatever the test rows hold, scaler, penalty and weights stay as they were."""
    features, targets = rated_world(60, 5)
    fold = grouped_folds(np.arange(60), folds=6, seed=2)[0]
    before = cross_validate(features, targets, fit_ridge, folds=6, seed=2)
    spoiled, wrong = features.copy(), targets.copy()
    spoiled[fold.test] += 1e3
    wrong[fold.test] = -50 + np.arange(2 * len(fold.test)).reshape(-1, 2)
    after = cross_validate(spoiled, wrong, fit_ridge, folds=6, seed=2)
    assert before.fits[0].facts == after.fits[0].facts
    heads = [
        fit_ridge(x[fold.train], y[fold.train], groups=np.arange(60)[fold.train], seed=2).head
        for x, y in ((features, targets), (spoiled, wrong))
    ]
    for name, array in heads[0].arrays().items():
        np.testing.assert_array_equal(array, heads[1].arrays()[name])
    np.testing.assert_array_equal(before.predictions[0, fold.test], heads[0](features[fold.test]))
    np.testing.assert_array_equal(after.predictions[0, fold.test], heads[1](spoiled[fold.test]))


def test_runs_divide_anew_each_with_the_next_seed():
    features, targets = rated_world(60, 5, noise=2.0)
    found = cross_validate(features, targets, fit_ridge, folds=5, runs=3, seed=7)
    assert found.predictions.shape == (3, 60, 2)
    assert np.isfinite(found.predictions).all()
    assert len({run.tobytes() for run in found.predictions}) == 3
    alone = cross_validate(features, targets, fit_ridge, folds=5, runs=1, seed=8)
    np.testing.assert_array_equal(alone.predictions[0], found.predictions[1])


def test_predictions_of_features_that_say_nothing_are_no_better_than_the_mean():
    targets = rated_world(200, 5)[1]
    noise = np.random.default_rng(5).normal(size=(200, 5))
    found = cross_validate(noise, targets, fit_ridge, seed=0).predictions[0]
    errors, variance = ((found - targets) ** 2).mean(axis=0), targets.var(axis=0)
    assert (errors > 0.95 * variance).all()


def test_an_end_of_the_grid_is_warned_of():
    features, targets = rated_world(noise=0.01)
    assert (
        "alpha of arousal is 100, an end"
        in fit_ridge(features, targets, seed=0, alphas=[100.0, 1000.0]).warnings[0]
    )


def bad_rows():
    features, targets = rated_world(12, 3)
    nan, rating = features.copy(), targets.copy()
    nan[4, 1] = np.nan
    rating[5, 0] = np.inf
    constant = targets.copy()
    constant[:, 1] = 4.0
    return {
        "features of row 4 are not finite": (nan, targets),
        "targets of row 5 are": (features, rating),
        "valence is 4 for all 12 rows: there is nothing to learn": (features, constant),
        r"targets have shape \(12,\), expected \(12, 2\)": (features, targets[:, 0]),
        r"targets have shape \(11, 2\), expected \(12, 2\)": (features, targets[1:]),
        r"features have shape \(12,\), expected \(n, dimension\)": (features[:, 0], targets),
        "arousal is no row's": (features[:0], targets[:0]),
    }


@pytest.mark.parametrize("told", bad_rows())
def test_rows_that_cannot_be_learned_from_are_named(told):
    features, targets = bad_rows()[told]
    with pytest.raises(ModelError, match=told):
        fit_ridge(features, targets, seed=0)


@pytest.mark.parametrize("alphas", [[], [0.0], [-1.0, 2.0], [np.nan], "10", 3.0])
def test_penalties_that_are_none_are_refused(alphas):
    features, targets = rated_world(20, 3)
    with pytest.raises(ModelError, match=r"alphas is .*, expected numbers above 0"):
        fit_ridge(features, targets, seed=0, alphas=alphas)


def test_fewer_rows_than_folds_are_refused():
    features, targets = rated_world(8, 3)
    with pytest.raises(ModelError, match="8 rows of 8 groups cannot be divided into 10 folds"):
        cross_validate(features, targets, fit_ridge, seed=0)


def test_one_group_only_is_refused():
    features, targets = rated_world(20, 3)
    with pytest.raises(ModelError, match="20 rows of 1 group cannot be divided"):
        cross_validate(features, targets, fit_ridge, groups=["a"] * 20, seed=0)


def test_features_of_another_dimension_are_refused_by_a_head():
    head = fit_ridge(*rated_world(20, 3), seed=0).head
    with pytest.raises(ModelError, match="features have 4 dimensions, this head takes 3"):
        head(np.zeros((2, 4)))


def test_no_run_is_refused():
    with pytest.raises(ModelError, match="runs is 0"):
        cross_validate(*rated_world(20, 3), fit_ridge, runs=0, seed=0)
