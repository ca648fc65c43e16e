"""Templates, ensembles and centring of zero-shot tasks, and the presets that name them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.preprocessing import normalize

from earmark.bench.tasks.vectors import JointVectors, other_crops
from earmark.bench.tasks.zero_shot import prompts
from earmark.bench.tasks.zero_shot import protocol as protocols
from earmark.bench.tasks.zero_shot.task import ZeroShotClassification
from earmark.datasets.base import Clip, DataError, DatasetCard, RatedClips, Scale
from earmark.datasets.gtzan import GENRES, GTZAN, fault_filtered
from earmark.models.base import ModelCard, ModelError

TEMPLATES = ("{label}", "A {label} track")
WORDS = prompts.vocabulary(["hiphop", "rock", "jazz"], {"hiphop": "hip hop"})


def card(name):
    return DatasetCard(name, name, "1", "", "", "")


def gtzan(partition="test"):
    """GTZAN's fault-filtered partition without its files."""
    clips = tuple(
        Clip(name, None, label=name.partition(".")[0])
        for name, part in sorted(fault_filtered().items())
        if part == partition
    )
    return GTZAN(card("gtzan"), clips, "0", "fault-filtered", (partition,) * len(clips))


def joint(*, audio=None, text=None, n_clips=6, dimension=5, seed=0):
    rng = np.random.default_rng(seed)
    texts = tuple(prompts.prompt_texts(TEMPLATES, WORDS))
    if audio is None:
        audio = normalize(rng.normal(size=(n_clips, dimension))).astype(np.float32)
    if text is None:
        text = normalize(rng.normal(size=(len(texts), dimension))).astype(np.float32)
    clips = tuple(Clip(f"c{index}", None) for index in range(n_clips))
    return JointVectors(clips, {"m": audio}, texts, {"m": text})


def similarities(vectors, centring="none"):
    return prompts.similarities("m", vectors, TEMPLATES, WORDS, centring=centring)


def test_a_prompt_is_the_template_with_the_labels_text_form():
    assert prompts.prompt_texts(TEMPLATES, WORDS) == [
        *("hip hop", "rock", "jazz"),
        *("A hip hop track", "A rock track", "A jazz track"),
    ]
    assert prompts.fill("{label} or {label}", "a {b}") == "a {b} or a {b}"


@pytest.mark.parametrize(
    ("templates", "message"),
    [
        ([], "list of prompts is empty"),
        (["a track"], r"'a track' has no \{label\}"),
        (["{label}", "{genre} music"], r"'\{genre\} music' has no \{label\}"),
        (["{label}", "{label}"], r"'\{label\}' is listed twice"),
        ("{label}", "must be a list"),
        (["{label}", 3], "must be a list"),
    ],
)
def test_templates_that_cannot_be_used_are_named(templates, message):
    with pytest.raises(DataError, match=message):
        prompts.check_templates(templates)


@pytest.mark.parametrize(
    ("labels", "texts", "message"),
    [
        (["rock"], {}, "at least 2 labels, got 1"),
        (["rock", "rock"], {}, "'rock' is listed twice"),
        (["rock", ""], {}, "list of names"),
        ("rock", {}, "list of names"),
        (["rock", "jazz"], {"rok": "Rock"}, "'rok', which is no label; the labels are rock, jazz"),
        (["rock", "jazz"], {"rock": " "}, "text form of 'rock' is empty"),
        (["rock", "jazz"], {"rock": "jazz"}, "'rock' and 'jazz' have the same text form 'jazz'"),
    ],
)
def test_labels_that_cannot_be_told_apart_are_named(labels, texts, message):
    with pytest.raises(DataError, match=message):
        prompts.vocabulary(labels, texts, at_least=2)


def test_each_prompts_scores_are_scikit_learns_cosines():
    vectors = joint()
    found = similarities(vectors)
    assert list(found) == [*TEMPLATES, "ensemble"]
    audio, text = (table["m"].astype(float) for table in (vectors.audio, vectors.text))
    for index, template in enumerate(TEMPLATES):
        expected = cosine_similarity(audio, text[3 * index : 3 * index + 3])
        np.testing.assert_allclose(found[template], expected, atol=1e-12)


