"""Ridge heads choose a layer inside the folds; what they say is that of a head on this layer."""

from __future__ import annotations

import numpy as np
import pytest
from av_cross_sets import Stored, cross_world, names, predicted, rated, vectors
from layered import LAYERS, Layered, tones

from earmark.bench.tasks.av_cross_dataset.cells import trained_head
from earmark.bench.tasks.av_cross_dataset.view import VIEW
from earmark.datasets.audio import load
from earmark.datasets.base import DataError
from earmark.models.av_heads.adapter import put_on
from earmark.models.av_heads.head import load_head, save_head
from earmark.models.av_heads.rated import fit_mlp, fit_ridge, fit_ridge_of_layers
from earmark.models.base import ModelCard, layers_of
from earmark.models.support.weights import tower_of

SIZES = {"first": 3, "knows": 4, "last": 2}


class StoredLayers:
    """Three layers, in files; the middle one is what ratings are made of."""

    sample_rate = None
    dimension = SIZES["last"]
    layer_dimensions = SIZES
    card = ModelCard("layers", "1", "untrained", "Apache-2.0", "", (), "whole")

    def embed_audio(self, clips):
        raise AssertionError("vectors are in files")

    embed_layers = embed_audio


def stacked(ids):
    rng = np.random.default_rng([len(ids), 7])
    noise = rng.normal(size=(len(ids), 5)).astype(np.float32)
    return np.concatenate([noise[:, :3], vectors(ids), noise[:, 3:]], axis=1)


@pytest.fixture
def world(tmp_path):
    sets = {"a": rated("a", names("a", 60)), "b": rated("b", names("b", 40), seed=1)}
    run = cross_world(tmp_path)
    for name, one in sets.items():
        ids = [clip.id for clip in one.clips]
        np.savez(tmp_path / f"layers-{name}.npz", songids=ids, embeddings=stacked(ids))
        np.savez(tmp_path / f"plain-{name}.npz", songids=ids, embeddings=vectors(ids))

    def call(kind, model, **options):
        stored = {name: {"e": str(tmp_path / f"{kind}-{name}.npz")} for name in sets}
        options |= {"stored": stored, "train": ["a"], "test": ["b"], "folds": 4}
        return run(sets, "a", models={"e": model}, write=False, **options)

    return call


def layers_table(output):
    (found,) = [one for one in output.result.tables if one.title == "Layers"]
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows]


def test_in_and_across_a_ridge_head_is_that_of_the_layer_that_it_chooses(world):
    found, plain = world("layers", StoredLayers()), world("plain", Stored())
    for name, fits in (("a", 4), ("b", 1)):
        own, expected = (predicted(one[name], "ridge(a)@e") for one in (found, plain))
        ids = list(expected)
        rows = np.array([own[one] for one in ids])
        np.testing.assert_allclose(rows, [expected[one] for one in ids], atol=1e-9)
        by = {(row["layer"], row["dimension"]): row for row in layers_table(found[name])}
        assert {layer: by[layer, "arousal"]["fits that chose it"] for layer in SIZES} == {
            "first": 0, "knows": fits, "last": 0,
        }  # fmt: skip
        for dimension in ("arousal", "valence"):
            (score,) = [
                one for one in plain[name].result.scores
                if (one.model, one.metric, one.dimension) == ("ridge(a)@e", "pearson_r", dimension)
            ]  # fmt: skip
            row = by["knows", dimension]
            assert row["r"] == pytest.approx(score.value, abs=1e-9)
            assert row["low"] == pytest.approx(score.interval.low, abs=1e-9)
            assert row["r"] > 0.5 > max(by["first", dimension]["r"], by["last", dimension]["r"])
        curves = [
            one for one in VIEW.figures(found[name].result, None, {}, None)
            if one.title == "Scores by layer"
        ]  # fmt: skip
        assert [one.data["layer"] for one in curves] == [[*SIZES, *SIZES]]
        assert len(curves[0].draw(width="full").axes) == 2
        stated = found[name].result.protocol
        assert stated["layers of e"] == "first, knows, last"
        assert not [one for one in plain[name].result.tables if one.title == "Layers"]


def test_a_perceptron_reads_the_last_layer(world):
    own = predicted(world("layers", StoredLayers(), heads=["mlp"])["b"], "mlp(a)@e")
    a, b = rated("a", names("a", 60)), names("b", 40)
    groups = [clip.id for clip in a.clips]
    head = fit_mlp(stacked(groups)[:, -2:], a.ratings, groups=groups, seed=3).head
    expected = head(stacked(b)[:, -2:])
    np.testing.assert_allclose([own[one] for one in b], expected, atol=1e-6)


def test_vectors_in_a_file_must_be_of_all_layers(world):
    with pytest.raises(DataError, match="have 4 dimensions, layers gives 9 in all its layers"):
        world("plain", StoredLayers())


def test_the_layer_is_that_of_the_least_error_on_rows_held_out():
    ids = names("a", 60)
    targets = rated("a", ids).ratings
    fitted = fit_ridge_of_layers(stacked(ids), targets, layers=SIZES, seed=1)
    parts = np.split(stacked(ids), [3, 7], axis=1)
    alone = {
        name: fit_ridge(part, targets, seed=1) for name, part in zip(SIZES, parts, strict=True)
    }
    errors = {name: one.error for name, one in alone.items()}
    assert fitted.facts["layer"] == min(errors, key=errors.get) == "knows"
    assert errors["knows"] < 0.5 < 0.9 < min(errors["first"], errors["last"])
    for name, part in zip(SIZES, parts, strict=True):
        np.testing.assert_allclose(fitted.layers[name](stacked(ids)), alone[name].head(part))


def test_a_head_on_a_layer_is_kept_in_a_file_and_put_on_its_encoder(tmp_path):
    clips = tones(tmp_path / "audio", 12)
    model = Layered()
    heard = [load(clip.path, sample_rate=model.sample_rate) for clip in clips]
    rows = np.concatenate(list(model.embed_layers(heard).values()), axis=1)
    targets = rated("a", [clip.id for clip in clips])
    fitted = fit_ridge_of_layers(rows, targets.ratings, layers=LAYERS, seed=1)
    trained = trained_head(
        "ridge(a)",
        fitted.head,
        tower=tower_of(model.card, loader="layered:Layered", options={}),
        learned=targets,
        facts=fitted.facts,
        seed=1,
    )
    save_head(trained, tmp_path / "head.safetensors")
    assert layers_of(model)
    av = put_on(load_head(tmp_path / "head.safetensors"), model)
    np.testing.assert_allclose(av.predict_av(heard), fitted.head(rows), rtol=1e-6)
    assert av.card.preprocessing["training_layer"] == fitted.facts["layer"]
