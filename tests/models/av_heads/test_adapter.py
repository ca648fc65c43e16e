"""Trained heads as models: equal three ways, on their own embedder alone, and conforming."""

from dataclasses import replace

import numpy as np
import pytest
from av_worlds import BandPatches, BandVectors, rated_world

from earmark.datasets.audio import Waveform
from earmark.models.adapters.references import RandomModel
from earmark.models.av_heads.adapter import AVHead, PatchAVHead, av_head, put_on
from earmark.models.av_heads.head import TrainedHead, save_head
from earmark.models.av_heads.rated import MLPConfig, fit_mlp, fit_ridge
from earmark.models.base import ArousalValenceModel, ModelError, PatchHead
from earmark.models.conformance import check
from earmark.models.registry import MODELS
from earmark.models.support.weights import tower_of


def trained_on(embedder, *, kind="ridge", loader="nowhere", options=None, seed=0):
    features, targets = rated_world(60, embedder.dimension, seed=seed)
    if kind == "ridge":
        fitted = fit_ridge(features, targets, seed=0)
    else:
        fitted = fit_mlp(features, targets, seed=0, config=MLPConfig(most_epochs=5))
    return TrainedHead(
        name=f"invented-{kind}",
        head=fitted.head,
        embedder=tower_of(embedder.card, loader=loader, options=options or {}),
        datasets=("invented", "msd"),
        licence="CC0-1.0",
        scale=(1.0, 9.0),
        facts=fitted.facts,
    )


def clips(*seconds, seed=0):
    rng = np.random.default_rng(seed)
    return [
        Waveform(rng.normal(0, 0.1, round(16_000 * s)).astype(np.float32), 16_000) for s in seconds
    ]


@pytest.mark.parametrize("kind", ["ridge", "mlp"])
def test_audio_patches_and_means_give_the_same_values(kind):
    embedder = BandPatches()
    model = put_on(trained_on(embedder, kind=kind), embedder)
    assert isinstance(model, PatchHead)
    assert isinstance(model, ArousalValenceModel)
    heard = model.predict_av(clips(2.0, 0.7, 5.1))
    patches = [embedder.embed_patches(clip) for clip in clips(2.0, 0.7, 5.1)]
    np.testing.assert_array_equal(heard, [model.predict_av_from_patches(one) for one in patches])
    means = np.array([one.mean(axis=0, dtype=np.float64) for one in patches], np.float32)
    np.testing.assert_array_equal(heard, model.predict_av_from_means(means))
    assert heard.dtype == np.float32


def test_of_an_affine_head_the_value_at_the_mean_is_the_mean_of_values():
    embedder = BandPatches()
    model = put_on(trained_on(embedder), embedder)
    patches = embedder.embed_patches(clips(9.0)[0])
    one_by_one = [model.predict_av_from_patches(patch[None]) for patch in patches]
    np.testing.assert_allclose(
        model.predict_av_from_patches(patches), np.mean(one_by_one, axis=0), atol=1e-4
    )


def test_an_embedder_of_whole_clips_makes_an_av_model_and_no_patch_head():
    embedder = BandVectors()
    model = put_on(trained_on(embedder), embedder)
    assert isinstance(model, ArousalValenceModel)
    assert not isinstance(model, PatchHead)
    heard = model.predict_av(clips(2.0, 1.0))
    expected = model.trained.head(embedder.embed_audio(clips(2.0, 1.0)))
    np.testing.assert_allclose(heard, expected, rtol=1e-6)
    assert model.predict_av([]).shape == (0, 2)


@pytest.mark.parametrize("change", [{"id": "x"}, {"version": "2"}, {"weights_digest": "e" * 64}])
def test_a_head_of_another_embedder_is_refused(change):
    embedder = BandPatches()
    trained = trained_on(embedder)
    other = replace(trained, embedder=replace(trained.embedder, **change))
    with pytest.raises(ModelError, match=r"invented-ridge was trained on .*given is bands"):
        put_on(other, embedder)


def test_a_head_of_another_dimension_is_refused():
    embedder = BandPatches()
    trained = trained_on(embedder)
    head = fit_ridge(*rated_world(30, 3), seed=0).head
    with pytest.raises(ModelError, match="trained on vectors of 3 values, bands gives 16"):
        put_on(replace(trained, head=head), embedder)


