"""All layers of a clip come from one decode and one forward pass, and are kept in one row."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from layered import LAYERS, Layered, tones

from earmark.bench.embeddings.embeddings import Embeddings
from earmark.bench.embeddings.store import Store, space_of
from earmark.bench.run.dry_run import Counting
from earmark.bench.tasks.probe.task import Probe
from earmark.bench.tasks.task import Wanted
from earmark.datasets.audio import decoded_files, load
from earmark.models.adapters.references import at_loudness, with_gain
from earmark.models.base import AudioEmbedder, LayerEmbedder, ModelError, layers_of


@pytest.fixture
def clips(tmp_path):
    return tones(tmp_path / "audio", 6)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def test_one_decode_and_one_pass_give_all_layers_and_the_models_own_vector(store, clips):
    model, before = Layered(), decoded_files()
    assert isinstance(model, LayerEmbedder) and isinstance(model, AudioEmbedder)
    found = Embeddings(store).audio_vectors(model, clips)
    again = Embeddings(Store(store.root)).audio_vectors(model, clips)
    assert decoded_files() - before == sum(model.passes) == len(clips)
    for one in (found, again):
        assert {name: rows.shape for name, rows in one.layers.items()} == {
            name: (len(clips), size) for name, size in LAYERS.items()
        }
        np.testing.assert_array_equal(one.rows, one.layers["top"])
    heard = [load(clip.path, sample_rate=8000) for clip in clips]
    for name, rows in Layered().embed_layers(heard).items():
        np.testing.assert_array_equal(again.layers[name], rows)
    np.testing.assert_array_equal(again.rows, Layered().embed_audio(heard))
    assert (found.seconds > 0, again.seconds) == (True, None)
    assert Embeddings(store).cost(model).clips > 0


def test_the_layers_are_part_of_what_names_their_space(store, clips):
    kept = Embeddings(store)
    for model in (Layered(), Layered(layers=["front", "top"])):
        model.card = replace(model.card, preprocessing={})  # a card that says nothing of layers
        assert kept.audio_vectors(model, clips[:2]).layers.keys() == model.layer_dimensions.keys()
        assert model.passes == [1, 1]
    identities = [json.loads(space.identity) for space in store.spaces()]
    assert sorted(one["layers"] for one in identities) == [
        [["front", 5], ["middle", 16], ["top", 7]],
        [["front", 5], ["top", 7]],
    ]
    assert {one["output"] for one in identities} == {"layers"}
    card = Layered().card
    assert "layers" not in json.loads(space_of(card, kind="audio_vectors", code="c"))


def test_a_model_of_one_layer_is_a_plain_embedder(store, clips):
    model = Layered(layers=["middle"])
    assert not layers_of(model)
    found = Embeddings(store).audio_vectors(model, clips)
    assert (found.rows.shape, found.layers) == ((6, 16), {})
    (space,) = store.spaces()
    assert json.loads(space.identity)["output"] == "audio_vectors"


def test_what_code_made_before_is_trusted_by_the_card(store, clips, monkeypatch):
    Embeddings(store).audio_vectors(Layered(), clips)
    other, before = Layered(), decoded_files()
    kept = Embeddings(store, trust_card=True)
    code = replace(kept.code(other), packages=(("another", "2"),))
    monkeypatch.setattr(Embeddings, "_code", lambda self, models, hears: code)
    found = kept.audio_vectors(other, clips)
    assert (decoded_files() - before, other.passes, len(found.layers)) == (0, [], 3)
    assert "6 layers were made by other code" in found.warnings[0]


def test_a_dry_run_counts_the_clips_once(store, clips):
    Embeddings(store).audio_vectors(Layered(), clips[:4])
    counting = Counting(store, trust_card=False)
    counting.count("p", Probe(), Wanted(tuple(clips)), {"m": Layered()})
    (row,) = counting.rows
    assert (row.what, row.items, row.new, row.seconds > 0) == ("clips", 6, 2, True)


def test_a_gain_and_a_loudness_leave_the_layers(store, clips):
    heard = [load(clip.path, sample_rate=8000) for clip in clips]
    for model in (with_gain(Layered(), 6.0), at_loudness(Layered(), -20)):
        assert layers_of(model) == LAYERS
        rows = Embeddings(store).audio_vectors(model, clips).layers
        expected = model.embed_layers(heard)
        assert all((rows[name] == expected[name]).all() for name in LAYERS)


def _wrong(change):
    model = Layered()
    own = model.embed_layers
    model.embed_layers = lambda clips: change(own(clips))
    return model


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: {**f, "middle": f["middle"] * 2}, "L2 norm 2 in layer .middle."),
        (lambda f: {**f, "front": f["front"].astype(float)}, r"layer 'front': .*got float64"),
        (lambda f: {**f, "top": f["top"][:, :3]}, r"layer 'top': expected .*\(1, 7\), got"),
        (lambda f: {**f, "top": f["top"] * np.nan}, "expected numbers that are finite"),
        (lambda f: {"top": f["top"]}, "mapping of the layers front, middle, top, got layers top"),
        (lambda f: f["top"], "mapping of the layers front, middle, top, got"),
    ],
)
def test_a_layer_that_is_not_as_promised_is_an_error_that_names_it(store, clips, change, said):
    with pytest.raises(ModelError, match=said):
        Embeddings(store).audio_vectors(_wrong(change), clips)


def test_the_models_own_dimension_is_the_last_layers(store, clips):
    model = Layered()
    model.dimension = 16
    with pytest.raises(ModelError, match=r"last layer 'top' has 7 dimensions, expected .* 16"):
        Embeddings(store).audio_vectors(model, clips)