def test_the_ensemble_is_the_mean_of_unit_text_vectors_at_unit_norm():
    vectors = joint()
    text = normalize(vectors.text["m"].astype(float))
    expected = cosine_similarity(vectors.audio["m"].astype(float), (text[:3] + text[3:]) / 2)
    np.testing.assert_allclose(similarities(vectors)["ensemble"], expected, atol=1e-12)


@pytest.mark.parametrize(("centring", "sides"), [("audio", "a"), ("text", "t"), ("both", "at")])
def test_centring_subtracts_the_mean_of_the_evaluated_vectors(centring, sides):
    vectors = joint(seed=3)
    audio = normalize(vectors.audio["m"].astype(float))
    text = normalize(vectors.text["m"].astype(float))[:3]
    if "a" in sides:
        audio = audio - audio.mean(axis=0)
    if "t" in sides:
        text = text - text.mean(axis=0)
    found = similarities(vectors, centring)["{label}"]
    np.testing.assert_allclose(found, cosine_similarity(audio, text), atol=1e-12)


def test_centring_undoes_what_all_clips_share():
    rng = np.random.default_rng(1)
    own = normalize(rng.normal(size=(200, 5)))
    audio = normalize(own + np.array([9.0, 0, 0, 0, 0])).astype(np.float32)
    text = normalize(rng.normal(size=(6, 5))).astype(np.float32)
    plain = similarities(joint(audio=audio, text=text, n_clips=200))["{label}"].argmax(axis=1)
    moved = similarities(joint(audio=audio, text=text, n_clips=200), "audio")["{label}"]
    assert len(set(plain.tolist())) == 1
    assert len(set(moved.argmax(axis=1).tolist())) == 3


@given(arrays(float, (7, 4), elements=st.floats(-1, 1)))
def test_centred_vectors_have_unit_norm_or_are_zero(rows):
    lengths = np.linalg.norm(prompts.centre(rows), axis=1)
    assert (np.isclose(lengths, 1) | (lengths == 0)).all()


def test_equal_clips_and_equal_texts_tie_exactly():
    rng = np.random.default_rng(2)
    row = normalize(rng.normal(size=(1, 384))).astype(np.float32)
    audio = np.repeat(row, 37, axis=0)
    text = normalize(rng.normal(size=(6, 384))).astype(np.float32)
    for centring in ("none", "text"):
        found = similarities(joint(audio=audio, text=text, n_clips=37), centring)["ensemble"]
        assert (found == found[0]).all()
    constant = np.repeat(row, 6, axis=0)
    found = similarities(joint(text=constant, dimension=384))["ensemble"]
    assert (np.ptp(found, axis=1) == 0).all()


@pytest.mark.parametrize("centring", ["audio", "both"])
def test_a_model_that_hears_nothing_has_equal_scores_after_centring(centring):
    row = normalize(np.random.default_rng(4).normal(size=(1, 5))).astype(np.float32)
    found = similarities(joint(audio=np.repeat(row, 6, axis=0)), centring)["ensemble"]
    assert (found == 0).all()


def test_vectors_that_cannot_be_scored_are_named():
    good = joint()
    broken = good.audio["m"].copy()
    broken[2, 1] = np.nan
    with pytest.raises(ModelError, match=r"'m': the vector of 'c2' is not finite"):
        similarities(joint(audio=broken))
    broken[2] = 0
    with pytest.raises(ModelError, match=r"vector of 'c2' is zero"):
        similarities(joint(audio=broken))
    with pytest.raises(ModelError, match=r"expected vectors \(6, dimension\), got shape \(5, 5\)"):
        similarities(joint(audio=good.audio["m"][:5]))
    with pytest.raises(ModelError, match=r"clips have 4 dimensions and those of texts 5"):
        similarities(joint(audio=good.audio["m"][:, :4]))
    opposite = np.concatenate([good.text["m"][:3], -good.text["m"][:3]])
    with pytest.raises(ModelError, match=r"prompts of 'hiphop' cancel each other out"):
        similarities(joint(text=opposite))


