"""Ensembles: the mean of z-scores, moments learnt once, heads heard once, bad input."""

from dataclasses import replace

import numpy as np
import pytest
from av_worlds import BandPatches, rated_world
from hypothesis import given
from hypothesis import strategies as st

from earmark.datasets.audio import Waveform
from earmark.models.adapters.ensembles import (
    AVEnsemble,
    Moments,
    PatchAVEnsemble,
    join,
    learn_moments,
    load_moments,
    save_moments,
)
from earmark.models.adapters.references import RandomModel
from earmark.models.av_heads.adapter import put_on
from earmark.models.av_heads.head import TrainedHead
from earmark.models.av_heads.rated import fit_ridge
from earmark.models.base import ModelError, PatchHead
from earmark.models.conformance import check
from earmark.models.registry import MODELS
from earmark.models.support.weights import tower_of


def heads(embedder, n=2):
    found = []
    for seed in range(n):
        fitted = fit_ridge(*rated_world(60, embedder.dimension, seed=seed), seed=0)
        tower = tower_of(embedder.card, loader="bands", options={})
        trained = TrainedHead(f"head-{seed}", fitted.head, tower, ("invented",), "CC0-1.0", (1, 9))
        found.append(put_on(trained, embedder))
    return found


def moments_of(models, n=50):
    features = rated_world(n, 16, seed=9)[0]
    values = {model.card.id: model.predict_av_from_means(features) for model in models}
    return learn_moments(values, learnt_on="invented embeddings")


def clips(n=3):
    rng = np.random.default_rng(0)
    return [Waveform(rng.normal(0, 0.1, 16_000).astype(np.float32), 16_000) for _ in range(n)]


def test_is_the_mean_of_z_scores_of_the_stated_set():
    rng = np.random.default_rng(0)
    one, other = rng.normal(3, 2, (40, 2)), rng.normal(-5, 0.1, (40, 2))
    moments = learn_moments({"one": one, "other": other}, learnt_on="forty")
    found = moments.average([one, other])
    z = [(table - table.mean(axis=0)) / table.std(axis=0) for table in (one, other)]
    np.testing.assert_allclose(found, (z[0] + z[1]) / 2, atol=1e-12)
    weighted = moments.average([one, other], weights=[3, 1])
    np.testing.assert_allclose(weighted, 0.75 * z[0] + 0.25 * z[1], atol=1e-12)


@given(scale=st.floats(0.01, 100), shift=st.floats(-50, 50))
def test_the_scale_of_a_model_does_not_matter(scale, shift):
    rng = np.random.default_rng(1)
    one, other = rng.normal(size=(30, 2)), rng.normal(size=(30, 2))
    plain = learn_moments({"a": one, "b": other}, learnt_on="x").average([one, other])
    moved = one * scale + shift
    other_scale = learn_moments({"a": moved, "b": other}, learnt_on="x").average([moved, other])
    np.testing.assert_allclose(plain, other_scale, atol=1e-6)


def test_the_clips_beside_it_change_no_prediction():
    models = heads(BandPatches())
    ensemble = join(models, moments_of(models))
    together = ensemble.predict_av(clips())
    alone = [ensemble.predict_av([clip])[0] for clip in clips()]
    np.testing.assert_array_equal(together, alone)


def test_heads_of_one_embedder_listen_once_and_agree_three_ways():
    class Counting(BandPatches):
        heard = 0

        def embed_patches(self, clip):
            type(self).heard += 1
            return super().embed_patches(clip)

    embedder = Counting()
    models = heads(embedder, 3)
    ensemble = join(models, moments_of(models))
    assert type(ensemble) is PatchAVEnsemble
    assert isinstance(ensemble, PatchHead)
    found = ensemble.predict_av(clips(2))
    assert Counting.heard == 2
    means = np.array([embedder.embed_patches(clip).mean(axis=0) for clip in clips(2)])
    np.testing.assert_allclose(ensemble.predict_av_from_means(means), found, atol=1e-6)
    values = [model.predict_av(clips(2)) for model in models]
    np.testing.assert_allclose(ensemble.moments.average(values), found, atol=1e-6)


def test_models_that_share_no_embedder_make_an_av_model():
    one, other = RandomModel(seed=1), RandomModel(seed=2)
    values = {model.card.id: np.random.default_rng(0).normal(size=(9, 2)) for model in (one, other)}
    ensemble = join([one, other], learn_moments(values, learnt_on="nine"))
    assert type(ensemble) is AVEnsemble
    assert not isinstance(ensemble, PatchHead)
    assert ensemble.predict_av(clips()).shape == (3, 2)


def test_keeps_every_promise_of_a_model():
    models = heads(BandPatches())
    results = check(join(models, moments_of(models)))
    assert [(one.name, one.message) for one in results if one.status == "fail"] == []