def test_what_embeds_no_audio_is_refused():
    with pytest.raises(ModelError, match="dict embeds no audio"):
        put_on(trained_on(BandPatches()), {})


@pytest.mark.parametrize(
    ("patches", "told"),
    [
        (np.zeros((0, 16)), "at least one"),
        (np.zeros(16), "at least one"),
        (np.zeros((2, 5)), "features have 5 dimensions, this head takes 16"),
        (np.full((2, 16), np.nan), "not finite"),
    ],
)
def test_patches_that_are_none_are_refused(patches, told):
    embedder = BandPatches()
    with pytest.raises(ModelError, match=told):
        put_on(trained_on(embedder), embedder).predict_av_from_patches(patches)


def test_the_card_says_what_was_learned_and_on_which_vectors():
    embedder = BandPatches()
    trained = trained_on(embedder)
    card = put_on(trained, embedder).card
    assert card.id == "invented-ridge@bands"
    assert card.training_datasets == ("invented", "msd")
    assert card.av_scale == (1.0, 9.0)
    assert "CC0-1.0" in card.licence
    assert "Apache-2.0" in card.licence
    assert card.preprocessing["training_rows"] == 60
    assert card.preprocessing["head_sha256"] == trained.digest
    assert "mean embedding" in card.crop_policy
    utility = put_on(replace(trained, scale=None), embedder).card
    assert utility.av_scale is None
    assert "utilities, which have no scale" in utility.notes[-1]
    other = put_on(trained_on(embedder, seed=1), embedder).card
    assert other.weights_digest != card.weights_digest


def failed(results):
    return [(one.name, one.message) for one in results if one.status == "fail"]


@pytest.mark.parametrize("kind", ["ridge", "mlp"])
@pytest.mark.parametrize("embedder", [BandPatches(), BandVectors()], ids=["patches", "vectors"])
def test_keeps_every_promise_of_a_model(kind, embedder):
    model = put_on(trained_on(embedder, kind=kind), embedder)
    assert failed(check(model)) == []


def test_is_opened_by_its_name_from_a_weights_file(tmp_path):
    embedder = RandomModel(seed=4, dimension=8)
    trained = trained_on(embedder, loader="random", options={"seed": 4, "dimension": 8})
    path = tmp_path / "head.safetensors"
    save_head(trained, path)
    model = MODELS.create("av-head", {"weights": str(path)})
    assert type(model) is AVHead
    np.testing.assert_array_equal(
        model.predict_av(clips(1.0)), put_on(trained, embedder).predict_av(clips(1.0))
    )
    same = {"loader": "random", "seed": 4, "dimension": 8}
    assert av_head(weights=str(path), embedder=same).card == model.card
    with pytest.raises(ModelError, match=r"was trained on random-8d-seed4.*given is random-8d-s"):
        av_head(weights=str(path), embedder=same | {"seed": 5})
    with pytest.raises(ModelError, match="expected a table with a key 'loader'"):
        av_head(weights=str(path), embedder={"seed": 5})


def test_on_a_released_architecture_check_model_passes(tmp_path, monkeypatch):
    """Through the command line, on a MusiCNN graph written here."""
    pytest.importorskip("essentia")
    import sys
    from pathlib import Path

    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "essentia"))
    import frozen_graphs

    from earmark.bench.cli.check import check_model
    from earmark.models.essentia.backbones import essentia_backbone

    frozen_graphs.write_backbone(tmp_path / "backbone.pb", frozen_graphs.MUSICNN)
    options = {"name": "backbone", "weights": str(tmp_path)}
    embedder = essentia_backbone(**options)
    trained = trained_on(embedder, loader="essentia-backbone", options=options)
    save_head(trained, tmp_path / "head.safetensors")
    model = MODELS.create("av-head", {"weights": str(tmp_path / "head.safetensors")})
    assert type(model) is PatchAVHead
    weights = f"weights='{tmp_path / 'head.safetensors'}'"
    check_model("av-head", option=[weights], json=True)  # raises where a check fails
    assert "frozen_graphs" in sys.modules