def settings_of(dataset, *, protocol="muscall-paper", **options):
    return ZeroShotClassification(protocol=protocol, **options).settings(dataset)


def test_the_papers_protocol_has_its_two_prompts_and_labels_as_they_are():
    settings = settings_of(gtzan())
    assert settings.templates == ("{label}", "A {label} track")
    assert (settings.texts, settings.centring, settings.changed) == ({}, "none", ())
    assert settings_of(gtzan(), protocol="earmark").texts == {"hiphop": "hip hop"}


def test_an_option_of_the_suite_goes_before_the_preset_and_is_named():
    settings = settings_of(
        gtzan(), prompts=["{label} song"], centring="audio", texts={"rock": "Rock"}
    )
    assert settings.templates == ("{label} song",)
    assert settings.stated()["changed from the protocol"] == "prompts, texts, centring"
    assert settings.stated()["source of the prompts"] == "suite"
    same = settings_of(gtzan(), prompts=["{label}", "A {label} track"], centring="none")
    assert same.stated()["changed from the protocol"] == "nothing"


def test_unknown_protocols_and_centrings_are_named():
    with pytest.raises(DataError, match=r"'muscal-paper'. Did you mean 'muscall-paper'\?"):
        settings_of(gtzan(), protocol="muscal-paper")
    with pytest.raises(DataError, match=r"centring is 'mean', expected one of none, audio"):
        settings_of(gtzan(), centring="mean")


def test_another_split_than_the_papers_gets_a_warning_that_names_it():
    assert protocols.other_split(settings_of(gtzan()), gtzan(), GENRES) == []
    (found,) = protocols.other_split(settings_of(gtzan("valid")), gtzan("valid"), GENRES)
    assert "this is gtzan, fault-filtered/valid, 197 clips and 10 labels" in found
    clips = [Clip("a", None, label="rock"), Clip("b", None, label="jazz")]
    rated = RatedClips(card("mine"), clips, np.zeros((2, 2)), Scale(0, 1), "0")
    (found,) = protocols.other_split(settings_of(rated), rated, ["jazz", "rock"])
    assert "this is mine, 2 clips and 2 labels" in found
    assert protocols.other_split(settings_of(rated, protocol="earmark"), rated, ["jazz"]) == []


def test_the_papers_figures_stand_beside_its_protocol_on_its_split_alone():
    found = protocols.published(settings_of(gtzan()), gtzan(), GENRES)
    values = {(one.name, one.subset): one.value for one in found}
    assert values["MusCALL_BASE, published", "{label}"] == 0.555
    assert values["MusCALL_SSL, published", "A {label} track"] == 0.620
    assert protocols.published(settings_of(gtzan(), centring="audio"), gtzan(), GENRES) == []
    assert protocols.published(settings_of(gtzan("train")), gtzan("train"), GENRES) == []


def test_a_trained_model_with_another_crop_than_the_papers_gets_a_warning():
    class Model:
        def __init__(self, crop, digest="0" * 64, **preprocessing):
            self.card = ModelCard("m", "1", digest, "", "", (), crop, preprocessing=preprocessing)

    models = {
        "same": Model("centre(20 s), short clips zero-padded"),
        "other": Model("windows(10 s, 5 s) mean"),
        "random": Model("whole", "untrained"),
        # MusCALL-SSL was trained on 10 s and hears as much.
        "ssl": Model("centre(10 s), short clips zero-padded", trained_on_seconds=10.0),
        "base": Model("centre(10 s), short clips zero-padded", trained_on_seconds=20.0),
    }
    other, base = other_crops("muscall-paper", protocols.PRESETS["muscall-paper"].crop, models)
    assert other.startswith("other hears 'windows(10 s, 5 s) mean'")
    assert base.startswith("base hears 'centre(10 s)")
    assert other_crops("earmark", protocols.PRESETS["earmark"].crop, models) == []
