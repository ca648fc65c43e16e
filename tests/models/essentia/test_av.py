"""Heads on embedders: what fits, what the card says, arousal and valence."""

import numpy as np
import pytest
from frozen_graphs import (
    VGGISH,
    first_generation,
    music,
    node,
    patches_of,
    placeholder,
    second_generation,
    write_backbone,
    write_first_generation,
    write_second_generation,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.models.base import ArousalValenceModel, ModelError, PatchEmbedder, PatchHead
from earmark.models.essentia.av import essentia_av
from earmark.models.essentia.library import read_graph

pytestmark = pytest.mark.usefixtures("essentia_installed")


def test_generations_are_told_apart_by_nodes(affine, hidden):
    assert (affine.generation.number, hidden.generation.number) == (1, 2)


def test_a_backbone_is_no_head(weights):
    with pytest.raises(ModelError, match=r"is not a released arousal/valence head: expected nodes"):
        essentia_av(head="backbone", backbone="backbone", weights=str(weights))


def test_a_head_of_another_dimension_is_refused_with_both(tmp_path, weights):
    write_backbone(tmp_path / "vggish.pb", VGGISH)
    with pytest.raises(ModelError, match=r"takes embeddings of 200 dimensions.* gives 128"):
        essentia_av(head=str(weights / "affine.pb"), backbone="vggish", weights=str(tmp_path))


def test_weights_that_are_nowhere_are_a_model_error(tmp_path, monkeypatch):
    monkeypatch.setenv("EARMARK_CACHE", str(tmp_path))
    for name in ("EARMARK_DATA", "EARMARK_SHARED_DATA", "EARMARK_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)  # away from any ../shared/data
    with pytest.raises(ModelError, match="run `earmark fetch msd-musicnn-1`"):
        essentia_av(head="emomusic-msd-musicnn-2", weights=str(tmp_path))


@pytest.mark.parametrize("loudness", [-70.0, 0.1, float("nan")])
def test_a_loudness_that_cannot_be_meant_is_refused(weights, loudness):
    with pytest.raises(ModelError, match="loudness must be above -70 and at most 0 LUFS"):
        essentia_av(head="affine", backbone="backbone", weights=str(weights), loudness=loudness)


def test_an_unknown_order_of_columns_is_refused(weights):
    with pytest.raises(ModelError, match="valence-arousal or arousal-valence, got 'av'"):
        essentia_av(head="affine", backbone="backbone", weights=str(weights), columns="av")


def test_models_keep_the_agreed_protocols(affine):
    assert isinstance(affine, ArousalValenceModel)
    assert isinstance(affine, PatchHead)
    assert isinstance(affine.embedder, PatchEmbedder)


def test_the_card_says_what_decides_the_numbers_and_no_path(affine, hidden, weights):
    for model in (affine, hidden):
        card = model.card
        assert card.licence == "CC BY-NC-SA 4.0"
        assert card.preprocessing["sample_rate"] == 16000
        assert card.preprocessing["resample_quality"] == 1
        assert card.preprocessing["patch_frames"] == 187
        assert card.preprocessing["patch_hop_frames"] == 93
        assert card.preprocessing["embedder_sha256"] == read_graph(weights / "backbone.pb").digest
        assert card.preprocessing["head_generation"] == model.generation.number
        assert str(weights) not in repr(card)
    assert affine.card.weights_digest != hidden.card.weights_digest
    assert affine.embedder.card == hidden.embedder.card


def test_cards_differ_where_numbers_differ(weights):
    def card(**options):
        model = essentia_av(head="affine", backbone="backbone", weights=str(weights), **options)
        return model.card, model.embedder.card

    plain, twenty, exchanged = card(), card(loudness=-20), card(columns="arousal-valence")
    assert plain == card()
    assert len({one.id for one, _ in (plain, twenty, exchanged)}) == 3
    assert twenty[1] != plain[1] == exchanged[1]
    assert twenty[0].preprocessing["loudness"] == "-20 LUFS"
    assert "two equal channels" in twenty[0].notes[0]


@pytest.mark.parametrize(
    ("name", "seen", "scale"),
    [
        ("emomusic-x-1", ("msd", "emomusic", "deam"), (1, 9)),
        ("deam-x-1", ("msd", "deam", "emomusic"), (1, 9)),
        ("muse-x-1", ("msd", "muse"), (1, 9)),
        ("mine", ("msd",), None),
    ],
)
def test_training_data_of_a_head_is_on_its_card(tmp_path, weights, name, seen, scale):
    head = write_first_generation(tmp_path / f"{name}.pb")
    card = essentia_av(head=str(head), backbone=str(weights / "backbone.pb")).card
    assert card.id == name
    assert card.training_datasets == seen
    assert card.av_scale == scale
    assert ("not known" in " ".join(card.notes)) == (name == "mine")
    assert card.citation.count("@") == (4 if name != "mine" else 3)


def test_values_are_arousal_and_valence_averaged_over_patches(affine, hidden):
    patches = patches_of()
    for model, expected in ((affine, first_generation), (hidden, second_generation)):
        found = model.predict_av_from_patches(patches)
        assert found.shape == (2,)
        np.testing.assert_allclose(found, expected(patches).mean(axis=0), rtol=1e-5)


def test_columns_can_be_exchanged(weights, affine):
    exchanged = essentia_av(
        head="affine", backbone="backbone", weights=str(weights), columns="arousal-valence"
    )
    patches = patches_of()
    np.testing.assert_array_equal(
        exchanged.predict_av_from_patches(patches), affine.predict_av_from_patches(patches)[::-1]
    )


def test_audio_and_its_patches_give_the_same_values(affine, hidden):
    clip = music(9, 22050)
    patches = affine.embedder.embed_patches(clip)
    for model in (affine, hidden):
        np.testing.assert_array_equal(
            model.predict_av([clip])[0], model.predict_av_from_patches(patches)
        )


@given(st.integers(1, 130), st.integers(0, 9))
@settings(max_examples=25, deadline=None)
def test_an_affine_head_gives_at_the_mean_the_mean_of_its_values(affine, count, seed):
    patches = patches_of(count, seed)
    found = affine.predict_av_from_means(patches.mean(axis=0, keepdims=True))[0]
    np.testing.assert_allclose(found, affine.predict_av_from_patches(patches), atol=2e-5)


def test_means_of_many_clips_are_rows_in_order(affine):
    means = patches_of(300)
    found = affine.predict_av_from_means(means)
    np.testing.assert_allclose(found, first_generation(means), atol=1e-5)


def test_a_head_that_is_not_affine_refuses_means(affine, hidden):
    assert affine.affine
    assert not hidden.affine
    patches = patches_of()
    wrong = second_generation(patches.mean(axis=0, keepdims=True))[0]
    assert np.abs(wrong - hidden.predict_av_from_patches(patches)).max() > 0.05
    with pytest.raises(ModelError, match=r"hidden is not affine: .* needs every patch"):
        hidden.predict_av_from_means(patches)


@pytest.mark.parametrize(
    ("patches", "said"),
    [
        (np.zeros((3, 128)), r"shape \(n, 200\), n >= 1, got \(3, 128\)"),
        (np.zeros(200), r"got \(200,\)"),
        (np.zeros((0, 200)), r"got \(0, 200\)"),
        (np.full((3, 200), np.inf), "embedding 0 is not finite"),
    ],
)
def test_patches_of_another_shape_are_refused(affine, patches, said):
    with pytest.raises(ModelError, match=said):
        affine.predict_av_from_patches(patches)


def test_a_head_of_other_than_two_values_is_refused(tmp_path, weights):
    head = write_second_generation(tmp_path / "tags.pb", last=np.ones((8, 50)))
    model = essentia_av(head=str(head), backbone=str(weights / "backbone.pb"))
    with pytest.raises(ModelError, match=r"tags.pb gives shape \(5, 50\) for 5 embeddings"):
        model.predict_av_from_patches(patches_of())


def test_a_graph_that_tensorflow_refuses_is_named(tmp_path, weights):
    path = tmp_path / "head.pb"
    path.write_bytes(
        placeholder("flatten_in_input", (-1, 200)) + node("dense_out", "NoSuchOperation")
    )
    model = essentia_av(head=str(path), backbone=str(weights / "backbone.pb"))
    with pytest.raises(ModelError, match=r"head.pb: Essentia cannot load it: .*graph"):
        model.predict_av_from_patches(patches_of())


# One clip's values are its own


def test_values_do_not_depend_on_order_company_or_repetition(hidden):
    clips = [music(s, seed=i) for i, s in enumerate([6, 0.5, 12, 3, 7.7])]
    together = hidden.predict_av(clips)
    np.testing.assert_array_equal(hidden.predict_av(clips), together)
    np.testing.assert_array_equal(hidden.predict_av(clips[::-1])[::-1], together)
    for clip, expected in zip(clips, together, strict=True):
        np.testing.assert_array_equal(hidden.predict_av([clip])[0], expected)


def test_no_clips_are_no_rows(hidden):
    assert hidden.predict_av([]).shape == (0, 2)