def test_the_card_names_models_weights_and_where_the_moments_come_from():
    models = heads(BandPatches())
    moments = moments_of(models)
    card = join(models, moments, weights=[2, 1]).card
    assert card.preprocessing["moments_learnt_on"] == "invented embeddings"
    assert card.preprocessing["1_weight"] == pytest.approx(2 / 3)
    assert "learnt on invented embeddings (50 clips)" in card.notes[-1]
    assert card.av_scale is None
    assert card.training_datasets == ("invented", "msd")
    other = replace(moments, mean=moments.mean + 1e-9)
    assert join(models, other, weights=[2, 1]).card.weights_digest != card.weights_digest
    assert join(models, moments).card.weights_digest != card.weights_digest


def test_is_opened_by_its_name_from_a_file_of_moments(tmp_path):
    one, other = RandomModel(seed=1), RandomModel(seed=2)
    values = {model.card.id: np.random.default_rng(0).normal(size=(9, 2)) for model in (one, other)}
    moments = learn_moments(values, learnt_on="nine")
    save_moments(moments, tmp_path / "moments.json")
    back = load_moments(tmp_path / "moments.json")
    np.testing.assert_array_equal(back.mean, moments.mean)
    np.testing.assert_array_equal(back.deviation, moments.deviation)
    assert (back.models, back.learnt_on, back.n) == (moments.models, "nine", 9)
    options = {
        "models": [{"loader": "random", "seed": seed} for seed in (1, 2)],
        "moments": str(tmp_path / "moments.json"),
    }
    found = MODELS.create("av-ensemble", options)
    expected = join([one, other], moments)
    np.testing.assert_array_equal(found.predict_av(clips()), expected.predict_av(clips()))
    with pytest.raises(ModelError, match="expected a table with a key 'loader'"):
        MODELS.create("av-ensemble", options | {"models": ["random", "random"]})


@pytest.mark.parametrize(
    "content",
    ["", "{}", '{"format": "other"}', '{"format": "earmark-av-moments-1"}', "[]", "[" * 100_000],
)
def test_a_file_that_holds_no_moments_is_named(tmp_path, content):
    (tmp_path / "moments.json").write_text(content)
    with pytest.raises(ModelError, match=r"moments.json cannot be read"):
        load_moments(tmp_path / "moments.json")
    with pytest.raises(ModelError, match=r"nowhere.json cannot be read"):
        load_moments(tmp_path / "nowhere.json")


def test_models_that_the_moments_were_not_learnt_of_are_refused():
    models = heads(BandPatches(), 3)
    moments = moments_of(models[:2])
    for given_ in (models[1:], models[1::-1]):
        with pytest.raises(ModelError, match="the moments were learnt of head-0"):
            join(given_, moments)


def test_one_model_two_rates_and_no_av_model_are_refused():
    models = heads(BandPatches())
    moments = moments_of(models)
    with pytest.raises(ModelError, match="1 model, expected two or more"):
        join(
            models[:1],
            replace(
                moments,
                mean=moments.mean[:1],
                deviation=moments.deviation[:1],
                models=moments.models[:1],
            ),
        )
    models[1].sample_rate = 44_100
    with pytest.raises(ModelError, match=r"16000, 44100 Hz.*expected one rate"):
        join(models, moments)
    with pytest.raises(ModelError, match="BandPatches predicts no arousal and valence"):
        join([models[0], BandPatches()], moments)


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [1.0, -1.0], [1.0, float("nan")]])
def test_weights_that_are_none_are_refused(weights):
    models = heads(BandPatches())
    with pytest.raises(ModelError, match="expected 2 numbers above 0"):
        join(models, moments_of(models), weights=weights)


def test_predictions_that_have_no_moments_are_refused():
    good = np.random.default_rng(0).normal(size=(5, 2))
    constant = good * [1, 0] + [0, 4]
    with pytest.raises(ModelError, match="valence of b is 4 for all 5 clips"):
        learn_moments({"a": good, "b": constant}, learnt_on="x")
    with pytest.raises(ModelError, match=r"predictions of b have shape \(4, 2\)"):
        learn_moments({"a": good, "b": good[:4]}, learnt_on="x")
    with pytest.raises(ModelError, match="predictions of a have shape"):
        learn_moments({"a": good * np.nan}, learnt_on="x")
    with pytest.raises(ModelError, match="learnt_on is empty"):
        learn_moments({"a": good}, learnt_on=" ")
    with pytest.raises(
        ModelError, match=r"predictions have shape \(1, 5, 2\), expected \(2, n, 2\)"
    ):
        learn_moments({"a": good, "b": good + 1}, learnt_on="x").average([good])
    with pytest.raises(ModelError, match="deviation above 0"):
        Moments(np.zeros((1, 2)), np.array([[1.0, 0.0]]), ("a",), "x", 3)
    with pytest.raises(ModelError, match=r"moments of 2 models have shapes"):
        Moments(np.zeros((1, 2)), np.ones((1, 2)), ("a", "b"), "x", 3)
